//! Notes become as few Events as they can.

use std::sync::Arc;

use cox_objects::{Cause, Epoch, Position, RequestId, Trigger};

use super::*;
use crate::why::Reason;

fn note(message: &str) -> Note {
    let about = About {
        api_version: "v1".into(),
        kind: "Pod".into(),
        namespace: "ns".into(),
        name: "p".into(),
        uid: "u".into(),
        resource_version: "7".into(),
        ..About::default()
    };
    Note::normal(about, "Pulled", message)
}

/// The same of another pod.
fn of_pod(uid: impl ToString) -> Note {
    let Note { about, severity, reason, message } = note("a");
    Note { about: About { uid: uid.to_string(), ..about }, severity, reason, message }
}

fn aggregator() -> Aggregator {
    Aggregator::new(Reporter { component: "kubelet".into(), host: "n1".into() })
}

/// A decision about the change with this revision.
fn because(revision: u64) -> Why {
    let cause = Cause { correlation: Some(RequestId(revision.into())), ..Cause::default() };
    let trigger = Trigger::Event(Position { epoch: Epoch(1), revision });
    Why::of([Reason { trigger, cause: Some(Arc::new(cause)) }], revision + 1)
}

fn revision(trigger: &Trigger) -> u64 {
    match trigger {
        Trigger::Event(position) => position.revision,
        Trigger::Timer(name) => panic!("{name}"),
    }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap()
}

#[test]
fn repetitions_within_the_gathering_time_are_one_write() {
    let mut events = aggregator();
    events.note(note("a"), because(1), at(0));
    events.note(note("a"), because(1), at(500));
    events.note(note("b"), because(1), at(600));
    assert!(events.take_due(at(999)).is_empty());
    let writes = events.take_due(at(1000));
    let [(Write::Create(event), _)] = writes.as_slice() else { panic!("{writes:?}") };
    assert_eq!((event["count"].as_u64(), event["message"].as_str()), (Some(2), Some("a")));
    assert_eq!(event["source"], json!({"component": "kubelet", "host": "n1"}));
    assert!(event["involvedObject"].get("fieldPath").is_none());
    assert_eq!(events.take_due(at(1600)).len(), 1);
    assert_eq!(events.next_due(), None);
}

#[test]
fn later_repetitions_raise_the_count_of_the_same_event() {
    let mut events = aggregator();
    events.note(note("a"), because(1), at(0));
    let writes = events.take_due(at(1000));
    let [(Write::Create(first), _)] = writes.as_slice() else { panic!("{writes:?}") };
    events.note(note("a"), because(1), at(60_000));
    let writes = events.take_due(at(61_000));
    let [(Write::Repeat { namespace, name, patch, instead }, _)] = writes.as_slice() else { panic!("{writes:?}") };
    assert_eq!((namespace.as_str(), Some(name.as_str())), ("ns", first["metadata"]["name"].as_str()));
    assert_eq!((&patch["count"], &patch["message"]), (&json!(2), &json!("a")));
    assert_eq!(instead["firstTimestamp"], first["firstTimestamp"]);
}

#[test]
fn long_messages_are_cut_at_a_character() {
    let mut events = aggregator();
    events.note(note(&"é".repeat(600)), because(1), at(0));
    let writes = events.take_due(at(1000));
    let [(Write::Create(event), _)] = writes.as_slice() else { panic!("{writes:?}") };
    assert_eq!(event["message"].as_str().unwrap().len(), 1024);
}

#[test]
fn memory_is_bounded() {
    let mut events = aggregator();
    for i in 0..(MAX_SERIES as i64 * 3) {
        events.note(of_pod(i), because(1), at(i));
        events.take_due(at(i + 2000));
    }
    assert!(events.series.len() <= MAX_SERIES);
}

#[test]
fn a_burst_is_written_whole_and_then_forgotten() {
    let mut events = aggregator();
    let burst = MAX_SERIES * 5;
    (0..burst).for_each(|i| events.note(of_pod(i), because(1), at(0)));
    assert_eq!(events.take_due(at(1000)).len(), burst);
    (burst..2 * burst).for_each(|i| events.note(of_pod(i), because(1), at(2000)));
    assert_eq!(events.take_due(at(3000)).len(), burst);
    assert!(events.series.len() <= 2 * burst, "{}", events.series.len());
}

