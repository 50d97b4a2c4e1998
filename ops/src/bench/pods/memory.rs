//! What the node's part holds in memory: the process that has the node's containers, and those that monitor them.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::bench::memory::{owner, share};
use crate::bench::report::{NodeMemory, Share};

/// A look at one moment.
pub(super) struct Look {
    /// The process with the kubelet in it.
    process: Share,
    /// What monitors are forked from.
    spawner: Share,
    /// The monitors, together.
    monitors: Share,
    count: u32,
}

/// Looks at the node whose containers are in `run`; none if there is no such node on this machine.
///
/// # Errors
/// If `/proc` cannot be read.
pub(super) fn look(run: &Path) -> Result<Option<Look>> {
    let Some(owner) = owner(&run.join("lock"))? else { return Ok(None) };
    let Some(process) = share(owner)? else { return Ok(None) };
    let mut look = Look { process, spawner: Share::default(), monitors: Share::default(), count: 0 };
    let run = run.canonicalize()?;
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process may end while we look.
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        let mut words = line.split('\0').skip_while(|word| *word != "monitor").skip(1);
        let (verb, folder) = (words.next(), words.next().unwrap_or_default());
        if !Path::new(folder).starts_with(&run) {
            continue;
        }
        match (verb, share(pid)?) {
            (Some("run"), Some(share)) => {
                look.monitors.add(share);
                look.count += 1;
            }
            (Some("spawn"), Some(share)) => look.spawner.add(share),
            _ => {}
        }
    }
    Ok(Some(look))
}

/// What two looks say: without pods, and with so many.
pub(super) fn told(idle: &Look, full: &Look, pods: u16) -> NodeMemory {
    let kib = |look: &Look| look.process.pss + look.spawner.pss + look.monitors.pss;
    NodeMemory {
        pods,
        process_idle: idle.process,
        process: full.process,
        spawner: full.spawner,
        monitors: full.monitors,
        monitor_count: full.count,
        per_pod_kib: kib(full).saturating_sub(kib(idle)) / u64::from(pods.max(1)),
    }
}
