//! A log, its publisher and a nats-server of its own for each test.

use std::sync::Arc;
use std::time::Duration;

use cox_bus::server::{NatsServer, ServerConfig};
use cox_bus::source::{EventSource, Objects, Skipped, SourceError};
use cox_bus::{Bus, Identity, Publisher, now_ms, serve_reads};
use cox_log::{Arbiter, Existence, Guard, Log, Options, Refusal, Staged, Transaction, Write};
use cox_objects::{Draft, Epoch, Event, Key, Object, Position, Resource, Revision};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// No single step of a test takes longer.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// The result of a step that must not hang.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, what).await.expect("a step of the test hangs")
}

pub(crate) fn key(resource: Resource, name: &str) -> Key {
    Key::new(resource, "default", name)
}

pub(crate) fn put(key: &Key, value: &str) -> Write {
    write(key, &json!({"kind": "X", "apiVersion": "v1", "metadata": {"name": key.name()}, "data": value}))
}

pub(crate) fn write(key: &Key, object: &serde_json::Value) -> Write {
    Write::Put { key: key.clone(), draft: Draft::encode(object).unwrap(), must: Existence::Any }
}

pub(crate) fn delete(key: &Key) -> Write {
    Write::Delete { key: key.clone(), last: None }
}

pub(crate) struct Cluster {
    pub(crate) log: Log,
    server: NatsServer,
    cancel: CancellationToken,
    // Stopped, then removed, in this order.
    _tasks: JoinSet<()>,
    _dir: tempfile::TempDir,
}

impl Cluster {
    pub(crate) async fn start() -> Cluster {
        Cluster::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Cluster {
        let dir = tempfile::tempdir().unwrap();
        let config = ServerConfig {
            data_dir: dir.path().to_owned(),
            cluster: "test".into(),
            binary: None,
            nodes: vec!["n1".into()],
            hollow_nodes: 0,
        };
        let server = NatsServer::start(config).await.unwrap();
        let log = Log::open(dir.path(), options, Box::new(Any)).unwrap();
        let (cancel, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let source = Arc::new(OfLog(log.clone()));
        let cluster_bus = async || Bus::connect(server.connect(&Identity::Apiserver).unwrap()).await.unwrap();
        let publisher = Publisher::new(cluster_bus().await, source.clone(), server.sealing_key());
        let token = cancel.clone();
        tasks.spawn(async move { publisher.run(token).await.unwrap() });
        let (bus, sealing, token) = (cluster_bus().await, server.sealing_key(), cancel.clone());
        tasks.spawn(async move { serve_reads(&bus, source, sealing, token).await.unwrap() });
        Cluster { log, server, cancel, _tasks: tasks, _dir: dir }
    }

    pub(crate) async fn bus(&self, identity: Identity) -> Bus {
        Bus::connect(self.server.connect(&identity).unwrap()).await.unwrap()
    }

    pub(crate) async fn commit(&self, changes: Vec<Write>) {
        self.commit_at(now_ms(), changes).await;
    }

    pub(crate) async fn commit_at(&self, time: u64, changes: Vec<Write>) {
        let transaction = Transaction { changes, time, outcome_code: 200, ..Transaction::default() };
        self.log.commit(transaction).await.unwrap();
    }

    /// Kills the nats-server; its supervisor starts another one.
    pub(crate) fn kill(&self) {
        if let Some(pid) = self.server.pid() {
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// Lets everything pass.
struct Any;
impl Arbiter for Any {
    fn check(&mut self, _: &Guard, _: &dyn Staged) -> Result<(), Refusal> {
        Ok(())
    }
    fn apply(&mut self, _: &Event, _: Option<&Object>) {}
    fn durable(&mut self, _: Revision) {}
    fn reset(&mut self, _: &mut dyn Iterator<Item = (Key, Object)>, _: Revision) {}
}

/// A log as the bus reads it.
struct OfLog(Log);
impl EventSource for OfLog {
    fn epoch(&self) -> Epoch {
        self.0.epoch()
    }

    fn head(&self) -> watch::Receiver<Revision> {
        self.0.watch_head()
    }

    fn oldest(&self) -> Revision {
        self.0.dense_from()
    }

    fn begin(&self) -> Revision {
        1
    }

    fn skipped(&self) -> Vec<Skipped> {
        let floors = self.0.floors();
        let own = floors.kept.own.iter().map(|(of, to)| Skipped { resource: Some(of.clone()), from: 1, to: *to });
        [Skipped { resource: None, from: 1, to: floors.kept.all }].into_iter().chain(own).collect()
    }

    fn read(&self, from: Revision, max_bytes: usize) -> Result<Vec<Event>, SourceError> {
        Ok(self.0.events(from, Revision::MAX, max_bytes)?)
    }

    fn snapshot(&self) -> Result<(Position, Objects), SourceError> {
        let snapshot = self.0.snapshot()?;
        let position = Position { epoch: self.0.epoch(), revision: snapshot.revision() };
        Ok((position, Box::new(snapshot.map(|entry| entry.map_err(SourceError::from)))))
    }

    fn past_from(&self, resource: &Resource, wanted: Revision) -> Result<Revision, SourceError> {
        Ok(self.0.past_from(resource, wanted)?)
    }

    fn past(
        &self,
        revision: Revision,
        resource: &Resource,
        namespace: &str,
        after: Option<&str>,
    ) -> Result<Objects, SourceError> {
        let past = self.0.past(resource, namespace, after, revision)?;
        Ok(Box::new(past.map(|item| item.map_err(SourceError::from))))
    }

    fn history(&self, key: &Key) -> Result<Vec<Revision>, SourceError> {
        Ok(self.0.history(key)?)
    }
}
