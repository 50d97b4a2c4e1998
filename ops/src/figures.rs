//! What the composition measures itself: the process's memory, and how far its mirror is behind.

use cox_kit::metrics::{Metric, Registry};
use cox_mirror::Mirror;

const MEMORY: Metric =
    Metric { name: "cox_process_resident_memory_bytes", help: "Memory of this process that is in RAM." };
const LAG: Metric = Metric {
    name: "cox_mirror_lag_revisions",
    help: "Revisions that the apiserver has announced and this mirror has not.",
};
const AGE: Metric = Metric {
    name: "cox_mirror_lag_seconds",
    help: "How old what this mirror shows is at most, in whole seconds; it grows while the apiserver is not heard.",
};

/// A registry for this process, which shows its memory.
pub fn registry() -> Registry {
    let registry = Registry::default();
    registry.asked(MEMORY, &[], || resident().unwrap_or_default());
    registry
}

/// Shows how far the process's mirror is behind.
pub fn show_mirror(registry: &Registry, mirror: &Mirror) {
    let aging = mirror.clone();
    registry.asked(AGE, &[], move || aging.age().as_secs());
    let (mirror, announced) = (mirror.clone(), mirror.announced());
    registry.asked(LAG, &[], move || {
        let head = announced.borrow().map_or(0, |head| head.revision);
        head.saturating_sub(mirror.position().revision)
    });
}

/// Bytes in RAM; none where the kernel does not tell.
fn resident() -> Option<u64> {
    resident_of("self")
}

/// The same of another process by its id.
pub fn resident_of(process: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_takes_memory() {
        let memory = resident().unwrap();
        assert!(memory > 1 << 20 && memory < 1 << 36, "{memory}");
        assert!(registry().text().contains("\ncox_process_resident_memory_bytes "));
    }
}
