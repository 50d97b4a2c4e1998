//! What is wrong with a data directory shows at the start: one clear line, exit code 1, and nothing is touched. A torn tail is no damage.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use cox_tests::Cluster;
use cox_tests::faults::{Disk, Door, Outcome};
use cox_tests::process::binary;

/// How much is written before the damage.
const OBJECTS: u64 = 40;

/// Tries to start a cluster in a folder, which must be refused with one line that names what is meant.
fn refused(data: &Path, because: &[&str]) -> Result<()> {
    let Output { status, stderr, stdout } = Command::new("timeout")
        .args(["-k", "5", "60"])
        .arg(binary()?)
        .args(["up", "--no-node", "--listen=127.0.0.1:0", "--data-dir"])
        .arg(data)
        .output()?;
    let (said, out) = (String::from_utf8_lossy(&stderr), String::from_utf8_lossy(&stdout));
    ensure!(status.code() == Some(1) && out.is_empty(), "{status}: {out}{said}");
    ensure!(said.lines().count() == 1, "more than one line: {said}");
    for part in because {
        ensure!(said.contains(part), "{part:?} is not in: {said}");
    }
    Ok(())
}

/// The newest write-ahead log.
fn wal(data: &Path) -> Result<PathBuf> {
    let files = fs::read_dir(data.join("log"))?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.into_iter().filter(|path| path.extension().is_some_and(|end| end == "log")).max().context("no log")
}

fn copy(from: &Path, to: &Path) -> Result<PathBuf> {
    let output = Command::new("cp").arg("-a").arg(from).arg(to).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(to.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_is_refused_and_what_was_torn_is_trimmed() -> Result<()> {
    let mut cluster = Cluster::without_node(&[])?;
    let door = Door::open(&cluster).await?;
    for n in 0..OBJECTS {
        let answer = door.create(&format!("map-{n}"), &n.to_string()).await;
        ensure!(matches!(answer.outcome, Outcome::Done { .. }), "{answer:?}");
    }
    // Two on one directory: the second goes, the first does not mind.
    let pid = cluster.pid().context("it runs")?.to_string();
    refused(&cluster.data(), &["is in use by process", &pid, "stop it first"])?;
    ensure!(matches!(door.put("map-0", "again").await.outcome, Outcome::Done { .. }));
    cluster.kill()?;

    flipped(&copy(&cluster.data(), &cluster.scratch().join("flipped"))?)?;
    newer(&copy(&cluster.data(), &cluster.scratch().join("newer"))?)?;
    protected(&cluster)?;

    torn(&cluster.data())?;
    cluster.up()?;
    for n in 1..OBJECTS {
        let Outcome::Done { value, .. } = door.get("configmaps", &format!("map-{n}")).await.outcome else {
            anyhow::bail!("map-{n} cannot be read");
        };
        ensure!(value == Some(n.to_string()), "map-{n} holds {value:?}");
    }
    ensure!(matches!(door.put("map-0", "and again").await.outcome, Outcome::Done { .. }));
    cluster.stop()?;
    let verified = cluster.cox(&["verify"])?;
    ensure!(verified.contains("sound at revision"), "{verified}");
    Ok(())
}

/// A bit is another one in the middle of what was acknowledged.
fn flipped(data: &Path) -> Result<()> {
    let log = wal(data)?;
    let file = fs::File::options().read(true).write(true).open(&log)?;
    let (middle, mut byte) = (file.metadata()?.len() / 2, [0]);
    file.read_exact_at(&mut byte, middle)?;
    file.write_all_at(&byte.map(|byte| byte ^ 8), middle)?;
    let before = fs::read(&log)?;
    for _ in 0..2 {
        refused(data, &["is damaged", "restore it from a backup"])?;
    }
    ensure!(fs::read(&log)? == before, "what is left was touched");
    Ok(())
}

/// A later version wrote it.
fn newer(data: &Path) -> Result<()> {
    let (options, folder) = (rocksdb::Options::default(), data.join("log"));
    let families = rocksdb::DB::list_cf(&options, &folder)?;
    let db = rocksdb::DB::open_cf(&options, &folder, families)?;
    let meta = db.cf_handle("meta").context("no meta")?;
    db.put_cf(meta, "format", 99u32.to_be_bytes())?;
    drop(db);
    refused(data, &["was written by a newer version", "99", "upgrade cox"])
}

/// Nobody may write to the disk.
fn protected(cluster: &Cluster) -> Result<()> {
    let folder = cluster.scratch().join("protected");
    let disk = Disk::mount(&folder, 256)?;
    let data = copy(&cluster.data(), &folder.join("data"))?;
    disk.protect(true)?;
    refused(&data, &["Read-only file system", &data.to_string_lossy()])
}

/// The machine lost its power in the middle of a write: a record is there by its head and a part of the rest.
fn torn(data: &Path) -> Result<()> {
    const BLOCK: u64 = 32 << 10;
    let file = fs::File::options().write(true).open(wal(data)?)?;
    let end = file.metadata()?.len();
    let room = (BLOCK - end % BLOCK).saturating_sub(7).min(2000);
    // Checksum, length, kind (a whole record), and half of what was to come.
    let mut record = vec![1, 2, 3, 4, room.to_le_bytes()[0], room.to_le_bytes()[1], 1];
    record.resize(7 + usize::try_from(room / 2)?, 0xab);
    Ok(file.write_all_at(&record, end)?)
}