#[test]
fn events_of_the_same_moment_are_listed_in_their_order() {
    let mut events = aggregator();
    let said: Vec<String> = (0..50).map(|n| format!("step {n}")).collect();
    let told = |reason: &String| Note { reason: reason.clone(), ..note("a") };
    said.iter().for_each(|reason| events.note(told(reason), because(1), at(0)));
    let written = events.take_due(at(1000)).into_iter().map(|(write, _)| match write {
        Write::Create(event) => (event["metadata"]["name"].to_string(), event["reason"].as_str().unwrap().to_owned()),
        repeat => panic!("{repeat:?}"),
    });
    // Lists are in the order of names.
    let listed: std::collections::BTreeMap<String, String> = written.collect();
    assert_eq!(listed.into_values().collect::<Vec<_>>(), said);
}

/// How many Events are made, and the count, and the message, of the last one that is made or raised.
fn written(events: &mut Aggregator, now: i64) -> (usize, u64, String) {
    let writes: Vec<Write> = events.take_due(at(now)).into_iter().map(|(write, _)| write).collect();
    let made = writes.iter().filter(|write| matches!(write, Write::Create(_))).count();
    let (Some(Write::Create(last)) | Some(Write::Repeat { patch: last, .. })) = writes.last() else { panic!("none") };
    (made, last["count"].as_u64().unwrap(), last["message"].as_str().unwrap().to_owned())
}

#[test]
fn of_many_notes_that_differ_in_their_message_the_later_ones_are_one_event() {
    let mut events = aggregator();
    let tell = |events: &mut Aggregator, numbers: std::ops::Range<u32>, now| {
        numbers.for_each(|n| events.note(note(&format!("made {n}")), because(1), at(now)));
    };
    tell(&mut events, 0..100, 0);
    // What another pod is told of has nothing to do with it.
    events.note(of_pod("other"), because(1), at(0));
    assert_eq!(written(&mut events, 1000).0, 9 + 1 + 1);
    tell(&mut events, 100..103, 2000);
    assert_eq!(written(&mut events, 3000), (0, 94, "(combined from similar events): made 102".to_owned()));
    // What was told lately is told again as itself, and all of it after a while.
    tell(&mut events, 102..103, 4000);
    assert_eq!(written(&mut events, 5000), (1, 1, "made 102".to_owned()));
    tell(&mut events, 200..205, 4000 + 11 * 60 * 1000);
    assert_eq!(written(&mut events, 4000 + 12 * 60 * 1000), (5, 1, "made 204".to_owned()));
}

/// Trigger, folded ones, what was observed, and the chain.
type Told = (Option<u64>, Vec<u64>, u64, Option<RequestId>);

#[test]
fn an_event_is_caused_by_what_it_tells_of_the_newest_first() {
    let mut events = aggregator();
    events.note(note("a"), because(1), at(0));
    events.note(note("b"), because(2), at(0));
    for revision in [3, 3, 4] {
        events.note(note("a"), because(revision), at(500));
    }
    let causes = |events: &mut Aggregator, now| -> Vec<Told> {
        let due = events.take_due(now).into_iter();
        let cause = |why: Why| {
            let folded = why.folded().iter().map(revision).collect();
            (why.trigger().map(revision), folded, why.observed(), why.correlation())
        };
        due.map(|(_, why)| cause(why)).collect()
    };
    assert_eq!(
        causes(&mut events, at(1000)),
        [(Some(4), vec![3, 1], 5, Some(RequestId(4))), (Some(2), vec![], 3, Some(RequestId(2)))]
    );
    // What was written is no cause of what comes later.
    events.note(note("a"), because(9), at(2000));
    assert_eq!(causes(&mut events, at(3000)), [(Some(9), vec![], 10, Some(RequestId(9)))]);
    (10..100).for_each(|revision| events.note(note("a"), because(revision), at(4000)));
    let many = causes(&mut events, at(5000));
    assert_eq!((many[0].0, many[0].1.len()), (Some(99), Cause::MAX_FOLDED));
}
