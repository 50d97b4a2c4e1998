//! Changes as components see them.

use cox_objects::{Change as Kind, Resource};

use crate::Limits;
use crate::testing::{event, key, labelled, mirror, offer, one};

fn secret(revision: u64, transaction: (u64, u64), change: Kind) -> cox_objects::Event {
    let key = cox_objects::Key::at(Resource::SECRETS, "a/s");
    event(revision, transaction, key, change, labelled("1", revision))
}

#[tokio::test]
async fn what_is_there_comes_first_then_changes_in_order_over_resources() {
    let mirror = mirror(Limits::default());
    mirror.update(|state| offer(state, [one(1, "a/x", Kind::Added, "1"), secret(2, (2, 2), Kind::Added)]));
    let mut changes = mirror.changes(&[Resource::CONFIGMAPS, Resource::SECRETS]);
    mirror.update(|state| {
        offer(
            state,
            [
                secret(3, (3, 4), Kind::Modified),
                event(4, (3, 4), key("a/x"), Kind::Modified, labelled("2", 4)),
                secret(5, (5, 5), Kind::Deleted),
            ],
        );
    });
    let initial = changes.next().await.unwrap();
    let brief = |change: &crate::Change| (change.position.revision, change.old.is_some(), change.new.is_some());
    assert_eq!(initial.iter().map(brief).collect::<Vec<_>>(), [(1, false, true), (2, false, true)]);
    let then = changes.next().await.unwrap();
    assert_eq!(then.iter().map(brief).collect::<Vec<_>>(), [(3, true, true), (4, true, true), (5, true, false)]);
    assert_eq!(then[1].old.as_ref().unwrap().revision(), 1);
    assert!(futures::FutureExt::now_or_never(changes.next()).is_none(), "nothing more until something changes");
    mirror.update(|state| offer(state, [one(6, "a/x", Kind::Deleted, "2")]));
    assert_eq!(changes.next().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_transaction_is_not_split() {
    let mirror = mirror(Limits::default());
    let mut changes = mirror.changes(&[Resource::CONFIGMAPS]);
    let many = super::AT_A_TIME as u64 + 10;
    mirror.update(|state| {
        let whole = (1..=many).map(|n| event(n, (1, many), key(&format!("a/{n}")), Kind::Added, labelled("1", n)));
        offer(state, whole);
        offer(state, [one(many + 1, "b/x", Kind::Added, "1")]);
    });
    assert_eq!(changes.next().await.unwrap().len(), many as usize);
    assert_eq!(changes.next().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_reader_that_is_too_slow_has_to_start_anew() {
    let mirror = mirror(Limits { entries: 3, ..Limits::default() });
    let mut changes = mirror.changes(&[Resource::CONFIGMAPS, Resource::SECRETS]);
    mirror.update(|state| offer(state, (1..=4).map(|n| one(n, &format!("a/{n}"), Kind::Added, "1"))));
    assert!(changes.next().await.is_none());
    assert_eq!(mirror.changes(&[Resource::CONFIGMAPS]).next().await.unwrap().len(), 4);
}
