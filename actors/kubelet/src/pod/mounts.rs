//! What is mounted into a container: its volumes, and the files that the kubelet provides.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cox_kit::Feed;
use cox_runtime::{Mount, MountSource, Propagation};
use k8s_openapi::api::core::v1::{Container, Pod, VolumeMount};

use crate::model::SandboxView;
use crate::node::Context;
use crate::spec::expand::expand;
use crate::spec::fields;
use crate::spec::sandbox::{aliases, hostname, hosts, kernel_hostname, resolv_conf};
use crate::volumes::manager::{Places, SUB_PATHS};
use crate::volumes::sub_path::hold;

/// Why a container's mounts cannot be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum MountError {
    /// A volume that is not in place.
    #[error("volume {0:?} is not in place")]
    Volume(String),
    /// A `subPath` that leads out of its volume, or cannot be made.
    #[error("failed to prepare subPath for volumeMount {mount:?} of container {container:?}: {reason}")]
    SubPath {
        /// The volume.
        mount: String,
        /// The container.
        container: String,
        /// What is wrong.
        reason: String,
    },
    /// A device of a volume, which this node does not implement.
    #[error("block volumes are not implemented by this node")]
    Device,
    /// A file that the kubelet provides.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
}

/// The mounts of a container; what they need on the host is made.
pub(super) async fn prepare<F: Feed>(
    context: &Context<F>,
    pod: &Pod,
    container: &Container,
    attempt: u32,
    sandbox: &SandboxView,
    places: &Places,
) -> Result<Vec<Mount>, MountError> {
    if container.volume_devices.as_ref().is_some_and(|d| !d.is_empty()) {
        return Err(MountError::Device);
    }
    let mut mounts = Vec::new();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let place = places.get(&mount.name).ok_or_else(|| MountError::Volume(mount.name.clone()))?;
        let path = sub_path(pod, context, container, (index, mount), place)?;
        mounts.push(Mount {
            target: PathBuf::from(&mount.mount_path),
            source: MountSource::Bind {
                path,
                propagation: match mount.mount_propagation.as_deref() {
                    Some("HostToContainer") => Propagation::HostToContainer,
                    Some("Bidirectional") => Propagation::Bidirectional,
                    _ => Propagation::Private,
                },
                recursive_read_only: matches!(mount.recursive_read_only.as_deref(), Some("Enabled" | "IfPossible")),
            },
            read_only: mount.read_only == Some(true),
        });
    }
    provided(context, pod, container, attempt, sandbox, &mut mounts)?;
    Ok(mounts)
}

fn sub_path<F: Feed>(
    pod: &Pod,
    context: &Context<F>,
    container: &Container,
    (index, mount): (usize, &VolumeMount),
    place: &Path,
) -> Result<PathBuf, MountError> {
    let expanded = mount.sub_path_expr.as_deref().filter(|e| !e.is_empty()).map(|text| {
        let facts = context.facts(Vec::new());
        expand(text, |name| {
            let variable = container.env.iter().flatten().find(|v| v.name == name)?;
            match variable.value_from.as_ref().and_then(|f| f.field_ref.as_ref()) {
                Some(field) => fields::field(pod, &facts, &field.field_path).ok().flatten(),
                None => variable.value.clone(),
            }
        })
    });
    let Some(sub) = expanded.or_else(|| mount.sub_path.clone()).filter(|s| !s.is_empty()) else {
        return Ok(place.to_owned());
    };
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let all = context.config.pod_dir(uid).join(SUB_PATHS);
    let held = all.join(&mount.name).join(&container.name).join(index.to_string());
    hold(place, &sub, &held).map_err(|error| MountError::SubPath {
        mount: mount.name.clone(),
        container: container.name.clone(),
        reason: error.to_string(),
    })?;
    Ok(held)
}

/// `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf`, `/dev/termination-log` and shared memory, unless a volume is mounted there.
fn provided<F: Feed>(
    context: &Context<F>,
    pod: &Pod,
    container: &Container,
    attempt: u32,
    sandbox: &SandboxView,
    mounts: &mut Vec<Mount>,
) -> Result<(), MountError> {
    let config = &context.config;
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let shared = config.pod_dir(uid);
    let own = config.container_dir(uid, &container.name, attempt);
    let host_network = pod.spec.as_ref().is_some_and(|s| s.host_network == Some(true));
    let hosts = if host_network {
        fs::read_to_string("/etc/hosts").unwrap_or_default() + &aliases(pod)
    } else {
        hosts(pod, &sandbox.ips, &config.dns.domain)
    };
    let hostname = if host_network {
        fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default()
    } else {
        format!("{}\n", kernel_hostname(pod, &config.dns.domain).unwrap_or_else(|_| hostname(pod)))
    };
    let message =
        container.termination_message_path.as_deref().filter(|p| !p.is_empty()).unwrap_or("/dev/termination-log");
    let files = [
        ("/etc/hosts", shared.join("etc-hosts"), Some(hosts), 0o644),
        ("/etc/hostname", shared.join("hostname"), Some(hostname), 0o644),
        ("/etc/resolv.conf", shared.join("resolv.conf"), Some(resolv_conf(pod, &config.dns)), 0o644),
        (message, own.join("termination-log"), None, 0o666),
    ];
    for (target, path, text, mode) in files {
        if mounts.iter().any(|m| m.target == Path::new(target)) {
            continue;
        }
        write(&path, text.as_deref(), mode).map_err(|e| MountError::File(path.clone(), e))?;
        mounts.push(Mount {
            target: PathBuf::from(target),
            source: MountSource::Bind { path, propagation: Propagation::Private, recursive_read_only: false },
            read_only: false,
        });
    }
    Ok(())
}

/// Writes a file in place, so that a container that has it mounted sees the change; without a text it is only made if missing.
fn write(path: &Path, text: Option<&str>, mode: u32) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let now = fs::read(path);
    match text {
        Some(text) if now.as_deref().ok() != Some(text.as_bytes()) => fs::write(path, text)?,
        None if now.is_err() => fs::write(path, "")?,
        _ => return Ok(()),
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
