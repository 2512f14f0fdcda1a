//! HTTP endpoints (webhooks) as sinks.
