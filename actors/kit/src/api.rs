//! Commands as api requests: each with its cause, its guard and an id of its own, settled when it is not known whether it was done.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cox_bus::{ApiReply, ApiRequest, Bus, CallError, PatchType, Verb, WriteOptions};
use cox_objects::{Key, Kinds, RequestId, Resource, Revision, Status, json};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};

use crate::command::{Command, Propagation};
use crate::lease::Leadership;
use crate::recorder::{Aggregator, Note};
use crate::why::Why;

/// How long one request may take before its outcome is asked for again.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often an unknown outcome is asked for before the decision is given up (its key is tried again later, from what is then true).
const SETTLE_TRIES: u32 = 6;
/// How many requests of one component are on their way at most; more wait.
const IN_FLIGHT: usize = 256;
/// How many commands travel in one message.
const BATCH: usize = 64;

/// What running a decision's commands gave.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// The highest revision written; the mirror must have it before the key is looked at again.
    pub revision: Revision,
    /// The answers, in the order of the commands (none for recorded notes).
    pub objects: Vec<Bytes>,
}

/// The command at which a decision ended.
#[derive(Debug, thiserror::Error)]
#[error("{status}")]
pub struct Failed {
    /// Its position among the commands.
    pub index: usize,
    /// The answer.
    pub status: Status,
    /// What the commands before it wrote.
    pub revision: Revision,
}

/// Writes for one component: its bus connection, kinds, leadership and recorder. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    bus: Bus,
    kinds: Arc<Kinds>,
    leads: Option<Leadership>,
    notes: Option<Arc<Mutex<Aggregator>>>,
    noted: Arc<Notify>,
    permits: Arc<Semaphore>,
}

impl Api {
    /// An api over a connection.
    pub fn new(bus: Bus, kinds: Arc<Kinds>) -> Self {
        let (noted, permits) = (Arc::default(), Arc::new(Semaphore::new(IN_FLIGHT)));
        Api { bus, kinds, leads: None, notes: None, noted, permits }
    }

    /// The same, every write guarded by a Lease; without holding it nothing is written.
    #[must_use]
    pub fn led_by(mut self, leads: Leadership) -> Self {
        self.leads = Some(leads);
        self
    }

    /// The same, with a recorder that takes its notes (see [`crate::recorder`]).
    #[must_use]
    pub fn recording(mut self, notes: Arc<Mutex<Aggregator>>) -> Self {
        self.notes = Some(notes);
        self
    }

    /// The same for what leading, or being alive, depends on: it waits for none of the component's other requests.
    #[must_use]
    pub fn vital(self) -> Self {
        Api { permits: Arc::new(Semaphore::new(IN_FLIGHT)), ..self }
    }

    /// The connection.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// The notes that wait to be written, for the worker that writes them.
    pub(crate) fn notes(&self) -> Option<&Arc<Mutex<Aggregator>>> {
        self.notes.as_ref()
    }

    /// Waits until a note has been taken since the last call returned.
    pub(crate) async fn noted(&self) {
        self.noted.notified().await;
    }

    /// Takes a note of what the why led to; it is written within a second or so, by the recorder's worker.
    pub fn record(&self, note: Note, why: &Why) {
        if let Some(notes) = &self.notes {
            notes.lock().note(note, why.for_later(), crate::clock::now());
            self.noted.notify_one();
        }
    }

    /// Runs commands in order; consecutive creates, and consecutive deletes, travel together and are all attempted.
    ///
    /// # Errors
    /// The first command that was refused; those after its group were not sent.
    pub async fn run(&self, commands: &[Command], why: &Why) -> Result<Done, Failed> {
        let mut done = Done::default();
        let mut index = 0;
        for group in groups(commands) {
            let mut requests = Vec::with_capacity(group.len());
            let mut places = Vec::with_capacity(group.len());
            for (offset, command) in group.iter().enumerate() {
                if let Command::Record(note) = command {
                    self.record(note.clone(), why);
                    continue;
                }
                let failed = |status| Failed { index: index + offset, status, revision: done.revision };
                requests.push(self.request(command, why).map_err(failed)?);
                places.push(index + offset);
            }
            let replies = self.send(&requests).await;
            let mut first_failure = None;
            for (place, reply) in places.into_iter().zip(replies) {
                match reply {
                    Ok(reply) if reply.is_success() => {
                        done.revision = done.revision.max(reply.revision);
                        done.objects.push(reply.body);
                    }
                    Ok(reply) => {
                        first_failure.get_or_insert((place, status_of(&reply)));
                    }
                    Err(status) => {
                        first_failure.get_or_insert((place, status));
                    }
                }
            }
            if let Some((index, status)) = first_failure {
                return Err(Failed { index, status, revision: done.revision });
            }
            index += group.len();
        }
        Ok(done)
    }

