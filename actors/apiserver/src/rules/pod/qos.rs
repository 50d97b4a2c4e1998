//! The quality-of-service class of a pod.

use std::collections::BTreeMap;

use cox_objects::quantity::Quantity;
use serde_json::Value;

use super::super::read::Read;

/// `BestEffort`, `Burstable` or `Guaranteed`, from the cpu and memory that a pod's spec asks for.
pub(crate) fn class(spec: &Value) -> &'static str {
    let pod = spec.at("resources");
    let mut sums = Sums { guaranteed: true, ..Sums::default() };
    if pod.filled("requests") || pod.filled("limits") {
        sums.add(pod);
    } else {
        for container in spec.list("containers").iter().chain(spec.list("initContainers")) {
            sums.add(container.at("resources"));
        }
    }
    sums.class()
}

#[derive(Default)]
struct Sums {
    requests: BTreeMap<String, Quantity>,
    limits: BTreeMap<String, Quantity>,
    guaranteed: bool,
}

impl Sums {
    fn add(&mut self, resources: &Value) {
        collect(&mut self.requests, resources, "requests");
        let limited = collect(&mut self.limits, resources, "limits");
        self.guaranteed &= limited == 2;
    }

    fn class(&self) -> &'static str {
        if self.requests.is_empty() && self.limits.is_empty() {
            "BestEffort"
        } else if self.guaranteed && self.requests == self.limits {
            "Guaranteed"
        } else {
            "Burstable"
        }
    }
}

/// Adds the cpu and memory of a list, and says how many of the two were above zero.
fn collect(sums: &mut BTreeMap<String, Quantity>, resources: &Value, field: &str) -> usize {
    let mut found = 0;
    for name in ["cpu", "memory"] {
        let text = resources.at(field).text(name);
        let Some(quantity) = Quantity::parse(text).ok().filter(|q| *q > Quantity::default()) else { continue };
        found += 1;
        let sum = match sums.get(name) {
            Some(before) => before.plus(&quantity),
            None => quantity,
        };
        sums.insert(name.to_owned(), sum);
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::class;

    #[test]
    fn the_class_follows_requests_and_limits() {
        let one = |resources: serde_json::Value| class(&json!({"containers": [{"resources": resources}]}));
        assert_eq!(one(json!({})), "BestEffort");
        assert_eq!(one(json!({"requests": {"cpu": "0"}})), "BestEffort");
        assert_eq!(one(json!({"requests": {"cpu": "1"}})), "Burstable");
        let both = json!({"cpu": "1", "memory": "1Gi"});
        assert_eq!(one(json!({"requests": both, "limits": both})), "Guaranteed");
        assert_eq!(one(json!({"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": both})), "Burstable");
        let two = json!({"containers": [{"resources": {"requests": both, "limits": both}}, {"resources": {}}]});
        assert_eq!(class(&two), "Burstable");
    }

    #[test]
    fn a_pods_own_resources_count_instead_of_its_containers() {
        let both = json!({"cpu": "1", "memory": "1Gi"});
        let spec = json!({"resources": {"requests": both, "limits": both}, "containers": [{"resources": {}}]});
        assert_eq!(class(&spec), "Guaranteed");
    }
}
