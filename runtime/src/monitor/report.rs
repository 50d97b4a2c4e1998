//! What the runtime and a monitor leave for each other: files of a container's folder, and the first report.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Names of the files in a container's folder.
pub(crate) mod paths {
    /// Held by the monitor as long as it lives.
    pub(crate) const LOCK: &str = "lock";
    /// Exists once a monitor has tried to start the container.
    pub(crate) const ATTEMPTED: &str = "attempted";
    /// [`super::MonitorSpec`].
    pub(crate) const SPEC: &str = "monitor.json";
    /// [`super::Running`], once the container runs.
    pub(crate) const RUNNING: &str = "running.json";
    /// The final `ContainerState`.
    pub(crate) const EXIT: &str = "exit.json";
    /// The monitor's socket.
    pub(crate) const SOCKET: &str = "sock";
    /// The process id, as the OCI runtime writes it.
    pub(crate) const PID: &str = "pid";
    /// What the OCI runtime had to say.
    pub(crate) const RUNTIME_LOG: &str = "runtime.log";
}

/// All that a monitor needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MonitorSpec {
    /// The OCI runtime's command line up to its verb.
    pub(crate) runtime: Vec<String>,
    /// Whether the OCI runtime needs the unified cgroup hierarchy hidden.
    pub(crate) hide_unified: bool,
    /// The container's id.
    pub(crate) id: String,
    /// The command line inside the container, for messages.
    pub(crate) command: Vec<String>,
    /// The log file.
    pub(crate) log_path: PathBuf,
    /// The log is rotated when it is larger than this.
    pub(crate) max_log_bytes: u64,
    /// How many log files are kept, the current one included; at least 1.
    pub(crate) max_log_files: usize,
    /// The container has a terminal.
    pub(crate) tty: bool,
    /// Its standard input stays open.
    pub(crate) stdin: bool,
    /// Its standard input is closed when the first client that feeds it leaves.
    pub(crate) stdin_once: bool,
    /// The container's cgroup.
    pub(crate) cgroup: String,
    /// Its other processes do not end with the first one (it has no process ids of its own): kill them.
    pub(crate) kill_rest: bool,
    /// The cgroup for the monitor itself.
    pub(crate) monitor_cgroup: String,
    /// How long the OCI runtime may take for each call.
    #[serde(default = "usual_patience")]
    pub(crate) patience: Duration,
}

/// For containers that were made when nothing was said of it.
fn usual_patience() -> Duration {
    crate::config::PATIENCE
}

/// A container's process while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    /// Process id.
    pub(crate) pid: i32,
    /// When the process started, in ticks since boot: tells it from a later one with the same id.
    pub(crate) start_ticks: u64,
    /// Unix nanoseconds.
    pub(crate) started_at: i64,
}

/// The monitor's one line on standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// The container runs.
    Started(Running),
    /// Its command cannot be started.
    StartError {
        /// In the field's usual words.
        reason: String,
    },
    /// Something else went wrong; the container did not start.
    Failed {
        /// What.
        reason: String,
    },
}

/// The start time of a process in ticks since boot (proc(5), field 22 of `stat`); none if there is none.
pub(crate) fn start_ticks(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses that may hold anything, parentheses included.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}
