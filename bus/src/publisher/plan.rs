//! Where publishing goes on, given the log and the stream: pure.

use cox_objects::{Epoch, Position, Revision};

use super::StreamEnd;

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

/// Plans for a log of `epoch` that ends at `head` and can refill a stream from `first` on (at most `head` + 1).
pub(super) fn plan(epoch: Epoch, head: Revision, first: Revision, end: Option<&StreamEnd>) -> Plan {
    let Some(end) = end else { return Plan::Create(first) };
    // An empty stream has only its metadata to say whose it is; else the last message is asked.
    let ours = match end.last_event {
        Some(last) => last == Position { epoch, revision: end.last },
        None => end.epoch == Some(epoch) && end.empty,
    };
    match ours {
        true if end.last > head => Plan::Ahead(end.last),
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

    #[test]
    fn it_goes_on_where_the_stream_ends() {
        assert_eq!(plan(EPOCH, 100, 1, Some(&end(90, 7, 90))), Plan::Continue(91));
        assert_eq!(plan(EPOCH, 100, 1, Some(&end(100, 7, 100))), Plan::Continue(101));
        let empty = StreamEnd { epoch: Some(EPOCH), last: 50, empty: true, last_event: None };
        assert_eq!(plan(EPOCH, 100, 1, Some(&empty)), Plan::Continue(51), "all its messages were too old");
    }

    #[test]
    fn it_leaps_over_what_cannot_be_refilled_and_into_a_new_epoch() {
        assert_eq!(plan(EPOCH, 500_000, 400_001, Some(&end(90, 7, 90))), Plan::Leap(400_001));
        assert_eq!(plan(EPOCH, 1_000_000_200, 1_000_000_101, Some(&end(100, 3, 100))), Plan::Leap(1_000_000_101));
    }

    #[test]
    fn a_missing_stream_begins_where_the_log_can_refill_it() {
        assert_eq!(plan(EPOCH, 500_000, 400_001, None), Plan::Create(400_001));
        assert_eq!(plan(EPOCH, 0, 1, None), Plan::Create(1));
    }

    #[test]
    fn a_foreign_message_at_the_end_is_not_continued() {
        assert_eq!(plan(EPOCH, 100, 1, Some(&end(101, 7, 42))), Plan::Recreate(1));
        let nameless = StreamEnd { epoch: Some(EPOCH), last: 90, empty: false, last_event: None };
        assert_eq!(plan(EPOCH, 100, 95, Some(&nameless)), Plan::Leap(95));
    }

    #[test]
    fn a_stream_ahead_of_its_log_is_a_loss() {
        assert_eq!(plan(EPOCH, 100, 1, Some(&end(101, 7, 101))), Plan::Ahead(101));
    }
}
