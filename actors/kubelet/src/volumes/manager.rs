//! Puts a pod's volumes in place, keeps those made of API objects current, and takes them away again.
//!
//! Each step may be repeated after a failure at any point: folders and mounts that stand are left as they are.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use cox_kit::{Feed, Why};
use k8s_openapi::api::core::v1::{HostPathVolumeSource, Pod, ServiceAccountTokenProjection, Volume};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::content::{self, ContentError, Origins, Ownership, Tokens};
use super::files;
use crate::node::Context;
use crate::spec::resources::quantity;
use crate::token;

/// Why a volume is not in place: the FailedMount event.
#[derive(Debug, thiserror::Error)]
#[error("MountVolume.SetUp failed for volume {volume:?} : {reason}")]
pub struct VolumeError {
    volume: String,
    reason: String,
}

/// Where the volumes of a pod are on the host, by name.
pub type Places = BTreeMap<String, PathBuf>;

/// Puts all volumes in place, or brings those that follow API objects up to date.
///
/// # Errors
/// The first volume that could not be made; those before it stay in place.
pub async fn set_up<F: Feed>(
    context: &Context<F>,
    pod: &Pod,
    pod_ips: Vec<String>,
    why: &Why,
) -> Result<Places, VolumeError> {
    let mut places = Places::new();
    let volumes: Vec<&Volume> = pod.spec.iter().flat_map(|s| s.volumes.iter().flatten()).collect();
    let tokens = Fetched(fetch_tokens(context, pod, &volumes, why).await);
    // The runtime mounts images itself.
    for volume in volumes.into_iter().filter(|volume| volume.image.is_none()) {
        let place = make(context, pod, volume, pod_ips.clone(), &tokens);
        let place = place.map_err(|reason| VolumeError { volume: volume.name.clone(), reason })?;
        places.insert(volume.name.clone(), place);
    }
    Ok(places)
}

fn make<F: Feed>(
    context: &Context<F>,
    pod: &Pod,
    volume: &Volume,
    pod_ips: Vec<String>,
    tokens: &Fetched,
) -> Result<PathBuf, String> {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let place = |plugin: &str| context.config.volume_dir(uid, plugin, &volume.name);
    let (owner, hollow) = (Ownership::of(pod), context.config.hollow.is_some());
    let plain = |error: io::Error| error.to_string();
    if let Some(empty) = &volume.empty_dir {
        let folder = place(EMPTY_DIR);
        if hollow {
            return Ok(folder);
        }
        let memory = empty.medium.as_deref() == Some("Memory");
        // Once made it is the containers': neither its permissions nor its owner are touched again.
        let made = context.config.pod_dir(uid).join(MADE).join(&volume.name);
        if made.exists() && folder.exists() && (!memory || is_mount_point(&folder).map_err(plain)?) {
            return Ok(folder);
        }
        make_folder(&folder).map_err(plain)?;
        let limit = empty.size_limit.as_ref().and_then(quantity);
        match empty.medium.as_deref() {
            None | Some("") => set_mode(&folder, 0o777).map_err(plain)?,
            Some("Memory") => mount_tmpfs(&folder, limit).map_err(plain)?,
            Some(other) => return Err(format!("unsupported medium of an emptyDir: {other}")),
        }
        give(&folder, owner.group).map_err(plain)?;
        fs::create_dir_all(made.parent().unwrap_or(&made)).and_then(|()| fs::write(&made, "")).map_err(plain)?;
        return Ok(folder);
    }
    if let Some(host) = &volume.host_path {
        if !hollow {
            check_host_path(host)?;
        }
        return Ok(PathBuf::from(&host.path));
    }
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let (sources, facts) = (context.sources(namespace), context.facts(pod_ips));
    let origins = Origins { pod, facts: &facts, sources: &sources, tokens, owner };
    let Some(files) = content::files(volume, &origins).map_err(|e: ContentError| e.to_string())? else {
        return Err(format!(
            "no volume plugin matched: this node does not implement the source of volume {:?}",
            volume.name
        ));
    };
    let folder = place(if volume.config_map.is_some() { "configmap" } else { "memory" });
    if hollow {
        return Ok(folder);
    }
    make_folder(&folder).map_err(plain)?;
    if volume.config_map.is_some() {
        set_mode(&folder, 0o777).map_err(plain)?;
    } else {
        mount_tmpfs(&folder, None).map_err(plain)?;
    }
    give(&folder, owner.group).map_err(plain)?;
    files::write(&folder, &files, owner.group).map_err(plain)?;
    Ok(folder)
}

/// Tokens by path of their file.
struct Fetched(BTreeMap<String, Result<String, String>>);

impl Tokens for Fetched {
    fn token(&self, projection: &ServiceAccountTokenProjection) -> Result<String, String> {
        let none = || Err("it was not asked for".to_owned());
        self.0.get(&token_key(projection)).cloned().unwrap_or_else(none)
    }
}

fn token_key(projection: &ServiceAccountTokenProjection) -> String {
    format!(
        "{}\0{}\0{:?}",
        projection.path,
        projection.audience.as_deref().unwrap_or_default(),
        projection.expiration_seconds
    )
}

async fn fetch_tokens<F: Feed>(
    context: &Context<F>,
    pod: &Pod,
    volumes: &[&Volume],
    why: &Why,
) -> BTreeMap<String, Result<String, String>> {
    let sources = volumes.iter().filter_map(|v| v.projected.as_ref()).flat_map(|p| p.sources.iter().flatten());
    let mut tokens = BTreeMap::new();
    for projection in sources.filter_map(|source| source.service_account_token.as_ref()) {
        tokens.insert(token_key(projection), token::get(context, pod, projection, why).await);
    }
    tokens
}

