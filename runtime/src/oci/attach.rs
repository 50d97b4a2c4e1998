//! A container's own streams, through its monitor's socket; and connections into a sandbox.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{mpsc, oneshot};

use super::Core;
use super::containers::io_error;
use super::namespaces::within_network;
use super::watch::connect;
use crate::monitor::wire::{self, Kind, MAX_PAYLOAD};
use crate::port::container::{ContainerId, ContainerState};
use crate::port::error::{ContainerError, SandboxError};
use crate::port::sandbox::{SandboxId, SandboxState};
use crate::port::stream::{AttachOptions, Duplex, ExecOutcome, Reader, Session, TerminalSize, Writer};

/// Bytes between us and whoever reads or writes a session's streams.
const BUFFER: usize = 64 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl Core {
    pub(super) async fn attach(&self, id: &ContainerId, options: AttachOptions) -> Result<Session, ContainerError> {
        let container = self.container(id)?;
        if !container.is_running() {
            return Err(ContainerError::NotRunning(id.clone()));
        }
        let tty = container.meta.spec.stdio.tty;
        let failed = || io_error(format!("attach to container {id}"));
        let (mut from, mut to) = connect(&container.folder).await.map_err(failed())?.into_split();
        let flags =
            [(options.stdin, wire::STDIN), (options.stdout, wire::STDOUT), (options.stderr && !tty, wire::STDERR)]
                .into_iter()
                .filter(|(wanted, _)| *wanted)
                .fold(0, |all, (_, flag)| all | flag);
        to.write_all(&frame(Kind::Attach, &[flags])).await.map_err(failed())?;
        match receive(&mut from).await.map_err(failed())? {
            (Kind::Ok, _) => {}
            (_, reason) => {
                let reason = String::from_utf8_lossy(&reason).into_owned();
                return Err(ContainerError::Invalid { field: "stdin", reason });
            }
        }

        let (stdin, mut typed) = options.stdin.then(|| duplex(BUFFER)).unzip();
        let (stdout, to_stdout) = options.stdout.then(|| duplex(BUFFER)).unzip();
        let (stderr, to_stderr) = (options.stderr && !tty).then(|| duplex(BUFFER)).unzip();
        let (resize, mut sizes) = mpsc::channel::<TerminalSize>(4);
        let (ended, outcome) = oneshot::channel();
        let state = container.state.subscribe();
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let output = pump(&mut from, to_stdout, to_stderr);
            let input = async {
                let mut chunk = vec![0_u8; 8 * 1024];
                loop {
                    let frame = tokio::select! {
                        n = read_some(&mut typed, &mut chunk) => match n {
                            Ok(n) if n > 0 => frame(Kind::Stdin, chunk.get(..n).unwrap_or_default()),
                            _ => {
                                typed = None;
                                frame(Kind::StdinEnd, &[])
                            },
                        },
                        Some(size) = sizes.recv() => {
                            let ([w1, w2], [h1, h2]) = (size.width.to_be_bytes(), size.height.to_be_bytes());
                            frame(Kind::Resize, &[w1, w2, h1, h2])
                        },
                    };
                    if to.write_all(&frame).await.is_err() {
                        return std::future::pending::<()>().await;
                    }
                }
            };
            let mut ended: oneshot::Sender<()> = ended;
            tokio::select! {
                _ = output => {},
                () = input => {},
                // The session was dropped.
                () = ended.closed() => {},
                () = stop.cancelled() => {},
            }
            // Nobody need wait.
            let _ = ended.send(());
        });
        Ok(Session {
            stdin: stdin.map(|s| Box::pin(s) as Writer),
            stdout: stdout.map(|s| Box::pin(s) as Reader),
            stderr: stderr.map(|s| Box::pin(s) as Reader),
            resize: tty.then_some(resize),
            outcome: Box::pin(async move {
                // An error says that the task is gone, as its end does.
                let _ = outcome.await;
                let mut state = state;
                let ended = state.wait_for(|s| matches!(s, ContainerState::Exited { .. }));
                // The monitor tells us and the watcher at once; a cut-off client finds the container running.
                match tokio::time::timeout(Duration::from_secs(2), ended).await {
                    Ok(Ok(state)) => match &*state {
                        ContainerState::Exited { exit_code, .. } => Ok(ExecOutcome::Exited(*exit_code)),
                        _ => Ok(ExecOutcome::Detached),
                    },
                    _ => Ok(ExecOutcome::Detached),
                }
            }),
        })
    }

    pub(super) async fn reopen_log(&self, id: &ContainerId) -> Result<(), ContainerError> {
        let container = self.container(id)?;
        if !container.is_running() {
            return Err(ContainerError::NotRunning(id.clone()));
        }
        let failed = || io_error(format!("reopen the log of container {id}"));
        let (mut from, mut to) = connect(&container.folder).await.map_err(failed())?.into_split();
        to.write_all(&frame(Kind::ReopenLog, &[])).await.map_err(failed())?;
        match receive(&mut from).await.map_err(failed())? {
            (Kind::Ok, _) => Ok(()),
            (_, reason) => Err(ContainerError::Runtime {
                attempt: format!("reopen the log of container {id}"),
                reason: String::from_utf8_lossy(&reason).into_owned(),
            }),
        }
    }

    pub(super) async fn port_forward(&self, id: &SandboxId, port: u16) -> Result<Box<dyn Duplex>, SandboxError> {
        let entry = self.sandbox(id).ok_or_else(|| SandboxError::NotFound(id.clone()))?;
        let (state, netns) = {
            let sandbox = entry.sandbox.lock();
            (sandbox.state, sandbox.netns.clone())
        };
        if state != SandboxState::Ready {
            return Err(SandboxError::NotRunning(id.clone()));
        }
        let failed = |source| SandboxError::Connect { id: id.clone(), port, source };
        let dial = move || dial(port);
        let stream = match netns {
            Some(netns) => within_network(netns, dial).await,
            None => super::blocking(dial).await,
        };
        let stream = stream.and_then(tokio::net::TcpStream::from_std).map_err(failed)?;
        Ok(Box::new(stream))
    }
}

