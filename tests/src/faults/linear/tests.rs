//! Histories that one order explains, and histories that none does.

use super::*;

/// A call in a small notation: from, to, what, answer.
fn call(from: u64, to: u64, act: Act, outcome: Outcome) -> Operation {
    Operation { writer: 0, key: "k".to_owned(), act, invoked: from, returned: to, outcome }
}

fn get(from: u64, to: u64, found: Option<&str>) -> Operation {
    call(from, to, Act::Get, Outcome::Done { revision: None, value: found.map(str::to_owned) })
}

fn done(from: u64, to: u64, act: Act) -> Operation {
    call(from, to, act, Outcome::Done { revision: None, value: None })
}

fn create(value: &str) -> Act {
    Act::Create(value.to_owned())
}

fn put(value: &str) -> Act {
    Act::Put(value.to_owned())
}

fn swap(from: &str, to: &str) -> Act {
    Act::Swap(from.to_owned(), to.to_owned())
}

fn linearizable(history: &[Operation]) -> bool {
    check(&history.iter().collect::<Vec<_>>()).is_ok()
}

#[test]
fn one_after_the_other_each_sees_the_one_before() {
    let history = [
        get(0, 1, None),
        done(2, 3, create("a")),
        get(4, 5, Some("a")),
        done(6, 7, swap("a", "b")),
        call(8, 9, swap("a", "c"), Outcome::Refused),
        call(8, 9, create("d"), Outcome::Refused),
        done(10, 11, put("e")),
        get(12, 13, Some("e")),
        done(14, 15, Act::Delete),
        call(16, 17, Act::Delete, Outcome::Refused),
        get(18, 19, None),
    ];
    assert!(linearizable(&history));
    assert!(linearizable(&[]));
}

#[test]
fn a_stale_read_is_refused() {
    let history = [done(0, 1, create("a")), done(2, 3, put("b")), get(4, 5, Some("a"))];
    assert!(!linearizable(&history));
    // While the write is under way both may be read.
    let during = |found| [done(0, 1, create("a")), done(2, 9, put("b")), get(4, 5, Some(found))];
    assert!(linearizable(&during("a")) && linearizable(&during("b")));
}

#[test]
fn reads_do_not_go_back() {
    let reads = |first, second| {
        [done(0, 1, create("a")), done(2, 20, put("b")), get(3, 4, Some(first)), get(5, 6, Some(second))]
    };
    assert!(linearizable(&reads("a", "b")));
    assert!(!linearizable(&reads("b", "a")));
}

#[test]
fn a_lost_write_is_refused() {
    assert!(!linearizable(&[done(0, 1, create("a")), get(2, 3, None)]));
    // The same if only a later answer betrays it.
    assert!(!linearizable(&[done(0, 1, create("a")), done(2, 3, create("b"))]));
    assert!(!linearizable(&[done(0, 1, create("a")), call(2, 3, put("b"), Outcome::Refused)]));
}

#[test]
fn two_cannot_swap_the_same() {
    let both = [done(0, 1, create("a")), done(2, 9, swap("a", "b")), done(3, 8, swap("a", "c"))];
    assert!(!linearizable(&both));
    let one = [done(0, 1, create("a")), done(2, 9, swap("a", "b")), call(3, 8, swap("a", "c"), Outcome::Refused)];
    assert!(linearizable(&one));
    // A refusal needs somebody who was in the way.
    assert!(!linearizable(&[done(0, 1, create("a")), call(3, 8, swap("a", "c"), Outcome::Refused)]));
}

#[test]
fn a_value_that_nobody_wrote_is_refused() {
    assert!(!linearizable(&[done(0, 1, create("a")), get(2, 3, Some("x"))]));
}

#[test]
fn what_has_no_answer_is_done_once_or_never() {
    let perhaps = call(2, 3, put("b"), Outcome::Perhaps);
    let after = |reads: &[Operation]| {
        let mut history = vec![done(0, 1, create("a")), perhaps.clone()];
        history.extend(reads.iter().cloned());
        linearizable(&history)
    };
    assert!(after(&[get(4, 5, Some("a")), get(6, 7, Some("a"))]), "never");
    assert!(after(&[get(4, 5, Some("b"))]), "at once");
    assert!(after(&[get(4, 5, Some("a")), get(6, 7, Some("b"))]), "late");
    assert!(!after(&[get(4, 5, Some("b")), get(6, 7, Some("a"))]), "and undone");
    assert!(!after(&[get(4, 5, Some("b")), done(6, 7, put("c")), get(8, 9, Some("b"))]), "and again");
    // Not before it was asked for.
    let early = [done(0, 1, create("a")), get(2, 3, Some("b")), call(4, 5, put("b"), Outcome::Perhaps)];
    assert!(!linearizable(&early));
}

#[test]
fn what_was_surely_not_done_must_not_show() {
    let never = call(2, 3, put("b"), Outcome::Never);
    assert!(!linearizable(&[done(0, 1, create("a")), never.clone(), get(4, 5, Some("b"))]));
    assert!(linearizable(&[done(0, 1, create("a")), never, get(4, 5, Some("a"))]));
}

/// A history made by an object that is one, from the moments at which its calls take effect, and whether it is there at the end. Calls overlap,
/// and some of them lose their answer.
fn made(choices: &[(u8, u8, u8, u8)]) -> (Vec<Operation>, bool) {
    let mut holds: Option<String> = None;
    let mut history = Vec::new();
    for (n, (what, before, after, answer)) in choices.iter().enumerate() {
        let value = format!("v{n}");
        let act = match what % 5 {
            0 => Act::Get,
            1 => Act::Create(value),
            2 => Act::Put(value),
            3 => Act::Swap(holds.clone().filter(|_| answer % 2 == 0).unwrap_or("v0".to_owned()), value),
            _ => Act::Delete,
        };
        let moment = 1000 + 10 * n as u64;
        let mut call = call(moment - u64::from(before % 60), moment + u64::from(after % 60), act, Outcome::Perhaps);
        let after = effect(&call, holds.as_deref()).map(|after| after.map(str::to_owned));
        let lost = answer % 8 == 0;
        call.outcome = match &after {
            _ if lost => Outcome::Perhaps,
            None => Outcome::Refused,
            Some(_) => Outcome::Done { revision: None, value: holds.clone().filter(|_| call.act == Act::Get) },
        };
        holds = match after {
            Some(after) if call.act != Act::Get => after,
            _ => holds,
        };
        history.push(call);
    }
    (history, holds.is_some())
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    #[test]
    fn what_one_object_did_is_linearizable(choices in proptest::collection::vec(proptest::prelude::any::<(u8, u8, u8, u8)>(), 0..60)) {
        let (history, _) = made(&choices);
        proptest::prop_assert!(linearizable(&history));
    }

    #[test]
    fn a_stale_read_at_its_end_is_refused(choices in proptest::collection::vec(proptest::prelude::any::<(u8, u8, u8, u8)>(), 0..30)) {
        let (mut history, there) = made(&choices);
        history.push(done(10_000, 10_001, if there { put("x") } else { create("x") }));
        history.push(done(10_002, 10_003, put("y")));
        proptest::prop_assert!(linearizable(&history));
        history.push(get(10_004, 10_005, Some("x")));
        proptest::prop_assert!(!linearizable(&history));
    }
}
