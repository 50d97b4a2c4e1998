//! More commands in a running container, through the OCI runtime's `exec`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oci_spec::runtime::Spec;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixListener;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::Core;
use super::containers::{CONFIG, Container, io_error};
use super::terminal::Terminal;
use crate::monitor::through;
use crate::port::container::ContainerId;
use crate::port::error::ContainerError;
use crate::port::stream::{ExecOptions, ExecOutcome, ExecOutput, Reader, Session, TerminalSize, Writer};
use crate::{files, oci_log, sys};

/// What is kept of a probe's output.
const OUTPUT: usize = 16 * 1024;
/// Processes that a command left behind may hold its output open: not longer than this.
const LINGER: Duration = Duration::from_millis(500);
/// How often a command is killed, and how long it is given to end each time.
const KILLS: u32 = 200;
const AGAIN: Duration = Duration::from_millis(50);
/// The OCI runtime sends the terminal before it starts the command.
const TERMINAL_WAIT: Duration = Duration::from_secs(10);

/// The files of one exec; dropping it ends the command, if it still runs, and removes them.
struct Exec {
    folder: PathBuf,
    name: String,
    runs: bool,
}

impl Exec {
    fn path(&self, kind: &str) -> PathBuf {
        self.folder.join(format!("{}.{kind}", self.name))
    }

