//! What a node leaves on this machine: processes, mounts, bridges, tables, cgroups.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

/// The processes that run exactly this command line. Zombies have none.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn running(command: &[&str]) -> Result<Vec<i32>> {
    processes(|line| line == command)
}

/// The processes that have `text` in an argument, this one aside.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn mentioning(text: &str) -> Result<Vec<i32>> {
    let own = i32::try_from(std::process::id())?;
    let mut found = processes(|line| line.iter().any(|argument| argument.contains(text)))?;
    found.retain(|pid| *pid != own);
    Ok(found)
}

fn processes(fits: impl Fn(&[&str]) -> bool) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process may end while we look.
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        let arguments: Vec<&str> = line.trim_end_matches('\0').split('\0').collect();
        if !line.is_empty() && fits(&arguments) {
            found.push(pid);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Everything on this machine that belongs to the cluster with this id and data directory.
///
/// # Errors
/// If the machine cannot be asked.
pub fn traces(id: &str, data: &Path) -> Result<Vec<String>> {
    let data = data.to_string_lossy();
    let mut traces: Vec<String> = mentioning(&data)?
        .into_iter()
        .map(|pid| format!("process {pid}: {}", fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()))
        .collect();
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    traces.extend(mounts.lines().filter(|line| line.contains(&*data)).map(|line| format!("mount {line}")));
    for (what, program, arguments) in [
        ("link", "ip", &["-o", "link"][..]),
        ("namespace", "ip", &["netns", "list"]),
        ("table", "nft", &["list", "tables"]),
        ("rule", "iptables-save", &[]),
    ] {
        traces.extend(
            lines(program, arguments)?
                .into_iter()
                .filter(|line| line.contains(id))
                .map(|line| format!("{what} {line}")),
        );
    }
    let mut groups = Vec::new();
    find(Path::new("/sys/fs/cgroup"), id, 4, &mut groups);
    traces.extend(groups.into_iter().map(|path| format!("cgroup {}", path.display())));
    Ok(traces)
}

fn lines(program: &str, arguments: &[&str]) -> Result<Vec<String>> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    match Command::new(program).args(arguments).env("PATH", path).output() {
        Ok(output) => {
            ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
            Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
        }
        // Without the program nothing was made with it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Folders below `root` with `id` in their name.
fn find(root: &Path, id: &str, depth: usize, found: &mut Vec<PathBuf>) {
    // Cgroups come and go while we look.
    let Ok(entries) = fs::read_dir(root) else { return };
    for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        if entry.file_name().to_string_lossy().contains(id) {
            found.push(entry.path());
        } else if depth > 0 {
            find(&entry.path(), id, depth - 1, found);
        }
    }
}
