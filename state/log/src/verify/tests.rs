//! What a sound sequence of events is, without a disk.

use cox_objects::{Cause, Draft, Event, Key, Object, Position, Resource};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn object(revision: Revision) -> Object {
    Draft::encode(&json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}})).unwrap().seal(revision)
}

fn key() -> Key {
    Key::new(Resource::CONFIGMAPS, "ns", "a")
}

fn event(revision: Revision, transaction: (Revision, Revision)) -> Event {
    Event {
        position: Position { epoch: Epoch(1), revision },
        transaction,
        time: 0,
        key: key(),
        change: Change::Modified,
        object: object(revision),
        cause: Cause::default(),
    }
}

/// Events of these transactions, of which only some revisions are there.
fn chain(base: Revision, dense_from: Revision, events: &[(Revision, (Revision, Revision))]) -> Result<u64, Fault> {
    let mut chain = Chain::new(base, dense_from);
    for (revision, transaction) in events {
        chain.next(&event(*revision, *transaction))?;
    }
    chain.end()
}

fn wrong<T: std::fmt::Debug>(result: Result<T, Fault>) -> (Revision, Wrong) {
    let fault = result.unwrap_err();
    (fault.revision, fault.what)
}

#[test]
fn whole_transactions_without_a_gap_pass() {
    assert_eq!(chain(0, 1, &[]), Ok(0));
    assert_eq!(chain(0, 1, &[(1, (1, 1)), (2, (2, 3)), (3, (2, 3)), (4, (4, 4))]), Ok(3));
    let leapt = [(1, (1, 2)), (2, (1, 2)), (101, (101, 101))];
    assert_eq!(chain(100, 101, &leapt), Ok(2), "between two epochs there is nothing");
    assert_eq!(chain(100, 101, leapt.get(..2).unwrap()), Ok(1));
    assert_eq!(chain(0, 9, &[(3, (2, 4)), (7, (6, 7)), (9, (8, 9)), (10, (10, 10))]), Ok(4), "compacted before 9");
}

#[test]
fn a_gap_is_damage_at_the_first_missing_revision() {
    assert_eq!(wrong(chain(0, 1, &[(2, (2, 2))])), (1, Wrong::Missing));
    assert_eq!(wrong(chain(0, 1, &[(1, (1, 1)), (3, (3, 3))])), (2, Wrong::Missing));
    assert_eq!(wrong(chain(0, 9, &[(3, (3, 3)), (10, (10, 10))])), (9, Wrong::Missing));
    assert_eq!(wrong(chain(100, 101, &[(2, (2, 2)), (102, (102, 102))])), (101, Wrong::Missing));
}

#[test]
fn half_a_transaction_is_damage() {
    assert_eq!(wrong(chain(0, 1, &[(1, (1, 2))])), (1, Wrong::Cut(1, 2)), "its end is missing");
    assert_eq!(wrong(chain(0, 1, &[(1, (1, 2)), (2, (2, 2))])), (1, Wrong::Cut(1, 2)));
    assert_eq!(wrong(chain(0, 1, &[(1, (1, 1)), (2, (1, 2))])), (1, Wrong::Cut(1, 1)));
    assert_eq!(wrong(chain(0, 1, &[(1, (1, 1)), (2, (3, 4))])), (2, Wrong::Outside(3, 4)));
    assert_eq!(wrong(chain(5, 6, &[(6, (5, 6))])), (6, Wrong::Outside(5, 6)), "it reaches into the epoch before");
    assert_eq!(wrong(chain(0, 9, &[(3, (2, 4)), (5, (4, 5))])), (3, Wrong::Cut(2, 4)), "also where some are compacted");
}

#[test]
fn an_object_says_its_revision() {
    let mut chain = Chain::new(0, 1);
    let stale = Event { object: object(7), ..event(1, (1, 1)) };
    assert_eq!(wrong(chain.next(&stale)), (1, Wrong::Version(7)));
    let bytes = [object(1).bytes(), b"}".as_slice()].concat();
    let torn = Event { object: Object::from_stored(bytes.into()).unwrap(), ..event(1, (1, 1)) };
    assert!(matches!(wrong(chain.next(&torn)), (1, Wrong::Object(_))));
}

#[test]
fn the_events_of_an_object_follow_from_each_other() {
    use Change::{Added, Deleted, Modified};
    let lived = |floor, changes: &[Change]| {
        let mut life = Life::new(key(), floor);
        for (change, revision) in changes.iter().zip(1..) {
            life.next(revision, *change)?;
        }
        Ok(life.stands())
    };
    assert_eq!(lived(0, &[Added, Modified, Deleted, Added]), Ok(Some(4)));
    assert_eq!(lived(0, &[Added, Deleted]), Ok(None));
    assert_eq!(lived(9, &[Modified, Modified]), Ok(Some(2)), "its creation is below the floor");
    for (floor, changes, at) in [
        (0, &[Modified][..], 1),
        (0, &[Deleted], 1),
        (0, &[Added, Added], 2),
        (9, &[Modified, Added], 2),
        (9, &[Deleted, Modified], 2),
        (0, &[Added, Deleted, Deleted], 3),
    ] {
        assert!(matches!(wrong(lived(floor, changes)), (revision, Wrong::Order(..)) if revision == at), "{changes:?}");
    }
}

proptest! {
    #[test]
    fn no_event_can_be_taken_out(sizes in proptest::collection::vec(1u64..4, 1..12), out in any::<prop::sample::Index>()) {
        let mut events = Vec::new();
        for size in &sizes {
            let first = events.len() as u64 + 1;
            events.extend((first..first + size).map(|revision| (revision, (first, first + size - 1))));
        }
        prop_assert_eq!(chain(0, 1, &events), Ok(sizes.len() as u64));
        let whole = events.len();
        let out = out.index(whole);
        events.remove(out);
        let last_alone = out + 1 == whole && sizes.last() == Some(&1);
        prop_assert_eq!(chain(0, 1, &events).is_ok(), last_alone, "only a whole tail can go unseen: {:?}", events);
    }
}
