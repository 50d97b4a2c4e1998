//! What a pod may ask for and this node does not implement: a pod that would run without it is refused, since it would not be what was asked for.
//!
//! What only one container or volume asks for is refused where it is made: as `CreateContainerConfigError` or FailedMount.

use k8s_openapi::api::core::v1::{Container, PodSpec};

use crate::model::Verdict;
use crate::spec::names::members;

/// Why the node cannot run the pod, if it cannot.
pub(super) fn unsupported(spec: &PodSpec) -> Option<Verdict> {
    if spec.os.as_ref().is_some_and(|os| os.name != "linux") {
        let message = "Failed to admit pod as the OS field doesn't match node OS".to_owned();
        return Some(Verdict { reason: "PodOSNotSupported".to_owned(), message });
    }
    let field = of_pod(spec).or_else(|| members(spec).iter().find_map(|member| of_container(&member.container)))?;
    let message = format!("this node does not implement {field}");
    Some(Verdict { reason: "PodFeatureUnsupported".to_owned(), message })
}

fn of_pod(spec: &PodSpec) -> Option<&'static str> {
    let asked = [
        ("hostUsers: false", spec.host_users == Some(false)),
        ("resourceClaims", spec.resource_claims.as_ref().is_some_and(|claims| !claims.is_empty())),
        ("runtimeClassName", spec.runtime_class_name.as_ref().is_some_and(|name| !name.is_empty())),
    ];
    asked.into_iter().find_map(|(field, asked)| asked.then_some(field))
}

fn of_container(container: &Container) -> Option<&'static str> {
    let mut actions = container.restart_policy_rules.iter().flatten().map(|rule| rule.action.as_str());
    let asked = [
        ("restartPolicyRules with another action than Restart", actions.any(|action| action != "Restart")),
        ("volumeDevices", container.volume_devices.as_ref().is_some_and(|devices| !devices.is_empty())),
    ];
    asked.into_iter().find_map(|(field, asked)| asked.then_some(field))
}

#[cfg(test)]
mod tests;
