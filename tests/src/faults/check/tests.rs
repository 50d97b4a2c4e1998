//! The checker accepts what is right, and each kind of broken record is refused for what is broken in it.

use super::*;

const KEY: &str = "configmaps/default/a";

fn event(revision: u64, change: Change, value: Option<&str>) -> Seen {
    let key = if value.is_some() { KEY } else { "leases/kube-system/x" };
    Seen { revision, change, key: key.to_owned(), value: value.map(str::to_owned) }
}

fn asked(n: u64, act: Act, outcome: Outcome) -> Operation {
    Operation { writer: 0, key: KEY.to_owned(), act, invoked: 10 * n, returned: 10 * n + 5, outcome }
}

fn at(revision: u64) -> Outcome {
    Outcome::Done { revision: Some(revision), value: None }
}

fn put(value: &str) -> Act {
    Act::Put(value.to_owned())
}

/// A run in which one object was made, changed by one whose answer was lost, read, and changed again.
fn sound() -> Evidence {
    let log = vec![
        event(11, Change::Added, Some("1")),
        event(12, Change::Modified, None),
        event(13, Change::Modified, Some("2")),
        event(14, Change::Modified, Some("3")),
    ];
    let maps = log.iter().filter(|seen| seen.value.is_some()).cloned().collect();
    let records = vec![
        Record { follower: "all".to_owned(), of: String::new(), seen: log.clone() },
        Record { follower: "maps".to_owned(), of: "configmaps/".to_owned(), seen: maps },
    ];
    let operations = vec![
        asked(1, Act::Create("1".to_owned()), at(11)),
        asked(2, put("2"), Outcome::Perhaps),
        asked(3, Act::Get, Outcome::Done { revision: Some(13), value: Some("2".to_owned()) }),
        asked(4, put("lost"), Outcome::Perhaps),
        asked(5, put("not"), Outcome::Never),
        asked(6, Act::Create("there".to_owned()), Outcome::Refused),
        asked(7, put("3"), at(14)),
    ];
    let listed = BTreeMap::from([(KEY.to_owned(), ("3".to_owned(), 14))]);
    Evidence { log, operations, records, listed }
}

fn refusal(evidence: &Evidence) -> String {
    format!("{:#}", check(evidence).expect_err("it is accepted"))
}

#[test]
fn what_is_right_is_accepted() {
    let summary = Summary { events: 4, acknowledged: 2, perhaps: 2, perhaps_done: 1, never: 1, reads: 1, objects: 1 };
    assert_eq!(check(&sound()).unwrap(), summary);
    assert_eq!(check(&Evidence::default()).unwrap(), Summary::default());
}

#[test]
fn a_hole_in_the_log_is_found() {
    let mut run = sound();
    run.log.remove(1);
    assert!(refusal(&run).contains("after revision 11 comes"));
    let mut run = sound();
    run.log.swap(0, 1);
    assert!(refusal(&run).contains("comes"));
}

#[test]
fn an_acknowledged_write_that_is_missing_moved_or_doubled_is_found() {
    let lost = |n: usize| {
        let mut run = sound();
        run.log[n] = event(11 + n as u64, Change::Modified, None);
        run.records.clear();
        refusal(&run)
    };
    assert!(lost(0).contains("lost") && lost(3).contains("lost"));

    let mut run = sound();
    run.operations[6].outcome = at(13);
    assert!(refusal(&run).contains("acknowledged at 13"));

    let mut run = sound();
    run.operations[6].key = "configmaps/default/b".to_owned();
    assert!(refusal(&run).contains("its value is at"));

    for twice in ["1", "2", "3"] {
        let mut run = sound();
        run.log.push(event(15, Change::Modified, Some(twice)));
        run.records.clear();
        assert!(refusal(&run).contains("twice"), "{twice}");
    }
}

#[test]
fn what_was_not_done_must_not_be_there() {
    for (n, what) in [(4, "surely not done"), (5, "refused")] {
        let mut run = sound();
        let value = run.operations[n].act.value().unwrap().to_owned();
        run.log.push(event(15, Change::Modified, Some(&value)));
        run.records.clear();
        assert!(refusal(&run).contains(what));
    }
    let mut run = sound();
    run.log.push(event(15, Change::Modified, Some("stranger")));
    run.records.clear();
    assert!(refusal(&run).contains("nobody wrote"));
}

#[test]
fn a_follower_that_misses_doubles_or_turns_around_is_found() {
    for record in 0..2 {
        let broken = |change: fn(&mut Vec<Seen>)| {
            let mut run = sound();
            change(&mut run.records[record].seen);
            refusal(&run)
        };
        assert!(broken(|seen| drop(seen.remove(1))).contains("follower"));
        assert!(broken(|seen| drop(seen.pop())).contains("never saw"));
        assert!(broken(|seen| seen.push(seen.last().unwrap().clone())).contains("not in the log"));
        assert!(broken(|seen| seen.insert(1, seen[0].clone())).contains("change 1"));
        assert!(broken(|seen| seen.swap(0, 1)).contains("change 0"));
        assert!(broken(|seen| seen[0].change = Change::Deleted).contains("change 0"));
        assert!(broken(|seen| seen[0].value = Some("9".to_owned())).contains("change 0"));
    }
}

#[test]
fn revisions_that_go_against_time_are_found() {
    let mut run = sound();
    // The writes in the other order: each is there once, and each alone is right.
    run.operations[0] = asked(9, Act::Create("1".to_owned()), at(11));
    assert!(refusal(&run).contains("was sent after the answer"));
}

#[test]
fn a_stale_read_is_found() {
    let mut run = sound();
    run.operations.push(asked(8, Act::Get, Outcome::Done { revision: Some(13), value: Some("2".to_owned()) }));
    assert!(refusal(&run).contains("not linearizable"));
}

#[test]
fn a_list_that_is_not_what_the_log_comes_to_is_found() {
    let mut run = sound();
    run.listed.clear();
    assert!(refusal(&run).contains("not listed"));
    let mut run = sound();
    run.listed.insert(KEY.to_owned(), ("2".to_owned(), 13));
    assert!(refusal(&run).contains("is listed as 2"));
    let mut run = sound();
    run.listed.insert("configmaps/default/b".to_owned(), ("3".to_owned(), 14));
    assert!(refusal(&run).contains("is listed as 3"));
}

#[test]
fn an_answer_without_a_reason_is_found() {
    let mut run = sound();
    run.operations.push(asked(9, Act::Get, Outcome::Wrong("403".to_owned())));
    assert!(refusal(&run).contains("no reason"));
}
