//! HorizontalPodAutoscaler between `autoscaling/v1` and `v2`.
//!
//! `v1` has one metric of its own, the CPU utilization. Other metrics, what was measured, conditions and the behavior travel
//! in annotations, which `v2` does not show.

use serde_json::{Map, Value, json};

use crate::schema::{self, schema};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

type Object = Map<String, Value>;
/// A source of metrics: its name, and where its fields are in `v1` and, as paths, in `v2`.
type Source = (&'static str, &'static [(&'static str, &'static str)]);

const SPEC: [Source; 5] = [
    (
        "object",
        &[
            ("target", "describedObject"),
            ("metricName", "metric.name"),
            ("targetValue", "target.value"),
            ("selector", "metric.selector"),
            ("averageValue", "target.averageValue"),
        ],
    ),
    (
        "pods",
        &[
            ("metricName", "metric.name"),
            ("targetAverageValue", "target.averageValue"),
            ("selector", "metric.selector"),
        ],
    ),
    (
        "resource",
        &[
            ("name", "name"),
            ("targetAverageUtilization", "target.averageUtilization"),
            ("targetAverageValue", "target.averageValue"),
        ],
    ),
    (
        "containerResource",
        &[
            ("name", "name"),
            ("targetAverageUtilization", "target.averageUtilization"),
            ("targetAverageValue", "target.averageValue"),
            ("container", "container"),
        ],
    ),
    (
        "external",
        &[
            ("metricName", "metric.name"),
            ("metricSelector", "metric.selector"),
            ("targetValue", "target.value"),
            ("targetAverageValue", "target.averageValue"),
        ],
    ),
];

const STATUS: [Source; 5] = [
    (
        "object",
        &[
            ("target", "describedObject"),
            ("metricName", "metric.name"),
            ("currentValue", "current.value"),
            ("selector", "metric.selector"),
            ("averageValue", "current.averageValue"),
        ],
    ),
    (
        "pods",
        &[
            ("metricName", "metric.name"),
            ("currentAverageValue", "current.averageValue"),
            ("selector", "metric.selector"),
        ],
    ),
    (
        "resource",
        &[
            ("name", "name"),
            ("currentAverageUtilization", "current.averageUtilization"),
            ("currentAverageValue", "current.averageValue"),
        ],
    ),
    (
        "containerResource",
        &[
            ("name", "name"),
            ("currentAverageUtilization", "current.averageUtilization"),
            ("currentAverageValue", "current.averageValue"),
            ("container", "container"),
        ],
    ),
    (
        "external",
        &[
            ("metricName", "metric.name"),
            ("metricSelector", "metric.selector"),
            ("currentValue", "current.value"),
            ("currentAverageValue", "current.averageValue"),
        ],
    ),
];

/// From `v2` to `v1`.
pub(super) fn to_v1(fields: &mut Object) {
    let mut notes: Vec<(&str, String)> = Vec::new();
    if let Some(spec) = part(fields, "spec") {
        let (cpu, others): (Vec<Value>, Vec<Value>) = list(spec.remove("metrics")).into_iter().partition(is_cpu);
        if let Some(share) = cpu.first().and_then(|m| m.pointer("/resource/target/averageUtilization")) {
            spec.insert("targetCPUUtilizationPercentage".to_owned(), share.clone());
        }
        note(&mut notes, METRICS, "MetricSpec", others.iter().map(|m| flat(m, &SPEC)).collect());
        if let Some(behavior) = spec.remove("behavior").filter(|b| !b.is_null()) {
            notes.push((BEHAVIOR, behavior_text(&behavior)));
        }
    }
    if let Some(status) = part(fields, "status") {
        let current = list(status.remove("currentMetrics"));
        let cpu = current.iter().find(|m| m.pointer("/resource/name").is_some_and(|n| n == "cpu"));
        if let Some(share) = cpu.and_then(|m| m.pointer("/resource/current/averageUtilization")) {
            status.insert("currentCPUUtilizationPercentage".to_owned(), share.clone());
        }
        note(&mut notes, CURRENT, "MetricStatus", current.iter().map(|m| flat(m, &STATUS)).collect());
        let conditions = list(status.remove("conditions"));
        note(&mut notes, CONDITIONS, "HorizontalPodAutoscalerCondition", conditions);
    }
    if let (false, Some(metadata)) = (notes.is_empty(), part(fields, "metadata")) {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        for (name, text) in notes {
            if let Some(annotations) = annotations.as_object_mut() {
                annotations.insert(name.to_owned(), Value::from(text));
            }
        }
    }
}

