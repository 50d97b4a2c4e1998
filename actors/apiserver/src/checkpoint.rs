//! Copies of the log for backups, made on request of an operator while everyone writes.
//!
//! A copy is of links in the data directory, so that it is there at once and takes no space; whoever asked copies it away and removes it.
//! What one that was killed left behind is removed at the next start.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use cox_bus::{Bus, Identity};
use cox_kit::Scope;
use cox_kit::supervise::StartError;
use cox_log::{Log, LogError};
use cox_objects::Revision;
use serde::{Deserialize, Serialize};

/// What is asked on the control subject.
pub const QUESTION: &str = "checkpoint";

/// The answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is made.
    Made {
        /// Where: the database of a log.
        folder: PathBuf,
        /// A revision that it has; it may have newer ones.
        head: Revision,
    },
    /// It could not be made.
    Failed(String),
}

/// Why it could not be made.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("the log cannot be copied: {0}")]
    Log(#[from] LogError),
    #[error("{0} cannot be made")]
    Folder(PathBuf, #[source] io::Error),
    #[error("the copy of the log was given up")]
    GivenUp,
}

/// Where the copies of a data directory's log lie, each in a folder of its own.
pub fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("checkpoints")
}

/// A new place for a copy there, whose parent is made.
///
/// # Errors
/// If it cannot be made.
pub fn place(data_dir: &Path) -> io::Result<PathBuf> {
    let folder = folder(data_dir);
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    Ok(folder.join(uuid::Uuid::now_v7().to_string()))
}

/// Answers until the scope is cancelled.
pub(crate) async fn serve(bus: Bus, log: Log, data_dir: PathBuf, scope: Scope) -> Result<(), StartError> {
    match fs::remove_dir_all(folder(&data_dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "what an ended backup left behind cannot be removed");
        }
        _ => {}
    }
    let subject = bus.subjects().ctl(&Identity::Apiserver, QUESTION);
    let mut questions = bus.listen(subject, None).await?;
    while let Some(heard) = scope.hear(&mut questions).await? {
        let answer = match make(&log, &data_dir).await {
            Ok((folder, head)) => Answer::Made { folder, head },
            Err(failed) => Answer::Failed(failed.to_string()),
        };
        heard.answer_json(&answer).await?;
    }
    Ok(())
}

async fn make(log: &Log, data_dir: &Path) -> Result<(PathBuf, Revision), Failed> {
    let head = log.head();
    let to = place(data_dir).map_err(|error| Failed::Folder(folder(data_dir), error))?;
    let (log, made) = (log.clone(), to.clone());
    tokio::task::spawn_blocking(move || log.checkpoint(&made)).await.map_err(|_| Failed::GivenUp)??;
    Ok((to, head))
}
