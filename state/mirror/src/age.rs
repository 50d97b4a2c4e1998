//! How old what a mirror shows is at most, by the heads that are announced to it.

use std::time::Duration;

use cox_objects::Position;
use tokio::time::Instant;

/// What was announced, against what the mirror has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Age {
    /// The last moment at which the mirror is known to have had, or to have got later, all that there was then; before the first, when it was made.
    whole: Instant,
    /// The head that was announced last, and when.
    announced: Option<(Position, Instant)>,
}

impl Age {
    pub(crate) fn new(now: Instant) -> Self {
        Age { whole: now, announced: None }
    }

    /// A head is announced to a mirror that is at `position`.
    pub(crate) fn announce(&mut self, head: Position, position: Position, now: Instant) {
        // A busy log is further at each announcement: what counts then is that the mirror has got where the one before it was.
        self.look(position);
        self.announced = Some((head, now));
        self.look(position);
    }

    /// How old what a mirror at `position` shows is at most. It grows while nothing is announced, too.
    pub(crate) fn at_most(mut self, position: Position, now: Instant) -> Duration {
        self.look(position);
        now.saturating_duration_since(self.whole)
    }

    fn look(&mut self, position: Position) {
        if let Some((head, when)) = self.announced
            && position.epoch == head.epoch
            && position.revision >= head.revision
        {
            self.whole = when;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn a_mirror_is_as_old_as_the_last_head_that_it_has() {
        let start = Instant::now();
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let age = |age: Age, position: u64, now: u64| age.at_most(at(position), after(now)).as_secs();
        let mut told = Age::new(start);
        assert_eq!(age(told, 0, 3), 3, "nothing is known yet");
        told.announce(at(5), at(5), after(3));
        assert_eq!((age(told, 5, 3), age(told, 5, 9)), (0, 6), "nobody announces anything any more");
        told.announce(at(8), at(6), after(10));
        assert_eq!(age(told, 7, 12), 9, "it has what there was at 3");
        assert_eq!(age(told, 8, 12), 2, "it has what there was at 10");
        // One that is always a little behind a busy log is not old.
        for second in 11..20 {
            told.announce(at(second), at(second - 1), after(second));
            assert_eq!(age(told, second - 1, second), 1);
        }
    }

    #[test]
    fn what_is_of_another_epoch_counts_for_nothing() {
        let start = Instant::now();
        let mut told = Age::new(start);
        let other = Position { epoch: cox_objects::Epoch(99), revision: 1 };
        let now = start + Duration::from_secs(4);
        told.announce(other, at(500), now);
        assert_eq!(told.at_most(at(500), now), Duration::from_secs(4));
    }
}
