//! The OCI runtime's command line: found, asked for its version, called.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::program;
use crate::config::RuntimeChoice;
use crate::port::RuntimeInfo;
use crate::port::error::ContainerError;
use crate::sys;

/// A program with the OCI command line, and how it must be called here.
#[derive(Debug, Clone)]
pub(super) struct OciCommand {
    pub(super) info: RuntimeInfo,
    /// Program and arguments up to the verb.
    pub(super) line: Vec<String>,
    /// Whether the unified cgroup hierarchy must be hidden from it.
    pub(super) hide_unified: bool,
    /// How long it may take.
    patience: Duration,
}

impl OciCommand {
    /// Finds the program and asks it for its version.
    ///
    /// # Errors
    /// `NotFound`, saying what to install; `TimedOut`.
    pub(super) async fn find(
        choice: &RuntimeChoice,
        root: &Path,
        hybrid: bool,
        patience: Duration,
    ) -> io::Result<Self> {
        let names: &[&str] = match choice {
            RuntimeChoice::Auto => &["crun", "runc"],
            RuntimeChoice::Program(name) => &[name.as_str()],
        };
        let program = names.iter().find_map(|name| in_path(name)).ok_or_else(|| {
            let what = format!("no OCI runtime found ({}): install crun or runc", names.join(", "));
            io::Error::new(io::ErrorKind::NotFound, what)
        })?;
        let asked = program::run(Command::new(&program).arg("--version"), b"", patience).await;
        let output = asked.map_err(|e| io::Error::new(e.kind(), format!("{} --version: {e}", program.display())))?;
        let (name, version) = parse_version(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{} --version says nothing useful", program.display()))
        })?;
        let mut line = vec![program.to_string_lossy().into_owned(), "--root".to_owned(), root.display().to_string()];
        if name == "crun" {
            line.push("--cgroup-manager=cgroupfs".to_owned());
        }
        let hide_unified = hybrid && name == "crun";
        Ok(Self { info: RuntimeInfo { name, version }, line, hide_unified, patience })
    }

    /// A command up to (not including) the verb, with a log file for its complaints.
    pub(super) fn command(&self, log: Option<&Path>) -> Command {
        let (program, args) = self.line.split_first().map_or(("false", &[][..]), |(p, a)| (p.as_str(), a));
        let mut command = Command::new(program);
        command.args(args);
        if let Some(log) = log {
            command.args(["--log-format", "json", "--log"]).arg(log);
        }
        if self.hide_unified {
            sys::hide_unified_cgroup_async(&mut command);
        }
        command.kill_on_drop(true);
        command
    }

    /// Runs a verb to its end.
    ///
    /// # Errors
    /// [`ContainerError::Runtime`] with what it printed; [`ContainerError::Io`] when it did not end in time.
    pub(super) async fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<(), ContainerError> {
        let attempt = || {
            let words: Vec<_> = args.iter().map(|a| a.as_ref().to_string_lossy()).collect();
            format!("{} {}", self.info.name, words.join(" "))
        };
        let output = program::run(self.command(None).args(args), b"", self.patience).await;
        let output = output.map_err(|source| ContainerError::Io { attempt: attempt(), source })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let reason = if said.is_empty() { output.status.to_string() } else { said };
        Err(ContainerError::Runtime { attempt: attempt(), reason })
    }
}

/// `crun version 1.8.1` → (`crun`, `1.8.1`).
fn parse_version(text: &str) -> Option<(String, String)> {
    let mut words = text.lines().next()?.split_whitespace();
    let name = words.next()?;
    let version = words.find(|w| w.starts_with(|c: char| c.is_ascii_digit()))?;
    Some((name.to_owned(), version.to_owned()))
}

/// The program's path: as it is if it has a slash, else from `PATH` and the administrator's folders.
pub(super) fn in_path(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Path::new(name).is_file().then(|| PathBuf::from(name));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|folder| folder.join(name)).find(|p| p.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let crun = "crun version 1.8.1\ncommit: f8a0\nrundir: /run/crun\n";
        assert_eq!(parse_version(crun), Some(("crun".into(), "1.8.1".into())));
        assert_eq!(parse_version("runc version 1.1.5+ds1\n"), Some(("runc".into(), "1.1.5+ds1".into())));
        assert_eq!(parse_version("?"), None);
    }

    #[test]
    fn programs_are_found_by_name_or_path() {
        assert!(in_path("sh").is_some());
        assert_eq!(in_path("/bin/sh"), Some(PathBuf::from("/bin/sh")));
        assert_eq!(in_path("/no/such/runtime"), None);
        assert_eq!(in_path("no-such-runtime"), None);
    }
}
