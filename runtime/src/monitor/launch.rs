//! Creates and starts the container through the OCI runtime's command line.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2};

use super::report::{MonitorSpec, Running, paths, start_ticks};
use super::through;
use crate::oci_log;
use crate::{clock, files, sys};

/// How long the OCI runtime may take to send the terminal after it has ended.
const TERMINAL_WAIT: Duration = Duration::from_secs(5);

/// Why the container does not run.
pub(super) enum Failure {
    /// The OCI runtime refused the container, mostly because of its command.
    Command(String),
    /// The machine.
    Io(io::Error),
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

impl From<nix::Error> for Failure {
    fn from(e: nix::Error) -> Self {
        Self::Io(e.into())
    }
}

/// Our ends of the container's standard streams.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
    /// Instead of the three, for a container with a terminal.
    pub(super) terminal: Option<OwnedFd>,
}

/// A container that runs.
pub(super) struct Launched {
    pub(super) running: Running,
    pub(super) streams: Streams,
}

pub(super) fn launch(folder: &Path, spec: &MonitorSpec) -> Result<Launched, Failure> {
    let directory = File::open(folder)?;
    let pid_file = folder.join(paths::PID);
    let mut command = runtime(spec, Some(&folder.join(paths::RUNTIME_LOG)));
    // Created and started by one call: a second one would cost as much again.
    command.args(["run", "--detach", "--bundle"]).arg(folder).arg("--pid-file").arg(&pid_file);

    let mut streams = Streams::default();
    let mut console = None;
    if spec.tty {
        let path = through(&directory, "console");
        files::remove_file(&path)?;
        console = Some(UnixListener::bind(&path)?);
        command.arg("--console-socket").arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    } else {
        let (stdout, child_stdout) = pipe2(OFlag::O_CLOEXEC)?;
        let (stderr, child_stderr) = pipe2(OFlag::O_CLOEXEC)?;
        command.stdout(child_stdout).stderr(child_stderr);
        (streams.stdout, streams.stderr) = (Some(stdout), Some(stderr));
        if spec.stdin {
            let (child_stdin, stdin) = pipe2(OFlag::O_CLOEXEC)?;
            command.stdin(child_stdin);
            streams.stdin = Some(stdin);
        } else {
            command.stdin(Stdio::null());
        }
    }
    let status = run(command.arg(&spec.id), spec.patience)?;
    let started_at = clock::now();
    if !status.success() {
        return Err(Failure::Command(complaint(folder, spec, status, &streams)));
    }
    if let Some(console) = console {
        streams.terminal = Some(accept_terminal(&console)?);
        files::remove_file(&folder.join("console"))?;
    }
    let pid: i32 = fs::read_to_string(&pid_file)?
        .trim()
        .parse()
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("pid file: {e}")))?;
    let running = Running { pid, start_ticks: start_ticks(pid).unwrap_or(0), started_at };
    files::write_json(&folder.join(paths::RUNNING), &running, false)?;
    Ok(Launched { running, streams })
}

/// Removes the container from the OCI runtime, with its cgroup; whatever is left is removed with the container.
pub(super) fn delete(spec: &MonitorSpec) {
    let mut delete = runtime(spec, None);
    delete.args(["delete", "--force"]).arg(&spec.id).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _ = run(&mut delete, spec.patience);
}

fn runtime(spec: &MonitorSpec, log: Option<&Path>) -> Command {
    let (program, args) = spec.runtime.split_first().map_or(("false", &[][..]), |(p, a)| (p.as_str(), a));
    let mut command = Command::new(program);
    command.args(args);
    if let Some(log) = log {
        command.args(["--log-format", "json", "--log"]).arg(log);
    }
    if spec.hide_unified {
        sys::hide_unified_cgroup(&mut command);
    }
    command
}

/// Runs it to its end; one that takes too long is killed, with all that it has started.
fn run(command: &mut Command, patience: Duration) -> io::Result<ExitStatus> {
    let program = command.get_program().to_string_lossy().into_owned();
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{program}: {e}"));
    let mut child = command.spawn().map_err(named)?;
    let process = sys::pidfd_open(i32::try_from(child.id()).unwrap_or(i32::MAX)).map_err(named)?;
    if !ends(&process, patience)? {
        // It is no longer ours to ask what of it has worked.
        child.kill().map_err(named)?;
        child.wait().map_err(named)?;
        kill_orphans();
        let late = format!("{program} did not end within {} s and was killed", patience.as_secs_f32());
        return Err(io::Error::new(io::ErrorKind::TimedOut, late));
    }
    child.wait().map_err(named)
}

/// Waits until a process has ended; false if it has not in time.
fn ends(process: &OwnedFd, patience: Duration) -> io::Result<bool> {
    use std::os::fd::AsFd;
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(e) => return Err(e.into()),
        }
    }
}

/// Kills what a program of ours has left: it is ours, since we are its subreaper.
fn kill_orphans() {
    let pid = std::process::id();
    let children = format!("/proc/{pid}/task/{pid}/children");
    // What has just been killed may have had children of its own: go on until there is none, within reason.
    for _ in 0..64 {
        let left = fs::read_to_string(&children).unwrap_or_default();
        let pids: Vec<i32> = left.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        if pids.is_empty() {
            return;
        }
        for pid in pids.into_iter().map(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill(pid, Signal::SIGKILL);
            let _ = waitpid(pid, None);
        }
    }
}

/// What the OCI runtime says went wrong: its log, else its standard error.
fn complaint(folder: &Path, spec: &MonitorSpec, status: ExitStatus, streams: &Streams) -> String {
    let log = fs::read_to_string(folder.join(paths::RUNTIME_LOG)).unwrap_or_default();
    let mut said = oci_log::last_error(&log);
    if said.is_empty()
        && let Some(stderr) = &streams.stderr
    {
        let mut bytes = [0_u8; 4096];
        // The program has ended, so what it wrote is there; a container that lives on may hold the pipe open.
        if readable_now(stderr) {
            let n = nix::unistd::read(stderr, &mut bytes).unwrap_or(0);
            said = String::from_utf8_lossy(bytes.get(..n).unwrap_or_default()).trim().to_owned();
        }
    }
    if said.is_empty() {
        said = status.to_string();
    }
    let name = spec.runtime.first().map_or("runtime", |p| p.rsplit('/').next().unwrap_or(p));
    oci_log::start_error(name, &said, &spec.command)
}

fn readable_now(fd: &OwnedFd) -> bool {
    use std::os::fd::AsFd;
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|n| n > 0)
}

fn accept_terminal(console: &UnixListener) -> io::Result<OwnedFd> {
    use std::os::fd::AsFd;
    let mut fds = [PollFd::new(console.as_fd(), PollFlags::POLLIN)];
    let wait = PollTimeout::try_from(TERMINAL_WAIT).unwrap_or(PollTimeout::MAX);
    if poll(&mut fds, wait)? == 0 {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "the OCI runtime sent no terminal"));
    }
    sys::receive_fd(console.accept()?.0)
}
