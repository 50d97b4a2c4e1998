//! Whatever is lost, repeated or late, a follower accounts for every revision once and in order.

use proptest::prelude::*;

use super::*;

const EPOCH: Epoch = Epoch(1);

fn at(revision: Revision) -> Position {
    Position { epoch: EPOCH, revision }
}

#[test]
fn a_silent_loss_shows_after_the_patience_and_late_ones_are_dropped() {
    let now = Instant::now();
    let mut core = Core::new(at(5));
    assert_eq!(core.head(at(5), now), None);
    assert_eq!(core.due(), None, "at the head");
    assert_eq!(core.head(at(8), now), None);
    assert_eq!(core.overdue(now), None, "not yet");
    assert_eq!(core.event(at(6)), Step::Take);
    assert_eq!(core.overdue(now + PATIENCE), Some((7, 8)));
    assert_eq!(core.event(at(7)), Step::Drop);
    assert_eq!(core.event(at(9)), Step::Take);
}

#[test]
fn what_arrives_in_time_is_no_loss() {
    let now = Instant::now();
    let mut core = Core::new(at(5));
    core.head(at(6), now);
    assert_eq!(core.event(at(6)), Step::Take);
    assert_eq!(core.due(), None);
    assert_eq!(core.overdue(now + PATIENCE), None);
}

#[test]
fn another_epoch_ends_it() {
    let mut core = Core::new(at(5));
    let other = Position { epoch: Epoch(2), revision: 6 };
    assert_eq!(core.event(other), Step::Epoch(Epoch(2)));
    assert!(core.is_over());
    let mut core = Core::new(at(5));
    assert_eq!(core.head(other, Instant::now()), Some(Epoch(2)));
    assert!(core.is_over());
}

proptest! {
    #[test]
    fn every_revision_is_accounted_for_once_and_in_order(heard in proptest::collection::vec((1..60u64, 0..3u8), 0..80)) {
        let mut core = Core::new(at(0));
        let mut now = Instant::now();
        let mut accounted = 0;
        let mut take = |from: Revision, to: Revision| {
            prop_assert_eq!(from, accounted + 1);
            prop_assert!(to >= from);
            accounted = to;
            Ok(())
        };
        for (revision, kind) in heard {
            match kind {
                0 => { core.head(at(revision), now); }
                1 => {
                    now += PATIENCE;
                    if let Some((from, to)) = core.overdue(now) {
                        take(from, to)?;
                    }
                }
                _ => match core.event(at(revision)) {
                    Step::Take => take(revision, revision)?,
                    Step::Gap(from, to) => { take(from, to)?; take(revision, revision)?; }
                    Step::Drop => {}
                    Step::Epoch(_) => prop_assert!(false, "no other epoch was heard of"),
                },
            }
        }
        prop_assert_eq!(core.at().revision, accounted);
    }
}
