//! Live streams at the port: exec, attach, port forwarding.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::error::ContainerError;

/// A stream to read from; at its end the other side has closed it.
pub type Reader = Pin<Box<dyn AsyncRead + Send>>;
/// A stream to write to; shutting it down (or dropping it) closes the other side's standard input.
pub type Writer = Pin<Box<dyn AsyncWrite + Send>>;

/// A byte stream in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// What to run in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOptions {
    /// The command line; must not be empty.
    pub command: Vec<String>,
    /// With a terminal; then there is no stderr stream.
    pub tty: bool,
    /// With a standard input stream.
    pub stdin: bool,
    /// With a standard output stream.
    pub stdout: bool,
    /// With a standard error stream.
    pub stderr: bool,
    /// Killed after this time; unbounded if none.
    pub timeout: Option<Duration>,
    /// The terminal's first size.
    pub size: Option<TerminalSize>,
}

/// Which of a container's streams to join. The container's own terminal decides `tty`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttachOptions {
    /// Feed its standard input. Refused if the container was made without one.
    pub stdin: bool,
    /// Read its standard output.
    pub stdout: bool,
    /// Read its standard error (never anything with a terminal).
    pub stderr: bool,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecOutcome {
    /// 0 to 255; 128 + n when ended by signal n.
    Exited(i32),
    /// Killed because its time was up.
    TimedOut,
    /// The session ended before the command did (a client left an attach).
    Detached,
}

/// The result of a command that was run to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// How it ended.
    pub outcome: ExecOutcome,
    /// Standard output and error as they came, cut at 16 KiB.
    pub output: Vec<u8>,
}

/// A live exec or attach. Read the output streams to their ends, then await `outcome`.
pub struct Session {
    /// Standard input, if asked for.
    pub stdin: Option<Writer>,
    /// Standard output (the terminal's, if there is one), if asked for.
    pub stdout: Option<Reader>,
    /// Standard error, if asked for and there is no terminal.
    pub stderr: Option<Reader>,
    /// Changes of the terminal's size; none without a terminal.
    pub resize: Option<mpsc::Sender<TerminalSize>>,
    /// Resolves when the command (exec) or the container (attach) has ended. Dropping it ends an exec.
    pub outcome: BoxFuture<'static, Result<ExecOutcome, ContainerError>>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("stdin", &self.stdin.is_some())
            .field("stdout", &self.stdout.is_some())
            .field("stderr", &self.stderr.is_some())
            .field("resize", &self.resize.is_some())
            .finish_non_exhaustive()
    }
}
