//! Pods: from the answer of a create to Running, one by one and many at once; from a delete to gone; from a killed container to one that
//! runs again; and what the node's part holds in memory.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Method, StatusCode};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::Place;
use super::report::{Measured, NodeMemory, Samples};
use super::target::Connection;
use crate::cli::Bench;

mod memory;

/// How many pods are started at once, if nothing else is asked for, and at most.
const MANY: u32 = 20;
const MOST: u16 = 100;
/// How many pods are started and deleted one by one at most.
const ONE_BY_ONE: u64 = 50;
/// How many containers are killed at most.
const KILLED: u64 = 15;
/// How often many are started at once.
const ROUNDS: u64 = 3;
/// How long a pod may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between one pod and the next: what the last one left to do is done.
const REST: Duration = Duration::from_millis(200);
/// Why nothing is killed, and no memory is told.
const ELSEWHERE: &str = "no node of the cluster runs on this machine with the data directory that --data-dir or the kubeconfig's place names";
/// A container that ends when it is told to.
const COMMAND: &str = r#"trap "exit 0" TERM; while :; do sleep 1000 & wait; done"#;

/// Measures them all; without a data directory of the cluster on this machine, only what can be seen from outside: what is not, is a failure.
///
/// # Errors
/// If a pod does not get where it should.
pub(super) async fn measure(place: &Place<'_>, options: &Bench) -> Result<(Vec<Measured>, Option<NodeMemory>)> {
    let mut pods = Pods::open(place, &options.image).await?;
    let many = u16::try_from(options.pods.unwrap_or(MANY)).unwrap_or(MOST).min(MOST);
    let run = place.data_dir.as_ref().map(|dir| dir.join("node").join("run"));
    let look = || run.as_deref().map_or(Ok(None), memory::look);
    let count = options.count.min(ONE_BY_ONE);
    let mut results = Vec::new();

    // The first pod finds nothing warm: it is not what a node in use does.
    pods.start("first").await?;
    pods.delete("first").await?;
    let idle = look()?;

    let (mut started, mut gone, began) = (Samples::default(), Samples::default(), Instant::now());
    for number in 0..count {
        let name = format!("one-{number}");
        started.took(pods.start(&name).await?);
        tokio::time::sleep(REST).await;
        gone.took(pods.delete(&name).await?);
        tokio::time::sleep(REST).await;
    }
    results.push(started.measured("pod-start", 1, began.elapsed()));
    results.push(gone.measured("pod-gone", 1, began.elapsed()));

    let (mut again, began) = (Samples::default(), Instant::now());
    match run.as_deref().filter(|_| idle.is_some()) {
        Some(run) => {
            for number in 0..count.min(KILLED) {
                let name = format!("kill-{number}");
                pods.start(&name).await?;
                tokio::time::sleep(REST).await;
                again.took(pods.kill(&name, run).await?);
                pods.delete(&name).await?;
            }
        }
        None => again.failed(ELSEWHERE.to_owned()),
    }
    results.push(again.measured("pod-again", 1, began.elapsed()));

    let (mut burst, began, mut full) = (Samples::default(), Instant::now(), None);
    for round in 0..count.min(ROUNDS) {
        let names: Vec<String> = (0..many).map(|number| format!("many-{round}-{number}")).collect();
        burst.took(pods.start_all(&names).await?);
        tokio::time::sleep(REST * 5).await;
        full = look()?;
        pods.delete_all(&names).await?;
        tokio::time::sleep(REST * 5).await;
    }
    results.push(burst.measured("pod-burst", many, began.elapsed()));
    let memory = idle.zip(full).map(|(idle, full)| memory::told(&idle, &full, many));
    Ok((results, memory))
}

/// The pods of the namespace: one connection asks, another watches.
struct Pods {
    collection: String,
    image: String,
    own: Connection,
    watch: Watch,
}