    /// Kills the command. The OCI runtime that waits for it is still there, so the id is still its own.
    fn kill(&self) {
        let pid = fs::read_to_string(self.path("pid")).ok().and_then(|t| t.trim().parse::<i32>().ok());
        if let Some(pid) = pid.filter(|pid| *pid > 1) {
            // It may have ended just now.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

impl Drop for Exec {
    fn drop(&mut self) {
        if self.runs {
            self.kill();
        }
        for kind in ["json", "pid", "log", "tty"] {
            let _ = files::remove_file(&self.path(kind));
        }
    }
}

impl Core {
    fn prepare_exec(
        &self,
        container: &Container,
        command: &[String],
        tty: bool,
        size: Option<TerminalSize>,
    ) -> Result<Exec, ContainerError> {
        if !container.is_running() {
            return Err(ContainerError::NotRunning(container.meta.id.clone()));
        }
        if command.is_empty() {
            return Err(ContainerError::Invalid { field: "command", reason: "no command specified".to_owned() });
        }
        let name = format!("exec-{}", uuid::Uuid::now_v7().simple());
        let exec = Exec { folder: container.folder.clone(), name, runs: false };
        let process = process_of(&container.folder, command, tty, size).map_err(io_error("read the configuration"))?;
        files::write_json(&exec.path("json"), &process, false).map_err(io_error("write the command"))?;
        Ok(exec)
    }

    fn exec_command(&self, id: &ContainerId, exec: &Exec) -> Command {
        let mut command = self.command.command(Some(&exec.path("log")));
        command.arg("exec").arg("--process").arg(exec.path("json")).arg("--pid-file").arg(exec.path("pid"));
        command.arg(&id.0);
        command
    }

    pub(super) async fn exec(&self, id: &ContainerId, options: ExecOptions) -> Result<Session, ContainerError> {
        let container = self.container(id)?;
        let mut exec = self.prepare_exec(&container, &options.command, options.tty, options.size)?;
        let mut command = self.command.command(Some(&exec.path("log")));
        command.arg("exec").arg("--process").arg(exec.path("json")).arg("--pid-file").arg(exec.path("pid"));
        let spawned = |e| io_error(format!("run {} exec", self.info().name))(e);
        let null_or_pipe = |wanted| if wanted { Stdio::piped() } else { Stdio::null() };
        if !options.tty {
            let mut child = command
                .arg(&id.0)
                .stdin(null_or_pipe(options.stdin))
                .stdout(null_or_pipe(options.stdout))
                .stderr(null_or_pipe(options.stderr))
                .spawn()
                .map_err(spawned)?;
            exec.runs = true;
            return Ok(Session {
                stdin: child.stdin.take().map(|s| Box::pin(s) as Writer),
                stdout: child.stdout.take().map(|s| Box::pin(s) as Reader),
                stderr: child.stderr.take().map(|s| Box::pin(s) as Reader),
                resize: None,
                outcome: Box::pin(outcome(exec, child, options)),
            });
        }
        command.arg("--tty");
        let (terminal, child) = if self.info().name == "crun" {
            self.sent_terminal(command, id, &mut exec, &options).await?
        } else {
            self.relayed_terminal(command, id, &mut exec, options.size).map_err(spawned)?
        };
        let relay = (self.info().name != "crun").then(|| child.id()).flatten();
        let (resize, mut sizes) = mpsc::channel::<TerminalSize>(4);
        let resized = terminal.clone();
        let resizing = async move {
            while let Some(size) = sizes.recv().await {
                // A terminal that has just ended takes no size.
                let _ = resized.resize(size);
                if let Some(pid) = relay.and_then(|pid| i32::try_from(pid).ok()) {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGWINCH);
                }
            }
        };
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(resizing));
        Ok(Session {
            stdin: options.stdin.then(|| Box::pin(terminal.clone()) as Writer),
            stdout: Some(Box::pin(terminal)),
            stderr: None,
            resize: Some(resize),
            outcome: Box::pin(outcome(exec, child, options)),
        })
    }

    /// A terminal that the OCI runtime makes inside the container and sends to us.
    async fn sent_terminal(
        &self,
        mut command: Command,
        id: &ContainerId,
        exec: &mut Exec,
        options: &ExecOptions,
    ) -> Result<(Terminal, Child), ContainerError> {
        let spawned = |e| io_error(format!("run {} exec", self.info().name))(e);
        let folder = File::open(&exec.folder).map_err(spawned)?;
        let socket = through(&folder, &format!("{}.tty", exec.name));
        let listener = UnixListener::bind(&socket).map_err(spawned)?;
        command.arg("--console-socket").arg(&socket).arg(&id.0);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(spawned)?;
        exec.runs = true;
        let terminal = tokio::select! {
            accepted = timeout(TERMINAL_WAIT, listener.accept()) => {
                let (sender, _) = accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(spawned)?;
                let received = sender.async_io(Interest::READABLE, || sys::receive_fd(&sender)).await;
                received.and_then(Terminal::new).map_err(spawned)?
            },
            // It ended without a terminal: it could not start the command.
            ended = child.wait() => {
                exec.runs = false;
                let code = ended.map_err(spawned)?.code().unwrap_or(255);
                return Err(refusal(exec, &options.command).unwrap_or(ContainerError::Exec {
                    reason: format!("{} exec ended with {code}", self.info().name),
                    exit_code: 126,
                }));
            },
        };
        Ok((terminal, child))
    }

    /// A terminal of ours, between which and its own the OCI runtime passes everything on: runc sends one only
    /// when it does not wait for the command, whose exit code would then be lost.
    fn relayed_terminal(
        &self,
        mut command: Command,
        id: &ContainerId,
        exec: &mut Exec,
        size: Option<TerminalSize>,
    ) -> io::Result<(Terminal, Child)> {
        let pair = openpty(None, None)?;
        if let Some(TerminalSize { width, height }) = size {
            sys::set_terminal_size(&pair.master, width, height)?;
        }
        let (stdin, stdout) = (pair.slave.try_clone()?, pair.slave.try_clone()?);
        let terminal = Terminal::new(pair.master)?;
        let child = command.arg(&id.0).stdin(stdin).stdout(stdout).stderr(pair.slave).spawn()?;
        exec.runs = true;
        Ok((terminal, child))
    }

    pub(super) async fn exec_sync(
        &self,
        id: &ContainerId,
        command: &[String],
        limit: Duration,
    ) -> Result<ExecOutput, ContainerError> {
        let container = self.container(id)?;
        let mut exec = self.prepare_exec(&container, command, false, None)?;
        let spawned = |e| io_error(format!("run {} exec", self.info().name))(e);
        // One pipe for both streams: the output stays in its order.
        let (reader, writer) = io::pipe().map_err(spawned)?;
        let mut child = self
            .exec_command(id, &exec)
            .stdin(Stdio::null())
            .stdout(writer.try_clone().map_err(spawned)?)
            .stderr(writer)
            .spawn()
            .map_err(spawned)?;
        exec.runs = true;
        let mut reader = pipe::Receiver::from_owned_fd(reader.into()).map_err(spawned)?;
        let mut output = Vec::new();
        let deadline = sleep(limit);
        tokio::pin!(deadline);
        let mut open = true;
        let ended = loop {
            let mut chunk = [0_u8; 4096];
            tokio::select! {
                biased;
                read = reader.read(&mut chunk), if open => match read {
                    Ok(n) if n > 0 => keep(&mut output, chunk.get(..n).unwrap_or_default()),
                    _ => open = false,
                },
                ended = child.wait() => break Some(ended.map_err(spawned)?),
                () = &mut deadline => break None,
            }
        };
        let Some(status) = ended else {
            return Ok(ExecOutput { outcome: ExecOutcome::TimedOut, output });
        };
        exec.runs = false;
        let mut chunk = [0_u8; 4096];
        let drain = async {
            while let Ok(n) = reader.read(&mut chunk).await {
                if n == 0 {
                    return;
                }
                keep(&mut output, chunk.get(..n).unwrap_or_default());
            }
        };
        // Left-behind processes may hold the pipe; what the command itself wrote is there by now.
        let _ = timeout(LINGER, drain).await;
        let code = exit_code(status);
        match refusal(&exec, command) {
            Some(error) if code != 0 => Err(error),
            _ => Ok(ExecOutput { outcome: ExecOutcome::Exited(code), output }),
        }
    }
}

fn keep(output: &mut Vec<u8>, more: &[u8]) {
    let room = OUTPUT.saturating_sub(output.len()).min(more.len());
    output.extend_from_slice(more.get(..room).unwrap_or_default());
}

async fn outcome(mut exec: Exec, mut child: Child, options: ExecOptions) -> Result<ExecOutcome, ContainerError> {
    let limit = async {
        match options.timeout {
            Some(limit) => sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        ended = child.wait() => ended,
        () = limit => {
            end(&exec, &mut child).await.map_err(io_error("wait for the command"))?;
            exec.runs = false;
            return Ok(ExecOutcome::TimedOut);
        },
    };
    let status = ended.map_err(io_error("wait for the command"))?;
    exec.runs = false;
    let code = exit_code(status);
    match refusal(&exec, &options.command) {
        Some(error) if code != 0 => Err(error),
        _ => Ok(ExecOutcome::Exited(code)),
    }
}

/// Kills the command until it has ended: the OCI runtime may not have begun it yet.
async fn end(exec: &Exec, child: &mut Child) -> io::Result<()> {
    for _ in 0..KILLS {
        exec.kill();
        if let Ok(ended) = timeout(AGAIN, child.wait()).await {
            return ended.map(drop);
        }
    }
    // It hangs in itself.
    child.kill().await
}

fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or(status.signal().map(|s| 128 + s)).unwrap_or(255)
}

/// What the OCI runtime complained about, if it did: then the command never ran.
fn refusal(exec: &Exec, command: &[String]) -> Option<ContainerError> {
    let said = oci_log::last_error(&fs::read_to_string(exec.path("log")).unwrap_or_default());
    if said.is_empty() {
        return None;
    }
    let (reason, exit_code) = oci_log::exec_error(&said, command);
    Some(ContainerError::Exec { reason, exit_code })
}

/// The container's own process with another command line.
fn process_of(folder: &Path, command: &[String], tty: bool, size: Option<TerminalSize>) -> io::Result<Value> {
    let spec: Spec = files::read_json(&folder.join(CONFIG))?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let mut process = serde_json::to_value(spec.process())?;
    if let Some(process) = process.as_object_mut() {
        process.insert("args".to_owned(), json!(command));
        process.insert("terminal".to_owned(), json!(tty));
        if let Some(TerminalSize { width, height }) = size.filter(|_| tty) {
            // Set before the command starts, which may ask for it at once.
            process.insert("consoleSize".to_owned(), json!({"width": width, "height": height}));
        }
        if let Some(env) = process.get_mut("env").and_then(Value::as_array_mut)
            && tty
            && !env.iter().any(|e| e.as_str().is_some_and(|e| e.starts_with("TERM=")))
        {
            env.push(json!("TERM=xterm"));
        }
    }
    Ok(process)
}
