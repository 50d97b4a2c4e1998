//! Writes a volume's files so that a container sees the old or the new ones, never a mixture.
//!
//! Flow: the files go into a fresh timestamped folder; `..data`, a symbolic link to it, is replaced by a rename; each top-level name is a
//! symbolic link through `..data`. Readers that hold the old folder open keep it until they let go.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Component, Path};

use super::content::Files;

const DATA: &str = "..data";

/// Who owns the files: root, or the pod's `fsGroup`, to which they are also made readable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ownership {
    /// The group.
    pub group: Option<u32>,
    /// The user, of a token for a pod whose containers all run as one user.
    pub user: Option<u32>,
}

/// Brings the folder to these files; says whether anything was changed.
///
/// # Errors
/// Of the file system; a path that leaves the volume is refused as invalid input.
pub fn write(folder: &Path, files: &Files, owner: Ownership) -> io::Result<bool> {
    for path in files.keys() {
        check(path)?;
    }
    if is_current(folder, files) {
        return Ok(false);
    }
    let stamp = jiff::Timestamp::now().strftime("..%Y_%m_%d_%H_%M_%S.%N").to_string();
    let fresh = folder.join(&stamp);
    fs::create_dir(&fresh)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755))?;
    for (path, file) in files {
        let target = fresh.join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&target, &file.data)?;
        let mut mode = file.mode & 0o777;
        if owner.group.is_some() {
            // The group gets what the owner has, as volume ownership is documented for fsGroup.
            mode |= (mode & 0o700) >> 3;
        }
        if owner.user.is_some() && owner.group.is_none() {
            mode = 0o600;
        }
        fs::set_permissions(&target, fs::Permissions::from_mode(mode))?;
        if owner.group.is_some() || owner.user.is_some() {
            chown(&target, owner.user, owner.group)?;
        }
    }
    let link = folder.join("..data_tmp");
    let _ = fs::remove_file(&link);
    symlink(&stamp, &link)?;
    fs::rename(&link, folder.join(DATA))?;
    link_names(folder, files)?;
    remove_old(folder, &stamp)?;
    Ok(true)
}

/// Removes the folders of earlier contents, also of a write that did not come to its end.
fn remove_old(folder: &Path, current: &str) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("..") && name != current && entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn check(path: &str) -> io::Result<()> {
    let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if inside && !path.is_empty() && !path.starts_with("..") {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("invalid path in a volume: {path:?}")))
}

/// Whether the folder holds just these files with these contents and permissions.
fn is_current(folder: &Path, files: &Files) -> bool {
    let data = folder.join(DATA);
    let same =
        |(path, file): (&String, &super::content::File)| fs::read(data.join(path)).is_ok_and(|now| now == file.data);
    let Ok(present) = list(&data, &data) else { return false };
    present == files.keys().cloned().collect() && files.iter().all(same)
}

fn list(root: &Path, folder: &Path) -> io::Result<BTreeSet<String>> {
    let mut out = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            out.extend(list(root, &path)?);
        } else if let Ok(inside) = path.strip_prefix(root) {
            out.insert(inside.to_string_lossy().into_owned());
        }
    }
    Ok(out)
}

/// Makes the top-level links, and removes those of names that are gone.
fn link_names(folder: &Path, files: &Files) -> io::Result<()> {
    let wanted: BTreeSet<&str> = files.keys().filter_map(|path| path.split('/').next()).collect();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // What a subPath made here is no link, and not ours to take away.
        if !name.starts_with("..") && !wanted.contains(name.as_str()) && entry.file_type()?.is_symlink() {
            fs::remove_file(entry.path())?;
        }
    }
    for name in wanted {
        let link = folder.join(name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new(DATA).join(name), link)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volumes::content::File;

    fn files(pairs: &[(&str, &str)]) -> Files {
        pairs.iter().map(|(p, d)| ((*p).to_owned(), File { data: d.as_bytes().to_vec(), mode: 0o640 })).collect()
    }

    #[test]
    fn files_appear_change_and_go_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let read = |path: &str| fs::read_to_string(dir.path().join(path)).ok();
        assert!(write(dir.path(), &files(&[("a", "1"), ("d/e", "2")]), Ownership::default()).unwrap());
        assert_eq!((read("a").as_deref(), read("d/e").as_deref()), (Some("1"), Some("2")));
        assert!(!write(dir.path(), &files(&[("a", "1"), ("d/e", "2")]), Ownership::default()).unwrap());
        assert!(write(dir.path(), &files(&[("a", "3")]), Ownership::default()).unwrap());
        assert_eq!((read("a").as_deref(), read("d/e")), (Some("3"), None));
        let mode = fs::metadata(dir.path().join("a")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o640);
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 3, "{left:?}");
    }

    #[test]
    fn nothing_leaves_the_volume() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["../x", "/x", "a/../../x", "..data", ""] {
            assert!(write(dir.path(), &files(&[(path, "1")]), Ownership::default()).is_err(), "{path}");
        }
    }

    #[test]
    fn the_group_may_read_what_the_owner_may() {
        let dir = tempfile::tempdir().unwrap();
        let one = Files::from([("a".to_owned(), File { data: vec![], mode: 0o400 })]);
        write(dir.path(), &one, Ownership { group: Some(0), user: None }).unwrap();
        assert_eq!(fs::metadata(dir.path().join("a")).unwrap().permissions().mode() & 0o777, 0o440);
    }
}
