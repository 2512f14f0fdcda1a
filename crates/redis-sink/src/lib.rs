//! Redis as a sink.
