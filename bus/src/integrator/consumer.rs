//! The consumers of outside programs in the cluster's stream: durable, pulled from, with fixed filters.

use std::time::Duration;

use cox_objects::Revision;
use serde_json::{Value, json};

use super::Filter;
use crate::Bus;
use crate::jetstream::{JetStream, JetStreamError};

/// How long a program has to acknowledge a message before it is delivered again.
const ACK_WAIT: Duration = Duration::from_secs(30);

/// A consumer as it should be.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Its name.
    pub name: String,
    /// Which events it delivers; they do not overlap.
    pub filters: Vec<Filter>,
    /// The first revision that it delivers, if it does not exist yet.
    pub start: Revision,
    /// How many messages may be delivered and not acknowledged: with one, what is delivered again never comes after what followed it.
    pub in_flight: u32,
}

/// What the stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first revision in it; one past the last, if it is empty.
    pub first: Revision,
    /// The last revision that was published.
    pub last: Revision,
}

/// The management of consumers, which only the apiserver may do.
pub struct Consumers<'a>(JetStream<'a>);

impl<'a> Consumers<'a> {
    /// Those of the cluster's stream.
    pub fn new(bus: &'a Bus) -> Self {
        Consumers(JetStream::new(bus))
    }

    /// What the stream holds; none if there is no stream.
    ///
    /// # Errors
    /// If JetStream does not answer.
    pub async fn window(&self) -> Result<Option<Window>, JetStreamError> {
        let Some(info) = self.0.info().await? else { return Ok(None) };
        let number = |name: &str| info.pointer(name).and_then(Value::as_u64).unwrap_or(0);
        let last = number("/state/last_seq");
        let first = if number("/state/messages") == 0 { last + 1 } else { number("/state/first_seq") };
        Ok(Some(Window { first, last }))
    }

    /// The revision up to which everything that a consumer was to deliver was acknowledged; none if there is no such consumer.
    ///
    /// # Errors
    /// If JetStream does not answer.
    pub async fn position(&self, name: &str) -> Result<Option<Revision>, JetStreamError> {
        match self.0.ask_of("CONSUMER.INFO", name, &json!({})).await {
            Err(error) if error.is_missing_consumer() => Ok(None),
            Err(error) => Err(error),
            Ok(info) => Ok(Some(info.pointer("/ack_floor/stream_seq").and_then(Value::as_u64).unwrap_or(0))),
        }
    }

    /// Makes a consumer.
    ///
    /// # Errors
    /// If JetStream does not answer, or has another one of this name.
    pub async fn create(&self, consumer: &Consumer) -> Result<(), JetStreamError> {
        let subjects = self.0.bus().subjects();
        let filters: Vec<String> = consumer.filters.iter().map(|filter| subjects.events_matching(filter)).collect();
        let config = json!({
            "name": consumer.name,
            "durable_name": consumer.name,
            "description": "of an integrator",
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": consumer.start.max(1),
            "ack_policy": "explicit",
            "ack_wait": ACK_WAIT.as_nanos() as u64,
            "max_ack_pending": consumer.in_flight,
            "max_deliver": -1,
            "replay_policy": "instant",
            "filter_subjects": filters,
        });
        let question = json!({"stream_name": subjects.stream(), "config": config, "action": "create"});
        self.0.ask_of("CONSUMER.CREATE", &consumer.name, &question).await.map(drop)
    }

    /// Ends a consumer; it may be gone already.
    ///
    /// # Errors
    /// If JetStream does not answer.
    pub async fn delete(&self, name: &str) -> Result<(), JetStreamError> {
        match self.0.ask_of("CONSUMER.DELETE", name, &json!({})).await {
            Err(error) if !error.is_missing_consumer() => Err(error),
            _ => Ok(()),
        }
    }
}
