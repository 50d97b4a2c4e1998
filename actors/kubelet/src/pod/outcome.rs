//! What the ends of a worker's operations mean for what it knows.

use std::time::Instant;

use cox_kit::Feed;
use jiff::{SignedDuration, Timestamp};

use super::State;
use super::operation::{Finished, Operation};
use super::start::Again;
use crate::backoff::Held;
use crate::model::{Retry, Volumes, Waiting};

/// A deletion that the feed does not show is asked for again.
const SHOWN: SignedDuration = SignedDuration::from_secs(2);

impl<F: Feed> State<F> {
    /// Takes in the end of an operation; one that was given up meanwhile says nothing.
    pub(super) fn finished(&mut self, serial: u64, operation: Operation, finished: Finished) {
        if self.under_way.get(&operation).is_none_or(|under_way| under_way.serial != serial) {
            return;
        }
        self.under_way.remove(&operation);
        let now = cox_kit::clock::now();
        match (&operation, finished) {
            (_, Finished::Volumes(Ok(places))) => {
                self.places = places;
                self.memory.volumes = Volumes::Ready;
                self.memory.not_before.remove(&Retry::Volumes);
            }
            (_, Finished::Volumes(Err(text))) => {
                tracing::warn!(pod = %self.key, error = text, "volumes are not in place");
                let why = self.why();
                self.context.tell(&why, &self.pod, "", true, "FailedMount", text);
                self.rest(Retry::Volumes, now);
            }
            (_, Finished::Sandbox(Ok(sandbox))) => {
                self.sandbox = Some(sandbox);
                self.memory.not_before.remove(&Retry::Sandbox);
            }
            (_, Finished::Sandbox(Err(text))) => {
                tracing::warn!(pod = %self.key, error = text, "the sandbox was not made");
                let text = format!("Failed to create pod sandbox: {text}");
                let why = self.why();
                self.context.tell(&why, &self.pod, "", true, "FailedCreatePodSandBox", text);
                self.rest(Retry::Sandbox, now);
            }
            (Operation::Start(name), Finished::Started(Ok(()))) => {
                self.memory.waiting.remove(name);
                self.memory.not_before.remove(&Retry::Container(name.clone()));
            }
            (Operation::Start(name), Finished::Started(Err(failure))) => {
                tracing::info!(pod = %self.key, container = name, reason = failure.waiting.reason, "a container did not start");
                let Waiting { reason, message } = failure.waiting;
                self.memory.waiting.insert(name.clone(), Waiting { reason, message });
                let what = Retry::Container(name.clone());
                match failure.again {
                    Again::After(rest) => drop(self.memory.not_before.insert(what, Held::back(rest, now))),
                    Again::Later => self.rest(what, now),
                }
            }
            (Operation::Finish, Finished::Plain(Ok(()))) => self.memory.finished = true,
            (Operation::Delete, Finished::Plain(Ok(()))) => {
                self.memory.not_before.insert(Retry::Delete, Held::back(SHOWN, now));
            }
            (_, Finished::Measured(Some(verdict))) => {
                let why = self.why();
                self.context.tell(&why, &self.pod, "", true, &verdict.reason, verdict.message.clone());
                self.memory.verdict.get_or_insert(verdict);
            }
            (Operation::Tell, Finished::Refused) => {
                self.reread();
                let version = self.pod.metadata.resource_version.clone().unwrap_or_default();
                self.refused = Some((version, Instant::now()));
            }
            (Operation::Tell, Finished::Plain(_)) => self.reread(),
            (operation, Finished::Plain(Err(error))) => {
                tracing::warn!(pod = %self.key, ?operation, error, "an operation on a pod failed");
                let retry = match operation {
                    Operation::Stop(id) => {
                        self.memory.stopping.remove(id);
                        Retry::Stop(id.clone())
                    }
                    Operation::Delete => Retry::Delete,
                    Operation::Finish => Retry::Finish,
                    _ => Retry::Sandbox,
                };
                self.rest(retry, now);
            }
            _ => {}
        }
    }

    /// What has failed is left alone for a while, longer each time.
    fn rest(&mut self, what: Retry, now: Timestamp) {
        let held = Held::longer(self.memory.not_before.get(&what), now);
        self.memory.not_before.insert(what, held);
    }
}
