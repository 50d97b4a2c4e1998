//! W3C trace context: the one place where a span gets its parent from a message, and a message its `traceparent` from a span.
//!
//! Flow: what came over HTTP or the bus is worked on in a span that was put [`under`] the sender's; what is sent from there [`carries`] that
//! span. So an event names the span that wrote it, and whoever reacts to the event goes on with its trace.
//!
//! Absences: this crate exports nothing. Unless `ops` has installed an exporter no span has a context, nothing is allocated here, and a
//! `traceparent` that a client brought is passed on as it is.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Puts a span under the one that a `traceparent` names; without one, or a malformed one, it stays what it is. To be called before the
/// span is entered or has children.
pub fn under(span: Span, traceparent: Option<&str>) -> Span {
    if !span.is_disabled()
        && let Some(parent) = traceparent.and_then(parse)
    {
        // A span that only logs know has no parent to set.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
    span
}

/// Links a span with one of another trace that has also led to it.
pub fn link(span: &Span, traceparent: &str) {
    if !span.is_disabled()
        && let Some(other) = parse(traceparent)
    {
        span.add_link(other);
    }
}

/// The `traceparent` of what is sent on a span's behalf: the span's own if it is exported, else what was received, if that is one.
pub fn carries(span: &Span, received: Option<&str>) -> Option<String> {
    own(span).or_else(|| received.filter(|received| parse(received).is_some()).map(str::to_owned))
}

/// Whether two `traceparent`s belong to the same trace.
pub fn is_same_trace(one: &str, other: &str) -> bool {
    matches!((parse(one), parse(other)), (Some(one), Some(other)) if one.trace_id() == other.trace_id())
}

fn own(span: &Span) -> Option<String> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let own = context.span().span_context().clone();
    own.is_valid().then(|| format!("00-{}-{}-{:02x}", own.trace_id(), own.span_id(), own.trace_flags().to_u8()))
}

/// Reads a `traceparent` (W3C Trace Context, 3.2): of a version newer than ours, what ours has.
fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let ours = version == "00";
    let valid = hex(version, 2) && version != "ff" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    if !valid || (ours && parts.next().is_some()) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests;
