//! Spans go on with the trace that a message names, and messages name the span that sent them.

use std::sync::{Arc, Mutex};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt;

use super::*;

const THEIRS: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

/// Runs something with an exporter installed, and returns it with the spans that were exported.
fn traced<R>(run: impl FnOnce() -> R) -> (R, Vec<SpanData>) {
    let kept = Kept::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let result = tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), run);
    let spans = kept.0.lock().unwrap().clone();
    (result, spans)
}

#[test]
fn a_trace_goes_on_from_message_to_message() {
    let (sent, spans) = traced(|| {
        let first = under(info_span!("first"), Some(THEIRS));
        let sent = carries(&first, Some(THEIRS)).unwrap();
        let second = under(info_span!("second"), Some(&sent));
        drop((first, second));
        sent
    });
    let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (first, second) = (named("first"), named("second"));
    assert_eq!(first.span_context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(first.parent_span_id.to_string(), "00f067aa0ba902b7");
    assert_eq!(second.span_context.trace_id(), first.span_context.trace_id());
    assert_eq!(second.parent_span_id, first.span_context.span_id());
    assert_eq!(sent, format!("00-{}-{}-01", first.span_context.trace_id(), first.span_context.span_id()));
}

#[test]
fn without_a_parent_or_with_a_malformed_one_a_trace_begins() {
    let malformed = [
        "",
        "nonsense",
        "00-0-0-0",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
    ];
    for received in malformed.into_iter().map(Some).chain([None]) {
        let (sent, spans) = traced(|| carries(&under(info_span!("only"), received), received));
        assert_eq!(spans[0].parent_span_id, SpanId::INVALID, "{received:?}");
        assert!(sent.unwrap().contains(&spans[0].span_context.trace_id().to_string()), "{received:?}");
        assert_eq!(carries(&info_span!("not exported"), received), None, "{received:?}");
    }
}

#[test]
fn what_is_not_exported_passes_on_what_it_got() {
    assert_eq!(carries(&under(info_span!("not exported"), Some(THEIRS)), Some(THEIRS)).unwrap(), THEIRS);
    let newer = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
    assert_eq!(carries(&Span::none(), Some(newer)).unwrap(), newer);
}

#[test]
fn a_trace_that_is_not_sampled_is_passed_on_and_not_exported() {
    let theirs = THEIRS.replace("-01", "-00");
    let (sent, spans) = traced(|| carries(&under(info_span!("first"), Some(&theirs)), Some(&theirs)).unwrap());
    assert!(spans.is_empty());
    assert!(sent.ends_with("-00") && is_same_trace(&sent, THEIRS), "{sent}");
}

#[test]
fn other_traces_are_linked() {
    let (_, spans) = traced(|| link(&info_span!("only"), THEIRS));
    assert_eq!(
        spans[0].links.iter().map(|link| link.span_context.span_id().to_string()).collect::<Vec<_>>(),
        ["00f067aa0ba902b7"]
    );
}
