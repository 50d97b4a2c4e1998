//! One gateway has the lease, or none; others wait for it, for a bounded time.

use super::*;

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn a_gateway_that_is_alone_has_the_lease_and_others_wait_for_its_mirror() {
    let begin = Instant::now();
    let mut holder = Holder::default();
    assert_eq!(holder.awaited(None, 5, begin), None, "nobody has it");
    assert!(holder.heard("a", true, begin));
    assert_eq!(holder.awaited(Some("a"), 5, begin), None, "the holder sees to itself");
    let (who, until) = holder.awaited(None, 5, begin).expect("a component waits");
    assert_eq!((who.as_str(), until), ("a", begin + READ_LEASE + MARGIN));
    holder.reached("a", 5);
    assert_eq!(holder.awaited(None, 5, begin), None);
    assert!(holder.awaited(None, 6, begin).is_some(), "it is not known to have more");
    holder.reached("a", 3);
    assert_eq!(holder.awaited(None, 5, begin), None, "what was there stays");
    assert_eq!(holder.awaited(None, 6, until), None, "the lease has ended");
    assert!(!holder.is_held());
}

#[test]
fn two_gateways_have_none_until_one_is_gone() {
    let begin = Instant::now();
    let mut holder = Holder::default();
    assert!(holder.heard("a", true, begin));
    let later = begin + ms(10);
    assert!(!holder.heard("b", true, later), "a has it");
    assert!(holder.awaited(Some("b"), 1, later).is_some(), "b waits for a");
    assert!(!holder.heard("a", true, begin + ms(20)), "not renewed: there are two");
    let ended = begin + READ_LEASE + MARGIN;
    assert_eq!(holder.awaited(Some("b"), 1, ended), None);
    assert!(!holder.heard("b", true, ended));
    let gone = begin + ms(20) + ABSENT;
    assert!(holder.heard("b", true, gone), "a is gone");
}

#[test]
fn one_that_only_asks_for_the_head_counts_as_there() {
    let begin = Instant::now();
    let mut holder = Holder::default();
    assert!(!holder.heard("b", false, begin));
    assert!(!holder.heard("a", true, begin));
}

#[test]
fn one_that_is_doubted_is_not_renewed() {
    let begin = Instant::now();
    let mut holder = Holder::default();
    assert!(holder.heard("a", true, begin));
    let until = holder.doubt("a", begin + ms(100));
    assert_eq!(until, Some(begin + READ_LEASE + MARGIN));
    assert!(!holder.heard("a", true, begin + ms(110)));
    let (_, end) = holder.awaited(None, 1, begin + ms(120)).expect("until its lease ends");
    assert_eq!(Some(end), until, "and no longer");
    assert!(holder.heard("a", true, begin + ms(100) + DOUBTED));
}

#[test]
fn who_may_have_had_it_before_the_start_is_waited_for() {
    let begin = Instant::now();
    let mut holder = Holder::new(Some(begin + READ_LEASE));
    assert!(holder.awaited(Some("a"), 0, begin).is_none(), "nothing is newer than nothing");
    assert!(holder.awaited(Some("a"), 1, begin).is_some());
    assert!(!holder.heard("a", true, begin), "an unknown one has it");
    assert_eq!(holder.awaited(Some("a"), 1, begin + READ_LEASE), None);
    assert!(holder.heard("a", true, begin + READ_LEASE));
}
