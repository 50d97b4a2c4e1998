//! What a cluster measures: under the promised names and types, growing with what happens, with bounded labels, and all that the dashboard asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cox_tests::wait::{Look, until};
use cox_tests::{Cluster, Node, image};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
const DASHBOARD: &str = include_str!("../../ops/dashboard/cox.json");

/// What is promised, by name.
const PROMISED: &[(&str, &str)] = &[
    ("apiserver_current_inflight_requests", "gauge"),
    ("apiserver_flowcontrol_current_executing_requests", "gauge"),
    ("apiserver_flowcontrol_current_executing_seats", "gauge"),
    ("apiserver_flowcontrol_current_inqueue_requests", "gauge"),
    ("apiserver_flowcontrol_dispatched_requests_total", "counter"),
    ("apiserver_flowcontrol_nominal_limit_seats", "gauge"),
    ("apiserver_flowcontrol_rejected_requests_total", "counter"),
    ("apiserver_flowcontrol_request_wait_duration_seconds", "histogram"),
    ("apiserver_longrunning_requests", "gauge"),
    ("apiserver_request_duration_seconds", "histogram"),
    ("apiserver_request_total", "counter"),
    ("apiserver_response_sizes", "histogram"),
    ("apiserver_terminated_watchers_total", "counter"),
    ("apiserver_watch_events_total", "counter"),
    ("cox_bus_publish_lag_revisions", "gauge"),
    ("cox_gateway_connections", "gauge"),
    ("cox_gateway_conversations", "gauge"),
    ("cox_kubelet_parsed_pods", "gauge"),
    ("cox_log_batch_size", "histogram"),
    ("cox_log_commit_seconds", "histogram"),
    ("cox_log_compaction_lag_revisions", "gauge"),
    ("cox_log_compaction_step_seconds", "histogram"),
    ("cox_log_dense_from_revision", "gauge"),
    ("cox_log_disk_bytes", "gauge"),
    ("cox_log_dropped_events_total", "counter"),
    ("cox_log_floor_revision", "gauge"),
    ("cox_log_head_revision", "gauge"),
    ("cox_log_readable_since_timestamp_seconds", "gauge"),
    ("cox_mirror_lag_revisions", "gauge"),
    ("cox_mirror_lag_seconds", "gauge"),
    ("cox_mirror_revision", "gauge"),
    ("cox_process_resident_memory_bytes", "gauge"),
    ("kubelet_pod_start_duration_seconds", "histogram"),
    ("kubelet_running_containers", "gauge"),
    ("kubelet_running_pods", "gauge"),
    ("scheduler_pending_pods", "gauge"),
    ("scheduler_scheduling_attempt_duration_seconds", "histogram"),
    ("workqueue_adds_total", "counter"),
    ("workqueue_depth", "gauge"),
    ("workqueue_queue_duration_seconds", "histogram"),
    ("workqueue_retries_total", "counter"),
    ("workqueue_work_duration_seconds", "histogram"),
];

/// An exposition, read strictly.
#[derive(Debug)]
struct Shown {
    types: BTreeMap<String, String>,
    /// Values by name with labels, as they are written.
    values: BTreeMap<String, f64>,
}

impl Shown {
    fn read(text: &str) -> Result<Self> {
        let (mut types, mut values) = (BTreeMap::new(), BTreeMap::new());
        for line in text.lines() {
            if let Some(of) = line.strip_prefix("# TYPE ") {
                let (name, kind) = of.split_once(' ').with_context(|| line.to_owned())?;
                ensure!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is there twice");
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
                let value = value.parse().with_context(|| line.to_owned())?;
                ensure!(values.insert(series.to_owned(), value).is_none(), "{series} is there twice");
            }
        }
        Ok(Shown { types, values })
    }

    fn value(&self, series: &str) -> f64 {
        self.values.get(series).copied().unwrap_or_default()
    }
}

fn scrape(cluster: &Cluster) -> Result<Shown> {
    Shown::read(&cluster.kubectl(&["get", "--raw", "/metrics"])?)
}

