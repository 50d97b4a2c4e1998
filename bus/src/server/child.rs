//! The child process: started again when it dies, ended with us.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::credentials::write_private;

/// How long an orderly stop may take.
const GRACE: Duration = Duration::from_secs(5);
/// A child that lived shorter than this failed to start.
const SHORT: Duration = Duration::from_secs(1);
/// After this many failures in a row at the start nobody should wait any more; it is tried on all the same.
const FAILURES: u32 = 3;

/// Memory that the server's garbage collector aims for: with many subjects it would take more, at no gain.
const MEMORY: (&str, &str) = ("GOMEMLIMIT", "160MiB");

/// How many threads of the server may work at a time: half of the processors, at least one. With more it spends a tenth of its time on
/// waking threads that find nothing to do.
fn threads() -> String {
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    (processors / 2).max(1).to_string()
}

/// The supervised process. Dropping it ends the process without waiting.
pub(super) struct Child {
    state: Arc<State>,
    /// Closed when the thread has ended, and so the process.
    ended: watch::Receiver<()>,
}

#[derive(Default)]
struct State {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    /// Set while the process is not reaped, so that its number is not another's.
    pid: Option<Pid>,
    stopping: bool,
    failures: u32,
}

/// What to run.
struct Program {
    binary: PathBuf,
    conf: PathBuf,
    pid_file: PathBuf,
}

impl Child {
    /// Starts the thread that starts the process. The first start is tried here, so that its error is seen.
    pub(super) fn start(binary: PathBuf, conf: PathBuf, pid_file: PathBuf) -> io::Result<Child> {
        let program = Program { binary, conf, pid_file };
        let state = Arc::new(State::default());
        let (alive, ended) = watch::channel(());
        let (first, started) = std::sync::mpsc::sync_channel(1);
        let shared = state.clone();
        std::thread::Builder::new().name("nats-server".to_owned()).spawn(move || {
            let _alive = alive;
            let child = program.spawn();
            let (child, error) = match child {
                Ok(child) => (Some(child), None),
                Err(error) => (None, Some(error)),
            };
            // If the starter has gone away, dropping its `Child` has told us to stop.
            let _ = first.send(error);
            if let Some(child) = child {
                shared.supervise(&program, child);
            }
        })?;
        match started.recv() {
            Ok(None) => Ok(Child { state, ended }),
            Ok(Some(error)) => Err(error),
            Err(_) => Err(io::Error::other("the supervising thread died")),
        }
    }

    pub(super) fn pid(&self) -> Option<i32> {
        self.state.inner.lock().pid.map(Pid::as_raw)
    }

    /// Whether it has failed to start several times in a row.
    pub(super) fn gave_up(&self) -> bool {
        self.state.inner.lock().failures >= FAILURES
    }

    pub(super) async fn stop(self) {
        self.state.stop(Signal::SIGTERM);
        let mut ended = self.ended.clone();
        if tokio::time::timeout(GRACE, ended.changed()).await.is_err() {
            self.state.stop(Signal::SIGKILL);
            // The kernel has the last word; it does not take long.
            let _ = ended.changed().await;
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.state.stop(Signal::SIGTERM);
    }
}

impl State {
    fn stop(&self, signal: Signal) {
        let mut inner = self.inner.lock();
        inner.stopping = true;
        if let Some(pid) = inner.pid {
            // It may be a zombie already; then there is nothing to end.
            let _ = kill(pid, signal);
        }
        self.changed.notify_all();
    }

