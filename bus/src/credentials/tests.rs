//! A credentials file is private, comes back as written, and says what is wrong with it.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn connect() -> Connect {
    let secret = Secret::NKey("SUAX".to_owned());
    let sealing = Some(SealingKey::generate());
    let credentials = Credentials { secret, sealing };
    Connect {
        url: "nats://127.0.0.1:1".into(),
        credentials,
        identity: Identity::Node("n.1".into()),
        cluster: "c".into(),
    }
}

#[test]
fn it_comes_back_and_nobody_else_can_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.json");
    let written = connect();
    written.to_file(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let read = Connect::from_file(&path, None).unwrap();
    assert_eq!((&read.url, &read.identity, &read.cluster), (&written.url, &written.identity, &written.cluster));
    assert!(matches!(read.credentials.secret, Secret::NKey(seed) if seed == "SUAX"));
    assert_eq!(read.credentials.sealing.unwrap().to_text(), written.credentials.sealing.unwrap().to_text());
    assert_eq!(Connect::from_file(&path, Some("nats://other:2")).unwrap().url, "nats://other:2");
}

#[test]
fn what_is_wrong_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.json");
    let complaint = |text: &str| {
        fs::write(&path, text).unwrap();
        Connect::from_file(&path, None).unwrap_err().to_string()
    };
    assert!(complaint("{").contains("not understood"));
    assert!(
        complaint(r#"{"identity":"root","cluster":"c","nkey":"S","url":"u"}"#)
            .contains("\"root\" is not a bus identity")
    );
    assert!(complaint(r#"{"identity":"ops","cluster":"c","url":"u"}"#).contains("one of nkey"));
    assert!(complaint(r#"{"identity":"ops","cluster":"c","nkey":"S"}"#).contains("no url"));
    assert!(complaint(r#"{"identity":"ops","cluster":"A b","nkey":"S","url":"u"}"#).contains("cluster name"));
}

#[test]
fn a_seed_is_not_printed() {
    assert!(!format!("{:?}", connect()).contains("SUAX"));
}
