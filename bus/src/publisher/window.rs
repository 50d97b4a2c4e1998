//! The messages in flight, and what the server says of them: pure.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use cox_objects::Revision;
use serde::Deserialize;
use tokio::time::Instant;

/// How many messages may be in flight: past this the server gains nothing.
const LIMIT: u64 = 384;
/// An acknowledgement is asked for at least every so many messages.
const ASK: u64 = 64;

/// The revisions that were sent and of which it is not known that the server has them, and the next. Since each message says which sequence
/// it expects before it, the acknowledgement of one speaks for all before it.
#[derive(Debug)]
pub(super) struct Window {
    next: Revision,
    stored: Revision,
    /// The revisions whose acknowledgement was asked for, and when.
    asked: VecDeque<(Revision, Instant)>,
}

impl Window {
    pub(super) fn new(next: Revision) -> Self {
        Window { next, stored: next.saturating_sub(1), asked: VecDeque::new() }
    }

    pub(super) fn has_room(&self) -> bool {
        self.next - self.stored <= LIMIT
    }

    /// The revision to send next.
    pub(super) fn next(&self) -> Revision {
        self.next
    }

    /// Whether the next one has to ask for an acknowledgement, if `newest` is the last that can be sent now: nothing stays in flight unasked.
    pub(super) fn asks(&self, newest: Revision) -> bool {
        self.next >= newest || self.next - self.stored >= LIMIT || self.next.is_multiple_of(ASK)
    }

    /// It was sent, and asked for an acknowledgement or not.
    pub(super) fn sent(&mut self, asked: bool, now: Instant) {
        if asked {
            self.asked.push_back((self.next, now));
        }
        self.next += 1;
    }

    /// The server has it, and all before it.
    pub(super) fn acknowledged(&mut self, revision: Revision) {
        self.stored = self.stored.max(revision);
        while self.asked.front().is_some_and(|(asked, _)| *asked <= revision) {
            self.asked.pop_front();
        }
    }

    /// The revision up to which the server has everything.
    pub(super) fn stored(&self) -> Revision {
        self.stored
    }

    /// The oldest one that waits for its acknowledgement, if it was sent longer ago than this.
    pub(super) fn overdue(&self, now: Instant, after: Duration) -> Option<Revision> {
        let &(revision, sent) = self.asked.front()?;
        (now.saturating_duration_since(sent) > after).then_some(revision)
    }
}

/// What the server says of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ack {
    /// It stands at this sequence.
    Stored(u64),
    /// It was refused, with the server's error code (10071: another sequence was expected, 10077: full, 10054: too large).
    Refused(u64, String),
    /// Something else.
    Unknown(String),
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    seq: u64,
    error: Option<WireError>,
}

#[derive(Deserialize)]
struct WireError {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

impl Ack {
    /// Reads an acknowledgement. Its spacing differs between servers, so it is read as JSON.
    pub(super) fn read(payload: &[u8]) -> Ack {
        match serde_json::from_slice::<Wire>(payload) {
            Ok(Wire { error: Some(e), .. }) => Ack::Refused(e.err_code, e.description),
            Ok(Wire { seq, error: None }) if seq > 0 => Ack::Stored(seq),
            _ => Ack::Unknown(String::from_utf8_lossy(payload).into_owned()),
        }
    }
}

impl fmt::Display for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ack::Stored(sequence) => write!(f, "stored at {sequence}"),
            Ack::Refused(code, description) => write!(f, "{description} ({code})"),
            Ack::Unknown(text) => write!(f, "{text:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_fills_and_empties() {
        let now = Instant::now();
        let mut window = Window::new(10);
        let mut asked = Vec::new();
        while window.has_room() {
            let asks = window.asks(Revision::MAX);
            if asks {
                asked.push(window.next());
            }
            window.sent(asks, now);
        }
        assert_eq!(window.next(), 10 + LIMIT);
        assert_eq!(asked, [64, 128, 192, 256, 320, 384, 393], "and the last that has room");
        assert_eq!(window.stored(), 9);
        let later = now + Duration::from_secs(3);
        assert_eq!(window.overdue(later, Duration::from_secs(2)), Some(64));
        window.acknowledged(128);
        assert!(window.has_room());
        assert_eq!(window.stored(), 128, "all before it are there");
        assert_eq!(window.overdue(later, Duration::from_secs(2)), Some(192));
        assert_eq!(window.overdue(later, Duration::from_secs(3)), None);
        window.acknowledged(393);
        assert_eq!(window.overdue(later, Duration::from_secs(2)), None, "nobody is asked");
    }

    #[test]
    fn the_newest_asks() {
        let mut window = Window::new(1);
        assert!(!window.asks(2));
        window.sent(false, Instant::now());
        assert!(window.asks(2));
    }

    #[test]
    fn acknowledgements_of_all_servers_are_read() {
        assert_eq!(Ack::read(br#"{"stream":"S", "seq":5}"#), Ack::Stored(5));
        assert_eq!(Ack::read(br#"{"stream":"S","seq":5,"duplicate": true}"#), Ack::Stored(5));
        let refused =
            br#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 7"},"stream":"S","seq":0}"#;
        assert_eq!(Ack::read(refused), Ack::Refused(10071, "wrong last sequence: 7".into()));
        assert!(matches!(Ack::read(b""), Ack::Unknown(_)));
        assert!(matches!(Ack::read(b"{}"), Ack::Unknown(_)));
    }
}
