//! Tables against the recorded ones, and states that the recordings do not have.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::kinds;

fn now() -> Timestamp {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

/// Whether a rendered value is the recorded one; what the recording masks agrees with everything.
fn agrees(live: &Value, recorded: &Value) -> bool {
    match (live, recorded) {
        (_, Value::String(mask)) if matches!(mask.as_str(), "<any>" | "<age>" | "<time>") => true,
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| agrees(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && b.iter().all(|(key, b)| a.get(key).is_some_and(|a| agrees(a, b)))
        }
        (a, b) => a == b,
    }
}

/// Replays the tables of a recorded case with the objects that its earlier answers held.
fn replay(case: &Value, kinds: &crate::Kinds) -> usize {
    let mut objects: BTreeMap<(String, String), Value> = BTreeMap::new();
    let mut tables = 0;
    for step in case["steps"].as_array().unwrap() {
        let body = &step["response"]["body"];
        let path: Vec<&str> =
            step["path"].as_str().unwrap().split('?').next().unwrap().split('/').filter(|p| !p.is_empty()).collect();
        if body["kind"] == "Table" {
            let (group, version, rest) =
                if path[0] == "api" { ("", path[1], &path[2..]) } else { (path[1], path[2], &path[3..]) };
            let plural = if rest[0] == "namespaces" && rest.len() > 2 { rest[2] } else { rest[0] };
            let Some(kind) = kinds.at(group, version, plural) else { continue };
            let columns = Value::from(columns_of(&kind.resource).iter().map(Column::to_value).collect::<Vec<_>>());
            assert!(agrees(&columns, &body["columnDefinitions"]), "{}: {columns:#}", step["path"]);
            // Of these, a controller fills in the status between the recorded object and its table.
            if matches!(kind.plural.as_str(), "flowschemas" | "apiservices") {
                continue;
            }
            for recorded in body["rows"].as_array().into_iter().flatten() {
                let name = recorded["object"]["metadata"]["name"].as_str().unwrap_or_default();
                let Some(object) = objects.get(&(kind.kind.clone(), name.to_owned())) else { continue };
                let live = row(kind, object, &Options::default(), now());
                assert!(
                    agrees(&live["cells"], &recorded["cells"]),
                    "{}\n{}\n{}",
                    step["path"],
                    live["cells"],
                    recorded["cells"]
                );
                tables += 1;
            }
        } else if let (Some(kind), Some(name)) = (body["kind"].as_str(), body["metadata"]["name"].as_str()) {
            let served = kinds.named(body["apiVersion"].as_str().unwrap_or_default(), kind);
            let stored = served.map_or_else(|| body.clone(), |kind| kinds::convert::to_stored(kind, body.clone()));
            objects.insert((kind.to_owned(), name.to_owned()), stored);
        }
    }
    tables
}

#[test]
fn rows_are_the_recorded_ones() {
    let kinds = kinds::builtin();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/cases");
    let mut rows = 0;
    for area in std::fs::read_dir(folder).unwrap() {
        for file in std::fs::read_dir(area.unwrap().path()).unwrap() {
            let case: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
            rows += replay(&case, &kinds);
        }
    }
    assert!(rows > 60, "{rows}");
}

fn cells(resource: &str, object: Value) -> Vec<Value> {
    printer(&Resource::from(resource)).unwrap()(&object, now())
}

fn pod_status(status: Value) -> (Value, Value) {
    let cells =
        cells("pods", json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}, "status": status}));
    (cells[2].clone(), cells[3].clone())
}

#[test]
fn a_pod_shows_why_its_containers_are_not_running() {
    let status = |state: Value| {
        json!({"phase": "Running", "containerStatuses": [{"name": "c", "state": state, "restartCount": 3,
        "lastState": {"terminated": {"finishedAt": "2026-11-21T09:55:00Z"}}}]})
    };
    let restarts = json!("3 (5m ago)");
    for (state, reason) in [
        (json!({"waiting": {"reason": "CrashLoopBackOff"}}), "CrashLoopBackOff"),
        (json!({"terminated": {"exitCode": 0, "reason": "Completed"}}), "Completed"),
        (json!({"terminated": {"exitCode": 137, "signal": 9}}), "Signal:9"),
        (json!({"terminated": {"exitCode": 2}}), "ExitCode:2"),
        (json!({"running": {}}), "Running"),
    ] {
        assert_eq!(pod_status(status(state)), (json!(reason), restarts.clone()));
    }
    assert_eq!(pod_status(json!({"phase": "Failed", "reason": "Evicted"})).0, "Evicted");
}

