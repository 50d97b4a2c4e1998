//! Writes a volume's files so that a container sees the old or the new ones, never a mixture.
//!
//! Flow: the files go into a fresh timestamped folder; `..data`, a symbolic link to it, is replaced by a rename; each top-level name is a
//! symbolic link through `..data`. Readers that hold the old folder open keep it until they let go.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::{Component, Path};

use super::content::Files;

const DATA: &str = "..data";

/// Brings the folder to these files, which belong to the group, if there is one, and are readable by it; says whether anything was changed.
///
/// # Errors
/// Of the file system; a path that leaves the volume is refused as invalid input.
pub fn write(folder: &Path, files: &Files, group: Option<u32>) -> io::Result<bool> {
    for path in files.keys() {
        check(path)?;
    }
    if is_current(folder, files) {
        return Ok(false);
    }
    let stamp = jiff::Timestamp::now().strftime("..%Y_%m_%d_%H_%M_%S.%N").to_string();
    let fresh = folder.join(&stamp);
    make_folder(&fresh, group)?;
    for (path, file) in files {
        let mut parent = fresh.clone();
        for part in Path::new(path).parent().into_iter().flat_map(Path::components) {
            parent.push(part);
            make_folder(&parent, group)?;
        }
        let target = fresh.join(path);
        fs::write(&target, &file.data)?;
        let readable = if group.is_some() { 0o440 } else { 0 };
        // The owner comes first: a change of owner may take permissions away.
        if group.is_some() || file.user.is_some() {
            chown(&target, file.user, group)?;
        }
        fs::set_permissions(&target, fs::Permissions::from_mode(file.mode & 0o777 | readable))?;
    }
    let link = folder.join("..data_tmp");
    let _ = fs::remove_file(&link);
    symlink(&stamp, &link)?;
    lchown(&link, None, group)?;
    fs::rename(&link, folder.join(DATA))?;
    link_names(folder, files, group)?;
    remove_old(folder, &stamp)?;
    Ok(true)
}

/// Makes a folder, if it is not there, that everyone may read; what is made in it belongs to the group as well.
fn make_folder(folder: &Path, group: Option<u32>) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        other => other?,
    }
    chown(folder, None, group)?;
    let inherited = if group.is_some() { 0o2000 } else { 0 };
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755 | inherited))
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
fn link_names(folder: &Path, files: &Files, group: Option<u32>) -> io::Result<()> {
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
            symlink(Path::new(DATA).join(name), &link)?;
            lchown(&link, None, group)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volumes::content::File;

    fn files(pairs: &[(&str, &str)]) -> Files {
        pairs
            .iter()
            .map(|(p, d)| ((*p).to_owned(), File { data: d.as_bytes().to_vec(), mode: 0o640, user: None }))
            .collect()
    }

    #[test]
    fn files_appear_change_and_go_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let read = |path: &str| fs::read_to_string(dir.path().join(path)).ok();
        assert!(write(dir.path(), &files(&[("a", "1"), ("d/e", "2")]), None).unwrap());
        assert_eq!((read("a").as_deref(), read("d/e").as_deref()), (Some("1"), Some("2")));
        assert!(!write(dir.path(), &files(&[("a", "1"), ("d/e", "2")]), None).unwrap());
        assert!(write(dir.path(), &files(&[("a", "3")]), None).unwrap());
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
            assert!(write(dir.path(), &files(&[(path, "1")]), None).is_err(), "{path}");
        }
    }

    #[test]
    fn everything_is_the_groups_and_readable_by_it() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let one = Files::from([("d/a".to_owned(), File { data: vec![], mode: 0o400, user: Some(7) })]);
        write(dir.path(), &one, Some(2000)).unwrap();
        let look = |path: &str| {
            let found = fs::symlink_metadata(dir.path().join(path)).unwrap();
            (found.mode() & 0o7777, found.uid(), found.gid())
        };
        assert_eq!(look("d/a"), (0o440, 7, 2000));
        assert_eq!((look("..data/d"), look("..data/")), ((0o2755, 0, 2000), (0o2755, 0, 2000)));
        assert_eq!((look("d").2, look("..data").2), (2000, 2000));
    }
}
