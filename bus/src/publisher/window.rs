//! The messages in flight, and what the server says of them: pure.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use cox_objects::Revision;
use serde::Deserialize;
use tokio::time::Instant;

/// How many messages may be in flight: past this the server gains nothing.
const LIMIT: usize = 384;

/// The revisions that were sent and not acknowledged, and the next.
#[derive(Debug)]
pub(super) struct Window {
    next: Revision,
    flying: BTreeMap<Revision, Instant>,
}

impl Window {
    pub(super) fn new(next: Revision) -> Self {
        Window { next, flying: BTreeMap::new() }
    }

    pub(super) fn has_room(&self) -> bool {
        self.flying.len() < LIMIT
    }

    /// The revision to send next.
    pub(super) fn next(&self) -> Revision {
        self.next
    }

    /// It was sent.
    pub(super) fn sent(&mut self, now: Instant) {
        self.flying.insert(self.next, now);
        self.next += 1;
    }

    /// The server has it.
    pub(super) fn acknowledged(&mut self, revision: Revision) {
        self.flying.remove(&revision);
    }

    /// The revision up to which the server has everything.
    pub(super) fn stored(&self) -> Revision {
        self.flying.keys().next().unwrap_or(&self.next).saturating_sub(1)
    }

    /// The oldest one in flight, if it was sent longer ago than this.
    pub(super) fn overdue(&self, now: Instant, after: Duration) -> Option<Revision> {
        let (&revision, &sent) = self.flying.first_key_value()?;
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
        while window.has_room() {
            window.sent(now);
        }
        assert_eq!(window.next(), 10 + LIMIT as u64);
        window.acknowledged(10);
        assert!(window.has_room());
        let later = now + Duration::from_secs(3);
        assert_eq!(window.overdue(later, Duration::from_secs(2)), Some(11));
        assert_eq!(window.overdue(later, Duration::from_secs(3)), None);
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
