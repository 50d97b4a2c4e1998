//! A nats-server of its own for each test, a log in memory, and waiting with a deadline.

use std::sync::Arc;
use std::time::Duration;

use cox_bus::server::{NatsServer, ServerConfig};
use cox_bus::source::{EventSource, Objects, SourceError};
use cox_bus::{ApiRequest, Bus, Identity, Verb, WriteOptions, now_ms};
use cox_objects::{Cause, Change, Draft, Epoch, Event, Key, Object, Position, RequestId, Resource, Revision};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

/// No single step of a test takes longer.
pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) struct Cluster {
    pub(crate) server: NatsServer,
    // Removed last.
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) fn config(dir: &std::path::Path) -> ServerConfig {
    ServerConfig {
        data_dir: dir.to_owned(),
        cluster: "test".into(),
        binary: None,
        nodes: vec!["n1".into(), "n2".into()],
        hollow_nodes: 0,
    }
}

impl Cluster {
    pub(crate) async fn start() -> Cluster {
        let dir = tempfile::tempdir().unwrap();
        let server = NatsServer::start(config(dir.path())).await.unwrap();
        Cluster { server, dir }
    }

    pub(crate) async fn bus(&self, identity: Identity) -> Bus {
        Bus::connect(self.server.connect(&identity).unwrap()).await.unwrap()
    }

    /// Kills the server, and gives its process id.
    pub(crate) fn kill(&self) -> Option<i32> {
        let pid = self.server.pid()?;
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        Some(pid)
    }
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {LONG:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The result of a step that must not hang.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, what).await.expect("a step of the test hangs")
}

pub(crate) fn request(id: u128, timeout: Duration) -> ApiRequest {
    ApiRequest {
        id: RequestId(id),
        deadline: now_ms() + timeout.as_millis() as u64,
        user: None,
        verb: Verb::Create,
        group: String::new(),
        version: "v1".into(),
        plural: "pods".into(),
        subresource: String::new(),
        namespace: "default".into(),
        name: format!("pod-{id}"),
        options: WriteOptions::default(),
        patch_type: None,
        body: vec![b'x'; 1000].into(),
        observed: None,
        trigger: None,
        folded: vec![],
        correlation: None,
        traceparent: None,
        guard: None,
    }
}

/// A log in memory.
pub(crate) struct Memory {
    epoch: Epoch,
    first: Revision,
    events: Mutex<Vec<Event>>,
    head: watch::Sender<Revision>,
}

impl Memory {
    /// A log whose first revision is `first`.
    pub(crate) fn new(epoch: u64, first: Revision) -> Arc<Memory> {
        let head = watch::channel(first - 1).0;
        Arc::new(Memory { epoch: Epoch(epoch), first, events: Mutex::default(), head })
    }

    pub(crate) fn position(&self) -> Position {
        Position { epoch: self.epoch, revision: *self.head.borrow() }
    }

    pub(crate) fn commit(&self, key: Key, body: &str) -> Revision {
        let mut events = self.events.lock();
        let revision = self.first + events.len() as u64;
        let value =
            serde_json::json!({"kind": "X", "apiVersion": "v1", "metadata": {"name": key.name()}, "data": body});
        events.push(Event {
            position: Position { epoch: self.epoch, revision },
            transaction: (revision, revision),
            time: 1_700_000_000_000 + revision,
            change: Change::Modified,
            object: Draft::encode(&value).unwrap().seal(revision),
            cause: Cause { user: "tester".into(), request: RequestId(revision.into()), ..Cause::default() },
            key,
        });
        drop(events);
        self.head.send_replace(revision);
        revision
    }

    /// Commits `n` events of some pods and secrets.
    pub(crate) fn fill(&self, n: u64) {
        for i in 0..n {
            let resource = if i % 7 == 0 { Resource::SECRETS } else { Resource::PODS };
            self.commit(Key::new(resource, "default", &format!("o-{}", i % 50)), &format!("value {i}"));
        }
    }

    /// All events, printed.
    pub(crate) fn printed(&self) -> Vec<String> {
        self.events.lock().iter().map(print).collect()
    }
}

pub(crate) fn print(event: &Event) -> String {
    format!("{event:?}")
}

impl EventSource for Memory {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn head(&self) -> watch::Receiver<Revision> {
        self.head.subscribe()
    }

    fn oldest(&self) -> Revision {
        self.first
    }

    fn read(&self, from: Revision, max_bytes: usize) -> Result<Vec<Event>, SourceError> {
        let events = self.events.lock();
        let (mut bytes, mut chunk) = (0, Vec::new());
        for event in events.iter().skip((from - self.first) as usize) {
            if bytes > max_bytes {
                break;
            }
            bytes += event.object.bytes().len();
            chunk.push(event.clone());
        }
        Ok(chunk)
    }

    fn snapshot(&self) -> Result<(Position, Objects), SourceError> {
        let events = self.events.lock();
        let objects: std::collections::BTreeMap<Key, Object> =
            events.iter().map(|e| (e.key.clone(), e.object.clone())).collect();
        let revision = self.first + events.len() as u64 - 1;
        Ok((Position { epoch: self.epoch, revision }, Box::new(objects.into_iter().map(Ok))))
    }

    fn past_from(&self, _: &Resource, wanted: Revision) -> Result<Revision, SourceError> {
        Ok(wanted.max(self.first - 1))
    }

    fn past(
        &self,
        revision: Revision,
        resource: &Resource,
        namespace: &str,
        after: Option<&str>,
    ) -> Result<Objects, SourceError> {
        let events = self.events.lock();
        let then = events.iter().filter(|e| e.revision() <= revision && e.key.resource == *resource);
        let objects: std::collections::BTreeMap<Key, Object> = then
            .filter(|e| namespace.is_empty() || e.key.namespace() == namespace)
            .filter(|e| after.is_none_or(|after| e.key.path() > after))
            .map(|e| (e.key.clone(), e.object.clone()))
            .collect();
        Ok(Box::new(objects.into_iter().map(Ok)))
    }

    fn history(&self, key: &Key) -> Result<Vec<Revision>, SourceError> {
        Ok(self.events.lock().iter().filter(|e| e.key == *key).map(Event::revision).collect())
    }
}
