//! When space is enough.

use super::*;

#[test]
fn what_is_kept_free_is_said() {
    assert_eq!(enough(64 << 20, 64 << 20), Ok(()));
    assert_eq!(enough((64 << 20) - 1, 64 << 20), Err("the disk has 63 MiB left, 64 MiB are kept free".to_owned()));
}

#[test]
fn the_answer_is_kept_for_a_while() {
    let mut space = Space::new(0);
    assert_eq!(space.check(Path::new("/")), Ok(()));
    space.reserve = u64::MAX;
    assert_eq!(space.check(Path::new("/")), Ok(()), "not asked again yet");
    space.asked = None;
    assert!(space.check(Path::new("/")).is_err());
    space.asked = None;
    assert_eq!(space.check(Path::new("/does/not/exist")), Ok(()), "not knowing is no reason to stop");
}

#[test]
fn a_probe_tells_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    takes_writes(dir.path()).unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let refused = takes_writes(&dir.path().join("gone")).unwrap_err();
    assert!(refused.starts_with("the disk cannot be written: "), "{refused}");
    assert!(takes_writes(Path::new("/proc")).is_err());
}
