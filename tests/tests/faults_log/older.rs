//! The disk is put back to an older copy: refused, unless the loss is accepted; then clients, watches and programs end right in a new epoch.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use cox_tests::Cluster;
use cox_tests::faults::follow::Follower;
use cox_tests::faults::{Door, Outcome};
use cox_tests::wait::{Look, until_async};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use serde_json::Value;

use crate::PATIENCE;

type Held = Arc<Mutex<BTreeMap<String, String>>>;

/// A client as controllers are: lists, watches, and lists again when it is told that its place is gone.
async fn reflect(client: kube::Client, held: Held) {
    let mut events =
        watcher(Api::<ConfigMap>::default_namespaced(client), watcher::Config::default()).default_backoff().boxed();
    let mut fresh = BTreeMap::new();
    while let Some(event) = events.next().await {
        let of = |map: &ConfigMap| {
            (map.name_any(), map.data.clone().and_then(|mut d| d.remove("value")).unwrap_or_default())
        };
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(watcher::Event::Init) => fresh.clear(),
            Ok(watcher::Event::InitApply(map)) => fresh.extend([of(&map)]),
            Ok(watcher::Event::InitDone) => *held = std::mem::take(&mut fresh),
            Ok(watcher::Event::Apply(map)) => held.extend([of(&map)]),
            Ok(watcher::Event::Delete(map)) => drop(held.remove(&map.name_any())),
            // It tries again.
            Err(_) => {}
        }
    }
}

async fn put(door: &Door, name: &str, value: &str) -> Result<u64> {
    let mut answer = door.put(name, value).await;
    if answer.code == 404 {
        answer = door.create(name, value).await;
    }
    match answer.outcome {
        Outcome::Done { revision: Some(revision), .. } => Ok(revision),
        _ => anyhow::bail!("{answer:?}"),
    }
}

/// With which code a watch from a revision begins or ends at once; 200 if it goes on.
async fn watch(door: &Door, from: u64) -> Result<u64> {
    let path = format!("/api/v1/namespaces/default/configmaps?watch=true&timeoutSeconds=1&resourceVersion={from}");
    let answer = door.ask("GET", &path, "", Value::Null).await;
    // A watch answers with lines; a single line that is an error is read as an object.
    let refused = answer.body.pointer("/object/code").and_then(Value::as_u64);
    Ok(refused.unwrap_or(u64::from(answer.code)))
}

fn replace(data: &Path, log: &Path) -> Result<()> {
    fs::remove_dir_all(data.join("log"))?;
    let copied = Command::new("cp").arg("-a").arg(log).arg(data.join("log")).status()?;
    ensure!(copied.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_went_back_is_refused_until_the_loss_is_accepted() -> Result<()> {
    let mut cluster = Cluster::without_node(&[])?;
    let door = Door::open(&cluster).await?;
    let kept = put(&door, "kept", "old").await?;
    cluster.stop()?;
    let older = cluster.scratch().join("older");
    ensure!(Command::new("cp").arg("-a").arg(cluster.data().join("log")).arg(&older).status()?.success());
    cluster.up()?;
    let held = Held::default();
    let reflecting = tokio::spawn(reflect(door.client(), held.clone()));
    let program = Follower::consumer(&cluster, "shop").await?;
    let changed = put(&door, "kept", "new").await?;
    let lost = put(&door, "lost", "new").await?;
    let seen = |wanted: BTreeMap<String, String>| {
        let held = held.clone();
        async move {
            until_async("the client has what is there", PATIENCE, || async {
                let mut held = held.lock().unwrap_or_else(PoisonError::into_inner).clone();
                held.remove("kube-root-ca.crt");
                Ok(Look::at(held == wanted, || format!("{held:?}")))
            })
            .await
        }
    };
    let maps =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    seen(maps(&[("kept", "new"), ("lost", "new")])).await?;
    cluster.kill()?;

    replace(&cluster.data(), &older)?;
    for _ in 0..2 {
        cluster.launch(&[])?;
        ensure!(cluster.ended()? == 1, "it starts with a log that has lost events");
        let said = cluster.last_messages();
        let line = said.lines().last().context("it says nothing")?;
        ensure!(line.starts_with("cox: ") && line.contains("--accept-loss"), "{said}");
    }
    cluster.launch(&["--accept-loss"])?;
    cluster.ready()?;
    let answer = door.get("configmaps", "kept").await;
    ensure!(matches!(&answer.outcome, Outcome::Done { value: Some(value), .. } if value == "old"), "{answer:?}");
    ensure!(matches!(door.get("configmaps", "lost").await.outcome, Outcome::Done { value: None, .. }));
    for old in [kept, lost] {
        ensure!(watch(&door, old).await? == 410, "a watch goes on from {old}, which is of another epoch");
    }
    seen(maps(&[("kept", "old")])).await?;
    let new = put(&door, "new", "1").await?;
    ensure!(new > lost + 1_000_000, "{new} may have been used after {lost}");
    seen(maps(&[("kept", "old"), ("new", "1")])).await?;

    // The program goes on with its consumer: it saw what was lost, and then what came instead.
    let record = program.finish(0, new).await?;
    let seen_by_program: Vec<u64> =
        record.seen.iter().map(|seen| seen.revision).filter(|seen| *seen >= changed).collect();
    ensure!(seen_by_program == [changed, lost, new], "{seen_by_program:?} is not {changed}, {lost}, {new}");

    // From then on it is a log as any other.
    cluster.stop()?;
    cluster.up()?;
    put(&door, "new", "2").await?;
    seen(maps(&[("kept", "old"), ("new", "2")])).await?;
    reflecting.abort();
    cluster.stop()?;
    let verified = cluster.cox(&["verify"])?;
    ensure!(verified.contains("sound at revision"), "{verified}");
    Ok(())
}
