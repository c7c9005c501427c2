//! Spans as OpenTelemetry knows them: their identity, and links between processes.

use crate::payload::TraceParent;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use std::num::{NonZeroU64, NonZeroU128};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// None if the subscriber does not export to OpenTelemetry.
pub(super) fn traceparent(span: &Span) -> Option<TraceParent> {
    let context = span.context();
    let span = context.span();
    let context = span.span_context();
    Some(TraceParent {
        trace_id: NonZeroU128::new(u128::from_be_bytes(context.trace_id().to_bytes()))?,
        span_id: NonZeroU64::new(u64::from_be_bytes(context.span_id().to_bytes()))?,
        flags: context.trace_flags().to_u8(),
    })
}

pub(super) fn link(span: &Span, to: TraceParent) {
    span.add_link(SpanContext::new(
        TraceId::from(to.trace_id.get()),
        SpanId::from(to.span_id.get()),
        TraceFlags::new(to.flags),
        true,
        TraceState::NONE,
    ));
}
