//! Options as recorded in `listwatch/watch-errors`, `lists/limit-continue`, `listwatch/list-exact-old-version`.

use super::token::{LIFE_MS, Token};
use super::*;
use cox_objects::Epoch;

fn configmaps() -> std::sync::Arc<Kind> {
    cox_objects::kinds::builtin().at("", "v1", "configmaps").unwrap().clone()
}

fn list_of(query: &str) -> Result<ListOptions, Status> {
    list(&configmaps(), &Query::parse(query))
}

fn watch_of(query: &str) -> Result<WatchOptions, Status> {
    watch(&configmaps(), &Query::parse(query), "")
}

#[test]
fn versions_of_lists() {
    for (query, version) in [
        ("", Version::Newest),
        ("limit=5", Version::Newest),
        ("resourceVersion=0", Version::Any),
        ("resourceVersion=7", Version::NotOlderThan(7)),
        ("resourceVersion=7&limit=5", Version::Exact(7)),
        ("resourceVersion=7&limit=5&resourceVersionMatch=NotOlderThan", Version::NotOlderThan(7)),
        ("resourceVersion=7&resourceVersionMatch=Exact", Version::Exact(7)),
    ] {
        assert_eq!(list_of(query).unwrap().version, version, "{query}");
    }
    assert_eq!(list_of("limit=-1").unwrap().limit, 0);
    assert_eq!(list_of("limit=").unwrap_err().code, 400);
    assert_eq!(list_of("resourceVersion=abc").unwrap_err().code, 400);
}

#[test]
fn what_does_not_go_together() {
    let text = |result: Result<(), Status>| {
        result.unwrap_err().message.replace("ListOptions.meta.k8s.io \"\" is invalid: ", "")
    };
    let list = |query| text(list_of(query).map(drop));
    let watch = |query| text(watch_of(query).map(drop));
    assert_eq!(
        list("resourceVersionMatch=Exact"),
        "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
    );
    assert_eq!(list("sendInitialEvents=true"), "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list");
    assert_eq!(
        watch("resourceVersionMatch=Exact"),
        "[resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided, \
         resourceVersionMatch: Unsupported value: \"Exact\": supported values: \"NotOlderThan\"]"
    );
    assert_eq!(
        watch("sendInitialEvents=true"),
        "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
    );
    assert_eq!(
        watch("resourceVersion=-5"),
        "resourceVersion: Invalid value: \"-5\": strconv.ParseUint: parsing \"-5\": invalid syntax"
    );
    assert_eq!(watch_of("resourceVersion=-5").unwrap_err().code, 500);
    assert_eq!(watch("labelSelector=a%20in%20b"), "unable to parse requirement: found 'b' expected: '('");
}

#[test]
fn a_legacy_watch_of_one_object_selects_it() {
    let options = watch(&configmaps(), &Query::default(), "c").unwrap();
    assert_eq!(options.selector.field.exact("metadata.name"), Some("c"));
}

#[test]
fn tokens_come_back_and_end() {
    let token = Token::new(Epoch(7), Some(42), "n/c1", 1_000);
    let back = Token::decode(&token.encode()).unwrap();
    assert_eq!(back, token);
    assert_eq!(back.check(Epoch(7), 1_000 + LIFE_MS - 1), Ok(()));
    for (epoch, now) in [(Epoch(7), 1_000 + LIFE_MS), (Epoch(8), 1_000)] {
        let status = back.check(epoch, now).unwrap_err();
        assert_eq!((status["code"].as_u64(), status["reason"].as_str()), (Some(410), Some("Expired")));
        let fresh = Token::decode(status["metadata"]["continue"].as_str().unwrap()).unwrap();
        assert_eq!((fresh.revision, fresh.after.as_str()), (None, "n/c1"));
        assert_eq!(fresh.check(epoch, u64::MAX), Ok(()));
    }
}

#[test]
fn a_token_that_is_none() {
    let message = |text| Token::decode(text).unwrap_err().message;
    assert_eq!(
        message("nonsense"),
        "invalid continue token: continue key is not valid: invalid character '\\u009e' looking for beginning of value"
    );
    assert!(message("a*").contains("illegal base64 data at input byte 1"));
}

#[test]
fn a_point_in_the_past_is_asked_for_alone() {
    let asked = |query: &str| at(&Query::parse(query)).map_err(|status| (status.code, status.message));
    assert_eq!(asked(""), Ok(None));
    assert_eq!(asked("at=7&limit=5&labelSelector=a%3Db&resourceVersion="), Ok(Some(At::Revision(7))));
    assert_eq!(asked("at=10m"), Ok(Some(At::Ago(600_000))));
    assert_eq!(asked("at=2026-01-31T13:00:00%2B01:00"), asked("at=2026-01-31T12:00:00Z"));
    for wrong in ["at=", "at=0", "at=yesterday", "at=-5"] {
        let (code, message) = asked(wrong).unwrap_err();
        assert!(code == 400 && message.contains("is neither a revision"), "{wrong}: {message}");
    }
    for other in ["resourceVersion=5", "resourceVersionMatch=Exact", "continue=abc"] {
        let (code, message) = asked(&format!("at=7&{other}")).unwrap_err();
        assert!(code == 400 && message.contains("forbidden together with"), "{other}: {message}");
    }
    assert_eq!(watch_of("at=7").unwrap_err().code, 400);
}
