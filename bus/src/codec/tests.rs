//! Envelopes come back as they were sent, from older and newer peers too.

use bytes::Bytes;
use cox_objects::{Key, RequestId, Resource, Trigger, User};
use proptest::prelude::*;
use serde::Serialize;

use super::*;
use crate::{ApiReply, ApiRequest, LeaseGuard, PatchType, Verb, WriteOptions};

fn request(body: Vec<u8>, name: String, deadline: u64) -> ApiRequest {
    ApiRequest {
        id: RequestId(u128::MAX - 7),
        deadline,
        user: Some(User { name: name.clone(), ..User::default() }),
        verb: Verb::Patch,
        group: "apps".into(),
        version: "v1".into(),
        plural: "deployments".into(),
        subresource: String::new(),
        namespace: "default".into(),
        name,
        options: WriteOptions { dry_run: true, ..WriteOptions::default() },
        patch_type: Some(PatchType::Strategic),
        body: body.into(),
        observed: Some(u64::MAX),
        trigger: Some(Trigger::Timer("resync".into())),
        folded: vec![],
        correlation: Some(RequestId(3)),
        traceparent: None,
        guard: Some(LeaseGuard {
            key: Key::new(Resource::LEASES, "kube-system", "x"),
            uid: "u".into(),
            holder: "h".into(),
            transitions: -1,
        }),
    }
}

proptest! {
    #[test]
    fn a_request_comes_back(body: Vec<u8>, name: String, deadline: u64) {
        let sent = request(body, name, deadline);
        let got: ApiRequest = decode(&encode(&sent).unwrap()).unwrap();
        prop_assert_eq!(format!("{sent:?}"), format!("{got:?}"));
        prop_assert_eq!(got.guard, sent.guard);
    }

    #[test]
    fn bytes_of_anything_do_no_harm(bytes: Vec<u8>) {
        let _ = decode::<ApiRequest>(&bytes);
        let _ = decode::<ApiReply>(&bytes);
    }
}

#[test]
fn a_body_goes_out_as_it_is() {
    let body = Bytes::from(vec![b'x'; 100_000]);
    let reply = ApiReply { code: 200, revision: 9, seen: 0, body, warnings: vec![], retry_after: None };
    let bytes = encode(&reply).unwrap();
    assert!(bytes.len() < 100_100, "a body is binary, not an array of numbers: {} bytes", bytes.len());
}

#[test]
fn options_of_another_version_are_read() {
    #[derive(Serialize)]
    struct Newer {
        dry_run: bool,
        invented_later: &'static str,
    }
    let bytes = encode(&Newer { dry_run: true, invented_later: "x" }).unwrap();
    let options: WriteOptions = decode(&bytes).unwrap();
    assert_eq!(options, WriteOptions { dry_run: true, ..WriteOptions::default() });
}
