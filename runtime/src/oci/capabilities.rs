//! Linux capabilities: the usual set, and a caller's changes to it.

use crate::port::container::Capabilities;

/// Every capability of Linux 5.9 and newer, in the kernel's order (capabilities(7)).
const ALL: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// What a container has by default, as container runtimes agree.
const DEFAULT: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// The set of a container, in the kernel's order, limited to what this process itself may give.
///
/// # Errors
/// A text that names an unknown capability.
pub(super) fn resolve(changes: &Capabilities, privileged: bool, available: u64) -> Result<Vec<String>, String> {
    let mut set = [false; ALL.len()];
    let base: &[&str] = if privileged { &ALL } else { &DEFAULT };
    let mut change = |name: &str, value: bool| {
        let mut found = false;
        for (known, slot) in ALL.iter().zip(set.iter_mut()) {
            if name == "ALL" || *known == name {
                *slot = value;
                found = true;
            }
        }
        found
    };
    base.iter().for_each(|name| {
        change(name, true);
    });
    let lists = [(&changes.drop, false), (&changes.add, true)];
    // "ALL" first in each list, so that names beside it refine it; additions come after removals.
    let all_added = changes.add.iter().any(|n| n.eq_ignore_ascii_case("all"));
    if all_added {
        change("ALL", true);
    }
    if changes.drop.iter().any(|n| n.eq_ignore_ascii_case("all")) {
        change("ALL", all_added);
    }
    for (names, value) in lists {
        for name in names.iter().filter(|n| !n.eq_ignore_ascii_case("all")) {
            let upper = name.to_ascii_uppercase();
            let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
            if !change(&full, value) {
                return Err(format!("unknown capability {name:?}"));
            }
        }
    }
    let given = ALL.iter().zip(set).enumerate();
    Ok(given
        .filter(|(bit, (_, on))| *on && available >> bit & 1 == 1)
        .map(|(_, (name, _))| (*name).to_owned())
        .collect())
}

/// This process's own bounding set (proc(5), `CapBnd`), beyond which nothing can be given.
pub(super) fn available() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bits = status.lines().find_map(|l| l.strip_prefix("CapBnd:"));
    bits.and_then(|b| u64::from_str_radix(b.trim(), 16).ok()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(add: &[&str], drop: &[&str], privileged: bool) -> Result<Vec<String>, String> {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        resolve(&Capabilities { add: own(add), drop: own(drop) }, privileged, u64::MAX)
    }

    #[test]
    fn changes_apply_to_the_default_set() {
        assert_eq!(names(&[], &[], false).unwrap().len(), DEFAULT.len());
        assert_eq!(names(&["NET_ADMIN"], &["ALL"], false).unwrap(), ["CAP_NET_ADMIN"]);
        assert_eq!(names(&["all"], &[], false).unwrap().len(), ALL.len());
        assert_eq!(names(&["ALL"], &["cap_sys_admin"], false).unwrap().len(), ALL.len() - 1);
        assert!(!names(&[], &["KILL"], false).unwrap().contains(&"CAP_KILL".to_owned()));
        assert_eq!(names(&[], &[], true).unwrap().len(), ALL.len());
        assert!(names(&["FLY"], &[], false).unwrap_err().contains("FLY"));
    }

    #[test]
    fn nothing_is_given_that_we_do_not_have() {
        let given = resolve(&Capabilities::default(), true, 1 << 21).unwrap();
        assert_eq!(given, ["CAP_SYS_ADMIN"]);
    }
}