    /// Runs commands that have nothing to do with each other: they travel together, and each is answered for itself, in order. Notes are taken.
    pub async fn run_each(&self, commands: &[(Command, Why)]) -> Vec<Result<Bytes, Status>> {
        let mut answers = Vec::with_capacity(commands.len());
        for group in commands.chunks(BATCH) {
            let mut requests = Vec::with_capacity(group.len());
            let mut make = |(command, why): &(Command, Why)| match command {
                Command::Record(note) => {
                    self.record(note.clone(), why);
                    Ok(false)
                }
                command => self.request(command, why).map(|request| {
                    requests.push(request);
                    true
                }),
            };
            let sent: Vec<Result<bool, Status>> = group.iter().map(&mut make).collect();
            let mut replies = self.send(&requests).await.into_iter();
            let unanswered = || Err(Status::internal("fewer answers than requests"));
            answers.extend(sent.into_iter().map(|sent| match sent? {
                false => Ok(Bytes::new()),
                true => match replies.next().unwrap_or_else(unanswered)? {
                    reply if reply.is_success() => Ok(reply.body),
                    reply => Err(status_of(&reply)),
                },
            }));
        }
        answers
    }

    /// Sends requests together and settles each; the answers come in the same order.
    async fn send(&self, requests: &[ApiRequest]) -> Vec<Result<ApiReply, Status>> {
        let wanted = u32::try_from(requests.len().clamp(1, BATCH)).unwrap_or(1);
        let Ok(_permit) = self.permits.acquire_many(wanted).await else {
            return requests.iter().map(|_| Err(Status::unavailable("shutting down"))).collect();
        };
        match requests {
            [] => Vec::new(),
            [one] => vec![self.settle(one).await],
            many => match self.bus.batch(&many.iter().collect::<Vec<_>>()).await {
                Ok(replies) => replies.into_iter().map(Ok).collect(),
                // Each is settled by its own id: what the batch did is answered again, what it did not is done now.
                Err(_) => {
                    let mut replies = Vec::with_capacity(many.len());
                    for request in many {
                        replies.push(self.settle(request).await);
                    }
                    replies
                }
            },
        }
    }

    /// Sends a request until its outcome is known.
    async fn settle(&self, request: &ApiRequest) -> Result<ApiReply, Status> {
        let mut request = request.clone();
        for _ in 0..SETTLE_TRIES {
            match self.bus.call(&request).await {
                Ok(reply) => return Ok(reply),
                Err(CallError::SurelyNotDone(why)) => return Err(Status::unavailable(why.to_string())),
                Err(CallError::PerhapsDone(why)) => {
                    tracing::warn!(id = %request.id, %why, "a write's outcome is unknown and is asked for");
                    request.deadline = crate::clock::now_ms() + TIMEOUT.as_millis() as u64;
                }
            }
        }
        Err(Status::timeout("the outcome of a write could not be learned"))
    }

    fn request(&self, command: &Command, why: &Why) -> Result<ApiRequest, Status> {
        let guard = match &self.leads {
            None => None,
            Some(leads) => match leads.borrow().clone() {
                Some(guard) => Some(guard),
                None => return Err(Status::unavailable("not the leader")),
            },
        };
        let mut request = ApiRequest {
            id: RequestId(uuid::Uuid::now_v7().as_u128()),
            deadline: crate::clock::now_ms() + TIMEOUT.as_millis() as u64,
            user: None,
            verb: Verb::Create,
            group: String::new(),
            version: String::new(),
            plural: String::new(),
            subresource: String::new(),
            namespace: String::new(),
            name: String::new(),
            options: WriteOptions::default(),
            patch_type: None,
            body: Bytes::new(),
            observed: Some(why.observed()),
            trigger: why.trigger().cloned(),
            folded: why.folded().to_vec(),
            correlation: why.correlation(),
            traceparent: why.traceparent(),
            guard,
        };
        match command {
            Command::Create(object) => {
                let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                let kind = self.kinds.named(text("/apiVersion"), text("/kind"));
                let kind = kind.ok_or_else(|| Status::internal(format!("no such kind: {}", text("/kind"))))?;
                request.group.clone_from(&kind.group);
                request.version.clone_from(&kind.version);
                request.plural.clone_from(&kind.plural);
                text("/metadata/namespace").clone_into(&mut request.namespace);
                request.body = json::bytes(object).into();
            }
            Command::CreateAt { key, subresource, body } => {
                self.address(&mut request, key, subresource)?;
                request.body = json::bytes(body).into();
            }
            Command::Update { key, subresource, object } => {
                request.verb = Verb::Update;
                self.address(&mut request, key, subresource)?;
                request.body = json::bytes(object).into();
            }
            Command::Patch { key, subresource, patch } => {
                request.verb = Verb::Patch;
                request.patch_type = Some(PatchType::Merge);
                self.address(&mut request, key, subresource)?;
                request.body = json::bytes(patch).into();
            }
            Command::Delete { key, uid, revision, grace, propagation } => {
                request.verb = Verb::Delete;
                self.address(&mut request, key, "")?;
                request.body = delete_options(uid.as_deref(), *revision, *grace, *propagation).to_string().into();
            }
            // Taken by `run` before requests are made.
            Command::Record(_) => return Err(Status::internal("a note is no request")),
        }
        Ok(request)
    }

