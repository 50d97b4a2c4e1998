//! Forms of answers and bodies (recorded in `content/accept-errors`, `content/yaml-answers`, `content/content-types`, `listwatch/tables`).

use super::*;
use http::HeaderValue;

fn with(name: http::HeaderName, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
}

fn ask(accept: &str) -> Result<Form, Status> {
    negotiate(&with(ACCEPT, accept), &Query::default(), Offer::Objects)
}

#[test]
fn the_best_of_what_is_named() {
    for (accept, encoding) in [
        ("application/yaml", Encoding::Yaml),
        ("application/yaml, application/json", Encoding::Yaml),
        ("application/json, application/yaml", Encoding::Json),
        ("*/*", Encoding::Json),
        ("application/json;q=0.1, application/yaml;q=0.9", Encoding::Yaml),
        ("text/html, application/yaml;q=0.5", Encoding::Yaml),
        ("text/html,application/xhtml+xml,*/*;q=0.8", Encoding::Json),
        ("application/json;q=0", Encoding::Json),
        ("application/json;foo=bar", Encoding::Json),
        ("application/vnd.kubernetes.protobuf,application/json", Encoding::Json),
        ("application/json;stream=watch", Encoding::Json),
    ] {
        assert_eq!(ask(accept).unwrap().encoding, encoding, "{accept}");
    }
}

#[test]
fn what_there_is_not() {
    for accept in ["text/plain", "nonsense", "application/*", "application/cbor"] {
        let status = ask(accept).unwrap_err();
        assert!(status.message.starts_with("406: Not Acceptable\n\nAvailable representations: "), "{accept}: {status}");
        assert!(status.details.is_some());
    }
    for accept in [
        "application/json;as=Table",
        "application/json;as=Chair;v=v1;g=meta.k8s.io",
        "application/vnd.kubernetes.protobuf",
    ] {
        let status = ask(accept).unwrap_err();
        assert!(status.message.starts_with("only the following media types are accepted: "), "{accept}: {status}");
        assert!(status.details.is_none());
    }
    let status = negotiate(&with(ACCEPT, "text/csv"), &Query::default(), Offer::Collection).unwrap_err();
    assert!(status.message.ends_with("application/vnd.kubernetes.protobuf;stream=watch"), "{status}");
}

#[test]
fn shapes() {
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    assert_eq!(ask(table).unwrap().shape, Shape::Table("v1".into()));
    assert_eq!(ask("application/json;as=Table;v=v9;g=meta.k8s.io, application/json").unwrap().shape, Shape::Plain);
    let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
    assert_eq!(ask(kubectl).unwrap().shape, Shape::Table("v1".into()));
    assert!(negotiate(&with(ACCEPT, table), &Query::default(), Offer::Documents).is_err());
}

#[test]
fn pretty_for_people() {
    let pretty = |agent: &str, query: &str| {
        negotiate(&with(USER_AGENT, agent), &Query::parse(query), Offer::Objects).unwrap().pretty
    };
    assert!(pretty("curl/8.0", "") && pretty("kubectl/v1", "pretty=true"));
    assert!(!pretty("kubectl/v1", "") && !pretty("curl/8.0", "pretty=0"));
}

#[test]
fn aggregated_discovery() {
    let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let beta = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
    let wants = |accept: &str| wants_aggregated(&with(ACCEPT, accept));
    assert_eq!(wants(&format!("{v2},{beta},application/json")), Aggregated::Yes);
    assert_eq!(wants(beta), Aggregated::Unknown);
    assert_eq!(wants(&format!("{beta},application/json")), Aggregated::No);
    assert_eq!(wants("application/json"), Aggregated::No);
}

#[test]
fn bodies() {
    let of = |text: &str| body_type(&with(CONTENT_TYPE, text)).map_err(|s| s.code);
    assert_eq!(body_type(&HeaderMap::new()), Ok(BodyType::Json));
    assert_eq!(of("APPLICATION/JSON"), Ok(BodyType::Json));
    assert_eq!(of("application/json; charset=utf-8"), Ok(BodyType::Json));
    assert_eq!(of("application/yaml"), Ok(BodyType::Yaml));
    for bad in ["text/plain", "nonsense", "application/json; charset", "*/*", "application/merge-patch+json"] {
        assert_eq!(of(bad), Err(415), "{bad}");
    }
}

#[test]
fn compression() {
    assert!(gzip(&with(ACCEPT_ENCODING, "deflate, gzip;q=0.5")));
    assert!(!gzip(&with(ACCEPT_ENCODING, "gzip;q=0, br")));
    assert!(!gzip(&HeaderMap::new()));
}
