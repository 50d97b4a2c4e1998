//! nats-server is killed with SIGKILL under load, several times, or lost the end of its stream: no write fails, and everyone who follows ends equal
//! to the log.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use cox_tests::faults::follow::Follower;
use cox_tests::wait::{Look, until_async};
use cox_tests::{Cluster, log};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Client, ResourceExt};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

const KILLS: u64 = 5;
const WRITERS: usize = 4;
/// How many writes are acknowledged between two kills.
const BETWEEN: u64 = 120;
const PATIENCE: Duration = Duration::from_secs(45);

/// What a writer was told: its objects, and the revision of each of its writes with what it did.
#[derive(Default)]
struct Told {
    objects: BTreeMap<String, String>,
    revisions: BTreeMap<u64, (String, &'static str)>,
}

async fn write(client: Client, writer: usize, count: Arc<AtomicU64>, enough: Arc<AtomicBool>) -> Result<Told> {
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let mut told = Told::default();
    let mut number = 0_u64;
    while !enough.load(Ordering::SeqCst) {
        let name = format!("w{writer}-{number}");
        let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": name}, "data": {"value": "0"}}))?;
        let made = maps.create(&PostParams::default(), &map).await.with_context(|| format!("create {name}"))?;
        told.revisions.insert(revision(&made)?, (name.clone(), "ADDED"));
        let patch = Patch::Merge(json!({"data": {"value": "1"}}));
        let changed =
            maps.patch(&name, &PatchParams::default(), &patch).await.with_context(|| format!("patch {name}"))?;
        told.revisions.insert(revision(&changed)?, (name.clone(), "MODIFIED"));
        count.fetch_add(2, Ordering::SeqCst);
        if number.is_multiple_of(3) {
            maps.delete(&name, &DeleteParams::default()).await.with_context(|| format!("delete {name}"))?;
            count.fetch_add(1, Ordering::SeqCst);
        } else {
            told.objects.insert(name, "1".to_owned());
        }
        number += 1;
    }
    Ok(told)
}

fn revision(map: &ConfigMap) -> Result<u64> {
    Ok(map.resource_version().context("no resourceVersion")?.parse()?)
}

/// One watch, open from before the first write until the marker is deleted: everything that it delivers.
async fn watch(client: Client, from: String) -> Result<Vec<(u64, String, &'static str)>> {
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let parameters = WatchParams::default().timeout(290);
    let mut events = Box::pin(maps.watch(&parameters, &from).await?);
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        let (map, change) = match event? {
            WatchEvent::Added(map) => (map, "ADDED"),
            WatchEvent::Modified(map) => (map, "MODIFIED"),
            WatchEvent::Deleted(map) => (map, "DELETED"),
            WatchEvent::Bookmark(_) => continue,
            WatchEvent::Error(status) => bail!("the watch broke: {status:?}"),
        };
        let name = map.name_any();
        seen.push((revision(&map)?, name.clone(), change));
        if name == "marker" && change == "DELETED" {
            return Ok(seen);
        }
    }
    bail!("the watch ended after {} events", seen.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_bus_loses_nothing() -> Result<()> {
    let cluster = Cluster::without_node(&[])?;
    let client = cluster.client().await?;
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let start =
        maps.list(&ListParams::default()).await?.metadata.resource_version.context("a list without a revision")?;
    let watching = tokio::spawn(watch(client.clone(), start.clone()));

    let count = Arc::new(AtomicU64::new(0));
    let enough = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..WRITERS).map(|n| tokio::spawn(write(client.clone(), n, count.clone(), enough.clone()))).collect();
    for _ in 0..KILLS {
        let goal = count.load(Ordering::SeqCst) + BETWEEN;
        until_async("writes go on", PATIENCE, || async {
            let done = count.load(Ordering::SeqCst);
            let ended = writers.iter().any(|w| w.is_finished());
            Ok(if ended { Look::Done(()) } else { Look::at(done >= goal, || format!("{done} of {goal}")) })
        })
        .await?;
        let pid = cluster.nats_pid()?;
        kill(Pid::from_raw(pid), Signal::SIGKILL)?;
        until_async("nats-server is started again", PATIENCE, || async {
            let now = cluster.nats_pid().unwrap_or(pid);
            Ok(Look::at(now != pid, || format!("its process is {now}")))
        })
        .await?;
    }
    let goal = count.load(Ordering::SeqCst) + BETWEEN;
    until_async("writes go on after the last kill", PATIENCE, || async {
        let done = count.load(Ordering::SeqCst);
        let ended = writers.iter().any(|w| w.is_finished());
        Ok(if ended { Look::Done(()) } else { Look::at(done >= goal, || format!("{done} of {goal}")) })
    })
    .await?;
    enough.store(true, Ordering::SeqCst);
    let mut told = Told::default();
    for writer in writers {
        let one = writer.await??;
        told.objects.extend(one.objects);
        told.revisions.extend(one.revisions);
    }

    // The gateway's mirror holds what was acknowledged, and nothing else.
    let found: BTreeMap<String, String> = maps
        .list(&ListParams::default())
        .await?
        .items
        .into_iter()
        .filter(|map| map.name_any().starts_with('w'))
        .map(|map| (map.name_any(), map.data.and_then(|mut d| d.remove("value")).unwrap_or_default()))
        .collect();
    assert_eq!(found, told.objects);

    let marker: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "marker"}}))?;
    maps.create(&PostParams::default(), &marker).await?;
    maps.delete("marker", &DeleteParams::default()).await?;
    let seen = tokio::time::timeout(PATIENCE, watching).await.context("the watch does not get to its end")???;
    let written: Vec<(u64, String, &str)> = log::read(&cluster, start.parse::<u64>()? + 1)
        .await?
        .into_iter()
        .filter(|event| event.key.resource.plural() == "configmaps" && event.key.namespace() == "default")
        .map(|event| (event.revision(), event.key.name().to_owned(), change(event.change)))
        .collect();
    let first_difference = seen.iter().zip(&written).find(|(a, b)| a != b);
    ensure!(
        seen == written,
        "the watch saw {} changes, the log has {}: {first_difference:?}",
        seen.len(),
        written.len()
    );
    for (revision, (name, change)) in &told.revisions {
        let there = written.iter().any(|(r, n, c)| r == revision && n == name && c == change);
        ensure!(there, "{change} {name} at {revision} was acknowledged and is not in the log");
    }
    println!("{} changes seen by a watch over {KILLS} losses of the bus", seen.len());
    Ok(())
}

