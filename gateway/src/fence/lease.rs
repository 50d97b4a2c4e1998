//! The gateway's side of a read lease: while it holds, reads need not ask for the head.
//!
//! What the apiserver tells others waits for this gateway's mirror, so a read here misses nothing of that. What this gateway has told
//! its own clients counts for it alone: reads wait until the mirror has it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cox_bus::head::READ_LEASE;
use cox_objects::Revision;
use tokio::time::Instant;

/// The lease is asked for again when less than this is left of it.
const RENEW: Duration = Duration::from_millis(READ_LEASE.as_millis() as u64 / 2);

/// The lease of one gateway, if it has one.
pub(super) struct Lease {
    begin: Instant,
    /// When it ends, in microseconds after the beginning.
    until: AtomicU64,
    /// What reads must see at least: what was the head when the lease began, and what this gateway has told of.
    floor: AtomicU64,
    /// Whether somebody answers for the mirror; there is no lease without that.
    answers: AtomicBool,
    renewing: AtomicBool,
}

impl Lease {
    pub(super) fn new() -> Self {
        Lease {
            begin: Instant::now(),
            until: AtomicU64::new(0),
            floor: AtomicU64::new(0),
            answers: AtomicBool::new(false),
            renewing: AtomicBool::new(false),
        }
    }

    /// Whether the lease is to be asked for.
    pub(super) fn is_wanted(&self) -> bool {
        self.answers.load(Ordering::Relaxed)
    }

    /// From now on somebody answers for the mirror; or no more.
    pub(super) fn answers(&self, answers: bool) {
        self.answers.store(answers, Ordering::Relaxed);
    }

    /// This gateway tells a client of a revision, in this moment.
    pub(super) fn told(&self, revision: Revision) {
        self.floor.fetch_max(revision, Ordering::AcqRel);
    }

    /// It was given, on a question sent at `asked`, when the head was there.
    pub(super) fn granted(&self, asked: Instant, head: Revision) {
        self.floor.fetch_max(head, Ordering::AcqRel);
        self.until.fetch_max(self.micros(asked + READ_LEASE), Ordering::AcqRel);
    }

    /// The revision that a read must see which arrives now; none if it has to ask.
    pub(super) fn floor(&self, now: Instant) -> Option<Revision> {
        let holds = self.micros(now) < self.until.load(Ordering::Acquire);
        holds.then(|| self.floor.load(Ordering::Acquire))
    }

    /// Whether it is time to ask again, and nobody does: whoever hears so must.
    pub(super) fn begins_renewal(&self, now: Instant) -> bool {
        let soon = self.micros(now + RENEW) >= self.until.load(Ordering::Relaxed);
        soon && self.is_wanted() && !self.renewing.swap(true, Ordering::AcqRel)
    }

    /// The question was answered, or given up.
    pub(super) fn renewed(&self) {
        self.renewing.store(false, Ordering::Release);
    }

    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.begin).as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_for_its_time_from_the_question_on_and_only_if_given() {
        let lease = Lease::new();
        let asked = Instant::now();
        assert_eq!(lease.floor(asked), None);
        lease.granted(asked, 7);
        assert_eq!(lease.floor(asked + READ_LEASE - Duration::from_millis(1)), Some(7));
        assert_eq!(lease.floor(asked + READ_LEASE), None);
        lease.granted(asked - Duration::from_millis(50), 8);
        assert_eq!(lease.floor(asked + READ_LEASE), None, "an older question does not end it earlier or later");
        assert_eq!(lease.floor(asked), Some(8));
    }

    #[test]
    fn what_this_gateway_has_told_of_is_seen() {
        let lease = Lease::new();
        let now = Instant::now();
        lease.granted(now, 7);
        lease.told(12);
        lease.told(9);
        assert_eq!(lease.floor(now), Some(12));
    }

    #[test]
    fn one_reader_renews_it_when_half_is_over() {
        let lease = Lease::new();
        lease.answers(true);
        let asked = Instant::now();
        lease.granted(asked, 1);
        assert!(!lease.begins_renewal(asked));
        let later = asked + READ_LEASE / 2 + Duration::from_millis(1);
        assert!(lease.begins_renewal(later));
        assert!(!lease.begins_renewal(later), "somebody does");
        lease.renewed();
        assert!(lease.begins_renewal(later));
        lease.renewed();
        lease.answers(false);
        assert!(!lease.begins_renewal(later), "nobody answers for the mirror");
    }
}