    /// Waits for the process and starts it again, until it is told to stop.
    fn supervise(&self, program: &Program, mut child: std::process::Child) {
        loop {
            let begun = Instant::now();
            let pid = Pid::from_raw(child.id().cast_signed());
            {
                let mut inner = self.inner.lock();
                inner.pid = Some(pid);
                if inner.stopping {
                    let _ = kill(pid, Signal::SIGTERM);
                }
            }
            // Waits without reaping, so that the number stays ours until it is taken out below.
            while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
            let mut inner = self.inner.lock();
            inner.pid = None;
            let status = child.wait();
            if inner.stopping {
                let _ = fs::remove_file(&program.pid_file);
                return;
            }
            inner.failures = if begun.elapsed() < SHORT { inner.failures + 1 } else { 0 };
            let status = status.map_or_else(|e| e.to_string(), |s| s.to_string());
            tracing::warn!(%status, "nats-server ended; starting it again");
            child = loop {
                let pause = match inner.failures {
                    0 | 1 => Duration::ZERO,
                    n => Duration::from_millis(50) * 2u32.pow(n.min(6)),
                };
                self.changed.wait_while_for(&mut inner, |inner| !inner.stopping, pause);
                if inner.stopping {
                    return;
                }
                match program.spawn() {
                    Ok(child) => break child,
                    Err(error) => {
                        inner.failures += 1;
                        tracing::error!(%error, "nats-server cannot be started");
                    }
                }
            };
        }
    }
}

impl Program {
    /// Starts the process. The caller's thread must live as long as it: the kernel signals the death of that thread.
    fn spawn(&self) -> io::Result<std::process::Child> {
        let with = |mut command: Command| {
            command.arg("-c").arg(&self.conf).env(MEMORY.0, MEMORY.1).env("GOMAXPROCS", threads());
            // A Ctrl-C is for us: whoever still works while we stop needs the bus.
            command.process_group(0);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
        };
        let mut wrapped = Command::new("setpriv");
        wrapped.args(["--pdeathsig", "TERM", "--"]).arg(&self.binary);
        let child = match with(wrapped) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                tracing::warn!("setpriv is missing: nats-server will outlive a kill -9 until the next start");
                with(Command::new(&self.binary))
            }
            child => child,
        }?;
        write_private(&self.pid_file, format!("{}\n", child.id()).as_bytes())?;
        Ok(child)
    }
}

/// Ends a server that an earlier owner of this configuration left behind, and waits until it is gone.
pub(super) async fn end_stale(pid_file: &Path, conf: &Path) {
    let Some(pid) = fs::read_to_string(pid_file).ok().and_then(|text| text.trim().parse().ok()).map(Pid::from_raw)
    else {
        return;
    };
    let deadline = Instant::now() + GRACE;
    let mut signal = Signal::SIGTERM;
    while serves(pid, conf) {
        // It may end by itself in this moment: its owner's death has told it to.
        let _ = kill(pid, signal);
        if Instant::now() > deadline {
            signal = Signal::SIGKILL;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Tells the server that runs with this configuration, if one does, to read it again.
pub(super) fn reload(pid_file: &Path, conf: &Path) {
    let pid = fs::read_to_string(pid_file).ok().and_then(|text| text.trim().parse().ok()).map(Pid::from_raw);
    if let Some(pid) = pid.filter(|pid| serves(*pid, conf)) {
        // It may end in this moment: the next one reads it at its start.
        let _ = kill(pid, Signal::SIGHUP);
    }
}

/// Whether a process runs with this configuration; a zombie has no command line.
fn serves(pid: Pid, conf: &Path) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let wanted = conf.as_os_str().as_encoded_bytes();
    line.split(|b| *b == 0).any(|argument| argument == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_was_left_behind_is_ended_and_a_stranger_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (pid_file, conf) = (dir.path().join("pid"), dir.path().join("conf"));
        let sleeper = |argument: &Path| {
            let mut command = Command::new("sh");
            let child = command.args(["-c", "while :; do sleep 0.1; done"]).arg(argument).spawn().unwrap();
            // Its command line shows only a moment after the spawn has returned.
            let deadline = Instant::now() + GRACE;
            while !serves(Pid::from_raw(child.id().cast_signed()), argument) {
                assert!(Instant::now() < deadline, "it does not run");
                std::thread::yield_now();
            }
            child
        };
        let mut stranger = sleeper(Path::new("other"));
        fs::write(&pid_file, stranger.id().to_string()).unwrap();
        end_stale(&pid_file, &conf).await;
        assert!(stranger.try_wait().unwrap().is_none(), "its number is another's by now");

        let mut left = sleeper(&conf);
        fs::write(&pid_file, left.id().to_string()).unwrap();
        end_stale(&pid_file, &conf).await;
        assert!(!serves(Pid::from_raw(left.id().cast_signed()), &conf));
        assert!(!left.wait().unwrap().success());
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }
}
