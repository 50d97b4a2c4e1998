//! The environment of a container: Service links, `envFrom`, then `env` in order, each seeing what stands before it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, Pod, Secret};

use super::expand::expand;
use super::fields::{self, FieldError, PodFacts};

/// Why a container's environment cannot be made: `CreateContainerConfigError` with this text.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvError {
    /// A ConfigMap or Secret is not there.
    #[error("{kind} {name:?} not found")]
    Missing {
        /// `configmap` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// It has no such key.
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    Key {
        /// The key.
        key: String,
        /// `ConfigMap` or `Secret`.
        kind: &'static str,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A source that this node does not implement.
    #[error("unsupported source of the environment variable {variable}: {field}")]
    Unsupported {
        /// The variable.
        variable: String,
        /// The field that names it.
        field: &'static str,
    },
    /// A field or resource reference names nothing.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// Where values come from: the ConfigMaps and Secrets of the pod's namespace.
pub trait Sources {
    /// A ConfigMap of the namespace.
    fn config_map(&self, name: &str) -> Option<std::sync::Arc<ConfigMap>>;
    /// A Secret of the namespace.
    fn secret(&self, name: &str) -> Option<std::sync::Arc<Secret>>;
}

/// Resolves the environment. Names are unique in the result; a later definition replaces an earlier one.
///
/// # Errors
/// What is missing and not optional.
pub fn resolve(
    pod: &Pod,
    container: &Container,
    facts: &PodFacts,
    links: Vec<(String, String)>,
    sources: &dyn Sources,
) -> Result<Vec<(String, String)>, EnvError> {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    let mut set = |known: &mut BTreeMap<String, String>, name: String, value: String| {
        if !order.contains(&name) {
            order.push(name.clone());
        }
        known.insert(name, value);
    };
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        if let Some(reference) = &from.config_map_ref {
            match sources.config_map(&reference.name) {
                Some(map) => {
                    for (key, value) in map.data.iter().flatten() {
                        set(&mut known, format!("{prefix}{key}"), value.clone());
                    }
                }
                None if reference.optional == Some(true) => {}
                None => return Err(EnvError::Missing { kind: "configmap", name: reference.name.clone() }),
            }
        }
        if let Some(reference) = &from.secret_ref {
            match sources.secret(&reference.name) {
                Some(secret) => {
                    for (key, value) in secret.data.iter().flatten() {
                        set(&mut known, format!("{prefix}{key}"), String::from_utf8_lossy(&value.0).into_owned());
                    }
                }
                None if reference.optional == Some(true) => {}
                None => return Err(EnvError::Missing { kind: "secret", name: reference.name.clone() }),
            }
        }
    }
    for variable in container.env.iter().flatten() {
        if let Some(value) = value_of(pod, container, facts, &links, &known, variable, sources)? {
            set(&mut known, variable.name.clone(), value);
        }
    }
    let mut out: Vec<(String, String)> = links.into_iter().filter(|(name, _)| !known.contains_key(name)).collect();
    out.extend(order.into_iter().filter_map(|name| known.get(&name).map(|value| (name.clone(), value.clone()))));
    Ok(out)
}

fn value_of(
    pod: &Pod,
    container: &Container,
    facts: &PodFacts,
    links: &[(String, String)],
    known: &BTreeMap<String, String>,
    variable: &EnvVar,
    sources: &dyn Sources,
) -> Result<Option<String>, EnvError> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let Some(from) = &variable.value_from else {
        let lookup = |name: &str| {
            let link = || links.iter().rev().find(|(link, _)| link == name).map(|(_, value)| value.clone());
            known.get(name).cloned().or_else(link)
        };
        return Ok(Some(expand(variable.value.as_deref().unwrap_or_default(), lookup)));
    };
    if let Some(reference) = &from.field_ref {
        return Ok(Some(fields::field(pod, facts, &reference.field_path)?.unwrap_or_default()));
    }
    if let Some(reference) = &from.resource_field_ref {
        return Ok(Some(fields::resource(pod, container, facts, reference)?));
    }
    if let Some(reference) = &from.config_map_key_ref {
        let optional = reference.optional == Some(true);
        let Some(map) = sources.config_map(&reference.name) else {
            return missing(optional, EnvError::Missing { kind: "configmap", name: reference.name.clone() });
        };
        return match map.data.as_ref().and_then(|data| data.get(&reference.key)) {
            Some(value) => Ok(Some(value.clone())),
            None => missing(optional, key_error("ConfigMap", &reference.key, namespace, &reference.name)),
        };
    }
    if let Some(reference) = &from.secret_key_ref {
        let optional = reference.optional == Some(true);
        let Some(secret) = sources.secret(&reference.name) else {
            return missing(optional, EnvError::Missing { kind: "secret", name: reference.name.clone() });
        };
        return match secret.data.as_ref().and_then(|data| data.get(&reference.key)) {
            Some(value) => Ok(Some(String::from_utf8_lossy(&value.0).into_owned())),
            None => missing(optional, key_error("Secret", &reference.key, namespace, &reference.name)),
        };
    }
    let field = if from.file_key_ref.is_some() { "fileKeyRef" } else { "valueFrom" };
    Err(EnvError::Unsupported { variable: variable.name.clone(), field })
}

fn missing(optional: bool, error: EnvError) -> Result<Option<String>, EnvError> {
    if optional { Ok(None) } else { Err(error) }
}

fn key_error(kind: &'static str, key: &str, namespace: &str, name: &str) -> EnvError {
    EnvError::Key { key: key.to_owned(), kind, namespace: namespace.to_owned(), name: name.to_owned() }
}

#[cfg(test)]
mod tests;
