//! Objects of snapshots and events of ranges come back whole, Secrets only with the key.

use cox_objects::{Draft, Epoch};
use serde_json::json;

use super::*;

const AT: Position = Position { epoch: Epoch(3), revision: 40 };

fn object() -> Object {
    Draft::encode(&json!({"kind": "X", "apiVersion": "v1", "metadata": {"name": "a"}, "data": "hunter2"}))
        .unwrap()
        .seal(33)
}

#[test]
fn a_secret_of_a_snapshot_opens_with_the_key_at_its_position() {
    let sealing = SealingKey::generate();
    let key = Key::new(Resource::SECRETS, "default", "a");
    let bytes = codec::encode(&WireObject::of(&key, &object(), AT, &sealing).unwrap()).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"));
    let read = || codec::decode::<WireObject>(&bytes).unwrap();
    assert_eq!(read().open(AT, Some(&sealing)).unwrap(), (key, object()));
    assert!(read().open(AT, None).is_err());
    assert!(read().open(Position { revision: 41, ..AT }, Some(&sealing)).is_err());
}

#[test]
fn an_event_of_a_range_comes_back() {
    let sealing = SealingKey::generate();
    for resource in [Resource::PODS, Resource::SECRETS] {
        let sent = Event {
            position: AT,
            transaction: (39, 41),
            time: 5,
            key: Key::new(resource, "default", "a"),
            change: Change::Deleted,
            object: object(),
            cause: Cause { user: "x".into(), ..Cause::default() },
        };
        let bytes = codec::encode(&WireEvent::of(&sent, &sealing).unwrap()).unwrap();
        let got = codec::decode::<WireEvent>(&bytes).unwrap().open(Some(&sealing)).unwrap();
        assert_eq!(format!("{got:?}"), format!("{sent:?}"));
    }
}
