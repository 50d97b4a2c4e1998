//! Defaults of kinds that are stored and served, but not acted on yet: webhooks, admission policies, flow control.

use serde_json::{Map, Value};

use super::read::Fill;

/// Defaults of a validating or mutating webhook configuration.
pub(crate) fn webhooks(object: &mut Value, mutating: bool) {
    for webhook in object.items("webhooks") {
        webhook.fill_unset("failurePolicy", "Fail");
        webhook.fill_unset("matchPolicy", "Equivalent");
        webhook.fill_unset("namespaceSelector", Map::new());
        webhook.fill_unset("objectSelector", Map::new());
        webhook.fill_unset("timeoutSeconds", 10);
        if mutating {
            webhook.fill_unset("reinvocationPolicy", "Never");
        }
        scopes(webhook, "rules");
        if let Some(service) = webhook.object("clientConfig").inner("service") {
            service.fill_unset("port", 443);
        }
    }
}

fn scopes(holder: &mut Value, list: &str) {
    for rule in holder.items(list) {
        rule.fill_unset("scope", "*");
    }
}

fn match_resources(own: &mut Value) {
    own.fill_unset("matchPolicy", "Equivalent");
    own.fill_unset("namespaceSelector", Map::new());
    own.fill_unset("objectSelector", Map::new());
    scopes(own, "resourceRules");
    scopes(own, "excludeResourceRules");
}

/// Defaults of an admission policy.
pub(crate) fn admission_policy(object: &mut Value, mutating: bool) {
    let spec = object.object("spec");
    spec.fill_unset("failurePolicy", "Fail");
    if mutating {
        spec.fill_unset("reinvocationPolicy", "Never");
    }
    if let Some(constraints) = spec.inner("matchConstraints") {
        match_resources(constraints);
    }
}

/// Defaults of the binding of an admission policy.
pub(crate) fn policy_binding(object: &mut Value) {
    let spec = object.object("spec");
    if let Some(own) = spec.inner("matchResources") {
        match_resources(own);
    }
    if let Some(parameters) = spec.inner("paramRef") {
        parameters.fill_unset("parameterNotFoundAction", "Deny");
    }
}

/// Defaults of a flow schema.
pub(crate) fn flow_schema(object: &mut Value) {
    object.object("spec").fill("matchingPrecedence", 1000);
}

/// Defaults of a priority level.
pub(crate) fn priority_level(object: &mut Value) {
    let spec = object.object("spec");
    if let Some(exempt) = spec.inner("exempt") {
        exempt.fill_unset("nominalConcurrencyShares", 0);
        exempt.fill_unset("lendablePercent", 0);
    }
    let Some(limited) = spec.inner("limited") else { return };
    limited.fill_unset("nominalConcurrencyShares", 30);
    limited.fill_unset("lendablePercent", 0);
    if let Some(queuing) = limited.inner("limitResponse").and_then(|r| r.inner("queuing")) {
        queuing.fill("queues", 64);
        queuing.fill("handSize", 8);
        queuing.fill("queueLengthLimit", 50);
    }
}

/// Defaults of an aggregated API: HTTPS.
pub(crate) fn api_service(object: &mut Value) {
    if let Some(service) = object.object("spec").inner("service") {
        service.fill_unset("port", 443);
    }
}
