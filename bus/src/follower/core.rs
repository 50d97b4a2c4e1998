//! What a follower makes of the positions that it hears of: pure.

use std::time::Duration;

use cox_objects::{Epoch, Position, Revision};
use tokio::time::Instant;

/// How long after the announcement of a head its events may still be on their way.
const PATIENCE: Duration = Duration::from_millis(100);

/// What to do with an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is the next one.
    Take,
    /// It was given before.
    Drop,
    /// These are missing before it.
    Gap(Revision, Revision),
    /// It belongs to another life of the log.
    Epoch(Epoch),
}

#[derive(Debug)]
pub(super) struct Core {
    at: Position,
    /// A head that was announced and is not reached, and when it is overdue.
    awaited: Option<(Revision, Instant)>,
    over: bool,
}

impl Core {
    pub(super) fn new(at: Position) -> Self {
        Core { at, awaited: None, over: false }
    }

    pub(super) fn at(&self) -> Position {
        self.at
    }

    /// Whether the epoch has changed, so that nothing more can be said.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// An event arrived.
    pub(super) fn event(&mut self, position: Position) -> Step {
        if position.epoch != self.at.epoch {
            self.over = true;
            return Step::Epoch(position.epoch);
        }
        let before = self.at.revision;
        if position.revision <= before {
            return Step::Drop;
        }
        self.reach(position.revision);
        match position.revision - before {
            1 => Step::Take,
            _ => Step::Gap(before + 1, position.revision - 1),
        }
    }

    /// A head was announced; gives its epoch if that is another one.
    pub(super) fn head(&mut self, head: Position, now: Instant) -> Option<Epoch> {
        if head.epoch != self.at.epoch {
            self.over = true;
            return Some(head.epoch);
        }
        if head.revision > self.at.revision && self.awaited.is_none() {
            self.awaited = Some((head.revision, now + PATIENCE));
        }
        None
    }

    /// When to ask [`Core::overdue`].
    pub(super) fn due(&self) -> Option<Instant> {
        self.awaited.map(|(_, due)| due)
    }

    /// The revisions that should have arrived by now.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<(Revision, Revision)> {
        let (awaited, _) = self.awaited.filter(|(_, due)| *due <= now)?;
        let from = self.at.revision + 1;
        self.reach(awaited);
        Some((from, awaited))
    }

    fn reach(&mut self, revision: Revision) {
        self.at.revision = revision;
        self.awaited = self.awaited.filter(|(awaited, _)| *awaited > revision);
    }
}

#[cfg(test)]
mod tests;
