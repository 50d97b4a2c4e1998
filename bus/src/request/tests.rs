//! The verdict on a request without an answer, and how batches are cut.

use cox_objects::RequestId;

use super::*;
use crate::{Verb, WriteOptions};

#[test]
fn only_what_reached_nobody_is_surely_not_done() {
    let verdict = |sent, bounced| Tally { sent, bounced }.verdict(Why::TimedOut).perhaps_done();
    assert!(!verdict(0, 0), "never sent");
    assert!(!verdict(2, 2), "nobody listened, twice");
    assert!(verdict(1, 0), "sent, and no word since");
    assert!(verdict(2, 1), "the first sending may have arrived before the bus was lost");
}

fn request(body: usize) -> ApiRequest {
    ApiRequest {
        id: RequestId(1),
        deadline: 0,
        user: None,
        verb: Verb::Create,
        group: String::new(),
        version: "v1".into(),
        plural: "pods".into(),
        subresource: "binding".into(),
        namespace: "default".into(),
        name: "x".into(),
        options: WriteOptions::default(),
        patch_type: None,
        body: vec![b'x'; body].into(),
        observed: None,
        trigger: None,
        folded: vec![],
        correlation: None,
        traceparent: None,
        guard: None,
    }
}

#[test]
fn a_batch_is_cut_by_number_and_size_but_never_empty() {
    assert_eq!(fitting(&[&request(10); 1000]), BATCH_REQUESTS);
    assert_eq!(fitting(&[&request(400_000); 10]), 2);
    assert_eq!(fitting(&[&request(3_000_000), &request(1)]), 1);
}