impl Pods {
    async fn open(place: &Place<'_>, image: &str) -> Result<Self> {
        let namespace = format!("/api/v1/namespaces/{}", place.namespace);
        let mut own = place.target.connect().await?;
        // Without its ServiceAccount no pod is taken; it is made a moment after the namespace.
        let account = format!("{namespace}/serviceaccounts/default");
        let deadline = Instant::now() + PATIENCE;
        while own.request(Method::GET, &account, None).await?.0 != StatusCode::OK {
            anyhow::ensure!(Instant::now() < deadline, "the namespace has no default ServiceAccount");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let collection = format!("{namespace}/pods");
        let list = own.get(&format!("{collection}?limit=1")).await?;
        let from = list.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        let from = from.context("a list without a resourceVersion")?;
        let mut connection = place.target.connect().await?;
        let path = format!("{collection}?watch=1&resourceVersion={from}&timeoutSeconds=7200");
        let answer = connection.begin(Method::GET, &path, None).await?;
        anyhow::ensure!(answer.status().is_success(), "a watch was refused: {}", answer.status());
        let watch = Watch { _connection: connection, body: answer.into_body(), rest: BytesMut::new() };
        Ok(Self { collection, image: image.to_owned(), own, watch })
    }

    async fn create(&mut self, name: &str) -> Result<()> {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "bench"}},
            "spec": {"containers": [{"name": "c", "image": self.image, "command": ["sh", "-c", COMMAND]}]},
        });
        self.own.send(Method::POST, &self.collection, &pod).await.context("making a pod").map(drop)
    }

    /// Creates a pod; from the answer to Running.
    async fn start(&mut self, name: &str) -> Result<Duration> {
        self.create(name).await?;
        let answered = Instant::now();
        self.watch.until(&format!("pod {name} runs"), |event| is(event, name) && runs(event)).await?;
        Ok(answered.elapsed())
    }

    /// Creates them all; from the first request to all Running.
    async fn start_all(&mut self, names: &[String]) -> Result<Duration> {
        let began = Instant::now();
        for name in names {
            self.create(name).await?;
        }
        let mut left: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        self.watch
            .until("all pods run", |event| {
                if runs(event) {
                    left.remove(name_of(event));
                }
                left.is_empty()
            })
            .await?;
        Ok(began.elapsed())
    }

    async fn ask_to_end(&mut self, name: &str) -> Result<()> {
        let path = format!("{}/{name}", self.collection);
        self.own.send(Method::DELETE, &path, &Value::Null).await.context("deleting a pod").map(drop)
    }

    /// Deletes a pod; from the answer to gone.
    async fn delete(&mut self, name: &str) -> Result<Duration> {
        self.ask_to_end(name).await?;
        let answered = Instant::now();
        self.watch.until(&format!("pod {name} is gone"), |event| is(event, name) && gone(event)).await?;
        Ok(answered.elapsed())
    }

    async fn delete_all(&mut self, names: &[String]) -> Result<()> {
        for name in names {
            self.ask_to_end(name).await?;
        }
        let mut left: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let all_gone = |event: &Value| {
            if gone(event) {
                left.remove(name_of(event));
            }
            left.is_empty()
        };
        self.watch.until("all pods are gone", all_gone).await.map(drop)
    }

    /// Kills a pod's container; from the signal to one that runs again.
    async fn kill(&mut self, name: &str, run: &Path) -> Result<Duration> {
        let pod = self.own.get(&format!("{}/{name}", self.collection)).await?;
        let id = pod.pointer("/status/containerStatuses/0/containerID").and_then(Value::as_str);
        let id = id.and_then(|id| id.split("://").nth(1)).context("a running pod has no containerID")?;
        let file = run.join("containers").join(id).join("running.json");
        let text = std::fs::read(&file).with_context(|| file.display().to_string())?;
        let running: Value = serde_json::from_slice(&text)?;
        let pid = running.get("pid").and_then(Value::as_i64).context("no pid")?;
        let killed = Instant::now();
        kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGKILL).context("killing a container")?;
        let again = |event: &Value| {
            let status = event.pointer("/object/status/containerStatuses/0");
            is(event, name)
                && status.is_some_and(|s| {
                    s.get("restartCount").and_then(Value::as_u64) == Some(1) && s.pointer("/state/running").is_some()
                })
        };
        self.watch.until(&format!("the container of pod {name} runs again"), again).await?;
        Ok(killed.elapsed())
    }
}

fn name_of(event: &Value) -> &str {
    event.pointer("/object/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

fn is(event: &Value, name: &str) -> bool {
    name_of(event) == name
}

fn runs(event: &Value) -> bool {
    event.pointer("/object/status/phase").and_then(Value::as_str) == Some("Running")
}

fn gone(event: &Value) -> bool {
    event.get("type").and_then(Value::as_str) == Some("DELETED")
}

/// A watch of the namespace's pods.
struct Watch {
    _connection: Connection,
    body: Incoming,
    rest: BytesMut,
}

impl Watch {
    /// Reads events until one fits.
    async fn until(&mut self, what: &str, mut fits: impl FnMut(&Value) -> bool) -> Result<Value> {
        let reading = async {
            loop {
                let event: Value = serde_json::from_slice(&self.line().await?)?;
                if event.get("type").and_then(Value::as_str) == Some("ERROR") {
                    bail!("a watch ended: {event}");
                }
                if fits(&event) {
                    return Ok(event);
                }
            }
        };
        let late = || format!("waited {} seconds until {what}; see `kubectl describe pod`", PATIENCE.as_secs());
        tokio::time::timeout(PATIENCE, reading).await.with_context(late)?
    }

    async fn line(&mut self) -> Result<Bytes> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                return Ok(self.rest.split_to(end + 1).freeze());
            }
            let frame = self.body.frame().await.context("a watch ended early")?;
            if let Ok(chunk) = frame?.into_data() {
                self.rest.extend_from_slice(&chunk);
            }
        }
    }
}
