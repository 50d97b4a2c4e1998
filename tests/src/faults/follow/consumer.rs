//! An outside program with a durable consumer of ConfigMaps, which knows NATS, JSON and its credentials file.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use async_nats::jetstream::AckKind;
use async_nats::{Client, ConnectOptions, HeaderMap, Message, Subscriber};
use cox_objects::Change;
use futures::StreamExt;
use serde_json::Value;

use super::{Follower, Until, is_over};
use crate::Cluster;
use crate::faults::history::Seen;

/// What one question asks for: so many messages, for so long (nanoseconds).
const QUESTION: &str = r#"{"batch":256,"expires":1000000000}"#;
/// How long a question is listened for: longer than the server holds it.
const LISTEN: Duration = Duration::from_millis(1500);

impl Follower {
    /// A durable consumer of its own.
    ///
    /// # Errors
    /// If it cannot be made.
    pub async fn consumer(cluster: &Cluster, name: &str) -> Result<Follower> {
        let admin = ["--as", "kubernetes-admin", "--group", "system:masters"];
        let create = ["integrator", "create", name, "--filter", "configmaps/default"];
        cluster.cox(&[&create[..], &admin].concat())?;
        let program = Program::sign_in(cluster, name).await?;
        Ok(Follower::start("consumer", "configmaps/default/", |until| program.follow(until)))
    }
}

struct Program {
    client: Client,
    way: Value,
    asked: u64,
}

impl Program {
    async fn sign_in(cluster: &Cluster, name: &str) -> Result<Program> {
        let file = std::fs::read(cluster.credentials(&format!("integrator:{name}")))?;
        let file: Value = serde_json::from_slice(&file)?;
        let text = |name: &str| file.get(name).and_then(Value::as_str).map(str::to_owned);
        let options = ConnectOptions::with_nkey(text("nkey").context("no nkey")?);
        let options = options.reconnect_delay_callback(|_| Duration::from_millis(20));
        let client = options.connect(text("url").context("no url")?).await?;
        let way = file.get("integrator").cloned().context("it does not say where the consumer is")?;
        Ok(Program { client, way, asked: 0 })
    }

    async fn follow(mut self, until: Until) -> Result<Vec<Seen>> {
        let mut seen: Vec<Seen> = Vec::new();
        while !is_over(&until, &seen) {
            // The bus may be away: then the next question will do.
            let Ok(mut answers) = self.ask().await else { continue };
            while let Ok(Some(message)) = tokio::time::timeout(LISTEN, answers.next()).await {
                if message.status.is_some() {
                    break;
                }
                self.take(&message, &mut seen)?;
                if let Some(to) = message.reply {
                    let _ = self.client.publish(to, AckKind::Ack.into()).await;
                }
                if is_over(&until, &seen) {
                    break;
                }
            }
        }
        Ok(seen)
    }

    async fn ask(&mut self) -> Result<Subscriber> {
        let way = |name: &str| self.way.get(name).and_then(Value::as_str).context("no way");
        self.asked += 1;
        let inbox = format!("{}.{}", way("inbox")?, self.asked);
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", way("stream")?, way("consumer")?);
        let answers = self.client.subscribe(inbox.clone()).await?;
        self.client.publish_with_reply(subject, inbox, QUESTION.into()).await?;
        Ok(answers)
    }

    /// Writes a message down, unless it came before: its number tells.
    fn take(&self, message: &Message, seen: &mut Vec<Seen>) -> Result<()> {
        let revision: u64 = header(message, "ce-sequence").parse().context("no ce-sequence")?;
        let change = match header(message, "ce-type").rsplit('.').next() {
            Some("added") => Change::Added,
            Some("modified") => Change::Modified,
            Some("deleted") => Change::Deleted,
            kind => bail!("{kind:?} is no kind of change"),
        };
        let object: Value = serde_json::from_slice(&message.payload)?;
        let next = Seen::new(revision, change, header(message, "ce-subject"), &object);
        match seen.last() {
            Some(last) if last.revision >= revision => {
                ensure!(seen.contains(&next), "out of order: {next:?} after {last:?}");
            }
            _ => seen.push(next),
        }
        Ok(())
    }
}

/// A header, or nothing if it is missing.
fn header(message: &Message, name: &str) -> String {
    let mut headers = message.headers.iter().flat_map(HeaderMap::iter);
    let found = headers.find(|(key, _)| AsRef::<str>::as_ref(*key).eq_ignore_ascii_case(name));
    found.and_then(|(_, values)| values.first()).map(|value| value.as_str().to_owned()).unwrap_or_default()
}
