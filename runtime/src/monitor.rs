//! The process that owns a container: it outlives us, writes its log, keeps its terminal and its exit code.
//!
//! # Flow
//! The runtime executes its own program again with `spawn RUN`, before any thread exists: [`spawner`]. For each container that process
//! forks a monitor, which starts the container through the OCI runtime, reports once on standard output ([`report::Report`]) and then serves the container's streams and a unix socket ([`wire`]) until the
//! container ends. Then it writes `exit.json`, tells who listens, removes the container from the OCI runtime
//! and ends.
//!
//! # Guarantees
//! - It holds the lock on `FOLDER/lock` as long as it lives: no second monitor starts the container again.
//! - `exit.json` is written before anybody is told.
//! - It needs no other process: the runtime may be killed and started again at any moment.
//!
//! # Caveats
//! One thread, no async runtime, few allocations: there is one such process a container.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, setsid};

mod client;
mod launch;
mod log;
pub(crate) mod pause;
pub(crate) mod report;
mod serve;
pub(crate) mod spawner;
pub(crate) mod wire;

use crate::cgroup::Cgroups;
use crate::clock;
use crate::files;
use crate::port::container::{ContainerState, ExitReason};
use report::{MonitorSpec, Report, paths};

/// The entry of the processes beside us: `spawn RUN …` for the one that containers' monitors are forked from, `pause FOLDER` for process 1
/// of a sandbox whose containers share their process ids. To be called before the program makes any thread.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ! {
    let args: Vec<OsString> = args.into_iter().collect();
    let code = match args.as_slice() {
        [verb, ..] if verb == "spawn" => spawner::serve(),
        [verb, folder] if verb == "pause" => pause::run(Path::new(folder)),
        _ => {
            let _ = writeln!(io::stderr(), "usage: monitor spawn|pause FOLDER (started by the runtime, not by people)");
            2
        }
    };
    std::process::exit(code)
}

/// Monitors one container; the calling process is for that alone.
fn run(folder: &Path) -> i32 {
    match monitor(folder) {
        Ok(()) => 0,
        Err(e) => {
            send(&Report::Failed { reason: e.to_string() });
            1
        }
    }
}

fn send(report: &Report) {
    // Nobody listens any more when the runtime was killed meanwhile: the container goes its way.
    if let Ok(mut line) = serde_json::to_vec(report) {
        line.push(b'\n');
        let _ = io::stdout().write_all(&line).and_then(|()| io::stdout().flush());
    }
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        let _ = dup2_stdin(&null);
        let _ = dup2_stdout(&null);
        let _ = dup2_stderr(&null);
    }
}

fn monitor(folder: &Path) -> io::Result<()> {
    setsid()?;
    let _lock = files::try_lock(&folder.join(paths::LOCK))?;
    files::write_atomic(&folder.join(paths::ATTEMPTED), b"", false)?;
    let spec: MonitorSpec = files::read_json(&folder.join(paths::SPEC))?
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no monitor.json"))?;
    let cgroups = Cgroups::detect()?;
    prctl::set_child_subreaper(true)?;
    let signals = block_signals()?;

    let socket = serve::listen(folder)?;
    let launched = match launch::launch(folder, &spec) {
        Ok(launched) => launched,
        Err(launch::Failure::Command(message)) => {
            let state = ContainerState::Exited {
                exit_code: 128,
                signal: None,
                reason: ExitReason::StartError,
                message: message.clone(),
                started_at: 0,
                finished_at: clock::now(),
            };
            launch::delete(&spec);
            // Whoever asks for its log finds that it said nothing; without the file, that there is none.
            let _ = log::LogFile::open(&spec.log_path, spec.max_log_bytes, spec.max_log_files);
            files::write_json(&folder.join(paths::EXIT), &state, true)?;
            send(&Report::StartError { reason: message });
            return Ok(());
        }
        Err(launch::Failure::Io(e)) => {
            launch::delete(&spec);
            files::remove_file(&folder.join(paths::ATTEMPTED))?;
            return Err(e);
        }
    };
    send(&Report::Started(launched.running.clone()));
    settle(&cgroups, &spec);

    let end = serve::Server::new(folder, &spec, &cgroups, socket, signals, launched)?.run()?;
    end.announce(|| launch::delete(&spec));
    Ok(())
}

/// What need not be done before the container runs.
fn settle(cgroups: &Cgroups, spec: &MonitorSpec) {
    // Where this is not permitted (no CAP_SYS_RESOURCE, a read-only cgroup file system) we go on without.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-998");
    let _ = cgroups.enter(&spec.monitor_cgroup);
}

/// Signals arrive through a descriptor; the mask is reset in the programs we start (by the standard library).
fn block_signals() -> io::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        set.add(signal);
    }
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

/// The path of a name in `folder` through an open descriptor: short enough for a socket's address (108 bytes)
/// however deep the folder lies, and valid for the programs that we start.
pub(crate) fn through(folder: &File, name: &str) -> PathBuf {
    use std::os::fd::AsRawFd;
    PathBuf::from(format!("/proc/{}/fd/{}/{name}", std::process::id(), folder.as_raw_fd()))
}
