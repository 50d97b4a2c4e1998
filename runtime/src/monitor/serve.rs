//! The monitor's loop: the container's streams, its log, its clients, its end.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, read, write};

use super::client::{Client, Request};
use super::launch::{Launched, Streams};
use super::log::{Lines, LogFile, Stream};
use super::report::{MonitorSpec, Running, paths};
use super::through;
use super::wire::{self, Kind};
use crate::cgroup::Cgroups;
use crate::port::container::{ContainerState, ExitReason};
use crate::{clock, files, sys};

/// A client that reads nothing for this long, while output waits for it, is cut off.
const STALL: Duration = Duration::from_secs(5);
/// More clients than this are refused.
const MAX_CLIENTS: usize = 64;
/// Standard input that the container has not taken yet; beyond it clients wait.
const STDIN_BACKLOG: usize = 64 * 1024;

/// Binds the socket of a container's folder, in place of one that a monitor before us left.
pub(super) fn listen(folder: &Path) -> io::Result<UnixListener> {
    files::remove_file(&folder.join(paths::SOCKET))?;
    let listener = UnixListener::bind(through(&File::open(folder)?, paths::SOCKET))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

pub(super) struct Server<'a> {
    folder: &'a Path,
    spec: &'a MonitorSpec,
    cgroups: &'a Cgroups,
    listener: UnixListener,
    signals: SignalFd,
    running: Running,
    streams: Streams,
    stdout: Lines,
    stderr: Lines,
    log: LogFile,
    clients: Vec<Client>,
    stdin: Vec<u8>,
    stdin_ends: bool,
    ended: Option<WaitStatus>,
    stalled: Option<Instant>,
}

/// The container has ended, its state is stored; the clients do not know yet.
pub(super) struct End {
    clients: Vec<Client>,
}

/// What a descriptor in the poll set belongs to.
#[derive(Clone, Copy)]
enum Source {
    Signals,
    Listener,
    Output(Stream),
    Terminal,
    Stdin,
    Client(usize),
}

