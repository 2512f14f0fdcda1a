//! Trace context in headers, as the W3C has it: `traceparent`, `tracestate`.

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::SpanContext;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use walspring_record::{Header, Value};

/// The context that the record came with; without a sound one a trace begins.
pub fn parent(headers: &[Header]) -> Context {
    if !headers.iter().any(|header| &*header.name == "traceparent") {
        return Context::new();
    }
    TraceContextPropagator::new().extract_with_context(&Context::new(), &Carrier(headers))
}

struct Carrier<'a>(&'a [Header]);

impl Extractor for Carrier<'_> {
    /// The last one of a name holds.
    fn get(&self, key: &str) -> Option<&str> {
        let header = self.0.iter().rev().find(|header| &*header.name == key)?;
        match &header.value.value {
            Value::String(text) => Some(text),
            Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|header| &*header.name).collect()
    }
}

/// The value of `traceparent`.
pub fn traceparent(context: &SpanContext) -> String {
    let flags = context.trace_flags().to_u8();
    format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id())
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TraceContextExt;
    use proptest::prelude::*;
    use walspring_record::Typed;

    use super::*;

    fn header(name: &str, value: Value) -> Header {
        Header { name: name.into(), value: Typed { schema: None, value } }
    }

    #[test]
    fn reads_text_and_bytes() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for value in [Value::string(text), Value::bytes(text.as_bytes())] {
            let context = parent(&[header("traceparent", value), header("tracestate", Value::string("a=1,b=2"))]);
            let span = context.span().span_context().clone();
            assert!(span.is_valid() && span.is_remote() && span.is_sampled());
            assert_eq!(traceparent(&span), text);
            assert_eq!(span.trace_state().header(), "a=1,b=2");
        }
    }

    #[test]
    fn what_is_no_context_begins_a_trace() {
        let zero = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        for value in [Value::Null, Value::Int32(1), Value::string("x"), Value::bytes(&b"\xff"[..]), Value::string(zero)]
        {
            let context = parent(&[header("traceparent", value)]);
            assert!(!context.span().span_context().is_valid());
        }
        assert!(!parent(&[]).span().span_context().is_valid());
    }

    proptest! {
        #[test]
        fn whatever_stands_in_a_header_is_read_or_left(
            context in "(.*|[0-9a-f]{2}-[0-9a-fé]{32}-[0-9a-f]{16}-.{0,3})",
            state in "(.*|[a-z]=[a-z],?.*)",
        ) {
            parent(&[header("traceparent", Value::string(context)), header("tracestate", Value::string(state))]);
        }

        #[test]
        fn what_is_written_is_read(trace in 1..=u128::MAX, span in 1..=u64::MAX, flags in 0..=1_u8) {
            let text = format!("00-{trace:032x}-{span:016x}-{flags:02x}");
            let context = parent(&[header("traceparent", Value::string(text.as_str()))]);
            prop_assert_eq!(traceparent(context.span().span_context()), text);
        }
    }
}