    fn address(&self, request: &mut ApiRequest, key: &Key, subresource: &str) -> Result<(), Status> {
        let kind = self.kind_of(&key.resource)?;
        request.group.clone_from(&kind.group);
        request.version.clone_from(&kind.version);
        request.plural.clone_from(&kind.plural);
        key.namespace().clone_into(&mut request.namespace);
        key.name().clone_into(&mut request.name);
        subresource.clone_into(&mut request.subresource);
        Ok(())
    }

    fn kind_of(&self, resource: &Resource) -> Result<&cox_objects::Kind, Status> {
        let kind = self.kinds.stored(resource);
        kind.map(AsRef::as_ref).ok_or_else(|| Status::internal(format!("no such resource: {resource}")))
    }
}

fn delete_options(
    uid: Option<&str>,
    revision: Option<Revision>,
    grace: Option<i64>,
    propagation: Option<Propagation>,
) -> Value {
    let mut options = json!({"kind": "DeleteOptions", "apiVersion": "v1"});
    if let Some(fields) = options.as_object_mut() {
        let mut preconditions = serde_json::Map::new();
        if let Some(uid) = uid {
            preconditions.insert("uid".into(), uid.into());
        }
        if let Some(revision) = revision {
            preconditions.insert("resourceVersion".into(), revision.to_string().into());
        }
        if !preconditions.is_empty() {
            fields.insert("preconditions".into(), preconditions.into());
        }
        if let Some(grace) = grace {
            fields.insert("gracePeriodSeconds".into(), grace.into());
        }
        if let Some(propagation) = propagation {
            fields.insert("propagationPolicy".into(), propagation.as_str().into());
        }
    }
    options
}

/// Cuts commands into groups that may travel together, in order.
fn groups(commands: &[Command]) -> impl Iterator<Item = &[Command]> {
    let together = |a: &Command, b: &Command| {
        matches!((a, b), (Command::Create(_), Command::Create(_)) | (Command::Delete { .. }, Command::Delete { .. }))
    };
    commands.chunk_by(together).flat_map(|chunk| chunk.chunks(BATCH))
}

/// The error that a reply carries.
pub fn status_of(reply: &ApiReply) -> Status {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    Status {
        code: reply.code,
        reason: text("reason").to_owned(),
        message: text("message").to_owned(),
        details: body.get("details").cloned(),
        retry_after: reply.retry_after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(name: &str) -> Command {
        Command::Create(json!({"metadata": {"name": name}}))
    }

    #[test]
    fn like_commands_travel_together_and_order_is_kept() {
        let delete = Command::delete(Key::new(Resource::PODS, "a", "b"), "u");
        let commands = [create("1"), create("2"), delete.clone(), delete, create("3")];
        let sizes: Vec<usize> = groups(&commands).map(<[Command]>::len).collect();
        assert_eq!(sizes, [2, 2, 1]);
        let many: Vec<Command> = (0..130).map(|i| create(&i.to_string())).collect();
        assert_eq!(groups(&many).map(<[Command]>::len).collect::<Vec<_>>(), [64, 64, 2]);
    }

    #[test]
    fn delete_options_say_only_what_was_asked() {
        assert_eq!(delete_options(None, None, None, None), json!({"kind": "DeleteOptions", "apiVersion": "v1"}));
        assert_eq!(
            delete_options(Some("u"), Some(7), Some(0), Some(Propagation::Orphan)),
            json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0, "propagationPolicy": "Orphan",
                   "preconditions": {"uid": "u", "resourceVersion": "7"}}),
        );
    }
}
