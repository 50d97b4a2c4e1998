//! A running cluster is backed up while clients write, verified, and restored: whole, and as it was at an earlier revision.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cox_tests::process::binary;
use cox_tests::wait::{Look, until_async};
use cox_tests::{Cluster, log};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, VersionMatch, WatchEvent, WatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(30);

/// What the clients of the test see: the value and the version of each map.
type Seen = BTreeMap<String, (String, u64)>;

async fn seen(client: &Client) -> Result<Seen> {
    listed(client, &ListParams::default()).await
}

fn exactly(version: u64) -> ListParams {
    ListParams::default().at(&version.to_string()).matching(VersionMatch::Exact)
}

async fn listed(client: &Client, parameters: &ListParams) -> Result<Seen> {
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let listed = maps.list(parameters).await?;
    let entries = listed.into_iter().map(|map| {
        let value = map.data.as_ref().and_then(|data| data.get("value")).cloned().unwrap_or_default();
        Ok((map.name_any(), (value, version(&map)?)))
    });
    entries.collect()
}

fn version(map: &ConfigMap) -> Result<u64> {
    Ok(map.resource_version().context("no resourceVersion")?.parse()?)
}

async fn put(client: &Client, name: &str, value: &str) -> Result<u64> {
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let map = json!({"metadata": {"name": name}, "data": {"value": value}});
    let put = match maps.patch(name, &PatchParams::default(), &Patch::Merge(&map)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {
            maps.create(&PostParams::default(), &serde_json::from_value(map)?).await?
        }
        patched => patched?,
    };
    version(&put)
}

/// With which code a watch from a version is refused; none if it is served.
async fn refusal(client: &Client, version: u64) -> Result<Option<u16>> {
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let watched = maps.watch(&WatchParams::default().timeout(1), &version.to_string()).await;
    let mut events = match watched {
        Err(kube::Error::Api(status)) => return Ok(Some(status.code)),
        watched => std::pin::pin!(watched?),
    };
    match events.try_next().await? {
        Some(WatchEvent::Error(status)) => Ok(Some(status.code)),
        _ => Ok(None),
    }
}

/// A client that writes until it is told to stop, and counts what was acknowledged.
async fn writer(client: Client, acknowledged: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> Result<()> {
    for n in 0u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        put(&client, &format!("busy-{}", n % 20), &n.to_string()).await?;
        acknowledged.store(n + 1, Ordering::Relaxed);
    }
    Ok(())
}

/// The files of a cluster's keys: its authority's and tokens', and the bus' with their credentials.
fn keys(data: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut keys = BTreeMap::new();
    for folder in ["pki", "bus/keys", "bus/creds"] {
        for entry in fs::read_dir(data.join(folder))? {
            let path = entry?.path();
            ensure!(fs::metadata(&path)?.permissions().mode() & 0o777 == 0o600, "{} is private", path.display());
            keys.insert(path.strip_prefix(data)?.to_owned(), fs::read(&path)?);
        }
    }
    Ok(keys)
}

fn verify(dir: &Path) -> Result<Output> {
    Ok(Command::new(binary()?).arg("verify").arg(dir).output()?)
}

