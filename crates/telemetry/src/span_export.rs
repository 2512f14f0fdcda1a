//! From a finished span to a request: spans are encoded where they end, and a thread of its own sends them in chunks.
//!
//! A receiver that is away costs one warning: what was taken from the queue is sent until it is taken, what does not fit
//! into the queue meanwhile is dropped, and how many those were is said when the receiver is back.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use crate::names;
use crate::outage::Outage;
use crate::span_encoding;
use crate::span_queue::{Next, SpanQueue};
use crate::transport::{SendError, Transport};

/// Puts spans that have ended into the queue.
pub struct Enqueue(pub Arc<SpanQueue>);

impl fmt::Debug for Enqueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Enqueue")
    }
}

thread_local! {
    static SPAN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl SpanProcessor for Enqueue {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.0.is_full() {
            self.0.drop_spans(1);
            return;
        }
        SPAN.with_borrow_mut(|bytes| {
            bytes.clear();
            span_encoding::encode(SPANS_FIELD, span, bytes);
            self.0.push(bytes);
        });
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        self.0.end();
        Ok(())
    }
}

/// Sends until the queue has ended.
pub fn run(queue: &SpanQueue, transport: &Transport, resource: &Resource, delay: Duration) {
    let frame = Frame::new(resource);
    let mut outage = Outage::new("spans", transport.shown());
    while let Next::Send(chunk) = queue.next(delay) {
        let request = frame.request(&chunk.bytes);
        loop {
            match transport.send(&request) {
                Ok(answer) => {
                    outage.over(queue.dropped());
                    let refused = ExportTraceServiceResponse::decode(answer.as_slice()).ok();
                    if let Some(refused) = refused.and_then(|answer| answer.partial_success)
                        && refused.rejected_spans > 0
                    {
                        queue.drop_spans(u32::try_from(refused.rejected_spans).unwrap_or(u32::MAX));
                        outage.refused(&refused.error_message, queue.dropped());
                    }
                    break;
                }
                Err(SendError::Definite(message)) => {
                    queue.drop_spans(chunk.spans);
                    outage.refused(&message, queue.dropped());
                    break;
                }
                Err(SendError::Transient { message, retry_after }) => {
                    let wait = outage.failed(&message, retry_after);
                    if queue.pause(wait) {
                        // The process ends: what cannot be sent now never will be.
                        queue.drop_spans(chunk.spans);
                        break;
                    }
                }
            }
        }
    }
}

const RESOURCE_SPANS_FIELD: u32 = 1;
const RESOURCE_FIELD: u32 = 1;
const SCOPE_SPANS_FIELD: u32 = 2;
const SCOPE_FIELD: u32 = 1;
const SPANS_FIELD: u32 = 2;
const SCHEMA_URL_FIELD: u32 = 3;

/// What stands around the spans of a request, encoded once.
struct Frame {
    /// A field of `ResourceSpans`.
    resource: Vec<u8>,
    /// Fields of `ScopeSpans`.
    scope: Vec<u8>,
}

impl Frame {
    fn new(resource: &Resource) -> Frame {
        let (mut outer, mut inner) = (Vec::new(), Vec::new());
        prost::encoding::message::encode(RESOURCE_FIELD, resource, &mut outer);
        prost::encoding::message::encode(SCOPE_FIELD, &scope(), &mut inner);
        prost::encoding::string::encode(SCHEMA_URL_FIELD, &names::SCHEMA_URL.to_owned(), &mut inner);
        Frame { resource: outer, scope: inner }
    }

    /// An `ExportTraceServiceRequest` with one `ResourceSpans` with one `ScopeSpans`.
    fn request(&self, spans: &[u8]) -> Vec<u8> {
        let scope_spans = self.scope.len() + spans.len();
        let mut head = Vec::with_capacity(16);
        field(SCOPE_SPANS_FIELD, scope_spans, &mut head);
        let resource_spans = self.resource.len() + head.len() + scope_spans;
        let mut request = Vec::with_capacity(resource_spans + 16);
        field(RESOURCE_SPANS_FIELD, resource_spans, &mut request);
        request.extend_from_slice(&self.resource);
        request.extend_from_slice(&head);
        request.extend_from_slice(&self.scope);
        request.extend_from_slice(spans);
        request
    }
}

fn field(number: u32, length: usize, into: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, into);
    encode_varint(length as u64, into);
}

pub fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: names::SCOPE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1 as proto;

    use super::*;

    #[test]
    fn a_request_put_together_from_encoded_spans_is_the_message() {
        let resource = Resource { dropped_attributes_count: 7, ..Resource::default() };
        let span = |name: &str| proto::Span { name: name.to_owned(), ..proto::Span::default() };
        let spans = vec![span("a"), span(&"b".repeat(300))];
        let mut bytes = Vec::new();
        for span in &spans {
            prost::encoding::message::encode(SPANS_FIELD, span, &mut bytes);
        }
        let request = Frame::new(&resource).request(&bytes);
        let scope_spans = proto::ScopeSpans { scope: Some(scope()), spans, schema_url: names::SCHEMA_URL.to_owned() };
        let expected = ExportTraceServiceRequest {
            resource_spans: vec![proto::ResourceSpans {
                resource: Some(resource),
                scope_spans: vec![scope_spans],
                schema_url: String::new(),
            }],
        };
        assert_eq!(ExportTraceServiceRequest::decode(request.as_slice()).unwrap(), expected);
    }
}
