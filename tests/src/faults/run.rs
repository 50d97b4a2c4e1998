//! One run: followers stand, writers write, something breaks, and everything is compared in the end.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::check::{self, Evidence, Summary};
use super::client::Door;
use super::follow::Follower;
use super::history::{self, Outcome, Seen};
use super::load::Load;
use crate::{Cluster, log};

/// A run under way.
pub struct Run {
    /// The writers.
    pub load: Load,
    door: Door,
    followers: Vec<Follower>,
    /// The revision from which everyone stood.
    from: u64,
    seed: u64,
}

impl Run {
    /// Has one follower of each kind stand, then starts so many writers. A cluster may have several runs, one after the other.
    ///
    /// # Errors
    /// If the cluster does not serve.
    pub async fn start(cluster: &Cluster, writers: usize, seed: u64) -> Result<Run> {
        let door = Door::open(cluster).await?;
        let followers = vec![
            Follower::consumer(cluster, &format!("faults-{seed:x}")).await?,
            Follower::subscription(cluster).await?,
            Follower::watch(&door).await?,
        ];
        let from = mark(&door, &format!("begin-{seed:x}")).await?;
        let load = Load::start(cluster, writers, seed).await?;
        Ok(Run { load, door, followers, from, seed })
    }

    /// Stops the writers and checks everything. The cluster must serve.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub async fn finish(self, cluster: &Cluster) -> Result<Summary> {
        let Run { load, door, followers, from, seed } = self;
        let operations = load.stop().await?;
        let last = mark(&door, &format!("end-{seed:x}")).await?;
        let mut records = Vec::new();
        for follower in followers {
            records.push(follower.finish(from, last).await?);
        }
        let mut listed = BTreeMap::new();
        for resource in ["configmaps", "services"] {
            list(&door, resource, from, &mut listed).await?;
        }
        let log = log::read(cluster, from + 1).await?;
        let log: Vec<Seen> = log.iter().map(Seen::from).filter(|seen| seen.revision <= last).collect();
        ensure!(log.last().is_some_and(|seen| seen.revision == last), "the log ends before revision {last}");
        check::check(&Evidence { log, operations, records, listed })
    }
}

/// Makes an object that all followers see, and which is not of the load; its revision.
async fn mark(door: &Door, name: &str) -> Result<u64> {
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    let path = format!("/api/v1/namespaces/{}/configmaps", history::NAMESPACE);
    let answer = door.ask("POST", &path, "application/json", body).await;
    match answer.outcome {
        Outcome::Done { revision: Some(revision), .. } => Ok(revision),
        _ => bail!("{name} cannot be made: {} {}", answer.code, answer.body),
    }
}

/// Adds the objects of the load that were written after a revision.
async fn list(door: &Door, resource: &str, from: u64, listed: &mut BTreeMap<String, (String, u64)>) -> Result<()> {
    let path = format!("/api/v1/namespaces/{}/{resource}", history::NAMESPACE);
    let answer = door.ask("GET", &path, "", Value::Null).await;
    ensure!(answer.code == 200, "{} {}", answer.code, answer.body);
    for object in answer.body.get("items").and_then(Value::as_array).into_iter().flatten() {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let name = text("/metadata/name").context("an object without a name")?;
        let revision: u64 = text("/metadata/resourceVersion").context("an object without a version")?.parse()?;
        if let Some(value) = history::value(object).filter(|_| revision > from) {
            listed.insert(history::key(resource, name), (value, revision));
        }
    }
    Ok(())
}
