//! The files of volumes that are made of API objects: configMap, secret, downwardAPI and projected. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, Container, DownwardAPIVolumeFile, KeyToPath, Pod, SecretProjection,
    ServiceAccountTokenProjection, Volume,
};

use crate::spec::env::Sources;
use crate::spec::fields::{self, FieldError, PodFacts};

/// A file of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its content.
    pub data: Vec<u8>,
    /// Its permissions.
    pub mode: u32,
    /// Who owns it; root if none.
    pub user: Option<u32>,
}

/// Files by their path in the volume.
pub type Files = BTreeMap<String, File>;

/// Why a volume cannot be filled: part of the FailedMount message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ContentError {
    /// A ConfigMap or Secret is not there.
    #[error("{kind} {name:?} not found")]
    Missing {
        /// `configmap` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// It lacks a key that is asked for.
    #[error("references non-existent {kind} key: {key}")]
    Key {
        /// `config` or `secret`.
        kind: &'static str,
        /// The key.
        key: String,
    },
    /// A downward API reference names nothing.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A token could not be had.
    #[error("failed to fetch token: {0}")]
    Token(String),
    /// A source that this node does not implement.
    #[error("unsupported volume source: {0}")]
    Unsupported(&'static str),
}

/// Gives the tokens of projected volumes; fetched before, so that this stays pure.
pub trait Tokens {
    /// The token for a projection.
    ///
    /// # Errors
    /// What the API server said.
    fn token(&self, projection: &ServiceAccountTokenProjection) -> Result<String, String>;
}

/// For whom a pod's volumes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ownership {
    /// `fsGroup`: the group that all files are of.
    pub group: Option<u32>,
    /// The one user that all containers run as, if they do: tokens are this user's.
    pub user: Option<u32>,
}

impl Ownership {
    /// What a pod's security contexts say.
    pub fn of(pod: &Pod) -> Self {
        let id = |number: Option<i64>| number.and_then(|id| u32::try_from(id).ok());
        let Some(spec) = &pod.spec else { return Ownership::default() };
        let shared = spec.security_context.as_ref();
        let fallback = shared.and_then(|c| c.run_as_user);
        let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
        let mut users = containers.map(|c| c.security_context.as_ref().and_then(|s| s.run_as_user).or(fallback));
        let first = users.next().flatten();
        let user = first.filter(|_| users.all(|user| user == first));
        Ownership { group: id(shared.and_then(|c| c.fs_group)), user: id(user) }
    }
}

/// Everything that files are made from.
pub struct Origins<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// Facts for the downward API.
    pub facts: &'a PodFacts,
    /// ConfigMaps and Secrets.
    pub sources: &'a dyn Sources,
    /// Tokens.
    pub tokens: &'a dyn Tokens,
    /// Whose the files are.
    pub owner: Ownership,
}

/// The files of a volume; none if it is not made of API objects.
///
/// # Errors
/// What is missing and not optional.
pub fn files(volume: &Volume, from: &Origins<'_>) -> Result<Option<Files>, ContentError> {
    let mut out = Files::new();
    if let Some(source) = &volume.config_map {
        let mode = mode(source.default_mode);
        keys(&mut out, from.config_map(&source.name), source.items.as_deref(), source.optional, mode)?;
    } else if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or_default();
        keys(&mut out, from.secret(name), source.items.as_deref(), source.optional, mode(source.default_mode))?;
    } else if let Some(source) = &volume.downward_api {
        downward(&mut out, from, source.items.as_deref(), mode(source.default_mode))?;
    } else if let Some(source) = &volume.projected {
        let mode = mode(source.default_mode);
        for part in source.sources.iter().flatten() {
            if let Some(ConfigMapProjection { name, items, optional }) = &part.config_map {
                keys(&mut out, from.config_map(name), items.as_deref(), *optional, mode)?;
            }
            if let Some(SecretProjection { name, items, optional }) = &part.secret {
                keys(&mut out, from.secret(name), items.as_deref(), *optional, mode)?;
            }
            if let Some(down) = &part.downward_api {
                downward(&mut out, from, down.items.as_deref(), mode)?;
            }
            if let Some(token) = &part.service_account_token {
                let data = from.tokens.token(token).map_err(ContentError::Token)?.into_bytes();
                // A token is for those alone for whom the volume is, if that is known.
                let owner = from.owner;
                let mode = if owner == Ownership::default() { mode } else { 0o600 };
                out.insert(token.path.clone(), File { data, mode, user: owner.user });
            }
            if part.cluster_trust_bundle.is_some() {
                return Err(ContentError::Unsupported("clusterTrustBundle"));
            }
            if part.pod_certificate.is_some() {
                return Err(ContentError::Unsupported("podCertificate"));
            }
        }
    } else {
        return Ok(None);
    }
    Ok(Some(out))
}

fn mode(default: Option<i32>) -> u32 {
    default.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0o644)
}

/// A ConfigMap or Secret that files are made of.
struct Keyed {
    /// `configmap` or `secret`.
    kind: &'static str,
    /// How messages about its keys call it.
    of_keys: &'static str,
    name: String,
    /// None if it is not there.
    data: Option<BTreeMap<String, Vec<u8>>>,
}

impl Origins<'_> {
    fn config_map(&self, name: &str) -> Keyed {
        let data = self.sources.config_map(name).map(|map| {
            let texts = map.data.iter().flatten().map(|(key, value)| (key.clone(), value.clone().into_bytes()));
            let binaries = map.binary_data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone()));
            texts.chain(binaries).collect()
        });
        Keyed { kind: "configmap", of_keys: "config", name: name.to_owned(), data }
    }

    fn secret(&self, name: &str) -> Keyed {
        let data = self
            .sources
            .secret(name)
            .map(|secret| secret.data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone())).collect());
        Keyed { kind: "secret", of_keys: "secret", name: name.to_owned(), data }
    }
}

/// All keys under their own names, or the listed ones under their paths.
fn keys(
    out: &mut Files,
    from: Keyed,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: u32,
) -> Result<(), ContentError> {
    let optional = optional == Some(true);
    let Some(data) = from.data else {
        return if optional { Ok(()) } else { Err(ContentError::Missing { kind: from.kind, name: from.name }) };
    };
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        out.extend(data.into_iter().map(|(key, data)| (key, File { data, mode, user: None })));
        return Ok(());
    };
    for item in items {
        match data.get(&item.key) {
            Some(data) => {
                let own = item.mode.and_then(|m| u32::try_from(m).ok());
                out.insert(item.path.clone(), File { data: data.clone(), mode: own.unwrap_or(mode), user: None });
            }
            None if optional => {}
            None => return Err(ContentError::Key { kind: from.of_keys, key: item.key.clone() }),
        }
    }
    Ok(())
}

fn downward(
    out: &mut Files,
    from: &Origins<'_>,
    items: Option<&[DownwardAPIVolumeFile]>,
    mode: u32,
) -> Result<(), ContentError> {
    for item in items.unwrap_or_default() {
        let text = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => fields::field(from.pod, from.facts, &field.field_path)?.unwrap_or_default(),
            (None, Some(resource)) => fields::resource(from.pod, &Container::default(), from.facts, resource)?,
            (None, None) => String::new(),
        };
        let own = item.mode.and_then(|m| u32::try_from(m).ok());
        out.insert(item.path.clone(), File { data: text.into_bytes(), mode: own.unwrap_or(mode), user: None });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
