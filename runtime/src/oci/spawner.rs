//! Our side of the process that monitors are forked from: started once, asked for a monitor a container, started again if it has died.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, socketpair};
use nix::unistd::pipe2;
use parking_lot::Mutex;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

use crate::config::Config;
use crate::monitor::spawner::ROOM;

/// How long the process may take to notice that it is to end.
const END: Duration = Duration::from_secs(2);

/// The process, as far as we know it.
#[derive(Debug)]
pub(super) struct Spawner {
    exe: PathBuf,
    args: Vec<OsString>,
    process: Mutex<Option<Process>>,
}

/// Dropping it closes the socket, which ends the process.
#[derive(Debug)]
struct Process {
    socket: OwnedFd,
    /// Kept so that it is reaped.
    child: Child,
}

impl Spawner {
    pub(super) fn new(config: &Config) -> Self {
        let mut args: Vec<OsString> = config.monitor_args.iter().map(OsString::from).collect();
        // The folder is for people who look at the processes of a machine.
        args.extend(["spawn".into(), config.run_dir.clone().into_os_string(), ROOM.into()]);
        Self { exe: config.monitor_exe.clone(), args, process: Mutex::default() }
    }

    /// Starts the process, so that the first container finds it there.
    ///
    /// # Errors
    /// The machine's.
    pub(super) fn prepare(&self) -> io::Result<()> {
        let mut process = self.process.lock();
        if process.is_none() {
            *process = Some(self.start()?);
        }
        Ok(())
    }

    /// Ends the process, if it runs, and waits until it is gone. Monitors live on.
    pub(super) async fn end(&self) {
        let process = self.process.lock().take();
        if let Some(Process { socket, mut child }) = process {
            drop(socket);
            // It ends by itself; one that hangs dies with us.
            let _ = tokio::time::timeout(END, child.wait()).await;
        }
    }

    fn start(&self) -> io::Result<Process> {
        let (ours, its) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        let child = Command::new(&self.exe)
            .args(&self.args)
            .current_dir("/")
            .stdin(Stdio::from(its))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Process { socket: ours, child })
    }

    /// Asks for a monitor of the container in `folder`; its report comes out of the pipe. What goes wrong before the report is in `errors`.
    ///
    /// # Errors
    /// The machine's.
    pub(super) fn monitor(&self, folder: &Path, errors: &Path) -> io::Result<pipe::Receiver> {
        let errors = File::create(errors)?;
        let (report, its) = pipe2(OFlag::O_CLOEXEC)?;
        let descriptors = [its.as_raw_fd(), errors.as_raw_fd()];
        let mut process = self.process.lock();
        let sent = process.as_ref().map(|process| send(process, folder, &descriptors));
        match sent {
            Some(Ok(())) => {}
            Some(Err(e)) if !is_gone(&e) => return Err(e),
            // It has died, or was never there.
            _ => send(process.insert(self.start()?), folder, &descriptors)?,
        }
        drop(process);
        pipe::Receiver::from_owned_fd(report)
    }
}

fn send(process: &Process, folder: &Path, descriptors: &[i32]) -> io::Result<()> {
    let message = [IoSlice::new(folder.as_os_str().as_encoded_bytes())];
    let rights = [ControlMessage::ScmRights(descriptors)];
    // A process that takes nothing any more must not hold us up.
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<UnixAddr>(process.socket.as_raw_fd(), &message, &rights, flags, None)?;
    Ok(())
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotConnected, WouldBlock};
    matches!(error.kind(), BrokenPipe | ConnectionRefused | ConnectionReset | NotConnected | WouldBlock)
}
