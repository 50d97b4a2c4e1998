//! A container's `config.json`: pure, from the spec, the image and what the sandbox shares.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use serde_json::{Map, Value, json};

use super::image_mounts::ImagePlaces;
use super::{capabilities, seccomp};
use crate::port::container::{ContainerSpec, Mount, MountSource, Propagation, Resources, SeccompProfile, User};
use crate::port::image::ImageConfig;
use crate::port::sandbox::HostNamespaces;

/// What a bundle is made from, all of it looked up before.
#[derive(Debug)]
pub(super) struct Inputs<'a> {
    pub(super) spec: &'a ContainerSpec,
    pub(super) image: &'a ImageConfig,
    pub(super) user: &'a User,
    pub(super) home: &'a str,
    pub(super) hostname: &'a str,
    pub(super) host: HostNamespaces,
    /// Where the images are that it mounts.
    pub(super) images: &'a ImagePlaces,
    /// Files of the sandbox's namespaces by OCI type; a type that is missing is new (`pid`) or the host's.
    pub(super) namespaces: BTreeMap<&'static str, PathBuf>,
    /// The sandbox's shared memory folder.
    pub(super) shm: &'a Path,
    pub(super) cgroup: &'a str,
    pub(super) unified_cgroups: bool,
    /// Every device of the host, for privileged containers, and those asked for.
    pub(super) devices: Vec<DeviceNode>,
    /// The profile's content for [`SeccompProfile::File`].
    pub(super) seccomp_file: Option<Value>,
    /// Capabilities that we may give, as bits.
    pub(super) capabilities: u64,
    /// The least `oom_score_adj` that we may set.
    pub(super) least_oom_score_adj: i32,
    pub(super) apparmor: bool,
}

/// A device node of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeviceNode {
    pub(super) path: PathBuf,
    /// `c` or `b`.
    pub(super) kind: char,
    pub(super) major: u64,
    pub(super) minor: u64,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) access: String,
}

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The command line: the caller's command and arguments, else the image's.
pub(super) fn command_line(spec: &ContainerSpec, image: &ImageConfig) -> Vec<String> {
    let (head, tail) = match (spec.command.is_empty(), spec.args.is_empty()) {
        (true, true) => (&image.entrypoint, &image.cmd),
        (true, false) => (&image.entrypoint, &spec.args),
        (false, _) => (&spec.command, &spec.args),
    };
    head.iter().chain(tail).cloned().collect()
}

/// Image's environment, then the caller's, later names winning in their first place; `PATH`, `HOSTNAME`,
/// `HOME` and (with a terminal) `TERM` are there in any case.
fn environment(inputs: &Inputs<'_>) -> Vec<String> {
    let mut env: Vec<String> = vec![PATH.to_owned(), format!("HOSTNAME={}", inputs.hostname)];
    if inputs.spec.stdio.tty {
        env.push("TERM=xterm".to_owned());
    }
    env.push(format!("HOME={}", inputs.home));
    let own = inputs.spec.env.iter().map(|(name, value)| format!("{name}={value}"));
    for entry in inputs.image.env.iter().cloned().chain(own) {
        let name = entry.split_once('=').map_or(entry.as_str(), |(name, _)| name);
        let same = |e: &String| e.split_once('=').is_some_and(|(n, _)| n == name);
        match env.iter_mut().find(|e| same(e)) {
            Some(slot) => *slot = entry,
            None => env.push(entry),
        }
    }
    env
}

