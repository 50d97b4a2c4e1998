//! The rows of Jobs and CronJobs.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::access::{count, get, int, list, text, text_or};
use super::cells::{NONE, age, containers, name, optional_flag, selector, since};
use crate::time;

pub(super) fn job(job: &Value, now: Timestamp) -> Vec<Value> {
    let succeeded = int(job, "status.succeeded");
    let parallelism = get(job, "spec.parallelism").as_i64().unwrap_or(0);
    let completions = match get(job, "spec.completions").as_i64() {
        Some(wanted) => format!("{succeeded}/{wanted}"),
        None if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        None => format!("{succeeded}/1"),
    };
    let [names, images] = containers(job, "spec.template.spec");
    vec![
        json!(name(job)),
        json!(status(job)),
        json!(completions),
        json!(duration(job, now)),
        json!(age(job, now)),
        names,
        images,
        json!(selector(job, "spec.selector")),
    ]
}

fn status(job: &Value) -> &'static str {
    let is = |kind: &str| {
        list(job, "status.conditions").iter().any(|c| text(c, "type") == kind && text(c, "status") == "True")
    };
    if is("Complete") {
        "Complete"
    } else if is("Failed") {
        "Failed"
    } else if !text(job, "metadata.deletionTimestamp").is_empty() {
        "Terminating"
    } else if is("Suspended") {
        "Suspended"
    } else if is("FailureTarget") {
        "FailureTarget"
    } else if is("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

fn duration(job: &Value, now: Timestamp) -> String {
    let Ok(start) = time::parse(text(job, "status.startTime")) else { return String::new() };
    let end = time::parse(text(job, "status.completionTime")).unwrap_or(now);
    time::human_age(start, end)
}

pub(super) fn cron_job(job: &Value, now: Timestamp) -> Vec<Value> {
    let last = match get(job, "status.lastScheduleTime") {
        Value::Null => NONE.to_owned(),
        _ => since(job, "status.lastScheduleTime", now),
    };
    let [names, images] = containers(job, "spec.jobTemplate.spec.template.spec");
    vec![
        json!(name(job)),
        json!(text(job, "spec.schedule")),
        json!(text_or(job, "spec.timeZone", NONE)),
        json!(optional_flag(get(job, "spec.suspend"))),
        json!(count(job, "status.active")),
        json!(last),
        json!(age(job, now)),
        names,
        images,
        json!(selector(job, "spec.jobTemplate.spec.selector")),
    ]
}