/// From `v1` to `v2`. Annotations that cannot be read are dropped, as the server's own were never of that form.
pub(super) fn to_v2(fields: &mut Object) {
    let mut noted = |name: &str| {
        let annotations = part(fields, "metadata")?.get_mut("annotations")?.as_object_mut()?;
        let text = annotations.remove(name)?;
        serde_json::from_str::<Value>(text.as_str()?).ok()
    };
    let (metrics, current) = (noted(METRICS), noted(CURRENT));
    let (conditions, behavior) = (noted(CONDITIONS), noted(BEHAVIOR));
    if let Some(metadata) = part(fields, "metadata")
        && metadata.get("annotations").and_then(Value::as_object).is_some_and(Map::is_empty)
    {
        metadata.remove("annotations");
    }
    if let Some(spec) = part(fields, "spec") {
        let mut all: Vec<Value> = list(metrics).iter().map(|m| deep(m, &SPEC)).collect();
        if let Some(share) = spec.remove("targetCPUUtilizationPercentage").filter(|s| !s.is_null()) {
            let target = json!({"type": "Utilization", "averageUtilization": share});
            all.push(json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}));
        }
        if !all.is_empty() {
            spec.insert("metrics".to_owned(), Value::Array(all));
        }
        if let Some(behavior) = behavior {
            spec.insert("behavior".to_owned(), recased(&behavior, |c| c.to_ascii_lowercase()));
        }
    }
    if current.is_some() || conditions.is_some() {
        fields.entry("status").or_insert_with(|| json!({}));
    }
    if let Some(status) = part(fields, "status") {
        let share = status.remove("currentCPUUtilizationPercentage").filter(|s| !s.is_null());
        let measured = match (current, share) {
            (Some(current), _) => list(Some(current)).iter().map(|m| deep(m, &STATUS)).collect(),
            (None, Some(share)) => {
                let current = json!({"averageUtilization": share});
                vec![json!({"type": "Resource", "resource": {"name": "cpu", "current": current}})]
            }
            (None, None) => Vec::new(),
        };
        status.insert("currentMetrics".to_owned(), if measured.is_empty() { Value::Null } else { measured.into() });
        if let Some(conditions) = conditions {
            status.insert("conditions".to_owned(), conditions);
        }
    }
}

fn part<'a>(fields: &'a mut Object, name: &str) -> Option<&'a mut Object> {
    fields.get_mut(name)?.as_object_mut()
}

fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn is_cpu(metric: &Value) -> bool {
    metric["type"] == "Resource"
        && metric.pointer("/resource/name").is_some_and(|n| n == "cpu")
        && metric.pointer("/resource/target/averageUtilization").is_some_and(|u| !u.is_null())
}

