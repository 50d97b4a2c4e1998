//! Records and keys read back as they were written, and order as lists do.

use cox_objects::{Cause, Change, Draft, Epoch, Event, Key, Position, RequestId, Resource, Trigger};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn event(cause: Cause, change: Change, name: &str) -> Event {
    let object = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name}, "spec": {"x": "ü\n"}});
    Event {
        position: Position { epoch: Epoch(9), revision: 7 },
        transaction: (6, 8),
        time: 1_700_000_000_123,
        key: Key::new(Resource::PODS, "ns", name),
        change,
        object: Draft::encode(&object).unwrap().seal(7),
        cause,
    }
}

fn triggers() -> impl Strategy<Value = Trigger> {
    prop_oneof![
        (any::<u64>(), any::<u64>())
            .prop_map(|(epoch, revision)| Trigger::Event(Position { epoch: Epoch(epoch), revision })),
        "[a-z]{0,8}".prop_map(Trigger::Timer),
    ]
}

prop_compose! {
    fn causes()(
        user in ".{0,12}", component in "[a-z]{0,9}", request in any::<u128>(), observed in any::<Option<u64>>(),
        trigger in proptest::option::of(triggers()), folded in proptest::collection::vec(triggers(), 0..8),
        correlation in any::<Option<u128>>(), traceparent in proptest::option::of("[0-9a-f-]{0,55}"),
    ) -> Cause {
        Cause { user, component, request: RequestId(request), observed, trigger, folded,
            correlation: correlation.map(RequestId), traceparent }
    }
}

proptest! {
    #[test]
    fn an_event_reads_back_as_it_was(cause in causes(), change in 0..3, name in "[a-z]([-a-z0-9.]{0,20}[a-z])?") {
        let change = [Change::Added, Change::Modified, Change::Deleted][change as usize];
        let event = event(cause, change, &name);
        let record = encode_event(&event).unwrap();
        let back = decode_event(event.position.epoch, event.revision(), &record).unwrap();
        prop_assert_eq!(format!("{event:?}"), format!("{back:?}"));
        let (object, deleted) = decode_object(&record).unwrap();
        prop_assert_eq!(object, event.object);
        prop_assert_eq!(deleted, change == Change::Deleted);
        prop_assert!(record.ends_with(back.object.bytes()), "the object's bytes are there as they are");
    }

    #[test]
    fn any_cut_of_a_record_is_noticed(cut in 0usize..60) {
        let record = encode_event(&event(Cause::default(), Change::Added, "a")).unwrap();
        prop_assert!(decode_event(Epoch(9), 7, &record[..cut.min(record.len() - 1)]).is_err());
    }

    #[test]
    fn keys_order_as_lists_do(a in "[a-z]([-a-z]{0,3})(/[a-z.-]{1,3})?", b in "[a-z]([-a-z]{0,3})(/[a-z.-]{1,3})?", r in 1u64.., q in 1u64..) {
        let (a, b) = (Key::at(Resource::PODS, &a), Key::at(Resource::PODS, &b));
        prop_assert_eq!(a.path().as_bytes().cmp(b.path().as_bytes()), current_key(&a).cmp(&current_key(&b)));
        prop_assert_eq!((a.path(), r).cmp(&(b.path(), q)), history_key(&a, r).cmp(&history_key(&b, q)));
        prop_assert_eq!(parse_history_key(&history_key(&a, r)), Some((a.clone(), r)));
        prop_assert_eq!(parse_current_key(&current_key(&a)), Some(a));
    }
}

#[test]
fn what_a_newer_version_adds_to_a_header_is_skipped() {
    let mut header = Vec::new();
    let newer = json!({"r": "pods", "p": "ns/a", "c": 1, "f": 1, "l": 1, "t": 5, "zz": [1, 2],
        "w": {"u": "me", "c": "gateway", "i": null, "zz": "new"}});
    // A JSON value has no bytes: write the map with the id put in by hand.
    let mut text = rmp_serde::to_vec_named(&newer).unwrap();
    let at = text.windows(3).position(|w| w == [0xa1, b'i', 0xc0]).unwrap() + 2;
    text.splice(at..=at, [&[0xc4, 16][..], &[1; 16]].concat());
    header.extend_from_slice(&(text.len() as u32).to_be_bytes());
    header.extend_from_slice(&text);
    header.extend_from_slice(event(Cause::default(), Change::Added, "a").object.bytes());
    let event = decode_event(Epoch(1), 1, &header).unwrap();
    assert_eq!(event.cause.user, "me");
    assert_eq!(event.cause.request, RequestId(u128::from_be_bytes([1; 16])));
}

#[test]
fn ids_of_a_time_span_are_a_range() {
    let id = |time: u64, rest: u128| RequestId((u128::from(time) << 80) | rest);
    assert!(request_key(id(999, u128::MAX >> 48)) < requests_since(1000));
    assert!(request_key(id(1000, 0)) >= requests_since(1000));
}

#[test]
fn keys_with_nul_bytes_cannot_be_stored() {
    assert!(is_storable(&Key::new(Resource::PODS, "ns", "a")));
    assert!(!is_storable(&Key::new(Resource::PODS, "ns", "a\0b")));
    assert!(!is_storable(&Key::new(Resource::PODS, "", "")));
}