fn change(change: cox_objects::Change) -> &'static str {
    match change {
        cox_objects::Change::Added => "ADDED",
        cox_objects::Change::Modified => "MODIFIED",
        cox_objects::Change::Deleted => "DELETED",
    }
}

/// The newest file of messages of the cluster's event stream.
fn newest_block(folder: &Path) -> Result<Option<PathBuf>> {
    let mut newest = None;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let found = if path.is_dir() { newest_block(&path)? } else { Some(path) };
        let block = found.filter(|path| path.extension().is_some_and(|end| end == "blk"));
        newest = newest.max(block.filter(|path| path.to_string_lossy().contains("/msgs/")));
    }
    Ok(newest)
}

/// A bus that lost the end of its stream takes the consumers in it back too; nothing comes a second time that was acknowledged, and nothing
/// from before a consumer began.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_lost_its_end_gives_no_consumer_what_is_behind_it() -> Result<()> {
    let mut cluster = Cluster::without_node(&[])?;
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client().await?);
    let make = async |name: String| {
        let map: ConfigMap =
            serde_json::from_value(json!({"metadata": {"name": name}, "data": {"x": "x".repeat(900)}}))?;
        revision(&maps.create(&PostParams::default(), &map).await?)
    };
    for number in 0..200 {
        make(format!("before-{number}")).await?;
    }
    let follower = Follower::consumer(&cluster, "shop").await?;
    let seen = make("seen".to_owned()).await?;
    until_async("the program has acknowledged the first event", PATIENCE, || async {
        let position = cluster.cox(&["integrator", "list", "--json"])?;
        let position: Value = serde_json::from_str(&position)?;
        let position = position.pointer("/shop/position").and_then(Value::as_u64).unwrap_or(0);
        Ok(Look::at(position >= seen, || format!("it is at {position} of {seen}")))
    })
    .await?;

    cluster.stop()?;
    let block = newest_block(&cluster.data())?.context("the stream has no file")?;
    let length = fs::metadata(&block)?.len();
    OpenOptions::new().write(true).open(&block)?.set_len(length.saturating_sub(100_000))?;
    fs::remove_file(block.with_file_name("index.db"))?;
    cluster.up()?;

    let last = make("last".to_owned()).await?;
    let record = follower.finish(0, last).await?;
    let revisions: Vec<u64> = record.seen.iter().map(|seen| seen.revision).collect();
    ensure!(revisions == [seen, last], "it saw {revisions:?} of {seen} and {last}");
    cluster.stop()
}
