//! A Deployment as its controller sees it, and how many pods more or less its strategy allows.

use cox_objects::selector::LabelSelector;
use serde::Deserialize;
use serde_json::Value;

use crate::model::{Condition, Meta, or_default};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Deployment {
    pub metadata: Meta,
    pub spec: Spec,
    #[serde(deserialize_with = "or_default")]
    pub status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    pub replicas: Option<i32>,
    #[serde(deserialize_with = "or_default")]
    pub min_ready_seconds: i32,
    pub selector: Value,
    pub template: Value,
    #[serde(deserialize_with = "or_default")]
    pub strategy: Strategy,
    #[serde(deserialize_with = "or_default")]
    pub paused: bool,
    pub revision_history_limit: Option<i32>,
    pub progress_deadline_seconds: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Strategy {
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    #[serde(deserialize_with = "or_default")]
    pub rolling_update: RollingUpdate,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RollingUpdate {
    pub max_surge: Value,
    pub max_unavailable: Value,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Counts {
    #[serde(deserialize_with = "or_default")]
    pub replicas: i32,
    #[serde(deserialize_with = "or_default")]
    pub updated_replicas: i32,
    #[serde(deserialize_with = "or_default")]
    pub ready_replicas: i32,
    #[serde(deserialize_with = "or_default")]
    pub available_replicas: i32,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    #[serde(flatten)]
    pub counts: Counts,
    pub collision_count: Option<i32>,
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
}

impl Deployment {
    /// What it selects; nothing if its selector would select everything.
    pub(super) fn selector(&self) -> LabelSelector {
        let selector = LabelSelector::from_value(&self.spec.selector).unwrap_or(LabelSelector::Nothing);
        if selector.is_everything() { LabelSelector::Nothing } else { selector }
    }

    pub(super) fn wanted(&self) -> i32 {
        self.spec.replicas.unwrap_or(1)
    }

    pub(super) fn is_recreate(&self) -> bool {
        self.spec.strategy.kind == "Recreate"
    }

    /// The time that progress may take, in seconds; none if it may take forever (which the API writes as the largest number).
    pub(super) fn deadline(&self) -> Option<i32> {
        self.spec.progress_deadline_seconds.filter(|seconds| *seconds != i32::MAX)
    }

    /// How many pods there may be beyond, and how many may be missing. Surge is rounded up, unavailability down; not both can be none.
    fn fenceposts(&self) -> (i32, i32) {
        if self.is_recreate() {
            return (0, 0);
        }
        let rolling = &self.spec.strategy.rolling_update;
        let surge = resolve(&rolling.max_surge, self.wanted(), true);
        let unavailable = resolve(&rolling.max_unavailable, self.wanted(), false);
        if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
    }

    /// How many pods there may be in all.
    pub(super) fn most(&self) -> i32 {
        self.wanted().saturating_add(self.fenceposts().0)
    }

    /// How many pods must be available.
    pub(super) fn least_available(&self) -> i32 {
        self.wanted() - self.fenceposts().1.min(self.wanted())
    }
}

/// A number of pods, or a percentage of all. Kubernetes' defaults, 25 %, where nothing is said.
fn resolve(value: &Value, of: i32, up: bool) -> i32 {
    if let Some(number) = value.as_i64() {
        return i32::try_from(number.max(0)).unwrap_or(i32::MAX);
    }
    let percent: i64 = value.as_str().and_then(|text| text.strip_suffix('%')?.parse().ok()).unwrap_or(25);
    let hundredths = percent.max(0).saturating_mul(of.into());
    let whole = if up { (hundredths.saturating_add(99)) / 100 } else { hundredths / 100 };
    i32::try_from(whole).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn percentages_round_so_that_a_rollout_can_always_go_on() {
        let bounds = |replicas, surge: Value, unavailable: Value| {
            let spec = json!({"replicas": replicas, "strategy": {"type": "RollingUpdate", "rollingUpdate": {
                "maxSurge": surge, "maxUnavailable": unavailable}}});
            let deployment: Deployment = serde_json::from_value(json!({"spec": spec})).unwrap();
            (deployment.least_available(), deployment.most())
        };
        assert_eq!(bounds(4, json!("25%"), json!("25%")), (3, 5));
        assert_eq!(bounds(2, json!("25%"), json!("25%")), (2, 3));
        assert_eq!(bounds(10, json!("30%"), json!("35%")), (7, 13));
        assert_eq!(bounds(3, json!(0), json!("10%")), (2, 3));
        assert_eq!(bounds(1, json!(0), json!(5)), (0, 1));
        assert_eq!(bounds(0, json!("25%"), json!("25%")), (0, 0));
    }
}
