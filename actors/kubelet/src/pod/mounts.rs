//! What is mounted into a container: its volumes, and the files that the kubelet provides.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use cox_kit::Feed;
use cox_runtime::{Mount, MountSource, Propagation};
use k8s_openapi::api::core::v1::{Container, Pod, VolumeMount};

use crate::model::SandboxView;
use crate::node::Context;
use crate::spec::expand::expand;
use crate::spec::sandbox::{hostname, hosts, hosts_of_host, kernel_hostname, resolv_conf};
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
    /// A `subPath` that is not relative, or steps back.
    #[error("{0}")]
    Path(String),
    /// A `subPathExpr` that names a variable which the container does not have.
    #[error("missing value for {0:?}")]
    Variable(String),
    /// A part of an image's files, which this node does not implement.
    #[error("subPath of an image volume is not implemented by this node")]
    PartOfImage,
    /// A device of a volume, which this node does not implement.
    #[error("block volumes are not implemented by this node")]
    Device,
    /// A file that the kubelet provides.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
}

/// What a container's mounts are made from.
pub(super) struct Sources<'a> {
    /// Where volumes are on the host.
    pub places: &'a Places,
    /// Images that are volumes, by the volume's name.
    pub images: &'a BTreeMap<String, String>,
    /// The container's environment, which a `subPathExpr` may name.
    pub env: &'a [(String, String)],
}

/// The mounts of a container; what they need on the host is made.
pub(super) async fn prepare<F: Feed>(
    context: &Context<F>,
    pod: &Pod,
    container: &Container,
    attempt: u32,
    sandbox: &SandboxView,
    sources: &Sources<'_>,
) -> Result<Vec<Mount>, MountError> {
    if container.volume_devices.as_ref().is_some_and(|d| !d.is_empty()) {
        return Err(MountError::Device);
    }
    let mut mounts = Vec::new();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let sub = sub_path(mount, sources.env)?;
        if let Some(id) = sources.images.get(&mount.name) {
            if sub.is_some() {
                return Err(MountError::PartOfImage);
            }
            let source = MountSource::Image { id: id.clone() };
            mounts.push(Mount { target: PathBuf::from(&mount.mount_path), source, read_only: true });
            continue;
        }
        let place = sources.places.get(&mount.name).ok_or_else(|| MountError::Volume(mount.name.clone()))?;
        let path = match sub {
            None => place.clone(),
            Some(sub) if context.config.hollow.is_some() => place.join(sub),
            Some(sub) => held(pod, context, container, (index, mount), place, &sub)?,
        };
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
    if context.config.hollow.is_none() {
        provided(context, pod, container, attempt, sandbox, &mut mounts)?;
    }
    Ok(mounts)
}

/// The part of a volume that a mount is to show, if it is not the whole.
fn sub_path(mount: &VolumeMount, env: &[(String, String)]) -> Result<Option<String>, MountError> {
    let sub = match mount.sub_path_expr.as_deref().filter(|e| !e.is_empty()) {
        None => mount.sub_path.clone().unwrap_or_default(),
        Some(text) => {
            let missing = RefCell::new(None);
            let expanded = expand(text, |name| {
                let found = env.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
                if found.is_none() {
                    missing.replace(Some(name.to_owned()));
                }
                found
            });
            match missing.into_inner() {
                Some(name) => return Err(MountError::Variable(name)),
                None => expanded,
            }
        }
    };
    if sub.starts_with('/') {
        return Err(MountError::Path(format!("error SubPath `{sub}` must not be an absolute path")));
    }
    if Path::new(&sub).components().any(|part| part == Component::ParentDir) {
        return Err(MountError::Path(format!("unable to provision SubPath `{sub}`: must not contain '..'")));
    }
    Ok(Some(sub).filter(|s| !s.is_empty()))
}

/// Holds a part of a volume fast, to be mounted.
fn held<F: Feed>(
    pod: &Pod,
    context: &Context<F>,
    container: &Container,
    (index, mount): (usize, &VolumeMount),
    place: &Path,
    sub: &str,
) -> Result<PathBuf, MountError> {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let all = context.config.pod_dir(uid).join(SUB_PATHS);
    let held = all.join(&mount.name).join(&container.name).join(index.to_string());
    hold(place, sub, &held).map_err(|error| MountError::SubPath {
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
        hosts_of_host(pod, &fs::read_to_string("/etc/hosts").unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sub(path: Option<&str>, expr: Option<&str>) -> Result<Option<String>, String> {
        let mount = VolumeMount {
            sub_path: path.map(str::to_owned),
            sub_path_expr: expr.map(str::to_owned),
            ..VolumeMount::default()
        };
        let env = [("N", "p"), ("EMPTY", ""), ("N", "q")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        sub_path(&mount, &env).map_err(|e| e.to_string())
    }

    #[test]
    fn sub_paths_are_expanded_and_stay_inside() {
        assert_eq!(sub(None, None), Ok(None));
        assert_eq!(sub(Some("a/b"), None), Ok(Some("a/b".to_owned())));
        assert_eq!(sub(None, Some("e/$(N)")), Ok(Some("e/q".to_owned())));
        assert_eq!(sub(None, Some("$(EMPTY)/$(N)")), Err("error SubPath `/q` must not be an absolute path".to_owned()));
        assert_eq!(sub(None, Some("$(NOPE)")), Err("missing value for \"NOPE\"".to_owned()));
        assert_eq!(
            sub(Some("a/../.."), None),
            Err("unable to provision SubPath `a/../..`: must not contain '..'".to_owned())
        );
    }
}
