//! A key is worked on once at a time, is never lost, and backs off.

use std::collections::HashSet;

use cox_objects::{Epoch, Position, Trigger};
use proptest::prelude::*;

use super::*;

fn timer(name: &str) -> Reason {
    Reason::timer(name)
}

fn event(revision: u64) -> Reason {
    Reason { trigger: Trigger::Event(Position { epoch: Epoch(1), revision }), cause: None }
}

const T0: Duration = Duration::ZERO;

#[test]
fn arrivals_of_one_key_are_one_job_with_all_triggers() {
    let mut queue = Queue::default();
    queue.add("a", timer("1"), T0);
    queue.add("b", timer("2"), T0);
    queue.add("a", timer("3"), T0);
    let job = queue.take(T0).unwrap();
    assert_eq!((job.key, job.reasons), ("a", vec![timer("3"), timer("1")]));
    assert_eq!(queue.take(T0).unwrap().key, "b");
    assert_eq!(queue.take(T0), None);
}

#[test]
fn what_arrives_while_in_hand_comes_after() {
    let mut queue = Queue::default();
    queue.add("a", timer("1"), T0);
    queue.take(T0).unwrap();
    queue.add("a", timer("2"), T0);
    assert_eq!(queue.take(T0), None);
    queue.finish(&"a", T0, Outcome::Done);
    assert_eq!(queue.take(T0).unwrap().reasons, [timer("2")]);
    queue.finish(&"a", T0, Outcome::Done);
    assert!(queue.is_empty());
}

#[test]
fn failures_back_off_and_are_forgotten_after_success() {
    let mut queue = Queue::default();
    queue.add("a", timer("x"), T0);
    let mut now = T0;
    let mut last = Duration::ZERO;
    for _ in 0..20 {
        assert!(queue.take(now).is_some());
        queue.finish(&"a", now, Outcome::Failed);
        let delay = queue.next_due().unwrap() - now;
        assert!(delay >= last && delay <= MAX_DELAY);
        last = delay;
        assert_eq!(queue.take(now), None);
        now += delay;
    }
    assert_eq!(last, MAX_DELAY);
    queue.take(now).unwrap();
    queue.finish(&"a", now, Outcome::Done);
    assert!(queue.is_empty());
}

#[test]
fn the_third_panic_parks_until_the_input_changes() {
    let mut queue = Queue::default();
    queue.add("a", timer("x"), T0);
    let mut now = T0;
    for round in 1..=3 {
        queue.take(now).unwrap();
        assert_eq!(queue.finish(&"a", now, Outcome::Panicked), round == 3);
        now += MAX_DELAY;
    }
    assert_eq!(queue.take(now), None);
    assert_eq!(queue.parked().collect::<Vec<_>>(), [&"a"]);
    assert!(queue.add("a", timer("y"), T0), "it was parked");
    assert!(!queue.add("a", timer("z"), T0));
    assert!(queue.take(now).is_some());
    assert_eq!(queue.parked().count(), 0);
}

#[test]
fn a_try_after_a_failure_has_the_reasons_of_the_first() {
    let mut queue = Queue::default();
    queue.add("a", event(1), T0);
    queue.add("a", event(2), T0);
    let mut now = T0;
    for _ in 0..3 {
        queue.take(now).unwrap();
        queue.finish(&"a", now, Outcome::Failed);
        now += MAX_DELAY;
    }
    assert_eq!(queue.take(now).unwrap().reasons, [timer("backoff"), event(2), event(1)]);
    queue.add("a", event(3), T0);
    queue.finish(&"a", now, Outcome::Failed);
    now += MAX_DELAY;
    assert_eq!(queue.take(now).unwrap().reasons, [event(3), event(2), event(1)], "news come first");
    queue.finish(&"a", now, Outcome::Done);
    queue.add("a", event(4), T0);
    assert_eq!(queue.take(now).unwrap().reasons, [event(4)]);
}

proptest! {
    /// Whatever happens, a wanted key is eventually handed out, and never twice at a time.
    #[test]
    fn no_key_is_lost_and_none_doubled(steps in prop::collection::vec((0u8..4, 0u8..5), 1..200)) {
        let mut queue = Queue::default();
        let (mut in_hand, mut wanted) = (HashSet::new(), HashSet::new());
        let mut now = T0;
        for (action, key) in steps {
            now += Duration::from_millis(7);
            match action {
                0 => { queue.add(key, timer("t"), now); wanted.insert(key); }
                1 => { queue.add_after(key, now, Duration::from_millis(u64::from(key) * 10), "later"); wanted.insert(key); }
                2 => if let Some(job) = queue.take(now) {
                    prop_assert!(in_hand.insert(job.key));
                    wanted.remove(&job.key);
                },
                _ => if in_hand.remove(&key) {
                    let failed = key % 2 == 0;
                    queue.finish(&key, now, if failed { Outcome::Failed } else { Outcome::Done });
                    if failed { wanted.insert(key); }
                },
            }
        }
        for key in in_hand.drain() { queue.finish(&key, now, Outcome::Done); }
        now += MAX_DELAY * 2;
        while let Some(job) = queue.take(now) {
            wanted.remove(&job.key);
            queue.finish(&job.key, now, Outcome::Done);
        }
        prop_assert!(wanted.is_empty(), "lost {wanted:?}");
    }
}

#[test]
fn what_passes_is_counted_and_how_long_it_waits() {
    let at = Duration::from_millis;
    let mut queue = Queue::default();
    queue.add("a", timer("1"), at(10));
    queue.add("a", timer("2"), at(20));
    queue.add("b", timer("1"), at(20));
    assert_eq!(queue.ready(), 2);
    assert_eq!(queue.take(at(50)).unwrap().waited, at(40));
    queue.add("a", timer("3"), at(60));
    assert_eq!(queue.take_passed(), Passed { added: 3, retried: 0 });
    queue.finish(&"a", at(70), Outcome::Done);
    assert_eq!(queue.take(at(70)).unwrap().waited, at(50));
    queue.finish(&"b", at(100), Outcome::Failed);
    let due = queue.next_due().unwrap();
    queue.take(at(100)).unwrap();
    queue.finish(&"a", at(100), Outcome::Done);
    assert_eq!(queue.take(due + at(1)).unwrap().waited, at(1) - at(1));
    assert_eq!(queue.take_passed(), Passed { added: 1, retried: 1 });
}
