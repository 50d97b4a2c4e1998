//! Ingresses and IngressClasses.

use cox_objects::{FieldError, Path, name};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::{Fill, Read};
use super::super::service;

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// A new Ingress, after its metadata.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    content(errors, object);
    let annotation = object.at("metadata").at("annotations").at(CLASS_ANNOTATION);
    let class = object.at("spec").at("ingressClassName");
    if let (Some(old), Some(new)) = (annotation.as_str(), class.as_str())
        && old != new
    {
        let at = Path::new("annotations").child(CLASS_ANNOTATION);
        errors.push(FieldError::invalid(&at, old, "must match `ingressClassName` when both are specified"));
    }
}

/// What both new and updated Ingresses must fulfil.
fn content(errors: &mut Errors, object: &Value) {
    let spec = object.at("spec");
    let path = Path::new("spec");
    if !spec.filled("rules") && !spec.has("defaultBackend") {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.push(FieldError::invalid(&path, Value::Null, detail));
    }
    if spec.has("defaultBackend") {
        backend(errors, spec.at("defaultBackend"), &path.child("defaultBackend"));
    }
    for (i, rule) in spec.list("rules").iter().enumerate() {
        self::rule(errors, rule, &path.child("rules").index(i));
    }
    for (i, tls) in spec.list("tls").iter().enumerate() {
        for (j, host) in tls.texts("hosts").into_iter().enumerate() {
            host_name(errors, host, &path.child("tls").index(i).child("hosts").index(j));
        }
        let secret = tls.text("secretName");
        if !secret.is_empty() {
            check::dns_subdomain(errors, &path.child("tls").index(i).child("secretName"), secret);
        }
    }
    if let Some(class) = spec.at("ingressClassName").as_str() {
        check::dns_subdomain(errors, &path.child("ingressClassName"), class);
    }
}

fn host_name(errors: &mut Errors, host: &str, path: &Path) {
    let found =
        if host.contains('*') { name::is_wildcard_dns1123_subdomain(host) } else { name::is_dns1123_subdomain(host) };
    check::texts(errors, path, host, found);
}

fn rule(errors: &mut Errors, rule: &Value, path: &Path) {
    let host = rule.text("host");
    if !host.is_empty() {
        let at = path.child("host");
        if check::parse_ip(host).is_some() {
            errors.push(FieldError::invalid(&at, host, "must be a DNS name, not an IP address"));
        } else {
            host_name(errors, host, &at);
        }
    }
    if !rule.has("http") {
        return;
    }
    let at = path.child("http").child("paths");
    let paths = rule.at("http").list("paths");
    if paths.is_empty() {
        errors.push(FieldError::required(&at, ""));
    }
    for (i, own) in paths.iter().enumerate() {
        http_path(errors, own, &at.index(i));
    }
}

fn http_path(errors: &mut Errors, own: &Value, path: &Path) {
    let (kind, target) = (own.text("pathType"), own.text("path"));
    let at = path.child("path");
    match kind {
        "" => errors.push(FieldError::required(&path.child("pathType"), "pathType must be specified")),
        "Exact" | "Prefix" => {
            if !target.starts_with('/') {
                errors.push(FieldError::invalid(&at, target, "must be an absolute path"));
            }
            if !target.is_empty() {
                for sequence in ["//", "/./", "/../", "%2f", "%2F"] {
                    if target.contains(sequence) {
                        errors.push(FieldError::invalid(&at, target, &format!("must not contain '{sequence}'")));
                    }
                }
                for suffix in ["/..", "/."] {
                    if target.ends_with(suffix) {
                        errors.push(FieldError::invalid(&at, target, &format!("cannot end with '{suffix}'")));
                    }
                }
            }
        }
        "ImplementationSpecific" => {
            if !target.is_empty() && !target.starts_with('/') {
                errors.push(FieldError::invalid(&at, target, "must be an absolute path"));
            }
        }
        other => {
            let supported = ["Exact", "ImplementationSpecific", "Prefix"];
            errors.push(FieldError::not_supported(&path.child("pathType"), other, &supported));
        }
    }
    backend(errors, own.at("backend"), &path.child("backend"));
}

