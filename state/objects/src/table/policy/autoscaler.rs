//! The row of a HorizontalPodAutoscaler (in the form of `autoscaling/v2`).

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::table::access::{get, int, list, scalar, text};
use crate::table::cells::{NONE, UNKNOWN, UNSET, age, name};

/// The most metrics that the cell lists before it says how many more there are.
const SHOWN: usize = 2;

pub(in crate::table) fn autoscaler(scaler: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        json!(name(scaler)),
        json!(format!("{}/{}", text(scaler, "spec.scaleTargetRef.kind"), text(scaler, "spec.scaleTargetRef.name"))),
        json!(targets(scaler)),
        json!(scalar(scaler, "spec.minReplicas").unwrap_or_else(|| UNSET.to_owned())),
        json!(int(scaler, "spec.maxReplicas")),
        json!(int(scaler, "status.currentReplicas")),
        json!(age(scaler, now)),
    ]
}

fn targets(scaler: &Value) -> String {
    let statuses = list(scaler, "status.currentMetrics");
    let metrics = list(scaler, "spec.metrics");
    let cells: Vec<String> =
        metrics.iter().enumerate().map(|(i, metric)| target(metric, statuses.get(i).unwrap_or(&Value::Null))).collect();
    let shown = cells.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match cells.len() {
        0 => NONE.to_owned(),
        count if count > SHOWN => format!("{shown} + {} more...", count - SHOWN),
        _ => shown,
    }
}

fn target(metric: &Value, status: &Value) -> String {
    let (field, named) = match text(metric, "type") {
        "External" => ("external", false),
        "Object" => ("object", false),
        "Pods" => ("pods", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".to_owned(),
    };
    let (wanted, current) = (get(metric, &format!("{field}.target")), get(status, &format!("{field}.current")));
    let now = |value: &str| scalar(current, value).unwrap_or_else(|| UNKNOWN.to_owned());
    let average = scalar(wanted, "averageValue");
    if named {
        let name = text(metric, &format!("{field}.name"));
        let percent = |value: &Value| scalar(value, "averageUtilization").map(|n| format!("{n}%"));
        return match average {
            Some(average) => format!("{name}: {}/{average}", now("averageValue")),
            None => {
                let current = percent(current).unwrap_or_else(|| UNKNOWN.to_owned());
                format!("{name}: {current}/{}", percent(wanted).unwrap_or_else(|| "<auto>".to_owned()))
            }
        };
    }
    match average {
        Some(average) if field == "pods" => format!("{}/{average}", now("averageValue")),
        Some(average) => format!("{}/{average} (avg)", now("averageValue")),
        None => format!("{}/{}", now("value"), scalar(wanted, "value").unwrap_or_default()),
    }
}
