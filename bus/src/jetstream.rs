//! The cluster's stream in JetStream: looked at, made, leapt, deleted. Its management goes over plain requests.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cox_objects::{Epoch, Position, Revision};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{Bus, CallError, event};

/// How long the server may take: it writes to the disk, and recovers streams after its start.
const PATIENCE: Duration = Duration::from_secs(5);
/// The stream's limits; what is older is served from the log.
const MAX_AGE: Duration = Duration::from_secs(3600);
const MAX_BYTES: u64 = 256 << 20;
/// The shortest window of message ids that the server takes: we use none.
const DUPLICATES: Duration = Duration::from_millis(100);

const NO_STREAM: u64 = 10059;
const NO_MESSAGE: u64 = 10037;
const NO_CONSUMER: u64 = 10014;

/// Why the stream could not be looked at or changed.
#[derive(Debug, thiserror::Error)]
pub enum JetStreamError {
    /// The server did not answer.
    #[error("JetStream {0}")]
    Call(&'static str, #[source] CallError),
    /// The server refused.
    #[error("JetStream {what}: {description} ({code})")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// The server's error code.
        code: u64,
        /// Its words.
        description: String,
    },
}

impl JetStreamError {
    /// Whether there is no such consumer, or no stream that could have it.
    pub(crate) fn is_missing_consumer(&self) -> bool {
        matches!(self, JetStreamError::Refused { code: NO_CONSUMER | NO_STREAM, .. })
    }
}

/// Where a stream ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEnd {
    /// The epoch in its metadata.
    pub epoch: Option<Epoch>,
    /// Its last sequence.
    pub last: Revision,
    /// Whether it holds no message.
    pub empty: bool,
    /// The event at its last sequence, if there is a message and it is one of ours.
    pub last_event: Option<Position>,
}

pub(crate) struct JetStream<'a> {
    bus: &'a Bus,
    stream: String,
}

impl<'a> JetStream<'a> {
    pub(crate) fn new(bus: &'a Bus) -> Self {
        JetStream { bus, stream: bus.subjects().stream() }
    }

    pub(crate) fn bus(&self) -> &'a Bus {
        self.bus
    }

    /// What the server says of the stream; none if there is none.
    pub(crate) async fn info(&self) -> Result<Option<Value>, JetStreamError> {
        match self.ask("STREAM.INFO", &json!({})).await {
            Err(JetStreamError::Refused { code: NO_STREAM, .. }) => Ok(None),
            info => info.map(Some),
        }
    }

    /// Where the stream ends; none if there is none.
    pub(crate) async fn end(&self) -> Result<Option<StreamEnd>, JetStreamError> {
        let Some(info) = self.info().await? else { return Ok(None) };
        let last = info.pointer("/state/last_seq").and_then(Value::as_u64).unwrap_or(0);
        let messages = info.pointer("/state/messages").and_then(Value::as_u64).unwrap_or(0);
        let epoch = info.pointer("/config/metadata/epoch").and_then(Value::as_str).and_then(|text| text.parse().ok());
        let last_event = if messages > 0 { self.event_at(last).await? } else { None };
        Ok(Some(StreamEnd { epoch, last, empty: messages == 0, last_event }))
    }

    async fn event_at(&self, sequence: u64) -> Result<Option<Position>, JetStreamError> {
        let answer = match self.ask("STREAM.MSG.GET", &json!({"seq": sequence})).await {
            Err(JetStreamError::Refused { code: NO_MESSAGE, .. }) => return Ok(None),
            answer => answer?,
        };
        let headers = answer.pointer("/message/hdrs").and_then(Value::as_str).and_then(|h| STANDARD.decode(h).ok());
        Ok(headers.and_then(|bytes| event_id(&String::from_utf8_lossy(&bytes))))
    }

    pub(crate) async fn create(&self, epoch: Epoch, first: Revision) -> Result<(), JetStreamError> {
        let mut config = self.config(epoch);
        if let Some(fields) = config.as_object_mut() {
            fields.insert("first_seq".to_owned(), first.into());
        }
        self.ask("STREAM.CREATE", &config).await.map(drop)
    }

    /// Purges the stream so that `first` is its next sequence. A crash between the two steps leaves an old epoch in the
    /// metadata of an empty stream, and leaps again.
    pub(crate) async fn leap(&self, epoch: Epoch, first: Revision) -> Result<(), JetStreamError> {
        self.ask("STREAM.PURGE", &json!({"seq": first})).await?;
        self.ask("STREAM.UPDATE", &self.config(epoch)).await.map(drop)
    }

    pub(crate) async fn delete(&self) -> Result<(), JetStreamError> {
        self.ask("STREAM.DELETE", &json!({})).await.map(drop)
    }

    fn config(&self, epoch: Epoch) -> Value {
        json!({
            "name": self.stream,
            "description": "the events of the cluster; the sequence is the revision",
            "subjects": [self.bus.subjects().events_all()],
            "retention": "limits",
            "discard": "old",
            "storage": "file",
            "num_replicas": 1,
            "max_age": MAX_AGE.as_nanos() as u64,
            "max_bytes": MAX_BYTES,
            "max_msgs": -1,
            "max_consumers": -1,
            "duplicate_window": DUPLICATES.as_nanos() as u64,
            "deny_delete": true,
            "metadata": {"epoch": epoch.to_string()},
        })
    }

    async fn ask(&self, what: &'static str, question: &Value) -> Result<Value, JetStreamError> {
        self.ask_at(what, format!("$JS.API.{what}.{}", self.stream), question).await
    }

    /// Asks about a consumer of the stream.
    pub(crate) async fn ask_of(
        &self,
        what: &'static str,
        consumer: &str,
        question: &Value,
    ) -> Result<Value, JetStreamError> {
        self.ask_at(what, format!("$JS.API.{what}.{}.{consumer}", self.stream), question).await
    }

    async fn ask_at(&self, what: &'static str, subject: String, question: &Value) -> Result<Value, JetStreamError> {
        let deadline = Instant::now() + PATIENCE;
        let answer: Value =
            self.bus.request_json(&subject, question, deadline).await.map_err(|e| JetStreamError::Call(what, e))?;
        match answer.get("error") {
            None => Ok(answer),
            Some(error) => Err(JetStreamError::Refused {
                what,
                code: error.get("err_code").and_then(Value::as_u64).unwrap_or(0),
                description: error.get("description").and_then(Value::as_str).unwrap_or("refused").to_owned(),
            }),
        }
    }
}

/// The position that a message's headers give as its event id.
fn event_id(headers: &str) -> Option<Position> {
    let id = headers.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("ce-id").then(|| value.trim().to_owned())
    })?;
    event::position(&percent_decode_str(&id).decode_utf8().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_id_is_found_in_raw_headers() {
        let headers = "NATS/1.0\r\nce-specversion: 1.0\r\nCE-Id: 00000000000000ff-12\r\n\r\n";
        assert_eq!(event_id(headers), Some(Position { epoch: Epoch(0xff), revision: 12 }));
        assert_eq!(event_id("NATS/1.0\r\nx: y\r\n\r\n"), None);
    }
}