/// The metrics that the dashboard's queries name.
fn asked_for() -> Result<BTreeSet<String>> {
    let dashboard: Value = serde_json::from_str(DASHBOARD)?;
    let panels = dashboard.pointer("/panels").and_then(Value::as_array).into_iter().flatten();
    let targets = panels.filter_map(|panel| panel.get("targets")?.as_array());
    let queries = targets.flatten().filter_map(|target| target.get("expr")?.as_str());
    let prefixes = ["apiserver_", "cox_", "kubelet_", "scheduler_", "workqueue_"];
    let words = queries.flat_map(|query| query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')));
    Ok(words.filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix))).map(str::to_owned).collect())
}

/// The family that a series belongs to.
fn family<'a>(types: &BTreeMap<String, String>, name: &'a str) -> &'a str {
    let parts = ["_bucket", "_sum", "_count"].iter().filter_map(|end| name.strip_suffix(end));
    parts.into_iter().find(|base| types.get(*base).is_some_and(|kind| kind == "histogram")).unwrap_or(name)
}

const POD: &str = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "NAME"},
    "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "web", "image": "IMAGE"}]}}"#;

fn run_pod(cluster: &Cluster, name: &str) -> Result<()> {
    cluster.kubectl_with(&["apply", "-f", "-"], &POD.replace("NAME", name).replace("IMAGE", image::NAME))?;
    cluster.kubectl(&["wait", "--for=condition=Ready", &format!("pod/{name}"), "--timeout=40s"])?;
    Ok(())
}

#[test]
fn what_happens_is_measured_under_names_that_dashboards_know() -> Result<()> {
    let cluster = Cluster::with_node(Node { slot: 121 }, &[])?;
    run_pod(&cluster, "first")?;
    let running = "kubelet_running_containers{container_state=\"running\"}";
    let scheduled =
        "scheduler_scheduling_attempt_duration_seconds_count{profile=\"default-scheduler\",result=\"scheduled\"}";
    let before = until("the pod is counted", PATIENCE, || {
        let shown = scrape(&cluster)?;
        let there = shown.value("kubelet_running_pods") == 1.0 && shown.value(running) == 1.0;
        Ok(if there { Look::Done(shown) } else { Look::NotYet(format!("{shown:#?}")) })
    })?;
    for (name, kind) in PROMISED {
        assert_eq!(before.types.get(*name).map(String::as_str), Some(*kind), "{name}");
    }
    for query in asked_for()? {
        let family = family(&before.types, &query);
        assert!(
            PROMISED.iter().any(|(name, _)| *name == family),
            "the dashboard asks for {query}, which nobody measures"
        );
    }
    run_pod(&cluster, "second")?;
    let grown = [
        "cox_log_head_revision",
        "cox_log_commit_seconds_count",
        "cox_log_batch_size_sum",
        "kubelet_pod_start_duration_seconds_count",
        "workqueue_adds_total{name=\"taint-eviction-controller\"}",
        scheduled,
        running,
    ];
    let after = until("the second pod is counted", PATIENCE, || {
        let shown = scrape(&cluster)?;
        let same: Vec<_> = grown.iter().filter(|series| shown.value(series) <= before.value(series)).collect();
        let behind = ["cox_bus_publish_lag_revisions", "cox_mirror_lag_revisions"].map(|series| shown.value(series));
        Ok(if same.is_empty() && behind == [0.0, 0.0] {
            Look::Done(shown)
        } else {
            Look::NotYet(format!("{same:?}, behind {behind:?}\n{shown:#?}"))
        })
    })?;
    let of = |shown: &Shown, name: &str| shown.values.keys().filter(|series| series.starts_with(name)).count();
    for name in ["scheduler_", "workqueue_", "kubelet_", "cox_"] {
        assert_eq!(of(&before, name), of(&after, name), "another pod is no other label: {name}");
    }
    assert!(after.value("cox_process_resident_memory_bytes") > 1e6);
    // The same over the bus, from any component of the process.
    let over_bus = Shown::read(&cluster.cox(&["metrics", "scheduler"])?)?;
    assert_eq!(over_bus.types, after.types);
    cluster.kubectl(&["delete", "pod", "first", "second", "--wait"])?;
    until("pods that are gone are not counted", PATIENCE, || {
        let shown = scrape(&cluster)?;
        let gone = shown.value("kubelet_running_pods") == 0.0 && shown.value(running) == 0.0;
        Ok(if gone { Look::Done(()) } else { Look::NotYet(format!("{shown:#?}")) })
    })
}
