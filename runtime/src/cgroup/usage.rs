//! Counters read from a cgroup's files.

use std::fs;
use std::io;
use std::path::Path;

use super::Cgroups;
use crate::clock;
use crate::port::container::ContainerStats;

/// The number after `key ` in a file of lines `key number`.
pub(super) fn field(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

fn number(folder: &Path, file: &str) -> Option<u64> {
    fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()
}

pub(super) fn read(cgroups: &Cgroups, path: &str) -> io::Result<ContainerStats> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("no cgroup {path}"));
    let memory = cgroups.folder("memory", path).filter(|f| f.is_dir()).ok_or_else(missing)?;
    let text = fs::read_to_string(memory.join("memory.stat")).unwrap_or_default();
    let get = |key: &str| field(&text, key).unwrap_or(0);
    let unified = matches!(cgroups, Cgroups::Unified { .. });
    let usage_file = if unified { "memory.current" } else { "memory.usage_in_bytes" };
    let usage = number(&memory, usage_file).unwrap_or(0);
    let (inactive, rss, cpu) = if unified {
        let cpu = fs::read_to_string(memory.join("cpu.stat")).unwrap_or_default();
        (get("inactive_file"), get("anon"), field(&cpu, "usage_usec").unwrap_or(0) * 1_000)
    } else {
        let cpu = cgroups.folder("cpuacct", path).and_then(|f| number(&f, "cpuacct.usage"));
        (get("total_inactive_file"), get("total_rss"), cpu.unwrap_or(0))
    };
    let prefix = if unified { "" } else { "total_" };
    Ok(ContainerStats {
        at: clock::now(),
        cpu_usage: cpu,
        memory_usage: usage,
        memory_working_set: usage.saturating_sub(inactive),
        memory_rss: rss,
        page_faults: get(&format!("{prefix}pgfault")),
        major_page_faults: get(&format!("{prefix}pgmajfault")),
        pids: cgroups.folder("pids", path).and_then(|f| number(&f, "pids.current")).unwrap_or(0),
    })
}