/// The configuration.
///
/// # Errors
/// The field that is wrong and why.
pub(super) fn build(inputs: &Inputs<'_>) -> Result<Spec, (&'static str, String)> {
    let spec = inputs.spec;
    let args = command_line(spec, inputs.image);
    if args.is_empty() {
        return Err(("command", "no command specified".to_owned()));
    }
    let cwd = spec.working_dir.as_deref().filter(|d| !d.is_empty()).unwrap_or(&inputs.image.working_dir);
    let cwd = if cwd.is_empty() { "/" } else { cwd };
    if !cwd.starts_with('/') {
        return Err(("working_dir", format!("working directory {cwd:?} is not absolute")));
    }
    let privileged = spec.security.privileged;
    let caps = capabilities::resolve(&spec.security.capabilities, privileged, inputs.capabilities)
        .map_err(|e| ("capabilities", e))?;
    let oom = spec.resources.oom_score_adj.unwrap_or(0).clamp(inputs.least_oom_score_adj, 1000);
    let mut process = json!({
        "terminal": spec.stdio.tty,
        "user": {"uid": inputs.user.uid, "gid": inputs.user.gid, "additionalGids": inputs.user.supplemental_groups},
        "args": args,
        "env": environment(inputs),
        "cwd": cwd,
        "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
        "noNewPrivileges": spec.security.no_new_privileges,
        "oomScoreAdj": oom,
    });
    if inputs.apparmor
        && let (Some(profile), Some(process)) = (&spec.security.apparmor_profile, process.as_object_mut())
    {
        process.insert("apparmorProfile".to_owned(), json!(profile));
    }
    let document = json!({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs", "readonly": spec.security.read_only_rootfs},
        "process": process,
        "mounts": mounts(inputs)?,
        "linux": linux(inputs, &caps),
    });
    // Through the typed form, so that a mistake here is found here.
    serde_json::from_value(document).map_err(|e| ("spec", e.to_string()))
}

fn linux(inputs: &Inputs<'_>, caps: &[String]) -> Value {
    let security = &inputs.spec.security;
    let mut namespaces: Vec<Value> = vec![json!({"type": "mount"})];
    for kind in ["network", "ipc", "uts", "pid"] {
        match inputs.namespaces.get(kind) {
            Some(path) => namespaces.push(json!({"type": kind, "path": path})),
            None if kind == "pid" && !inputs.host.pid => namespaces.push(json!({"type": "pid"})),
            None => {}
        }
    }
    if inputs.unified_cgroups && !security.privileged {
        namespaces.push(json!({"type": "cgroup"}));
    }
    let mut linux = Map::new();
    linux.insert("namespaces".to_owned(), json!(namespaces));
    linux.insert("cgroupsPath".to_owned(), json!(inputs.cgroup));
    linux.insert("resources".to_owned(), resources(&inputs.spec.resources, inputs));
    let binds = || inputs.spec.mounts.iter().map(|m| propagation(&m.source));
    if binds().any(|p| p == Propagation::Bidirectional) {
        linux.insert("rootfsPropagation".to_owned(), json!("rshared"));
    } else if binds().any(|p| p == Propagation::HostToContainer) {
        linux.insert("rootfsPropagation".to_owned(), json!("rslave"));
    }
    if !security.privileged && !security.unmasked_proc {
        linux.insert("maskedPaths".to_owned(), json!(MASKED));
        linux.insert("readonlyPaths".to_owned(), json!(READ_ONLY));
    }
    let devices: Vec<Value> = inputs.devices.iter().map(device).collect();
    linux.insert("devices".to_owned(), json!(devices));
    let profile = match &security.seccomp {
        _ if security.privileged => None,
        SeccompProfile::Unconfined => None,
        SeccompProfile::RuntimeDefault => Some(seccomp::default_profile(caps)),
        SeccompProfile::File(_) => inputs.seccomp_file.clone(),
    };
    if let Some(profile) = profile {
        linux.insert("seccomp".to_owned(), profile);
    }
    Value::Object(linux)
}

fn device(node: &DeviceNode) -> Value {
    json!({
        "path": node.path, "type": node.kind.to_string(), "major": node.major, "minor": node.minor,
        "fileMode": node.mode, "uid": node.uid, "gid": node.gid,
    })
}