/// Notes items as a JSON list, in the order of fields that Go writes.
fn note(notes: &mut Vec<(&'static str, String)>, name: &'static str, kind: &str, items: Vec<Value>) {
    if let (false, Some(owner)) = (items.is_empty(), schema().kind("autoscaling", "v1", kind)) {
        let texts: Vec<String> = items
            .iter()
            .map(|item| {
                let whole = schema::check(item, owner).map_or_else(|_| item.clone(), |read| read.value);
                schema::text(&whole, owner)
            })
            .collect();
        notes.push((name, format!("[{}]", texts.join(","))));
    }
}

/// A `v2` metric in the form of `v1`.
fn flat(metric: &Value, sources: &[Source]) -> Value {
    let mut out = json!({"type": metric["type"]});
    for (source, fields) in sources {
        let Some(old) = metric.get(*source).filter(|v| v.is_object()) else { continue };
        let found = fields.iter().filter_map(|(v1, v2)| {
            let value = old.pointer(&format!("/{}", v2.replace('.', "/")))?;
            (!value.is_null()).then(|| ((*v1).to_owned(), value.clone()))
        });
        let found: Object = found.collect();
        set(&mut out, &[source], Value::Object(found));
    }
    out
}

/// A `v1` metric in the form of `v2`.
fn deep(metric: &Value, sources: &[Source]) -> Value {
    let mut out = json!({"type": metric["type"]});
    for (source, fields) in sources {
        let Some(old) = metric.get(*source).filter(|v| v.is_object()) else { continue };
        set(&mut out, &[source], json!({}));
        for (v1, v2) in *fields {
            // The amount that `v1` always writes says nothing where there is an average.
            let unset = *v1 == "targetValue" && old.get("averageValue").is_some_and(|v| !v.is_null());
            if let Some(value) = old.get(*v1).filter(|v| !v.is_null() && !unset) {
                let steps: Vec<&str> = std::iter::once(*source).chain(v2.split('.')).collect();
                set(&mut out, &steps, value.clone());
            }
        }
        let Some(target) = out.pointer(&format!("/{source}/target")) else { continue };
        let kind = match target {
            t if t.get("averageUtilization").is_some() => "Utilization",
            t if t.get("averageValue").is_some() => "AverageValue",
            _ => "Value",
        };
        set(&mut out, &[source, "target", "type"], Value::from(kind));
    }
    out
}

/// Sets what is at the end of a path, making the objects on the way.
fn set(at: &mut Value, steps: &[&str], value: Value) {
    match steps {
        [] => *at = value,
        [step, rest @ ..] => {
            if !at.is_object() {
                *at = json!({});
            }
            if let Some(fields) = at.as_object_mut() {
                set(fields.entry(*step).or_insert(Value::Null), rest, value);
            }
        }
    }
}

/// The behavior as the annotation has it: the names of Go's fields, all of them, in their order.
fn behavior_text(behavior: &Value) -> String {
    let rules = |name: &str| match behavior.get(name).filter(|r| r.is_object()) {
        None => "null".to_owned(),
        Some(rules) => {
            let field = |name: &str| rules.get(name).map_or_else(|| "null".to_owned(), Value::to_string);
            let policies = match rules.get("policies").and_then(Value::as_array) {
                None => "null".to_owned(),
                Some(policies) => {
                    let one = |p: &Value| {
                        format!(
                            r#"{{"Type":{},"Value":{},"PeriodSeconds":{}}}"#,
                            p["type"], p["value"], p["periodSeconds"]
                        )
                    };
                    format!("[{}]", policies.iter().map(one).collect::<Vec<_>>().join(","))
                }
            };
            format!(
                r#"{{"StabilizationWindowSeconds":{},"SelectPolicy":{},"Policies":{policies},"Tolerance":{}}}"#,
                field("stabilizationWindowSeconds"),
                field("selectPolicy"),
                field("tolerance"),
            )
        }
    };
    format!(r#"{{"ScaleUp":{},"ScaleDown":{}}}"#, rules("scaleUp"), rules("scaleDown"))
}

/// With the first letter of every key changed, and without nulls.
fn recased(value: &Value, change: fn(&char) -> char) -> Value {
    match value {
        Value::Object(fields) => {
            let renamed = fields.iter().filter(|(_, v)| !v.is_null()).map(|(key, v)| {
                let mut letters = key.chars();
                let first = letters.next().map(|c| change(&c)).map(String::from).unwrap_or_default();
                (first + letters.as_str(), recased(v, change))
            });
            Value::Object(renamed.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(|v| recased(v, change)).collect()),
        other => other.clone(),
    }
}
