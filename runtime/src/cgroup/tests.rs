//! Tests of detection, bounds and counters, from text; the machine's own cgroups are tested with containers.

use super::*;

const V1: &str = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
                  36 31 0:33 / /sys/fs/cgroup/net_cls,net_prio rw shared:9 - cgroup cgroup rw,net_cls,net_prio\n\
                  40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n";
const HYBRID: &str = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

#[test]
fn legacy_hierarchies_are_found_by_controller_also_when_mounted_together() {
    let cgroups = Cgroups::from_mountinfo(V1).unwrap();
    assert!(!cgroups.is_hybrid());
    assert_eq!(cgroups.folder("cpu", "/a/b").unwrap(), Path::new("/sys/fs/cgroup/cpu/a/b"));
    assert_eq!(cgroups.folder("net_prio", "a").unwrap(), Path::new("/sys/fs/cgroup/net_cls,net_prio/a"));
    assert_eq!(cgroups.folder("systemd", "a").unwrap(), Path::new("/sys/fs/cgroup/systemd/a"));
    assert_eq!(cgroups.folder("memory", "a"), None);
    assert_eq!(cgroups.folders("a").len(), 3, "a shared mount counts once");
}

#[test]
fn hybrid_is_legacy_with_a_unified_hierarchy_besides() {
    assert!(Cgroups::from_mountinfo(&format!("{V1}{HYBRID}")).unwrap().is_hybrid());
    let pure = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
    assert_eq!(Cgroups::from_mountinfo(pure), Some(Cgroups::Unified { root: "/sys/fs/cgroup".into() }));
    assert_eq!(Cgroups::from_mountinfo("22 27 0:21 / /proc rw - proc proc rw\n"), None);
}

#[test]
fn bounds_become_files_of_each_version() {
    let resources = Resources {
        cpu_shares: Some(1024),
        cpu_quota: Some(50_000),
        memory_limit: Some(64 << 20),
        pids_limit: Some(-1),
        ..Resources::default()
    };
    let show = |unified| -> Vec<String> {
        limits::files(unified, &resources).into_iter().map(|(_, file, value)| format!("{file}={value}")).collect()
    };
    assert_eq!(show(true), ["cpu.weight=39", "cpu.max=50000 100000", "memory.max=67108864", "pids.max=max"]);
    assert_eq!(
        show(false),
        [
            "cpu.shares=1024",
            "cpu.cfs_period_us=100000",
            "cpu.cfs_quota_us=50000",
            "memory.limit_in_bytes=67108864",
            "pids.max=max"
        ]
    );
    assert_eq!((limits::weight(2), limits::weight(262_144)), (1, 10_000));
}

#[test]
fn counters_are_found_by_their_whole_name() {
    let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
    assert_eq!(usage::field(text, "oom_kill"), Some(3));
    assert_eq!(usage::field(text, "oom"), None);
}
