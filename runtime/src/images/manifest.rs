//! The documents of an image: manifests, indexes and configurations, OCI's and docker's alike.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::digest::hex_of;

/// A pointer to content.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) platform: Option<Platform>,
}

impl Descriptor {
    /// The digest's hex digits.
    pub(super) fn hex(&self) -> Result<&str, String> {
        hex_of(&self.digest).ok_or_else(|| format!("unsupported digest {:?}", self.digest))
    }
}

/// What an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Platform {
    pub(super) architecture: String,
    pub(super) os: String,
}

/// A manifest, or an index of manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Document {
    Manifest { config: Descriptor, layers: Vec<Descriptor> },
    Index(Vec<Descriptor>),
}

impl Document {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Any {
            #[serde(default)]
            config: Option<Descriptor>,
            #[serde(default)]
            layers: Option<Vec<Descriptor>>,
            #[serde(default)]
            manifests: Option<Vec<Descriptor>>,
        }
        let any: Any = serde_json::from_slice(bytes).map_err(|e| format!("manifest: {e}"))?;
        match (any.config, any.layers, any.manifests) {
            (Some(config), Some(layers), None) => Ok(Self::Manifest { config, layers }),
            (None, None, Some(manifests)) => Ok(Self::Index(manifests)),
            _ => Err("neither an image manifest nor an index (schema version 1 is not supported)".to_owned()),
        }
    }
}

/// The manifest for this machine; attestations and other systems' images are passed over.
pub(super) fn for_this_machine(manifests: &[Descriptor]) -> Option<&Descriptor> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    manifests
        .iter()
        .find(|m| m.platform.as_ref().is_some_and(|p| p.os == "linux" && p.architecture == architecture))
        .or_else(|| manifests.iter().find(|m| m.platform.is_none()))
}

/// An image's configuration: the parts that we use.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ConfigFile {
    pub(super) config: Option<RunConfig>,
    rootfs: RootFs,
}

#[derive(Debug, Clone, Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Option<Vec<String>>,
}

/// What to run; every field may be absent or null.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RunConfig {
    pub(super) user: Option<String>,
    pub(super) env: Option<Vec<String>>,
    pub(super) entrypoint: Option<Vec<String>>,
    pub(super) cmd: Option<Vec<String>>,
    pub(super) working_dir: Option<String>,
    pub(super) stop_signal: Option<String>,
    pub(super) labels: Option<BTreeMap<String, String>>,
    pub(super) exposed_ports: Option<BTreeMap<String, Value>>,
    pub(super) volumes: Option<BTreeMap<String, Value>>,
}

impl ConfigFile {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|e| format!("configuration: {e}"))
    }

    /// Digests of the layers' uncompressed archives, the lowest first.
    pub(super) fn diff_ids(&self) -> Result<Vec<String>, String> {
        let ids = self.rootfs.diff_ids.as_deref().unwrap_or_default();
        ids.iter()
            .map(|id| hex_of(id).map(str::to_owned).ok_or_else(|| format!("unsupported diff id {id:?}")))
            .collect()
    }
}

/// The chain ids of a stack of layers (OCI image-spec, "Layer ChainID"), as hex digits.
pub(super) fn chain_ids(diff_ids: &[String]) -> Vec<String> {
    let mut chain: Vec<String> = Vec::with_capacity(diff_ids.len());
    for diff in diff_ids {
        let id = match chain.last() {
            None => diff.clone(),
            Some(below) => super::digest::sha256(format!("sha256:{below} sha256:{diff}").as_bytes()),
        };
        chain.push(id);
    }
    chain
}
