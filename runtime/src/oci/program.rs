//! Runs a program to its end within a bound; one that takes longer is killed, with what it has started.

use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

/// Runs it with `input` on its standard input, in a process group of its own.
///
/// # Errors
/// The machine's; `TimedOut`, naming the bound.
pub(super) async fn run(command: &mut Command, input: &[u8], patience: Duration) -> io::Result<Output> {
    let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    let mut child = command.spawn()?;
    let group = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
    let mut ends = Box::pin(async move {
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input).await?;
        }
        child.wait_with_output().await
    });
    if let Ok(output) = timeout(patience, &mut ends).await {
        return output;
    }
    if let Some(group) = group {
        // The child is not waited for yet, so the number is still its own.
        let _ = killpg(group, Signal::SIGKILL);
    }
    let late = format!("it did not end within {} s and was killed", patience.as_secs_f32());
    Err(io::Error::new(io::ErrorKind::TimedOut, late))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn what_hangs_is_killed_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let note = dir.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", note.display());
        let error = run(Command::new("sh").args(["-c", &script]), b"", Duration::from_millis(300)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let pid: i32 = std::fs::read_to_string(&note).unwrap().trim().parse().unwrap();
        // A zombie has no command line: somebody else may be slow to reap it.
        let runs = || std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty());
        let deadline = Instant::now() + Duration::from_secs(20);
        while runs() {
            assert!(Instant::now() < deadline, "the child of what was killed still runs");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn input_goes_in_and_output_comes_out() {
        let output = run(&mut Command::new("cat"), b"there and back", Duration::from_secs(20)).await.unwrap();
        assert_eq!(output.stdout, b"there and back");
        let failed = run(Command::new("sh").args(["-c", "exit 3"]), b"", Duration::from_secs(20)).await.unwrap();
        assert_eq!(failed.status.code(), Some(3));
    }
}
