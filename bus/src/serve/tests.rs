//! What the bus lets pass is still checked against what it says.

use cox_objects::{RequestId, User};

use super::*;
use crate::{Verb, WriteOptions};

fn write(user: Option<User>) -> ApiRequest {
    ApiRequest {
        id: RequestId(1),
        deadline: u64::MAX,
        user,
        verb: Verb::Update,
        group: String::new(),
        version: "v1".into(),
        plural: "pods".into(),
        subresource: "status".into(),
        namespace: "default".into(),
        name: "x".into(),
        options: WriteOptions::default(),
        patch_type: None,
        body: Bytes::new(),
        observed: None,
        trigger: None,
        folded: vec![],
        correlation: None,
        traceparent: None,
        guard: None,
    }
}

fn arrive(from: &Identity, verb: &str, resource: &str, request: &ApiRequest) -> Result<ApiRequest, Status> {
    let subject = ApiSubject::Write(verb.into(), String::new(), resource.into());
    super::request(from, &subject, &codec::encode(request).unwrap())
}

#[test]
fn a_request_says_the_same_as_its_subject() {
    let node = Identity::Node("n".into());
    assert!(arrive(&node, "update", "pods/status", &write(None)).is_ok());
    for (verb, resource) in [("update", "pods"), ("patch", "pods/status"), ("update", "secrets")] {
        assert_eq!(arrive(&node, verb, resource, &write(None)).unwrap_err().code, 400, "{verb} {resource}");
    }
}

#[test]
fn only_a_gateway_acts_for_others() {
    let admin = Some(User { name: "kubernetes-admin".into(), ..User::default() });
    assert!(arrive(&Identity::Gateway, "update", "pods/status", &write(admin.clone())).is_ok());
    for from in [Identity::Scheduler, Identity::Node("n".into()), Identity::Ops] {
        assert_eq!(arrive(&from, "update", "pods/status", &write(admin.clone())).unwrap_err().code, 403);
    }
}

#[test]
fn an_answer_that_is_too_long_keeps_its_outcome() {
    let reply =
        ApiReply { code: 200, revision: 7, seen: 0, body: vec![b' '; 100].into(), warnings: vec![], retry_after: None };
    let short = reply.shortened();
    assert_eq!((short.code, short.revision), (200, 7));
    assert!(String::from_utf8_lossy(&short.body).contains("\"Success\""));
    let error = ApiReply { code: 422, ..reply };
    let body: serde_json::Value = serde_json::from_slice(&error.shortened().body).unwrap();
    assert_eq!((body["status"].as_str(), body["code"].as_u64()), (Some("Failure"), Some(422)));
}
