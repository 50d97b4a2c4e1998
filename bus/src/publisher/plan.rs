//! Where publishing goes on, given the log and the stream: pure.

use std::time::Duration;

use cox_objects::{Epoch, Position, Revision};
use tokio::time::Instant;

use super::StreamEnd;

/// A stream that stores nothing for so long, though its server answers, is made anew.
const STUCK: Duration = Duration::from_secs(6);

/// What to do with the stream; the number is the first revision to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Go on after its end.
    Continue(Revision),
    /// There is none: make it, beginning there.
    Create(Revision),
    /// Purge up to there, which keeps its consumers.
    Leap(Revision),
    /// Its sequence is past what it needs, which no purge mends: delete it and make it anew.
    Recreate(Revision),
    /// It holds more of our epoch than the log, up to there.
    Ahead(Revision),
}

/// Where sessions of publishing begin without getting any further.
#[derive(Debug, Default)]
pub(super) struct Stuck(Option<(Revision, Instant)>);

impl Stuck {
    /// A session that began at `first` (none if it did not) has ended; `refused` if the server, which was there, did not store a message.
    pub(super) fn ended(&mut self, first: Option<Revision>, refused: bool, begun: Instant) {
        self.0 = match (first.filter(|_| refused), self.0) {
            (Some(first), Some((at, since))) if at == first => Some((at, since)),
            (Some(first), _) => Some((first, begun)),
            (None, _) => None,
        };
    }

    /// Whether that goes on for so long that the stream is not going to store anything: one that could not write once, because the disk was
    /// full, writes no more until its server starts again.
    pub(super) fn for_good(&self, now: Instant) -> bool {
        self.0.is_some_and(|(_, since)| now - since > STUCK)
    }
}

/// Plans for a log of `epoch` that ends at `head` and can refill a stream from `first` on (at most `head` + 1). A stream that is `broken` is
/// not gone on with.
pub(super) fn plan(epoch: Epoch, head: Revision, first: Revision, end: Option<&StreamEnd>, broken: bool) -> Plan {
    let Some(end) = end else { return Plan::Create(first) };
    // An empty stream has only its metadata to say whose it is; else the last message is asked.
    let ours = match end.last_event {
        Some(last) => last == Position { epoch, revision: end.last },
        None => end.epoch == Some(epoch) && end.empty,
    };
    match ours {
        true if end.last > head => Plan::Ahead(end.last),
        _ if broken => Plan::Recreate(first),
        true if end.last + 1 >= first => Plan::Continue(end.last + 1),
        _ if first > end.last => Plan::Leap(first),
        _ => Plan::Recreate(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch(7);

    fn end(last: u64, epoch: u64, revision: u64) -> StreamEnd {
        let last_event = Some(Position { epoch: Epoch(epoch), revision });
        StreamEnd { epoch: Some(Epoch(epoch)), last, empty: false, last_event }
    }

    fn planned(head: u64, first: u64, end: Option<&StreamEnd>) -> Plan {
        plan(EPOCH, head, first, end, false)
    }

    #[test]
    fn it_goes_on_where_the_stream_ends() {
        assert_eq!(planned(100, 1, Some(&end(90, 7, 90))), Plan::Continue(91));
        assert_eq!(planned(100, 1, Some(&end(100, 7, 100))), Plan::Continue(101));
        let empty = StreamEnd { epoch: Some(EPOCH), last: 50, empty: true, last_event: None };
        assert_eq!(planned(100, 1, Some(&empty)), Plan::Continue(51), "all its messages were too old");
    }

    #[test]
    fn it_leaps_over_what_cannot_be_refilled_and_into_a_new_epoch() {
        assert_eq!(planned(500_000, 400_001, Some(&end(90, 7, 90))), Plan::Leap(400_001));
        assert_eq!(planned(1_000_000_200, 1_000_000_101, Some(&end(100, 3, 100))), Plan::Leap(1_000_000_101));
    }

    #[test]
    fn a_missing_stream_begins_where_the_log_can_refill_it() {
        assert_eq!(planned(500_000, 400_001, None), Plan::Create(400_001));
        assert_eq!(planned(0, 1, None), Plan::Create(1));
    }

    #[test]
    fn a_foreign_message_at_the_end_is_not_continued() {
        assert_eq!(planned(100, 1, Some(&end(101, 7, 42))), Plan::Recreate(1));
        let nameless = StreamEnd { epoch: Some(EPOCH), last: 90, empty: false, last_event: None };
        assert_eq!(planned(100, 95, Some(&nameless)), Plan::Leap(95));
    }

    #[test]
    fn a_stream_ahead_of_its_log_is_a_loss() {
        assert_eq!(planned(100, 1, Some(&end(101, 7, 101))), Plan::Ahead(101));
    }

    #[test]
    fn a_stream_that_is_broken_is_made_anew_unless_it_shows_a_loss() {
        let broken = |end: Option<StreamEnd>| plan(EPOCH, 100, 1, end.as_ref(), true);
        assert_eq!(broken(Some(end(90, 7, 90))), Plan::Recreate(1));
        assert_eq!(broken(Some(end(90, 7, 42))), Plan::Recreate(1));
        assert_eq!(broken(Some(end(101, 7, 101))), Plan::Ahead(101));
        assert_eq!(broken(None), Plan::Create(1));
    }

    #[test]
    fn a_stream_is_broken_that_gets_no_further_for_long() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let late = at(6_001);
        let mut stuck = Stuck::default();
        assert!(!stuck.for_good(late), "nothing has happened");
        stuck.ended(Some(7), true, at(0));
        stuck.ended(Some(7), true, at(5_000));
        assert!(!stuck.for_good(at(6_000)) && stuck.for_good(late), "since its first session there");
        stuck.ended(Some(8), true, at(5_500));
        assert!(!stuck.for_good(late), "it got further");
        stuck.ended(Some(8), false, at(5_600));
        assert!(!stuck.for_good(at(60_000)), "the server was gone");
        stuck.ended(Some(8), true, at(5_700));
        stuck.ended(None, true, at(5_800));
        assert!(!stuck.for_good(at(60_000)), "the session did not begin");
    }
}
