//! What is counted, under the names that dashboards for Kubernetes ask for.

use cox_objects::kinds;

use super::*;

struct Counted {
    kinds: Kinds,
    metrics: Metrics,
}

impl Counted {
    fn new() -> Self {
        let kinds = kinds::builtin();
        Counted { metrics: Metrics::new(Registry::default(), &kinds), kinds }
    }

    fn target(&self, action: Action, namespace: &str, name: &str, subresource: &str) -> Target {
        Target {
            kind: self.kinds.at("apps", "v1", "deployments").unwrap().clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: subresource.to_owned(),
            action,
        }
    }

    fn count(&self, target: &Target, code: u16, took: Duration, size: Option<u64>) {
        self.metrics.count(self.metrics.label(target), code, took, size);
    }

    fn text(&self) -> String {
        self.metrics.registry.text()
    }

    fn assert(&self, line: &str) {
        let text = self.text();
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
}

const LISTED: &str = r#"component="apiserver",group="apps",resource="deployments",scope="cluster",subresource="",verb="LIST",version="v1""#;

#[test]
fn requests_are_counted_by_what_they_ask_for() {
    let counted = Counted::new();
    let list = counted.target(Action::List, "", "", "");
    counted.count(&list, 200, Duration::from_millis(3), Some(2000));
    counted.count(&list, 200, Duration::from_secs(9), None);
    counted.count(&list, 403, Duration::from_millis(3), Some(200));
    counted.count(&list, 418, Duration::from_millis(3), None);
    counted.count(&list, 418, Duration::from_millis(3), None);
    counted.count(&counted.target(Action::Update, "n", "d", "scale"), 409, Duration::ZERO, Some(1));
    let brew = Label::of_method(&Method::from_bytes(b"BREW").unwrap());
    counted.metrics.count(brew, 404, Duration::ZERO, None);
    for line in [
        format!("apiserver_request_total{{code=\"200\",{LISTED}}} 2"),
        format!("apiserver_request_total{{code=\"403\",{LISTED}}} 1"),
        format!("apiserver_request_total{{code=\"418\",{LISTED}}} 2"),
        format!("apiserver_request_duration_seconds_bucket{{{LISTED},le=\"0.005\"}} 4"),
        format!("apiserver_request_duration_seconds_bucket{{{LISTED},le=\"+Inf\"}} 5"),
        format!("apiserver_request_duration_seconds_count{{{LISTED}}} 5"),
        format!("apiserver_response_sizes_bucket{{{LISTED},le=\"1000\"}} 1"),
        format!("apiserver_response_sizes_sum{{{LISTED}}} 2200"),
    ] {
        counted.assert(&line);
    }
    let text = counted.text();
    assert!(text.contains(r#"scope="resource",subresource="scale",verb="PUT""#));
    assert!(text.contains(r#"verb="other""#) && !text.contains("BREW"));
}

#[test]
fn the_scope_is_how_much_is_asked_for() {
    let counted = Counted::new();
    for (action, namespace, name, expected) in [
        (Action::List, "", "", "cluster"),
        (Action::Watch, "n", "", "namespace"),
        (Action::DeleteCollection, "n", "", "namespace"),
        (Action::Create, "n", "", "resource"),
        (Action::Get, "n", "d", "resource"),
    ] {
        assert_eq!(SCOPES[scope(&counted.target(action, namespace, name, ""))], expected);
    }
}

#[test]
fn what_is_open_is_counted_until_it_is_over() {
    let counted = Counted::new();
    let target = counted.target(Action::Watch, "n", "", "");
    let labels = LISTED.replace("LIST", "WATCH").replace("scope=\"cluster\"", "scope=\"namespace\"");
    let (open, other) = (counted.metrics.watch(&target), counted.metrics.watch(&target));
    open.add(3);
    other.too_slow();
    counted.assert("apiserver_terminated_watchers_total{resource=\"deployments\"} 1");
    counted.assert(&format!("apiserver_longrunning_requests{{{labels}}} 2"));
    let of = r#"group="apps",kind="Deployment",resource="deployments",version="v1""#;
    counted.assert(&format!("apiserver_watch_events_total{{{of}}} 3"));
    drop((open, other));
    counted.assert(&format!("apiserver_longrunning_requests{{{labels}}} 0"));
    let open = counted.metrics.conversation(&counted.target(Action::Connect, "n", "d", "scale"));
    counted.assert("cox_gateway_conversations 1");
    drop(open);
    counted.assert("cox_gateway_conversations 0");
}

#[test]
fn each_request_finds_its_own_place() {
    let counted = Counted::new();
    let actions = [Action::Get, Action::List, Action::Watch, Action::Create, Action::Update, Action::Patch];
    for (n, action) in actions.into_iter().enumerate() {
        for (m, sub) in ["", "status", "scale"].into_iter().enumerate() {
            (0..=10 * n + m)
                .for_each(|_| counted.count(&counted.target(action, "n", "d", sub), 200, Duration::ZERO, None));
        }
    }
    for (n, action) in actions.into_iter().enumerate() {
        for (m, sub) in ["", "status", "scale"].into_iter().enumerate() {
            let (verb, count) = (VERBS[verb(action)], 10 * n + m + 1);
            counted.assert(&format!(
                "apiserver_request_total{{code=\"200\",component=\"apiserver\",group=\"apps\",resource=\"deployments\",\
                 scope=\"resource\",subresource=\"{sub}\",verb=\"{verb}\",version=\"v1\"}} {count}"
            ));
        }
    }
}
