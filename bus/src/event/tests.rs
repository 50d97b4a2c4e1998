//! Events survive the bus whole, and Secrets are unreadable on it.

use cox_objects::{Draft, Epoch, Resource};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const EPOCH: Epoch = Epoch(0xabc);

fn event(key: Key, revision: Revision, cause: Cause) -> Event {
    let object = json!({"kind": "X", "apiVersion": "v1", "metadata": {"name": key.name()}, "data": {"password": "aHVudGVyMg=="}});
    Event {
        position: Position { epoch: EPOCH, revision },
        transaction: (revision, revision + 2),
        time: 1_700_000_000_123,
        key,
        change: Change::Modified,
        object: Draft::encode(&object).unwrap().seal(revision),
        cause,
    }
}

fn subjects() -> Subjects {
    Subjects::new("test")
}

fn message(out: &Outgoing) -> Message {
    Message {
        subject: out.subject.as_str().into(),
        reply: None,
        payload: out.body.clone(),
        headers: Some(out.headers.clone()),
        status: None,
        description: None,
        length: 0,
    }
}

fn decoded(out: &Outgoing, key: Option<&SealingKey>) -> Decoded {
    decode(&subjects(), &message(out), key).unwrap()
}

#[test]
fn a_text_that_is_nothing_but_escapes_comes_back() {
    let cause = Cause { user: " ".into(), component: "%".into(), ..Cause::default() };
    let sent = event(Key::new(Resource::PODS, "d", "\""), 1, cause.clone());
    let out = encode(&subjects(), &sent, &SealingKey::generate(), 1 << 20).unwrap();
    assert!(matches!(decoded(&out, None), Decoded::Event(back) if back.cause == cause && back.key == sent.key));
}

#[test]
fn the_headers_are_those_of_the_specification() {
    let key = SealingKey::generate();
    let cause = Cause {
        user: "kubernetes-admin".into(),
        trigger: Some(Trigger::Event(Position { epoch: EPOCH, revision: 4 })),
        correlation: Some(RequestId(0xff)),
        ..Cause::default()
    };
    let out = encode(&subjects(), &event(Key::new(Resource::PODS, "default", "web"), 7, cause), &key, 1 << 20).unwrap();
    let get = |name: &str| out.headers.get(name).unwrap().as_str().to_owned();
    assert_eq!(out.subject, "cox.test.events.core.pods.default.web");
    assert_eq!(get("ce-specversion"), "1.0");
    assert_eq!(get("ce-id"), "0000000000000abc-7");
    assert_eq!(get("ce-type"), "io.coxswain.pods.modified");
    assert_eq!(get("ce-subject"), "pods/default/web");
    assert_eq!(get("ce-time"), "2023-11-14T22:13:20.123Z");
    assert_eq!(get("ce-sequence"), "00000000000000000007");
    assert_eq!(get("ce-causationid"), "0000000000000abc-4");
    assert!(get("ce-correlationid").ends_with("ff"));
    assert_eq!(get("content-type"), "application/json");
}

#[test]
fn a_secret_is_sealed_and_opens_with_the_key_only() {
    let key = SealingKey::generate();
    let sent = event(Key::new(Resource::SECRETS, "default", "s"), 9, Cause::default());
    let out = encode(&subjects(), &sent, &key, 1 << 20).unwrap();
    assert!(!String::from_utf8_lossy(&out.body).contains("aHVudGVyMg"));
    assert!(matches!(decoded(&out, Some(&key)), Decoded::Event(e) if e.object == sent.object));
    for other in [None, Some(&SealingKey::generate())] {
        assert!(matches!(decoded(&out, other), Decoded::Sealed(p, k) if p == sent.position && k == sent.key));
    }
}

#[test]
fn an_event_too_large_for_the_bus_says_so_without_its_body() {
    let sent = event(Key::new(Resource::PODS, "default", "s"), 9, Cause::default());
    let out = encode(&subjects(), &sent, &SealingKey::generate(), 1200).unwrap();
    assert!(out.body.is_empty());
    assert!(matches!(decoded(&out, None), Decoded::TooLarge(p) if p == sent.position));
}

#[test]
fn names_of_headers_are_read_in_any_case() {
    let sent = event(Key::new(Resource::PODS, "default", "s"), 9, Cause::default());
    let mut out = encode(&subjects(), &sent, &SealingKey::generate(), 1 << 20).unwrap();
    let mut upper = HeaderMap::new();
    for (name, values) in out.headers.iter() {
        upper.insert(AsRef::<str>::as_ref(name).to_ascii_uppercase(), values[0].clone());
    }
    out.headers = upper;
    assert!(matches!(decoded(&out, None), Decoded::Event(e) if e.position == sent.position));
}

#[test]
fn what_is_no_event_is_an_error() {
    let sent = event(Key::new(Resource::PODS, "default", "s"), 9, Cause::default());
    let mut message = message(&encode(&subjects(), &sent, &SealingKey::generate(), 1 << 20).unwrap());
    message.payload = Bytes::from_static(b"{}");
    assert!(decode(&subjects(), &message, None).is_err());
    message.headers = None;
    assert!(decode(&subjects(), &message, None).is_err());
}

fn trigger_any() -> impl Strategy<Value = Trigger> {
    prop_oneof![
        any::<u64>().prop_map(|revision| Trigger::Event(Position { epoch: EPOCH, revision })),
        ".{0,9}".prop_map(Trigger::Timer),
    ]
}

prop_compose! {
    fn cause()(user in ".{0,12}", component in "[ -~]{0,9}", request: u128, observed: Option<u64>,
               trigger in proptest::option::of(trigger_any()), folded in proptest::collection::vec(trigger_any(), 0..4),
               correlation: Option<u128>) -> Cause {
        Cause { user, component, request: RequestId(request), observed, trigger, folded,
                correlation: correlation.map(RequestId), traceparent: Some("00-ab-cd-01".into()) }
    }
}

proptest! {
    #[test]
    fn an_event_comes_back(cause in cause(), name in "[^/]{1,12}", revision in 1..u64::MAX / 2, time in 0..4_000_000_000_000u64) {
        let mut sent = event(Key::new(Resource::new("rbac.x", "roles"), "ns", &name), revision, cause);
        sent.time = time;
        let out = encode(&subjects(), &sent, &SealingKey::generate(), 1 << 20).unwrap();
        for (_, values) in out.headers.iter() {
            prop_assert!(values[0].as_str().bytes().all(|b| (0x20..0x7f).contains(&b)));
        }
        let Decoded::Event(got) = decoded(&out, None) else { panic!("not whole") };
        prop_assert_eq!(&got.cause, &sent.cause);
        prop_assert_eq!((got.position, got.transaction, got.time, got.change), (sent.position, sent.transaction, sent.time, sent.change));
        prop_assert_eq!((&got.key, &got.object), (&sent.key, &sent.object));
    }
}
