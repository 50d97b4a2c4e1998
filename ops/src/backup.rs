//! `cox backup`: the log of a cluster, running or not, and its keys, into a folder that is laid out as a data directory.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use cox_apiserver::checkpoint::{self, Answer, QUESTION};
use cox_bus::Identity;
use cox_log::{Log, OpenError, Options};
use cox_objects::Revision;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::cli::Backup;
use crate::cluster::Cluster;
use crate::folder::{self, Fresh};
use crate::{operator, output, verify};

/// What a cluster is made of beside its log. A node's state, the messages of the bus and what each start writes anew are not in it.
pub const KEPT: [&str; 6] = ["cluster", "pki", "bus/keys", "bus/creds", "bus/port", "integrators"];
/// The log's folder.
pub const LOG: &str = "log";
/// What a backup says of itself; it is written last.
const MANIFEST: &str = "backup.json";
/// The layout of backups.
const FORMAT: u32 = 1;
/// How long the apiserver may take to write out what it has in memory.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its layout.
    pub format: u32,
    /// The cluster's id.
    pub cluster: String,
    /// The epoch of its log.
    pub epoch: String,
    /// The newest revision of its log.
    pub revision: Revision,
    /// When it was made (RFC 3339).
    pub time: String,
}

impl Manifest {
    /// What the backup in a folder says of itself.
    ///
    /// # Errors
    /// If it is no backup, or a newer version made it.
    pub fn read(dir: &Path) -> Result<Self> {
        let file = dir.join(MANIFEST);
        let text =
            fs::read(&file).with_context(|| format!("{} is no backup: {MANIFEST} is not there", dir.display()))?;
        let manifest: Manifest =
            serde_json::from_slice(&text).with_context(|| format!("{} is damaged", file.display()))?;
        ensure!(
            manifest.format <= FORMAT,
            "{} was made by a newer version (format {}, this one knows up to {FORMAT}): upgrade cox",
            dir.display(),
            manifest.format
        );
        Ok(manifest)
    }

    /// The same, if it is a backup at all.
    ///
    /// # Errors
    /// If it is one that cannot be read.
    pub fn find(dir: &Path) -> Result<Option<Self>> {
        if dir.join(MANIFEST).exists() { Self::read(dir).map(Some) } else { Ok(None) }
    }

    fn write(&self, dir: &Path) -> Result<()> {
        use std::io::Write;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.join(MANIFEST))?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        Ok(file.sync_all()?)
    }
}

/// Makes a backup, and verifies it.
///
/// # Errors
/// One line that says what to do. Then there is no backup.
pub async fn run(options: Backup) -> Result<()> {
    let cluster = Cluster::existing(&options.data_dir)?;
    let fresh = Fresh::new(&options.to)?;
    let checkpoint = checkpoint_of(&cluster).await?;
    folder::copy(&checkpoint.folder, &fresh.path().join(LOG))?;
    for part in KEPT {
        let to = fresh.path().join(part);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        folder::copy(&cluster.dir.join(part), &to)?;
    }
    let report = verify::log(fresh.path(), checkpoint.head).context("the backup does not pass: there is none")?;
    let manifest = Manifest {
        format: FORMAT,
        cluster: cluster.id.clone(),
        epoch: report.epoch.to_string(),
        revision: report.head,
        time: jiff::Timestamp::now().to_string(),
    };
    manifest.write(fresh.path())?;
    fresh.finish()?;
    let (to, id, text) = (options.to.display(), &cluster.id, verify::summary(&report));
    output::line(&format!("{to}: cluster {id}, {text}; it holds the cluster's keys"))
}

/// A copy of the log in the data directory, gone with the value.
struct Checkpoint {
    folder: PathBuf,
    head: Revision,
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "cannot be removed");
        }
    }
}

/// Has the apiserver make one, or makes it where none runs.
async fn checkpoint_of(cluster: &Cluster) -> Result<Checkpoint> {
    ensure!(
        cluster.dir.join(LOG).is_dir(),
        "the log is not in {}; run this where the apiserver runs",
        cluster.dir.display()
    );
    let folder = checkpoint::place(&cluster.dir)?;
    match Log::checkpoint_of(&cluster.dir, &Options::default(), &folder) {
        Ok(()) => Ok(Checkpoint { folder, head: 0 }),
        Err(OpenError::Held { .. }) => asked(cluster).await,
        Err(error) => Err(error.into()),
    }
}

async fn asked(cluster: &Cluster) -> Result<Checkpoint> {
    let bus = operator::connect(&cluster.dir).await?;
    let subject = bus.subjects().ctl(&Identity::Apiserver, QUESTION);
    let answer = bus.request_json(&subject, &(), Instant::now() + PATIENCE).await;
    match answer.context("the apiserver does not answer; see `cox status`")? {
        Answer::Made { folder, head } if folder.parent() == Some(&checkpoint::folder(&cluster.dir)) => {
            Ok(Checkpoint { folder, head })
        }
        Answer::Made { folder, .. } => bail!(
            "the apiserver keeps its log in another place ({}); give its folder with --data-dir",
            folder.display()
        ),
        Answer::Failed(why) => bail!("{why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_a_backup_that_says_so() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Manifest::find(dir.path()).unwrap().is_none());
        assert!(Manifest::read(dir.path()).unwrap_err().to_string().contains("is no backup"));
        let manifest = Manifest {
            format: FORMAT,
            cluster: "0123abcd".into(),
            epoch: "7".into(),
            revision: 9,
            time: "2027-01-01T00:00:00Z".into(),
        };
        manifest.write(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), manifest);
        fs::remove_file(dir.path().join(MANIFEST)).unwrap();
        Manifest { format: FORMAT + 1, ..manifest }.write(dir.path()).unwrap();
        assert!(Manifest::find(dir.path()).unwrap_err().to_string().contains("newer version"));
    }
}
