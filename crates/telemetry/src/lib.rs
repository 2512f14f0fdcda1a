//! Spans and metrics over OTLP, in the names of the OpenTelemetry conventions.
