//! What processes of this machine hold in memory, by the kernel's account (`smaps_rollup`).

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kube::config::Kubeconfig;

use super::report::Share;
use crate::cli::Bench;

/// The data directory of the cluster that is measured, if it is one of this machine: where the kubeconfig is, or what is given as such.
pub(super) fn data_dir(options: &Bench, kubeconfig: &Path) -> Option<PathBuf> {
    let server = |file: &Path| {
        let config = Kubeconfig::read_from(file).ok()?;
        config.clusters.into_iter().find_map(|named| named.cluster?.server)
    };
    let measured = server(kubeconfig)?;
    let beside = kubeconfig.parent().map(Path::to_owned);
    let mut candidates = std::iter::once(options.data_dir.clone()).chain(beside);
    candidates
        .find(|dir| dir.join("lock").exists() && server(&dir.join("admin.kubeconfig")).as_ref() == Some(&measured))
}

/// What the cluster of a data directory has resident, in MiB: `cox`, and its nats-server. Empty if it does not run on this machine.
///
/// # Errors
/// If the kernel's account of a process cannot be read.
pub(super) fn of_cluster(dir: &Path) -> Result<Vec<(&'static str, f64)>> {
    let bus = fs::read_to_string(dir.join("bus").join("nats-server.pid")).unwrap_or_default();
    let bus = bus.trim().parse().ok().filter(|pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == "nats-server")
    });
    let mut found = Vec::new();
    for (name, pid) in
        [("resident afterwards, cox, MiB", owner(&dir.join("lock"))?), ("resident afterwards, nats-server, MiB", bus)]
    {
        if let Some(share) = pid.map(share).transpose()?.flatten() {
            found.push((name, share.rss as f64 / 1024.0));
        }
    }
    Ok(found)
}

/// The process that holds the lock on a file; none if nobody does, or the file is not there.
///
/// # Errors
/// If that cannot be found out.
pub(super) fn owner(file: &Path) -> Result<Option<i32>> {
    let inode = match fs::metadata(file) {
        Ok(m) => m.ino(),
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| file.display().to_string()),
    };
    // proc(5): "1: FLOCK ADVISORY WRITE 4711 08:01:131090 0 EOF".
    let locks = fs::read_to_string("/proc/locks")?;
    let mut fields = locks.lines().map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>());
    Ok(fields.find_map(|fields| match fields.as_slice() {
        ["FLOCK", _, "WRITE", pid, place, ..] if place.rsplit(':').next() == Some(&inode.to_string()) => {
            pid.parse().ok().filter(|pid| *pid > 0)
        }
        _ => None,
    }))
}

/// What a process has; none if it has just ended, or is another user's.
///
/// # Errors
/// If the kernel's account of it cannot be read.
pub(super) fn share(pid: i32) -> Result<Option<Share>> {
    let text = match fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) {
        Ok(text) => text,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => return Ok(None),
        // No such process, said by a file that was opened in time.
        Err(e) if e.raw_os_error() == Some(nix::libc::ESRCH) => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("reading the memory of process {pid}")),
    };
    let field = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    let own = field("Private_Clean") + field("Private_Dirty");
    Ok(Some(Share { rss: field("Rss"), pss: field("Pss"), uss: own }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_by_its_lock_and_its_memory_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lock");
        assert_eq!(owner(&file).unwrap(), None);
        let held =
            nix::fcntl::Flock::lock(fs::File::create(&file).unwrap(), nix::fcntl::FlockArg::LockExclusive).unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        assert_eq!(owner(&file).unwrap(), Some(pid));
        let share = share(pid).unwrap().unwrap();
        assert!(share.rss >= share.pss && share.pss >= share.uss && share.uss > 0, "{share:?}");
        drop(held);
        assert_eq!(owner(&file).unwrap(), None);
    }
}
