//! A process of `cox` that says when it is ready, and ends with the test.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::{Look, until};

/// How long `cox` may take until it says that it is ready.
const READY: Duration = Duration::from_secs(90);
/// How long an orderly stop may take.
const STOP: Duration = Duration::from_secs(30);

/// A running process. Dropping it kills it.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    messages: PathBuf,
}

impl Process {
    /// Starts `cox` with these arguments; what it says to standard error is added to `messages`.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn start(arguments: &[String], messages: &Path) -> Result<Process> {
        Self::start_in(&[], arguments, messages)
    }

    /// The same with variables added to its environment.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn start_in(environment: &[(String, String)], arguments: &[String], messages: &Path) -> Result<Process> {
        let log = OpenOptions::new().create(true).append(true).open(messages)?;
        // It dies with the thread that started it, so that a test that is killed leaves no process behind.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(binary()?).args(arguments);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().context("cox cannot be started")?;
        let output = child.stdout.take().context("no standard output")?;
        let (sender, lines) = sync_channel(64);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Read on when nobody listens any more: a full pipe would stop the writer.
                let _ = sender.try_send(line);
            }
        });
        Ok(Process { child, lines, messages: messages.to_owned() })
    }

    /// Waits until it is ready, and gives the line that says so.
    ///
    /// # Errors
    /// If it ends instead, or takes too long.
    pub fn ready(&self) -> Result<String> {
        let Ok(line) = self.lines.recv_timeout(READY) else { bail!("cox is not ready: {}", tail(&self.messages)) };
        if !line.starts_with("ready") {
            bail!("the first line is not that it is ready: {line}");
        }
        Ok(line)
    }

    /// Waits until it has ended by itself, and gives how.
    ///
    /// # Errors
    /// If it does not in time.
    pub fn ended(&mut self) -> Result<ExitStatus> {
        until("cox has ended", READY, || {
            Ok(self.child.try_wait()?.map_or_else(|| Look::NotYet("it still runs".to_owned()), Look::Done))
        })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// If it is gone already.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Stops it with SIGTERM; it must end in good order.
    ///
    /// # Errors
    /// If it does not in time, or not with success.
    pub fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        let status = until("cox has stopped", STOP, || {
            Ok(self.child.try_wait()?.map_or_else(|| Look::NotYet("it still runs".to_owned()), Look::Done))
        })?;
        if !status.success() {
            bail!("cox ended with {status}: {}", tail(&self.messages));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines of a file.
pub fn tail(file: &Path) -> String {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().rev().take(40).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// The program: `COX_BIN`, or the one that was built beside the test.
///
/// # Errors
/// If it is not there.
pub fn binary() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("COX_BIN") {
        return Ok(given.into());
    }
    let test = std::env::current_exe()?;
    let built = test.ancestors().nth(2).unwrap_or(Path::new("/")).join("cox");
    if !built.exists() {
        bail!("{} is not there: build it with `cargo build --bins`, or name one in COX_BIN", built.display());
    }
    Ok(built)
}
