//! The actor that ends Events an hour after their last occurrence. It keeps nothing, so a restart loses nothing.

use std::time::Duration;

use bytes::Bytes;
use cox_bus::{ApiRequest, Identity, Verb, WriteOptions};
use cox_kit::Scope;
use cox_kit::supervise::StartError;
use cox_objects::{Key, RequestId, Resource, Trigger, time};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::execute::Executor;
use crate::value::text;

/// How long an Event lives.
pub(crate) const LIFE: SignedDuration = SignedDuration::from_hours(1);
/// How often they are looked through.
const EVERY: Duration = Duration::from_secs(60);
/// How long one delete may take, in milliseconds.
const PATIENCE: u64 = 10_000;

/// Looks through the Events until the scope is cancelled.
pub(crate) async fn run(executor: Executor, scope: Scope) -> Result<(), StartError> {
    loop {
        tokio::select! {
            () = scope.cancelled().cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => sweep(&executor).await,
        }
    }
}

async fn sweep(executor: &Executor) {
    use cox_objects::Source;
    let now = Timestamp::now();
    for (key, object) in executor.stored.list(&Resource::EVENTS, "") {
        let event = object.value();
        if !over(&event, now) {
            continue;
        }
        let reply = executor.handle(&Identity::Apiserver, &delete(&key, &event)).await;
        // Gone already, or seen again in the meantime: both are as they should be.
        if reply.code >= 500 {
            tracing::warn!(%key, code = reply.code, "an Event whose time is over could not be deleted");
        }
    }
}

/// Whether an Event's time is over. One that says no time counts from its creation.
pub(crate) fn over(event: &Value, now: Timestamp) -> bool {
    let times = ["/lastTimestamp", "/eventTime", "/series/lastObservedTime", "/metadata/creationTimestamp"];
    let last = times.iter().filter_map(|t| time::parse(text(event, t)).ok()).max();
    last.is_some_and(|last| now.duration_since(last) > LIFE)
}

fn delete(key: &Key, event: &Value) -> ApiRequest {
    let preconditions = json!({"resourceVersion": text(event, "/metadata/resourceVersion")});
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions});
    ApiRequest {
        id: RequestId(uuid::Uuid::now_v7().as_u128()),
        deadline: cox_kit::clock::now_ms() + PATIENCE,
        user: None,
        verb: Verb::Delete,
        group: String::new(),
        version: "v1".to_owned(),
        plural: "events".to_owned(),
        subresource: String::new(),
        namespace: key.namespace().to_owned(),
        name: key.name().to_owned(),
        options: WriteOptions::default(),
        patch_type: None,
        body: Bytes::from(options.to_string()),
        observed: None,
        trigger: Some(Trigger::Timer("event-ttl".to_owned())),
        folded: Vec::new(),
        correlation: None,
        traceparent: None,
        guard: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_lives_an_hour_from_its_last_occurrence() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let event = json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "eventTime": null,
                           "lastTimestamp": "2026-01-01T00:30:00Z"});
        assert!(!over(&event, at("2026-01-01T01:29:00Z")));
        assert!(over(&event, at("2026-01-01T01:31:00Z")));
        let series = json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
                            "series": {"lastObservedTime": "2026-01-01T02:00:00.000000Z"}});
        assert!(!over(&series, at("2026-01-01T02:59:00Z")));
    }
}