#[test]
fn a_finished_pod_is_marked_as_completed() {
    let kinds = kinds::builtin();
    let kind = kinds.at("", "v1", "pods").unwrap();
    let pod = json!({"metadata": {"name": "p"}, "status": {"phase": "Succeeded"}});
    let row = row(kind, &pod, &Options { include: Include::None, ..Options::default() }, now());
    assert_eq!(row["conditions"][0]["type"], "Completed");
    assert_eq!(row["object"], Value::Null);
}

#[test]
fn long_lists_are_cut() {
    let addresses: Vec<Value> = (1..6).map(|i| json!({"ip": format!("10.0.0.{i}")})).collect();
    let endpoints = json!({"metadata": {"name": "e"}, "subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]});
    assert_eq!(cells("endpoints", endpoints)[1], "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more...");
    let rules: Vec<Value> = ["a", "b", "c", "d"].iter().map(|h| json!({"host": format!("{h}.com")})).collect();
    let ingress = json!({"metadata": {"name": "i"}, "spec": {"rules": rules}});
    assert_eq!(cells("ingresses.networking.k8s.io", ingress)[2], "a.com,b.com,c.com + 1 more...");
    let exact = json!({"metadata": {"name": "i"}, "spec": {"rules": [{"host": "a.com"}, {}, {"host": "b.com"}]}});
    assert_eq!(cells("ingresses.networking.k8s.io", exact)[2], "a.com,b.com");
}

#[test]
fn services_show_how_they_are_reached() {
    let service = |spec: Value, status: Value| {
        cells("services", json!({"metadata": {"name": "s"}, "spec": spec, "status": status}))
    };
    let balanced = service(
        json!({"type": "LoadBalancer", "clusterIPs": ["10.96.0.9"], "externalIPs": ["192.0.2.1"], "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}]}),
        json!({"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]}}),
    );
    assert_eq!(balanced[2..5], [json!("10.96.0.9"), json!("lb.example.com,192.0.2.1"), json!("80:30080/TCP")]);
    assert_eq!(service(json!({"type": "LoadBalancer"}), json!({}))[3], "<pending>");
}

#[test]
fn an_autoscaler_shows_current_and_wanted_metrics() {
    let scaler = json!({"metadata": {"name": "h"}, "spec": {"maxReplicas": 3, "metrics": [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}},
        {"type": "Pods", "pods": {"target": {"averageValue": "10"}}},
        {"type": "Object", "object": {"target": {"value": "5"}}},
    ]}, "status": {"currentMetrics": [{"type": "Resource", "resource": {"current": {"averageUtilization": 40}}}]}});
    assert_eq!(cells("horizontalpodautoscalers.autoscaling", scaler)[2], "cpu: 40%/80%, <unknown>/10 + 1 more...");
}

#[test]
fn every_printer_fills_its_columns() {
    for kind in kinds::builtin().all().iter().filter(|kind| kind.stored) {
        let Some(print) = printer(&kind.resource) else { continue };
        let cells = print(&json!({}), now()).len();
        let columns = columns_of(&kind.resource).len();
        // Kubernetes gives an IPAddress three cells under two columns.
        let expected = if kind.resource == Resource::IPADDRESSES { columns + 1 } else { columns };
        assert_eq!(cells, expected, "{}", kind.resource);
    }
}

#[test]
fn tables_without_columns_or_rows_say_so() {
    let kinds = kinds::builtin();
    let options = Options { columns: false, ..Options::default() };
    let table = render(kinds.at("", "v1", "pods").unwrap(), &[], json!({"resourceVersion": "7"}), &options, now());
    assert_eq!((&table["columnDefinitions"], &table["rows"]), (&Value::Null, &json!([])));
    let table = render(kinds.at("", "v1", "limitranges").unwrap(), &[], json!({}), &Options::default(), now());
    assert_eq!(table["rows"], Value::Null);
    assert_eq!(
        Include::parse("All").unwrap_err().message,
        "Unable to convert to Table as requested: includeObject: Invalid value: \"All\": must be 'Metadata', 'Object', 'None', or empty"
    );
}