/// Ends the cluster, puts its data directory aside, and starts one that is restored from the backup in its place.
fn restored(cluster: &mut Cluster, backup: &Path, aside: &str, more: &[&str]) -> Result<String> {
    cluster.stop()?;
    fs::rename(cluster.data(), cluster.scratch().join(aside))?;
    let said = cluster.cox(&[&["restore", &backup.to_string_lossy()], more].concat())?;
    cluster.up()?;
    Ok(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_restored_whole_and_to_a_revision() -> Result<()> {
    let mut cluster = Cluster::without_node(&[])?;
    let client = cluster.client().await?;
    let secrets: Api<Secret> = Api::default_namespaced(client.clone());
    let secret: Secret = serde_json::from_value(json!({"metadata": {"name": "s"}, "stringData": {"password": "x"}}))?;
    secrets.create(&PostParams::default(), &secret).await?;
    put(&client, "early", "1").await?;
    put(&client, "gone", "1").await?;
    let then = put(&client, "changed", "1").await?;
    let was = seen(&client).await?;
    put(&client, "changed", "2").await?;
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    maps.delete("gone", &DeleteParams::default()).await?;

    // In the middle of writing.
    let (acknowledged, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let writing = tokio::spawn(writer(client.clone(), acknowledged.clone(), stop.clone()));
    until_async("clients write", PATIENCE, || async {
        let written = acknowledged.load(Ordering::Relaxed);
        Ok(Look::at(written >= 50, || format!("{written} writes")))
    })
    .await?;
    let before = acknowledged.load(Ordering::Relaxed);
    let backup = cluster.scratch().join("backup");
    let dir = backup.to_string_lossy().into_owned();
    let said = cluster.cox(&["backup", &dir])?;
    let after = acknowledged.load(Ordering::Relaxed);
    ensure!(after > before, "nobody could write while the backup was made");
    stop.store(true, Ordering::Relaxed);
    writing.await??;
    ensure!(fs::metadata(&backup)?.permissions().mode() & 0o777 == 0o700, "the backup is private");
    ensure!(fs::read_dir(cluster.data().join("checkpoints"))?.next().is_none(), "nothing is left of making it");
    let again = cluster.cox(&["backup", &dir]).err().context("it overwrites a backup")?.to_string();
    ensure!(again.contains("is not empty"), "{again}");
    let verified = verify(&backup)?;
    ensure!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let running = verify(&cluster.data())?;
    ensure!(!running.status.success(), "the log of a running cluster is verified");
    let head: u64 =
        said.split("at revision ").nth(1).and_then(|rest| rest.split(' ').next()).context("no revision")?.parse()?;

    // What the backup does not have.
    let late = put(&client, "late", "1").await?;
    ensure!(late > head && refusal(&client, late).await?.is_none());

    let before_restore = keys(&cluster.data())?;
    ensure!(before_restore.keys().any(|path| path.ends_with("sa.key")), "{:?}", before_restore.keys());
    restored(&mut cluster, &backup, "first", &[])?;
    // Whoever had credentials has them: clients, programs, nodes, and tokens.
    ensure!(keys(&cluster.data())? == before_restore, "the keys are others");
    let client = cluster.client().await?;
    let whole = seen(&client).await?;
    ensure!(!whole.contains_key("late") && !whole.contains_key("gone"), "{whole:?}");
    ensure!(whole.get("changed").is_some_and(|(value, _)| value == "2"), "{whole:?}");
    // Every map is one of those that there were when the backup was made.
    let busy = whole.iter().filter(|(name, _)| name.starts_with("busy-"));
    let newest = busy.map(|(_, (value, _))| value.parse::<u64>()).collect::<Result<Vec<_>, _>>()?;
    let newest = newest.into_iter().max().context("none of the busy ones")? + 1;
    ensure!(newest >= before && newest <= after + 1, "{newest} is not between {before} and {after}");
    ensure!(listed(&client, &exactly(then)).await? == was, "the past that the backup holds is read on");
    ensure!(refusal(&client, late).await? == Some(410), "what came after the backup is gone");
    let new = put(&client, "new", "1").await?;
    ensure!(new > late + 1_000_000, "a new epoch is past everything");
    let told = cluster.cox(&["events"])?;
    ensure!(told.contains(&new.to_string()), "the newest events of a young epoch are those that it has: {told}");
    let secrets: Api<Secret> = Api::default_namespaced(client.clone());
    let password = secrets.get("s").await?.data.and_then(|mut data| data.remove("password")).context("no password")?;
    ensure!(password.0 == b"x");

    let to = format!("--to={then}");
    restored(&mut cluster, &backup, "second", &[&to])?;
    let client = cluster.client().await?;
    ensure!(seen(&client).await? == was, "it is not as it was: {:?}", seen(&client).await?);
    for lost in [then + 1, head, late, new] {
        ensure!(refusal(&client, lost).await? == Some(410), "revision {lost} was cut off");
    }
    let first = put(&client, "changed", "3").await?;
    ensure!(first > new, "{first} was used by the cluster that was restored before: {new}");
    // The old and the restored part are one log for its readers.
    log::read(&cluster, first).await?;

    cluster.stop()?;
    let verified = cluster.cox(&["verify"])?;
    ensure!(verified.contains("sound at revision"), "{verified}");
    let stopped = cluster.scratch().join("stopped");
    cluster.cox(&["backup", &stopped.to_string_lossy()])?;
    damage(&stopped)?;
    let damaged = verify(&stopped)?;
    ensure!(damaged.status.code() == Some(1) && String::from_utf8_lossy(&damaged.stderr).lines().count() == 1);
    let nowhere = cluster.scratch().join("no");
    let refused = Command::new(binary()?).arg("restore").arg(&stopped).arg("--data-dir").arg(&nowhere).output()?;
    ensure!(!refused.status.success() && !nowhere.exists(), "damage is restored");
    Ok(())
}

/// Flips a bit in the largest table of a backup.
fn damage(backup: &Path) -> Result<()> {
    let mut tables = Vec::new();
    for entry in fs::read_dir(backup.join("log"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "sst") {
            tables.push((fs::metadata(&path)?.len(), path));
        }
    }
    let (length, table) = tables.into_iter().max().context("no tables")?;
    let mut bytes = fs::read(&table)?;
    *bytes.get_mut(usize::try_from(length)? / 3).context("an empty table")? ^= 1;
    Ok(fs::write(&table, bytes)?)
}