fn check_host_path(host: &HostPathVolumeSource) -> Result<(), String> {
    let path = Path::new(&host.path);
    let found = fs::metadata(path).ok().map(|m| m.file_type());
    let kind = host.type_.as_deref().unwrap_or_default();
    let fits = match kind {
        // No check: what is missing is made, as container runtimes do for what they mount.
        "" if found.is_none() => return fs::create_dir_all(path).map_err(|e| e.to_string()),
        "" => return Ok(()),
        "DirectoryOrCreate" if found.is_none() => {
            return fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(|e| e.to_string());
        }
        "FileOrCreate" if found.is_none() => {
            return fs::File::create(path).map(|_| ()).map_err(|e| e.to_string());
        }
        "Directory" | "DirectoryOrCreate" => found.is_some_and(|f| f.is_dir()),
        "File" | "FileOrCreate" => found.is_some_and(|f| f.is_file()),
        "Socket" => found.is_some_and(|f| f.is_socket()),
        "CharDevice" => found.is_some_and(|f| f.is_char_device()),
        "BlockDevice" => found.is_some_and(|f| f.is_block_device()),
        other => return Err(format!("unknown hostPath type {other}")),
    };
    if fits { Ok(()) } else { Err(format!("hostPath type check failed: {} is not a {}", host.path, words(kind))) }
}

fn words(kind: &str) -> &str {
    match kind {
        "Directory" | "DirectoryOrCreate" => "directory",
        "File" | "FileOrCreate" => "file",
        "Socket" => "socket file",
        "CharDevice" => "character device",
        _ => "block device",
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o750).create(folder)
}

fn set_mode(folder: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(mode))
}

/// Gives a volume's root to the group, if there is one; what is made in it belongs to the group as well.
fn give(folder: &Path, group: Option<u32>) -> io::Result<()> {
    if group.is_none() {
        return Ok(());
    }
    chown(folder, None, group)?;
    set_mode(folder, fs::metadata(folder)?.permissions().mode() | 0o2770)
}

/// Mounts memory, that is not swapped out where the kernel can keep it from that (Linux 6.4), with the permissions of `/tmp`.
fn mount_tmpfs(folder: &Path, size: Option<i64>) -> io::Result<()> {
    if is_mount_point(folder)? {
        return Ok(());
    }
    let size = size.map(|bytes| format!(",size={bytes}")).unwrap_or_default();
    let attempt = |options: &str| mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), Some(options));
    match attempt(&format!("mode=1777,noswap{size}")) {
        Err(Errno::EINVAL) => Ok(attempt(&format!("mode=1777{size}"))?),
        other => Ok(other?),
    }
}

fn is_mount_point(folder: &Path) -> io::Result<bool> {
    use std::os::linux::fs::MetadataExt;
    let parent = folder.parent().unwrap_or(folder);
    Ok(fs::metadata(folder)?.st_dev() != fs::metadata(parent)?.st_dev())
}

/// Takes away the volumes in a pod's folder, and what was mounted of them for `subPath`s; what else is in it stays.
///
/// # Errors
/// Of the file system.
pub fn tear_down_volumes(pod: &Path) -> io::Result<()> {
    tear_down(&pod.join(SUB_PATHS))?;
    tear_down(&pod.join(MADE))?;
    tear_down(&pod.join("volumes"))
}

/// How the folder for emptyDirs is called.
pub const EMPTY_DIR: &str = "empty-dir";

/// The folder in a pod's folder with a mark for each emptyDir that was made.
const MADE: &str = "volumes-made";

/// The folder in a pod's folder for what `subPath`s lead to.
pub const SUB_PATHS: &str = "volume-subpaths";

/// Takes a pod's folder away with everything that is mounted below it. What is not there is fine.
///
/// # Errors
/// Of the file system; nothing outside the folder is touched, for mounts that do not come off end it.
pub fn tear_down(folder: &Path) -> io::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let mut below: Vec<PathBuf> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(unescape)
        .filter(|path| path.starts_with(folder))
        .collect();
    below.sort();
    for path in below.iter().rev() {
        umount2(path, MntFlags::MNT_DETACH).map_err(io::Error::from)?;
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A path of mountinfo, where blanks and the like are octal.
fn unescape(text: &str) -> PathBuf {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let code = after.get(..3).and_then(|octal| u8::from_str_radix(octal, 8).ok());
        match code {
            Some(byte) => {
                out.push(char::from(byte));
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    PathBuf::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_folder_goes_with_its_mounts() {
        let dir = tempfile::tempdir().unwrap();
        let pod = dir.path().join("pod");
        let memory = pod.join("volumes/memory/a b");
        make_folder(&memory).unwrap();
        mount_tmpfs(&memory, Some(1 << 20)).unwrap();
        mount_tmpfs(&memory, Some(1 << 20)).unwrap();
        fs::write(memory.join("x"), "1").unwrap();
        tear_down(&pod).unwrap();
        assert!(!pod.exists());
        tear_down(&pod).unwrap();
    }

    #[test]
    fn host_paths_are_checked_as_recorded() {
        let check = |path: &str, kind: &str| {
            check_host_path(&HostPathVolumeSource { path: path.into(), type_: Some(kind.into()) })
        };
        assert_eq!(check("/nope", "Directory"), Err("hostPath type check failed: /nope is not a directory".into()));
        assert_eq!(check("/proc", "Directory"), Ok(()));
        assert!(check("/dev/null", "CharDevice").is_ok() && check("/proc", "File").is_err());
    }
}
