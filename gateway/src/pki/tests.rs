//! Keys that TLS takes, that stay what they are, and that are made anew when they no longer serve.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use super::*;

fn names(more: &[&str]) -> ServerNames {
    ServerNames {
        names: more.iter().map(|s| (*s).to_owned()).collect(),
        addresses: vec!["10.96.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
    }
}

#[test]
fn keys_stay_and_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("pki");
    let now = SystemTime::now();
    let made = Pki::load_or_make(&dir, &names(&[]), now).unwrap();
    assert_eq!(Pki::load_or_make(&dir, &names(&[]), now).unwrap(), made);
    for entry in std::fs::read_dir(&dir).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
    made.tls().unwrap();
}

#[test]
fn a_new_name_and_the_end_of_a_certificate_make_new_ones_of_the_same_authority() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let made = Pki::load_or_make(dir.path(), &names(&[]), now).unwrap();
    let renamed = Pki::load_or_make(dir.path(), &names(&["node-1"]), now).unwrap();
    assert_ne!(renamed.server, made.server);
    assert_eq!((&renamed.authority, &renamed.admin, &renamed.tokens), (&made.authority, &made.admin, &made.tokens));
    let later = now + Duration::from_secs(330 * 86_400);
    let renewed = Pki::load_or_make(dir.path(), &names(&["node-1"]), later).unwrap();
    assert_ne!(renewed.server, renamed.server);
    assert_ne!(renewed.admin, made.admin);
    assert_eq!(renewed.authority, made.authority);
}

#[test]
fn a_certificate_whose_key_was_not_written_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let made = Pki::load_or_make(dir.path(), &names(&[]), now).unwrap();
    for pair in ["server", "admin"] {
        std::fs::copy(dir.path().join("ca.key"), dir.path().join(format!("{pair}.key"))).unwrap();
    }
    let mended = Pki::load_or_make(dir.path(), &names(&[]), now).unwrap();
    mended.tls().unwrap();
    assert!(mended.server != made.server && mended.admin != made.admin && mended.authority == made.authority);
    assert_eq!(Pki::load_or_make(dir.path(), &names(&[]), now).unwrap(), mended);
}

#[test]
fn damage_is_said_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    Pki::load_or_make(dir.path(), &names(&[]), now).unwrap();
    std::fs::write(dir.path().join("server.crt"), "nonsense").unwrap();
    let error = Pki::load_or_make(dir.path(), &names(&[]), now).unwrap_err().to_string();
    assert!(error.contains("backup") && !error.contains('\n'), "{error}");
}
