//! Why a component writes: what it reacted to, what it had seen, and the span that it works in. It becomes the cause of what is written.
//!
//! Flow: a component keeps the [`Reason`] of each change that it takes in until it has decided, makes a [`Why`] of them, and opens a span
//! with [`Why::within`]. The span's parent is the one that wrote the event; what is sent on behalf of the why carries the span, so that
//! whoever reacts to the write goes on with the same trace:
//!
//! ```
//! # use cox_kit::{Api, Command, Feed, Reason, Why, api::Failed, feed::Change};
//! # use tracing::{Instrument, info_span};
//! # async fn start_container() {}
//! async fn sync(change: &Change, feed: &impl Feed, api: &Api, commands: &[Command]) -> Result<(), Failed> {
//!     let why = Why::of([Reason::change(change)], feed.revision());
//!     let why = why.within(|| info_span!("kubelet.pod.sync", pod = %change.key));
//!     let start = info_span!(parent: why.span(), "kubelet.container.start", container = "web");
//!     start_container().instrument(start).await;
//!     api.run(commands, &why).await.map(drop)
//! }
//! ```
//!
//! Absences: without an exporter spans are off, and no trace context is made; trigger and correlation are named all the same.

use std::sync::Arc;

use cox_bus::trace;
use cox_objects::{Cause, RequestId, Revision, Trigger};
use tracing::Span;

use crate::feed::Change;

/// One thing that a component reacts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The event, or the timer.
    pub trigger: Trigger,
    /// Why the event was written, where that is known: its chain and its trace go on.
    pub cause: Option<Arc<Cause>>,
}

impl Reason {
    /// A change of an object.
    pub fn change(change: &Change) -> Self {
        Reason { trigger: Trigger::Event(change.event()), cause: Some(change.cause.clone()) }
    }

    /// A timer of the component's own, or something that happened outside of the API, by its name.
    pub fn timer(name: &str) -> Self {
        Reason { trigger: Trigger::Timer(name.to_owned()), cause: None }
    }

    /// Whether it is an event of the log.
    pub fn is_event(&self) -> bool {
        matches!(self.trigger, Trigger::Event(_))
    }

    fn traceparent(&self) -> Option<&str> {
        self.cause.as_ref()?.traceparent.as_deref()
    }
}

/// Why commands are run: it becomes the cause of what they write.
#[derive(Clone, Debug)]
pub struct Why {
    observed: Revision,
    trigger: Option<Trigger>,
    folded: Vec<Trigger>,
    correlation: Option<RequestId>,
    /// The causes with the traces that led here, each trace once. The first is gone on with.
    traces: Vec<Arc<Cause>>,
    span: Span,
}

impl Why {
    /// A decision because of these, the newest first; `observed` is the revision up to which the decider had seen.
    /// The trace of the newest one that belongs to any is gone on with, and the chain of the newest event.
    pub fn of(reasons: impl IntoIterator<Item = Reason>, observed: Revision) -> Self {
        let (trigger, folded, correlation) = (None, Vec::new(), None);
        let mut why = Why { observed, trigger, folded, correlation, traces: Vec::new(), span: Span::none() };
        for reason in reasons.into_iter().take(1 + Cause::MAX_FOLDED) {
            why.correlation = why.correlation.or_else(|| reason.cause.as_ref()?.correlation);
            if let Some(cause) = &reason.cause
                && let Some(traceparent) = reason.traceparent()
                && !why.traces.iter().any(|known| is_of_trace(known, traceparent))
            {
                why.traces.push(cause.clone());
            }
            match why.trigger {
                None => why.trigger = Some(reason.trigger),
                Some(_) => why.folded.push(reason.trigger),
            }
        }
        why
    }

    /// A decision that a named timer brought about.
    pub fn timer(name: &str, observed: Revision) -> Self {
        Why::of([Reason::timer(name)], observed)
    }

    /// The same, worked on in a span: its parent is the span that wrote what is reacted to, and other traces that led here are linked.
    #[must_use]
    pub fn within(mut self, span: impl FnOnce() -> Span) -> Self {
        let mut traces = self.traces.iter().filter_map(|cause| cause.traceparent.as_deref());
        let span = trace::under(span(), traces.next());
        traces.for_each(|other| trace::link(&span, other));
        self.span = span;
        self
    }

    /// The same for something that is told later, when the span is over: that goes on with its trace, and keeps no span open.
    pub(crate) fn for_later(&self) -> Self {
        let mut why = Why { span: Span::none(), ..self.clone() };
        if let Some(own) = self.traceparent() {
            why.traces.retain(|cause| !is_of_trace(cause, &own));
            why.traces.insert(0, Arc::new(Cause { traceparent: Some(own), ..Cause::default() }));
        }
        why
    }

    /// This and what led to the same before it, as one: the newest stays first.
    #[must_use]
    pub(crate) fn and(mut self, older: Why) -> Self {
        self.observed = self.observed.max(older.observed);
        self.correlation = self.correlation.or(older.correlation);
        for trigger in older.trigger.into_iter().chain(older.folded) {
            if self.trigger.as_ref() != Some(&trigger) && !self.folded.contains(&trigger) {
                self.folded.push(trigger);
            }
        }
        self.folded.truncate(Cause::MAX_FOLDED);
        for cause in older.traces {
            let traceparent = cause.traceparent.as_deref().unwrap_or_default();
            if !self.traces.iter().any(|known| is_of_trace(known, traceparent)) {
                self.traces.push(cause);
            }
        }
        self.traces.truncate(1 + Cause::MAX_FOLDED);
        self
    }

    /// The span that is worked in; one that is off if there is none.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// The revision up to which the decider had seen.
    pub fn observed(&self) -> Revision {
        self.observed
    }

    /// What it reacted to.
    pub fn trigger(&self) -> Option<&Trigger> {
        self.trigger.as_ref()
    }

    /// What else went into the decision.
    pub fn folded(&self) -> &[Trigger] {
        &self.folded
    }

    /// The chain that it belongs to, where that is known.
    pub(crate) fn correlation(&self) -> Option<RequestId> {
        self.correlation
    }

    /// The trace context of what is sent on its behalf.
    pub(crate) fn traceparent(&self) -> Option<String> {
        let received = self.traces.first().and_then(|cause| cause.traceparent.as_deref());
        trace::carries(&self.span, received)
    }
}

fn is_of_trace(cause: &Cause, traceparent: &str) -> bool {
    cause.traceparent.as_deref().is_some_and(|own| trace::is_same_trace(own, traceparent))
}

#[cfg(test)]
mod tests;
