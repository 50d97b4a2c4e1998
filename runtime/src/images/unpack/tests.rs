//! Tests of unpacking: what is made, and what must not get out.

use super::*;

/// An archive of (path, kind, content or link target).
fn archive(members: &[(&str, EntryType, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(if *kind == EntryType::Directory { 0o1777 } else { 0o644 });
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1_000_000);
        // Written raw: the builder refuses the very paths that are tested here.
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        if kind.is_symlink() || kind.is_hard_link() {
            header.as_gnu_mut().unwrap().linkname[..content.len()].copy_from_slice(content.as_bytes());
            header.set_size(0);
            header.set_cksum();
            builder.append(&header, io::empty()).unwrap();
        } else {
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn unpacked(members: &[(&str, EntryType, &str)]) -> (tempfile::TempDir, io::Result<()>) {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("layer");
    fs::create_dir(&target).unwrap();
    let result = unpack(&archive(members)[..], &target, Vec::new(), Bounds { entries: 100 });
    (folder, result)
}

const FILE: EntryType = EntryType::Regular;
const DIR: EntryType = EntryType::Directory;
const LINK: EntryType = EntryType::Symlink;
const HARD: EntryType = EntryType::Link;

#[test]
fn files_folders_and_links_are_made_with_their_attributes() {
    let (folder, result) = unpacked(&[
        ("./", DIR, ""),
        ("tmp/", DIR, ""),
        ("tmp/a", FILE, "hello"),
        ("tmp/b", HARD, "tmp/a"),
        ("implied/deep/c", FILE, ""),
        ("l", LINK, "tmp"),
        ("dev/sda", EntryType::Block, ""),
        ("fifo", EntryType::Fifo, ""),
    ]);
    result.unwrap();
    let at = |p: &str| fs::symlink_metadata(folder.path().join("layer").join(p));
    assert_eq!(at("tmp").unwrap().mode() & 0o7777, 0o1777);
    assert_eq!(at("tmp").unwrap().mtime(), 1_000_000);
    assert_eq!((at("tmp/a").unwrap().uid(), at("tmp/a").unwrap().gid()), (7, 8));
    assert_eq!(at("tmp/a").unwrap().ino(), at("tmp/b").unwrap().ino());
    assert_eq!(at("implied/deep").unwrap().mode() & 0o7777, 0o755);
    assert!(at("l").unwrap().is_symlink());
    assert!(at("dev/sda").is_err(), "device nodes are left out");
    assert_eq!(at("fifo").unwrap().mode() & SFlag::S_IFMT.bits(), SFlag::S_IFIFO.bits());
}

#[test]
fn nothing_gets_out_of_the_folder() {
    let outside = tempfile::tempdir().unwrap();
    let out = outside.path().to_str().unwrap();
    let (_, result) = unpacked(&[("../escaped", FILE, "x")]);
    assert!(result.unwrap_err().to_string().contains(".."));

    // Through an absolute link: it leads inside the layer, where there is nothing.
    let (folder, result) = unpacked(&[("d", LINK, out), ("d/file", FILE, "x")]);
    result.unwrap();
    assert!(fs::read_dir(outside.path()).unwrap().next().is_none());
    assert!(folder.path().join("layer/d/file").is_file(), "the link has given way to a folder");

    // Through a relative one.
    let (folder, result) = unpacked(&[("d", LINK, "../.."), ("d/file", FILE, "x")]);
    result.unwrap();
    assert!(!folder.path().join("file").exists());
    assert!(folder.path().join("layer/file").is_file(), "above the root is the root");

    // A hard link to a file of the host.
    let secret = outside.path().join("secret");
    fs::write(&secret, "s").unwrap();
    let (folder, result) = unpacked(&[("h", HARD, secret.to_str().unwrap())]);
    assert!(result.is_err());
    assert!(!folder.path().join("layer/h").exists());

    // A file over a link does not write through it.
    let (folder, result) = unpacked(&[("f", LINK, secret.to_str().unwrap()), ("f", FILE, "x")]);
    result.unwrap();
    assert_eq!(fs::read_to_string(&secret).unwrap(), "s");
    assert!(folder.path().join("layer/f").is_file());
}

#[test]
fn whiteouts_become_what_overlayfs_understands() {
    let (folder, result) =
        unpacked(&[("d/.wh.gone", FILE, ""), ("e/.wh..wh..opq", FILE, ""), (".wh..wh.plnk", FILE, "")]);
    result.unwrap();
    let layer = folder.path().join("layer");
    let gone = fs::symlink_metadata(layer.join("d/gone")).unwrap();
    assert_eq!((gone.mode() & SFlag::S_IFMT.bits(), gone.rdev()), (SFlag::S_IFCHR.bits(), 0));
    assert!(!layer.join("d/.wh.gone").exists());
    let listed: Vec<_> = fs::read_dir(layer.join("e")).unwrap().collect();
    assert!(listed.is_empty(), "the mark is an attribute, not a file");
}

#[test]
fn bounds_hold() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = archive(&[("a", FILE, ""), ("b", FILE, ""), ("c", FILE, "")]);
    let error = unpack(&bytes[..], folder.path(), Vec::new(), Bounds { entries: 2 }).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
}

#[test]
fn an_implied_folder_looks_as_it_does_below() {
    let below = tempfile::tempdir().unwrap();
    fs::create_dir(below.path().join("tmp")).unwrap();
    fs::set_permissions(below.path().join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bytes = archive(&[("tmp/x", FILE, "")]);
    unpack(&bytes[..], folder.path(), vec![below.path().to_owned()], Bounds { entries: 9 }).unwrap();
    assert_eq!(folder.path().join("tmp").metadata().unwrap().mode() & 0o7777, 0o1777);
}
