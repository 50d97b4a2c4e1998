//! What is counted, under the names that dashboards for Kubernetes ask for.

use cox_objects::kinds;

use super::*;

fn target(action: Action, namespace: &str, name: &str, subresource: &str) -> Target {
    Target {
        kind: kinds::builtin().at("apps", "v1", "deployments").unwrap().clone(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        subresource: subresource.to_owned(),
        action,
    }
}

#[test]
fn requests_are_counted_by_what_they_ask_for() {
    let metrics = Metrics::default();
    let list = Label::of_target(&target(Action::List, "", "", ""));
    metrics.count(list.clone(), 200, Duration::from_millis(3));
    metrics.count(list.clone(), 200, Duration::from_secs(9));
    metrics.count(list, 403, Duration::from_millis(3));
    metrics.count(Label::of_target(&target(Action::Update, "n", "d", "scale")), 409, Duration::ZERO);
    metrics.count(Label::of_method(&Method::from_bytes(b"BREW").unwrap()), 404, Duration::ZERO);
    let text = metrics.text(1, 2);
    let listed = r#"component="apiserver",group="apps",resource="deployments",scope="cluster",subresource="",verb="LIST",version="v1""#;
    for line in [
        format!("apiserver_request_total{{code=\"200\",{listed}}} 2"),
        format!("apiserver_request_total{{code=\"403\",{listed}}} 1"),
        format!("apiserver_request_duration_seconds_bucket{{{listed},le=\"0.005\"}} 2"),
        format!("apiserver_request_duration_seconds_bucket{{{listed},le=\"+Inf\"}} 3"),
        format!("apiserver_request_duration_seconds_count{{{listed}}} 3"),
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    assert!(text.contains(r#"scope="resource",subresource="scale",verb="PUT""#));
    assert!(text.contains(r#"verb="other""#) && !text.contains("BREW"));
}

#[test]
fn the_scope_is_how_much_is_asked_for() {
    for (action, namespace, name, scope) in [
        (Action::List, "", "", "cluster"),
        (Action::Watch, "n", "", "namespace"),
        (Action::DeleteCollection, "n", "", "namespace"),
        (Action::Create, "n", "", "resource"),
        (Action::Get, "n", "d", "resource"),
    ] {
        assert_eq!(Label::of_target(&target(action, namespace, name, "")).scope, scope);
    }
}