/// Connects to this network's own loopback address.
fn dial(port: u16) -> io::Result<TcpStream> {
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    // The first error is the one that people know.
    let stream = TcpStream::connect_timeout(&v4, CONNECT_TIMEOUT)
        .or_else(|e| TcpStream::connect_timeout(&v6, CONNECT_TIMEOUT).map_err(|_| e))?;
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn frame(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::encode(kind, payload, &mut bytes);
    bytes
}

async fn receive(from: &mut OwnedReadHalf) -> io::Result<(Kind, Vec<u8>)> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, wire::Malformed);
    let kind = Kind::of(from.read_u8().await?).ok_or_else(malformed)?;
    let length = from.read_u32().await? as usize;
    if length > MAX_PAYLOAD {
        return Err(malformed());
    }
    let mut payload = vec![0; length];
    from.read_exact(&mut payload).await?;
    Ok((kind, payload))
}

/// Passes output on until the container ends or the monitor is gone.
async fn pump(
    from: &mut OwnedReadHalf,
    mut stdout: Option<DuplexStream>,
    mut stderr: Option<DuplexStream>,
) -> io::Result<()> {
    loop {
        let (kind, payload) = receive(from).await?;
        let slot = match kind {
            Kind::Stdout => &mut stdout,
            Kind::Stderr => &mut stderr,
            Kind::Exit => return Ok(()),
            _ => continue,
        };
        if let Some(stream) = slot
            && stream.write_all(&payload).await.is_err()
        {
            // Its reader has gone; the others go on.
            *slot = None;
        }
    }
}

async fn read_some(from: &mut Option<impl AsyncRead + AsyncWrite + Unpin>, chunk: &mut [u8]) -> io::Result<usize> {
    match from {
        Some(from) => from.read(chunk).await,
        None => std::future::pending().await,
    }
}