fn backend(errors: &mut Errors, backend: &Value, path: &Path) {
    let (resource, target) = (backend.has("resource"), backend.at("service"));
    match (resource, !target.is_null()) {
        (true, true) => {
            errors.push(FieldError::invalid(path, "", "cannot set both resource and service backends"));
        }
        (true, false) => {
            let at = path.child("resource");
            for field in ["kind", "name"] {
                check::required(errors, &at.child(field), backend.at("resource").text(field));
            }
        }
        (false, false) => errors.push(FieldError::invalid(path, "", "resource or service backend is required")),
        (false, true) => {
            let at = path.child("service");
            match target.text("name") {
                "" => errors.push(FieldError::required(&at.child("name"), "")),
                own => check::dns_label(errors, &at.child("name"), own),
            }
            service_port(errors, target.at("port"), path, &at.child("port"));
        }
    }
}

fn service_port(errors: &mut Errors, port: &Value, backend: &Path, path: &Path) {
    let (own, number) = (port.text("name"), port.int("number").unwrap_or(0));
    match (own.is_empty(), number) {
        (false, 0) => check::texts(errors, &path.child("name"), own, name::is_port_name(own)),
        (false, _) => errors.push(FieldError::invalid(backend, "", "cannot set both port name & port number")),
        (true, 0) => errors.push(FieldError::required(backend, "port name or number is required")),
        (true, number) => check::port(errors, &path.child("number"), number),
    }
}

/// An update of an Ingress or its status.
pub(crate) fn validate_update(errors: &mut Errors, subresource: &str, object: &Value) {
    if subresource != "status" {
        content(errors, object);
        return;
    }
    let path = Path::new("status").child("loadBalancer").child("ingress");
    for (i, own) in object.at("status").at("loadBalancer").list("ingress").iter().enumerate() {
        service::load_balancer_ingress(errors, own, &path.index(i));
    }
}

/// What is legal in an Ingress, but should be said otherwise now.
pub(crate) fn warnings(object: &Value) -> Vec<String> {
    if object.at("metadata").at("annotations").has(CLASS_ANNOTATION) {
        let text = format!("annotation {CLASS_ANNOTATION:?} is deprecated, please use 'spec.ingressClassName' instead");
        return vec![text];
    }
    Vec::new()
}

/// Defaults of a class: its parameters are cluster-wide.
pub(crate) fn class_defaults(object: &mut Value) {
    if let Some(parameters) = object.inner("spec").and_then(|s| s.inner("parameters")) {
        parameters.fill_unset("scope", "Cluster");
    }
}

/// An IngressClass.
pub(crate) fn validate_class(errors: &mut Errors, object: &Value) {
    let spec = object.at("spec");
    let path = Path::new("spec");
    let controller = spec.text("controller");
    let at = path.child("controller");
    if controller.is_empty() {
        errors.push(FieldError::required(&at, ""));
    } else {
        if controller.len() > 250 {
            errors.push(FieldError::too_long(&at, 250));
        }
        check::texts(errors, &at, controller, name::is_domain_prefixed_path(controller));
    }
    if spec.has("parameters") {
        parameters(errors, spec.at("parameters"), &path.child("parameters"));
    }
}

fn parameters(errors: &mut Errors, parameters: &Value, path: &Path) {
    let group = parameters.text("apiGroup");
    if !group.is_empty() {
        check::dns_subdomain(errors, &path.child("apiGroup"), group);
    }
    for field in ["kind", "name"] {
        let own = parameters.text(field);
        if own.is_empty() {
            errors.push(FieldError::required(&path.child(field), ""));
        } else {
            check::texts(errors, &path.child(field), own, name::is_path_segment_name(own));
        }
    }
    let (scope, namespace) = (parameters.text("scope"), parameters.text("namespace"));
    let at = path.child("namespace");
    check::required_one_of(errors, &path.child("scope"), scope, &["Cluster", "Namespace"]);
    if scope == "Namespace" {
        if parameters.has("namespace") {
            check::dns_label(errors, &at, namespace);
        } else {
            errors.push(FieldError::required(&at, "`parameters.scope` is set to 'Namespace'"));
        }
    } else if scope == "Cluster" && parameters.has("namespace") {
        errors.push(FieldError::forbidden(&at, "`parameters.scope` is set to 'Cluster'"));
    }
}

/// A class keeps its controller.
pub(crate) fn validate_class_update(errors: &mut Errors, object: &Value, old: &Value) {
    let path = Path::new("spec").child("controller");
    check::immutable(errors, &path, object.at("spec").at("controller"), old.at("spec").at("controller"));
    validate_class(errors, object);
}
