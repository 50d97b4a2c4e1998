//! Bounds written into a cgroup's files.

use std::fs;
use std::io;
use std::path::Path;

use super::Cgroups;
use crate::port::container::Resources;

/// A v1 cpu.shares value as the v2 weight with the same meaning (2..=262144 onto 1..=10000), the mapping of
/// the OCI runtimes (runtime-spec, "cgroup v2").
pub(super) fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142
}

/// The files to write, in order: (controller, file, value).
pub(super) fn files(unified: bool, resources: &Resources) -> Vec<(&'static str, String, String)> {
    let mut files = Vec::new();
    let mut add = |controller, file: &str, value: String| files.push((controller, file.to_owned(), value));
    let unlimited = |value: i64, none: &str| if value < 0 { none.to_owned() } else { value.to_string() };
    if unified {
        if let Some(shares) = resources.cpu_shares {
            add("cpu", "cpu.weight", weight(shares).to_string());
        }
        if let Some(quota) = resources.cpu_quota {
            add("cpu", "cpu.max", format!("{} {}", unlimited(quota, "max"), resources.cpu_period.unwrap_or(100_000)));
        }
        if let Some(limit) = resources.memory_limit {
            add("memory", "memory.max", unlimited(limit, "max"));
        }
        if let Some(limit) = resources.pids_limit {
            add("pids", "pids.max", unlimited(limit, "max"));
        }
        for (file, value) in &resources.unified {
            add("", file, value.clone());
        }
    } else {
        if let Some(shares) = resources.cpu_shares {
            add("cpu", "cpu.shares", shares.clamp(2, 262_144).to_string());
        }
        if let Some(quota) = resources.cpu_quota {
            add("cpu", "cpu.cfs_period_us", resources.cpu_period.unwrap_or(100_000).to_string());
            add("cpu", "cpu.cfs_quota_us", quota.to_string());
        }
        if let Some(limit) = resources.memory_limit {
            add("memory", "memory.limit_in_bytes", limit.to_string());
        }
        if let Some(limit) = resources.pids_limit {
            add("pids", "pids.max", unlimited(limit, "max"));
        }
    }
    files
}

pub(super) fn apply(cgroups: &Cgroups, path: &str, resources: &Resources) -> io::Result<()> {
    for (controller, file, value) in files(matches!(cgroups, Cgroups::Unified { .. }), resources) {
        let Some(folder) = cgroups.folder(controller, path) else {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("this machine has no cgroup controller {controller:?} for {file}"),
            ));
        };
        write(&folder.join(&file), &value)?;
    }
    Ok(())
}

fn write(file: &Path, value: &str) -> io::Result<()> {
    fs::write(file, value).map_err(|e| io::Error::new(e.kind(), format!("write {value:?} to {}: {e}", file.display())))
}
