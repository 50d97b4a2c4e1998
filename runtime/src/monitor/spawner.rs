//! The process that monitors are forked from: this program is executed and set up once, not once a container.
//!
//! # Flow
//! The runtime starts it with a socket as its standard input, and sends a message for each container: the container's folder, and two
//! descriptors, for the report and for what goes wrong before it. Each message is a fork; the child is the monitor.
//!
//! # Guarantees
//! - One thread and nothing of the runtime's state: a fork of it is as good as a new process, and shares its memory.
//! - It ends when the runtime does (the socket is closed); monitors live on.

use std::fs::File;
use std::io::{self, IoSliceMut, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, setsid};

use crate::sys;

/// A path is not longer.
const MESSAGE: usize = 4096;
/// Makes room in the process's command line for that of a monitor, which is longer: `ps` shows whose monitor it is.
pub(crate) const ROOM: &str =
    "................................................................................................";

/// Serves until the runtime is gone.
pub(super) fn serve() -> i32 {
    match work() {
        Ok(()) => 0,
        Err(e) => {
            use std::io::Write;
            // The runtime starts another one when it needs it.
            let _ = writeln!(io::stderr(), "spawner of monitors: {e}");
            1
        }
    }
}

fn work() -> io::Result<()> {
    // Neither an interrupt on the runtime's terminal nor a signal to its group concerns it.
    setsid()?;
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGCHLD);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&ends), None)?;
    let signals = SignalFd::with_flags(&ends, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    loop {
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
        let [asked, ended] = fds.map(|fd| fd.revents().is_some_and(|r| !r.is_empty()));
        if ended {
            while let Ok(Some(_)) = signals.read_signal() {}
            reap();
        }
        if asked {
            let Some(job) = receive(&socket)? else { return Ok(()) };
            if let ForkResult::Child = sys::fork_single_threaded()? {
                drop((socket, signals));
                sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&ends), None)?;
                std::process::exit(job.run());
            }
        }
    }
}

/// Monitors that have ended; nobody asks how.
fn reap() {
    while !matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive) | Err(_)) {}
}

/// One container to be monitored.
struct Job {
    folder: PathBuf,
    report: OwnedFd,
    errors: OwnedFd,
}

impl Job {
    fn run(self) -> i32 {
        let Job { folder, report, errors } = self;
        if let Err(e) = dup2_stdout(&report).and_then(|()| dup2_stderr(&errors)) {
            return e as i32;
        }
        drop((report, errors));
        // It only helps people.
        let _ = set_title(&title(&folder));
        super::run(&folder)
    }
}

/// The next message; none when the runtime is gone.
fn receive(socket: &OwnedFd) -> io::Result<Option<Job>> {
    let mut bytes = vec![0_u8; MESSAGE];
    let (length, descriptors) = sys::receive_fds(socket, &mut [IoSliceMut::new(&mut bytes)])?;
    if length == 0 {
        return Ok(None);
    }
    bytes.truncate(length);
    let mut descriptors = descriptors.into_iter();
    match (descriptors.next(), descriptors.next()) {
        (Some(report), Some(errors)) => {
            let folder = PathBuf::from(std::ffi::OsString::from_vec(bytes));
            Ok(Some(Job { folder, report, errors }))
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "a message without its descriptors")),
    }
}

/// The command line of a monitor: that of this process, with another verb.
fn title(folder: &Path) -> Vec<u8> {
    let mut line = Vec::new();
    for word in std::env::args_os().take_while(|word| word != "spawn") {
        line.extend_from_slice(word.as_encoded_bytes());
        line.push(0);
    }
    line.extend_from_slice(b"run\0");
    line.extend_from_slice(folder.as_os_str().as_encoded_bytes());
    line
}

/// Puts another command line in the place of the process's own (proc(5): `arg_start` and `arg_end` of `stat`), cut to its length.
fn set_title(title: &[u8]) -> io::Result<()> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "/proc/self/stat");
    let mut stat = String::new();
    File::open("/proc/self/stat")?.read_to_string(&mut stat)?;
    let (_, fields) = stat.rsplit_once(')').ok_or_else(invalid)?;
    let mut places = fields.split_whitespace().skip(45).map(str::parse::<u64>);
    let (Some(Ok(start)), Some(Ok(end))) = (places.next(), places.next()) else { return Err(invalid()) };
    let room = usize::try_from(end.saturating_sub(start)).unwrap_or(0);
    let mut line = vec![0_u8; room];
    for (to, from) in line.iter_mut().take(room.saturating_sub(1)).zip(title) {
        *to = *from;
    }
    File::options().write(true).open("/proc/self/mem")?.write_all_at(&line, start)
}
