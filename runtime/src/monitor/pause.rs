//! Process 1 of a sandbox whose containers share their process ids: it reaps what they leave, and waits.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, chdir, dup2_stderr, dup2_stdin, dup2_stdout, pivot_root, setsid};
use serde::{Deserialize, Serialize};

use super::report::start_ticks;
use crate::cgroup::Cgroups;
use crate::{files, sys};

/// Name of the spec's file in the sandbox's folder.
pub(crate) const SPEC: &str = "pause.json";
/// Name of the file that tells the process.
pub(crate) const PROCESS: &str = "pause-process.json";

/// What the process needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PauseSpec {
    /// Files of the namespaces to join, with their kinds' flags.
    pub(crate) namespaces: Vec<(std::path::PathBuf, i32)>,
    /// Its cgroup.
    pub(crate) cgroup: String,
}

/// The process, told from a later one with the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PauseProcess {
    /// Process id on the host.
    pub(crate) pid: i32,
    /// When it started, in ticks since boot.
    pub(crate) start_ticks: u64,
}

/// Makes the process and returns to the parent at once.
pub(super) fn run(folder: &Path) -> i32 {
    match start(folder) {
        Ok(()) => 0,
        Err(e) => {
            use std::io::Write;
            let _ = writeln!(io::stderr(), "pause: {e}");
            1
        }
    }
}

fn start(folder: &Path) -> io::Result<()> {
    let spec: PauseSpec = files::read_json(&folder.join(SPEC))?
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no pause.json"))?;
    for (path, kind) in &spec.namespaces {
        setns(File::open(path)?, CloneFlags::from_bits_truncate(*kind))?;
    }
    // Best effort, as for monitors.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-998");
    if let Ok(cgroups) = Cgroups::detect() {
        let _ = cgroups.enter(&spec.cgroup);
    }
    unshare(CloneFlags::CLONE_NEWPID)?;
    match sys::fork_single_threaded()? {
        ForkResult::Parent { child } => {
            let pid = child.as_raw();
            let start_ticks = start_ticks(pid).ok_or_else(|| io::Error::other("it ended at once"))?;
            files::write_json(&folder.join(PROCESS), &PauseProcess { pid, start_ticks }, false)
        }
        ForkResult::Child => {
            // Without a cage the process is not worth having: the sandbox then has no process 1 and fails.
            if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
                let _ = dup2_stdin(&null);
                let _ = dup2_stdout(&null);
                let _ = dup2_stderr(&null);
            }
            if cage().is_ok() {
                wait_for_ever();
            }
            std::process::exit(1)
        }
    }
}

/// Leaves nothing for a container to reach through `/proc/1`: an empty root, no capabilities.
fn cage() -> io::Result<()> {
    const NONE: Option<&str> = None;
    setsid()?;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(NONE, "/", NONE, MsFlags::MS_PRIVATE | MsFlags::MS_REC, NONE)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), "/proc", Some("tmpfs"), flags, Some("size=4k,mode=555"))?;
    chdir("/proc")?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    chdir("/")?;
    mount(NONE, "/", NONE, MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | flags, NONE)?;
    sys::drop_capabilities()?;
    prctl::set_no_new_privs()?;
    Ok(())
}

fn wait_for_ever() {
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    if sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None).is_err() {
        return;
    }
    loop {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => break,
                _ => {}
            }
        }
        // Process 1 ignores every other signal that it has no handler for; KILL from outside ends it.
        let _ = set.wait();
    }
}
