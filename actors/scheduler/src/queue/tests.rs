//! Order, backoff, and who is woken by what.

use super::*;
use crate::filter::Plugin;
use crate::testing::key;

const FIT: Plugins = Plugins::of(&[Plugin::NodeResourcesFit]);
const TAINTS: Plugins = Plugins::of(&[Plugin::TaintToleration]);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn reason() -> Reason {
    Reason::timer("test")
}

fn take(queue: &mut Queue, seconds: u64) -> Option<String> {
    queue.take(at(seconds)).map(|(key, ..)| key.name().to_owned())
}

#[test]
fn the_higher_priority_goes_first_then_who_came_first() {
    let mut queue = Queue::default();
    for (name, priority) in [("a", 0), ("b", 0), ("c", 5), ("d", -1)] {
        queue.add(&key(name), priority, None, at(0));
    }
    let order: Vec<String> = std::iter::from_fn(|| take(&mut queue, 0)).collect();
    assert_eq!(order, ["c", "a", "b", "d"]);
}

#[test]
fn only_changes_of_what_rejected_a_pod_wake_it() {
    let mut queue = Queue::default();
    queue.add(&key("a"), 0, None, at(0));
    assert_eq!(take(&mut queue, 0).as_deref(), Some("a"));
    queue.park(&key("a"), FIT, at(0));
    queue.changed(TAINTS, &reason(), at(50));
    assert_eq!(take(&mut queue, 50), None);
    queue.changed(FIT.and(TAINTS), &reason(), at(50));
    assert_eq!(take(&mut queue, 50).as_deref(), Some("a"));
}

#[test]
fn a_pod_without_any_node_is_woken_by_everything() {
    let mut queue = Queue::default();
    queue.add(&key("a"), 0, None, at(0));
    take(&mut queue, 0);
    queue.park(&key("a"), Plugins::default(), at(0));
    queue.changed(TAINTS, &reason(), at(50));
    assert_eq!(take(&mut queue, 50).as_deref(), Some("a"));
}

#[test]
fn what_wakes_a_pod_comes_before_its_own_change_which_stays() {
    let mut queue = Queue::default();
    let own = |revision| Some(Reason::timer(revision));
    let reasons = |queue: &mut Queue, seconds| {
        let (key, reasons, _) = queue.take(at(seconds)).unwrap();
        queue.park(&key, FIT, at(seconds));
        reasons
    };
    queue.add(&key("a"), 0, own("1"), at(0));
    assert_eq!(reasons(&mut queue, 0), [Reason::timer("1")]);
    queue.changed(FIT, &reason(), at(50));
    assert_eq!(reasons(&mut queue, 50), [reason(), Reason::timer("1")]);
    queue.changed(FIT, &reason(), at(100));
    queue.add(&key("a"), 0, own("2"), at(100));
    assert_eq!(reasons(&mut queue, 100), [Reason::timer("2")], "its own change is newer than what woke it");
    assert_eq!(reasons(&mut queue, 400), [Reason::timer("unschedulable"), Reason::timer("2")]);
}

#[test]
fn attempts_are_spaced_by_one_second_doubling_to_ten() {
    let mut queue = Queue::default();
    queue.add(&key("a"), 0, None, at(0));
    let mut now = at(0);
    for expected in [1, 2, 4, 8, 10, 10] {
        let (key, ..) = queue.take(now).unwrap();
        queue.park(&key, FIT, now);
        queue.changed(FIT, &reason(), now);
        assert!(queue.take(now + at(expected) - Duration::from_millis(1)).is_none());
        assert_eq!(queue.next_due(), Some(now + at(expected)));
        now += at(expected);
    }
    assert_eq!(queue.take(now).unwrap().2, 7);
}

#[test]
fn a_parked_pod_is_tried_again_after_five_minutes() {
    let mut queue = Queue::default();
    queue.add(&key("a"), 0, None, at(0));
    take(&mut queue, 0);
    queue.park(&key("a"), FIT, at(0));
    assert_eq!(take(&mut queue, 299), None);
    assert_eq!(take(&mut queue, 300).as_deref(), Some("a"));
}

#[test]
fn only_panics_in_a_row_leave_a_pod_alone() {
    let mut queue = Queue::default();
    queue.add(&key("a"), 0, None, at(0));
    for (seconds, panics) in [(0, true), (20, true), (40, false), (400, true), (420, true)] {
        assert_eq!(take(&mut queue, seconds).as_deref(), Some("a"), "at {seconds} s");
        match panics {
            true => assert!(!queue.panicked(&key("a"), at(seconds))),
            false => queue.park(&key("a"), FIT, at(seconds)),
        }
    }
    take(&mut queue, 440);
    assert!(queue.panicked(&key("a"), at(440)));
    queue.changed(Plugins::ALL, &reason(), at(500));
    assert_eq!((take(&mut queue, 10_000), queue.next_due()), (None, None));
    queue.add(&key("a"), 0, None, at(10_000));
    assert_eq!(take(&mut queue, 10_000).as_deref(), Some("a"));
    assert!(!queue.panicked(&key("a"), at(10_000)), "it is counted anew");
}

#[test]
fn a_changed_priority_moves_a_waiting_pod_and_removal_forgets_it() {
    let mut queue = Queue::default();
    for name in ["a", "b", "c"] {
        queue.add(&key(name), 0, None, at(0));
    }
    queue.add(&key("c"), 9, None, at(0));
    queue.remove(&key("a"));
    let order: Vec<String> = std::iter::from_fn(|| take(&mut queue, 0)).collect();
    assert_eq!(order, ["c", "b"]);
    queue.remove(&key("b"));
    queue.park(&key("b"), FIT, at(0));
    queue.changed(Plugins::ALL, &reason(), at(100));
    assert_eq!(take(&mut queue, 100), None);
}

#[test]
fn pods_are_counted_by_what_they_wait_for() {
    let mut queue = Queue::default();
    for name in ["a", "b", "c", "d"] {
        queue.add(&key(name), 0, None, at(0));
    }
    let first: Vec<_> = (0..3).filter_map(|_| take(&mut queue, 0)).collect();
    assert_eq!(first, ["a", "b", "c"]);
    assert_eq!(queue.waiting(), Waiting { active: 1, backoff: 0, unschedulable: 0 }, "who is tried does not wait");
    queue.park(&key("a"), FIT, at(0));
    queue.retry(&key("b"), at(0));
    assert_eq!(queue.waiting(), Waiting { active: 1, backoff: 1, unschedulable: 1 });
    queue.changed(FIT, &reason(), at(50));
    assert_eq!(queue.waiting(), Waiting { active: 2, backoff: 1, unschedulable: 0 });
}
