//! What a write is said to have been caused by.

use cox_objects::{Epoch, Position};

use super::*;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn event(revision: Revision, chain: u128, traceparent: Option<&str>) -> Reason {
    let (correlation, traceparent) = (Some(RequestId(chain)), traceparent.map(str::to_owned));
    let cause = Arc::new(Cause { correlation, traceparent, ..Cause::default() });
    Reason { trigger: Trigger::Event(Position { epoch: Epoch(1), revision }), cause: Some(cause) }
}

#[test]
fn the_newest_reason_triggers_and_the_others_are_folded() {
    let why = Why::of((0..20).rev().map(|revision| event(revision, 1, None)), 30);
    let revision = |trigger: &Trigger| match trigger {
        Trigger::Event(position) => position.revision,
        Trigger::Timer(name) => panic!("{name}"),
    };
    assert_eq!(why.trigger().map(revision), Some(19));
    assert_eq!(why.folded().iter().map(revision).collect::<Vec<_>>(), (11..19).rev().collect::<Vec<_>>());
    assert_eq!(why.observed(), 30);
}

#[test]
fn the_chain_of_the_newest_event_and_the_newest_trace_go_on() {
    let why = Why::of([Reason::timer("backoff"), event(3, 7, None), event(2, 6, Some(TRACE))], 9);
    assert_eq!(why.trigger(), Some(&Trigger::Timer("backoff".to_owned())));
    assert_eq!(why.correlation(), Some(RequestId(7)));
    assert_eq!(why.traceparent().as_deref(), Some(TRACE), "nothing is exported here: it is passed on as it came");
}

#[test]
fn a_timer_begins_a_chain_and_belongs_to_no_trace() {
    let why = Why::timer("resync", 9).within(|| tracing::info_span!("off"));
    assert_eq!((why.correlation(), why.traceparent()), (None, None));
    assert!(why.span().is_disabled());
}

#[test]
fn each_trace_that_led_here_is_known_once() {
    let same = TRACE.replace("00f067aa0ba902b7", "00f067aa0ba902b8");
    let other = TRACE.replace("4bf9", "4bfa");
    let why = Why::of([event(3, 7, Some(TRACE)), event(2, 6, Some(&same)), event(1, 5, Some(&other))], 9);
    let traces: Vec<_> = why.traces.iter().filter_map(|cause| cause.traceparent.as_deref()).collect();
    assert_eq!(traces, [TRACE, &other]);
}

#[test]
fn what_is_told_later_goes_on_with_the_newest_trace() {
    let other = TRACE.replace("4bf9", "4bfa");
    let older = Why::of([event(3, 7, Some(&other))], 4);
    let newer = Why::of([Reason::timer("backoff")], 9).for_later();
    let both = newer.and(older.for_later());
    assert_eq!((both.trigger(), both.observed()), (Some(&Trigger::Timer("backoff".to_owned())), 9));
    assert_eq!((both.correlation(), both.traceparent().as_deref()), (Some(RequestId(7)), Some(other.as_str())));
    let newest = Why::of([event(10, 8, Some(TRACE))], 11).for_later().and(both);
    assert_eq!((newest.correlation(), newest.traceparent().as_deref()), (Some(RequestId(8)), Some(TRACE)));
    assert_eq!(newest.folded().len(), 2);
}