impl<'a> Server<'a> {
    pub(super) fn new(
        folder: &'a Path,
        spec: &'a MonitorSpec,
        cgroups: &'a Cgroups,
        listener: UnixListener,
        signals: SignalFd,
        launched: Launched,
    ) -> io::Result<Self> {
        let Launched { running, streams } = launched;
        for fd in [&streams.stdin, &streams.stdout, &streams.stderr, &streams.terminal].into_iter().flatten() {
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        Ok(Self {
            folder,
            spec,
            cgroups,
            listener,
            signals,
            running,
            streams,
            stdout: Lines::new(Stream::Stdout),
            stderr: Lines::new(Stream::Stderr),
            log: LogFile::open(&spec.log_path, spec.max_log_bytes, spec.max_log_files)?,
            clients: Vec::new(),
            stdin: Vec::new(),
            stdin_ends: false,
            ended: None,
            stalled: None,
        })
    }

    pub(super) fn run(mut self) -> io::Result<End> {
        // It may have ended before its signal could be asked for.
        self.reap();
        while self.ended.is_none() {
            for (source, ready) in self.wait()? {
                self.serve(source, ready);
            }
            self.cut_off_stalled();
            self.clients_leave();
        }
        self.finish()
    }

    fn wait(&mut self) -> io::Result<Vec<(Source, PollFlags)>> {
        let behind = self.clients.iter().any(Client::is_behind);
        self.stalled = if behind { self.stalled.or_else(|| Some(Instant::now())) } else { None };

        let mut sources = vec![Source::Signals, Source::Listener];
        let mut fds = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
        ];
        let Streams { stdin, stdout, stderr, terminal } = &self.streams;
        if !behind {
            for (stream, fd) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
                if let Some(fd) = fd {
                    sources.push(Source::Output(stream));
                    fds.push(PollFd::new(fd.as_fd(), PollFlags::POLLIN));
                }
            }
        }
        if let Some(fd) = terminal {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::POLLIN, !behind);
            flags.set(PollFlags::POLLOUT, !self.stdin.is_empty());
            sources.push(Source::Terminal);
            fds.push(PollFd::new(fd.as_fd(), flags));
        } else if let (Some(fd), false) = (stdin, self.stdin.is_empty()) {
            sources.push(Source::Stdin);
            fds.push(PollFd::new(fd.as_fd(), PollFlags::POLLOUT));
        }
        for (i, client) in self.clients.iter().enumerate() {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::POLLIN, client.joined & wire::STDIN == 0 || self.stdin.len() < STDIN_BACKLOG);
            flags.set(PollFlags::POLLOUT, client.wants_to_write());
            sources.push(Source::Client(i));
            fds.push(PollFd::new(client.fd(), flags));
        }
        let timeout = if behind { PollTimeout::from(1_000_u16) } else { PollTimeout::NONE };
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
        let ready = fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        Ok(sources.into_iter().zip(ready).filter(|(_, ready)| !ready.is_empty()).collect())
    }

    fn serve(&mut self, source: Source, ready: PollFlags) {
        match source {
            Source::Signals => {
                while let Ok(Some(_)) = self.signals.read_signal() {}
                self.reap();
            }
            Source::Listener => self.accept(),
            Source::Output(stream) => {
                self.output(stream);
            }
            Source::Terminal => {
                if ready.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
                    self.output(Stream::Stdout);
                }
                self.feed_stdin();
            }
            Source::Stdin => self.feed_stdin(),
            Source::Client(i) => {
                let requests = self.clients.get_mut(i).map(Client::receive).unwrap_or_default();
                for request in requests {
                    self.answer(i, &request);
                }
                if let Some(client) = self.clients.get_mut(i) {
                    client.flush();
                }
            }
        }
    }

    fn reap(&mut self) {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                Ok(status) if status.pid() == Some(Pid::from_raw(self.running.pid)) => self.ended = Some(status),
                // An orphan of the container, or a program that we started and have waited for already.
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((socket, _)) = self.listener.accept() {
            if self.clients.len() < MAX_CLIENTS
                && let Ok(client) = Client::new(socket)
            {
                self.clients.push(client);
            }
        }
    }

    /// Reads one piece of output; false when there is none now.
    fn output(&mut self, stream: Stream) -> bool {
        let (slot, flag, kind) = match (stream, self.streams.terminal.is_some()) {
            (Stream::Stdout, true) => (&mut self.streams.terminal, wire::STDOUT, Kind::Stdout),
            (Stream::Stdout, false) => (&mut self.streams.stdout, wire::STDOUT, Kind::Stdout),
            (Stream::Stderr, _) => (&mut self.streams.stderr, wire::STDERR, Kind::Stderr),
        };
        let Some(fd) = slot else { return false };
        let mut buffer = [0_u8; 16 * 1024];
        let bytes = match read(&*fd, &mut buffer) {
            Ok(n) if n > 0 => buffer.get(..n).unwrap_or_default(),
            Err(Errno::EAGAIN | Errno::EINTR) => return false,
            // The end; a terminal says EIO when its last user is gone.
            _ => {
                *slot = None;
                return false;
            }
        };
        let now = clock::now();
        let mut entries = Vec::with_capacity(bytes.len() + 64);
        let lines = if stream == Stream::Stdout { &mut self.stdout } else { &mut self.stderr };
        lines.feed(now, bytes, &mut entries);
        if !entries.is_empty() {
            self.log.write(now, &entries);
        }
        for client in self.clients.iter_mut().filter(|c| c.joined & flag != 0) {
            client.send(kind, bytes);
            client.flush();
        }
        true
    }

    fn answer(&mut self, i: usize, request: &Request) {
        let accepts_stdin =
            self.spec.tty && self.streams.terminal.is_some() && self.spec.stdin || self.streams.stdin.is_some();
        let Some(client) = self.clients.get_mut(i) else { return };
        match (request.kind, request.payload.as_slice()) {
            (Kind::Attach, [flags]) if flags & wire::STDIN != 0 && !accepts_stdin => {
                client.send(Kind::Error, b"the container has no standard input");
            }
            (Kind::Attach, [flags]) => {
                client.joined = *flags;
                client.send(Kind::Ok, &[]);
            }
            (Kind::Stdin, bytes) if client.joined & wire::STDIN != 0 => {
                self.stdin.extend_from_slice(bytes);
                self.feed_stdin();
            }
            (Kind::StdinEnd, _) if client.joined & wire::STDIN != 0 => {
                client.joined &= !wire::STDIN;
                self.stdin_left();
            }
            (Kind::Resize, [w1, w2, h1, h2]) => {
                if let Some(terminal) = &self.streams.terminal {
                    let (width, height) = (u16::from_be_bytes([*w1, *w2]), u16::from_be_bytes([*h1, *h2]));
                    // A terminal that has just ended takes no size.
                    let _ = sys::set_terminal_size(terminal, width, height);
                }
            }
            (Kind::ReopenLog, _) => match self.log.reopen() {
                Ok(()) => client.send(Kind::Ok, &[]),
                Err(e) => client.send(Kind::Error, e.to_string().as_bytes()),
            },
            _ => client.gone = true,
        }
    }

    fn feed_stdin(&mut self) {
        let Some(fd) = self.streams.terminal.as_ref().or(self.streams.stdin.as_ref()) else {
            self.stdin.clear();
            return;
        };
        let mut written = 0;
        let mut closed = false;
        while let Some(rest) = self.stdin.get(written..).filter(|rest| !rest.is_empty()) {
            match write(fd, rest) {
                Ok(n) => written += n,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                Err(_) => {
                    closed = true;
                    break;
                }
            }
        }
        self.stdin.drain(..written);
        if closed || self.stdin_ends && self.stdin.is_empty() {
            self.stdin.clear();
            self.streams.stdin = None;
        }
    }

    /// A client that fed standard input has stopped doing so.
    fn stdin_left(&mut self) {
        if self.spec.stdin_once {
            self.stdin_ends = true;
            self.feed_stdin();
        }
    }

    fn cut_off_stalled(&mut self) {
        if self.stalled.is_some_and(|since| since.elapsed() > STALL) {
            for client in self.clients.iter_mut().filter(|c| c.is_behind()) {
                client.gone = true;
            }
        }
    }

    fn clients_leave(&mut self) {
        let fed = self.clients.iter().any(|c| c.gone && c.joined & wire::STDIN != 0);
        self.clients.retain(|c| !c.gone);
        if fed {
            self.stdin_left();
        }
    }

    fn finish(mut self) -> io::Result<End> {
        let finished_at = clock::now();
        if self.spec.kill_rest {
            self.cgroups.kill_all(&self.spec.cgroup);
        }
        while self.output(Stream::Stdout) || self.output(Stream::Stderr) {}
        let mut rest = Vec::new();
        self.stdout.finish(finished_at, &mut rest);
        self.stderr.finish(finished_at, &mut rest);
        if !rest.is_empty() {
            self.log.write(finished_at, &rest);
        }
        let (exit_code, signal) = match self.ended {
            Some(WaitStatus::Exited(_, code)) => (code, None),
            Some(WaitStatus::Signaled(_, signal, _)) => (128 + signal as i32, Some(signal as i32)),
            _ => (255, None),
        };
        let oom = self.cgroups.oom_kills(&self.spec.cgroup) > 0;
        let state = ContainerState::Exited {
            exit_code,
            signal,
            reason: if oom { ExitReason::OomKilled } else { ExitReason::Ended },
            message: String::new(),
            started_at: self.running.started_at,
            finished_at,
        };
        files::write_json(&self.folder.join(paths::EXIT), &state, false)?;
        Ok(End { clients: self.clients })
    }
}

impl End {
    /// Tells the clients, tidies up while they read, and gives slow ones a moment for the last output.
    pub(super) fn announce(mut self, tidy: impl FnOnce()) {
        for client in &mut self.clients {
            client.send(Kind::Exit, &[]);
            client.flush();
        }
        tidy();
        let deadline = Instant::now() + STALL;
        loop {
            self.clients.retain(|c| !c.gone && c.wants_to_write());
            let left = deadline.saturating_duration_since(Instant::now());
            if self.clients.is_empty() || left.is_zero() {
                return;
            }
            let mut fds: Vec<_> = self.clients.iter().map(|c| PollFd::new(c.fd(), PollFlags::POLLOUT)).collect();
            let _ = poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
            self.clients.iter_mut().for_each(Client::flush);
        }
    }
}