fn resources(bounds: &Resources, inputs: &Inputs<'_>) -> Value {
    let mut rules = vec![json!({"allow": inputs.spec.security.privileged, "access": "rwm"})];
    if !inputs.spec.security.privileged {
        rules.extend(inputs.devices.iter().map(|node| {
            json!({
                "allow": true, "type": node.kind.to_string(), "major": node.major, "minor": node.minor,
                "access": node.access,
            })
        }));
    }
    let mut out = json!({ "devices": rules });
    let Some(map) = out.as_object_mut() else { return out };
    let present = |pairs: Vec<(&str, Option<Value>)>| -> Map<String, Value> {
        pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    };
    let cpu = present(vec![
        ("shares", bounds.cpu_shares.map(|v| json!(v))),
        ("quota", bounds.cpu_quota.map(|v| json!(v))),
        ("period", bounds.cpu_quota.map(|_| json!(bounds.cpu_period.unwrap_or(100_000)))),
        ("cpus", bounds.cpuset_cpus.as_ref().map(|v| json!(v))),
    ]);
    if !cpu.is_empty() {
        map.insert("cpu".to_owned(), Value::Object(cpu));
    }
    if let Some(limit) = bounds.memory_limit {
        map.insert("memory".to_owned(), json!({ "limit": limit }));
    }
    if let Some(limit) = bounds.pids_limit {
        map.insert("pids".to_owned(), json!({ "limit": limit }));
    }
    if inputs.unified_cgroups && !bounds.unified.is_empty() {
        map.insert("unified".to_owned(), json!(bounds.unified));
    }
    out
}

fn propagation(source: &MountSource) -> Propagation {
    match source {
        MountSource::Bind { propagation, .. } => *propagation,
        MountSource::Image { .. } | MountSource::Tmpfs { .. } => Propagation::Private,
    }
}

fn mounts(inputs: &Inputs<'_>) -> Result<Vec<Value>, (&'static str, String)> {
    let cgroup_mode = if inputs.spec.security.privileged { "rw" } else { "ro" };
    let mount = |at: &str, kind: &str, source: &str, options: &[&str]| json!({"destination": at, "type": kind, "source": source, "options": options});
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", cgroup_mode]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", cgroup_mode]),
        json!({"destination": "/dev/shm", "type": "bind", "source": inputs.shm, "options": ["rbind", "rw", "rprivate"]}),
    ];
    let mut own: Vec<&Mount> = inputs.spec.mounts.iter().collect();
    // Outer paths first; a stable sort keeps the caller's order among equals.
    own.sort_by_key(|m| m.target.components().count());
    for m in own {
        if !m.target.is_absolute() {
            return Err(("mounts", format!("mount target {:?} is not absolute", m.target)));
        }
        mounts.retain(|d| d.get("destination").and_then(Value::as_str) != m.target.to_str());
        mounts.push(own_mount(m, inputs.images)?);
    }
    Ok(mounts)
}

fn own_mount(m: &Mount, images: &ImagePlaces) -> Result<Value, (&'static str, String)> {
    let mode = if m.read_only { "ro" } else { "rw" };
    match &m.source {
        MountSource::Bind { path, propagation, recursive_read_only } => {
            if !path.is_absolute() {
                return Err(("mounts", format!("mount source {path:?} is not absolute")));
            }
            let travel = match propagation {
                Propagation::Private => "rprivate",
                Propagation::HostToContainer => "rslave",
                Propagation::Bidirectional => "rshared",
            };
            let mode = if m.read_only && *recursive_read_only { "rro" } else { mode };
            Ok(json!({"destination": m.target, "type": "bind", "source": path, "options": ["rbind", travel, mode]}))
        }
        MountSource::Image { id } => {
            let path = images.get(id).ok_or_else(|| ("mounts", format!("image {id} is not in place")))?;
            Ok(json!({"destination": m.target, "type": "bind", "source": path, "options": ["rbind", "rprivate", mode]}))
        }
        MountSource::Tmpfs { size, mode: permissions } => {
            let mut options = vec!["nosuid".to_owned(), "nodev".to_owned(), mode.to_owned()];
            options.push(format!("mode={permissions:o}"));
            options.extend(size.map(|s| format!("size={s}")));
            Ok(json!({"destination": m.target, "type": "tmpfs", "source": "tmpfs", "options": options}))
        }
    }
}

#[cfg(test)]
mod tests;
