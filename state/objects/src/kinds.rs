//! The built-in kinds: every one that a Kubernetes 1.36 server serves by default, read from one table.

use serde::Deserialize;

use crate::{Kind, Kinds, Resource, Subresource};

pub mod convert;

/// One kind a line, in discovery order; made by `ops/generate/kinds.py` from recorded discovery documents.
const TABLE: &str = include_str!("../data/kinds.jsonl");

/// All built-in kinds, in the order in which Kubernetes' discovery lists them.
///
/// `events.k8s.io/v1` shares its storage with core `v1` Event, `autoscaling/v1` with `autoscaling/v2`; see [`convert`].
pub fn builtin() -> Kinds {
    Kinds::new(TABLE.lines().map(|line| Row::parse(line).into()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    group: String,
    version: String,
    kind: String,
    plural: String,
    singular: String,
    short_names: Vec<String>,
    categories: Vec<String>,
    namespaced: bool,
    verbs: Vec<String>,
    subresources: Vec<SubresourceRow>,
    stored: bool,
    served: bool,
    storage_group: String,
    storage_version: String,
    storage_hash: String,
    #[serde(default)]
    deprecation: String,
}

#[derive(Deserialize)]
struct SubresourceRow {
    name: String,
    group: String,
    version: String,
    kind: String,
    verbs: Vec<String>,
}

impl Row {
    #[expect(clippy::expect_used, reason = "the table is embedded, and a test reads every line of it")]
    fn parse(line: &str) -> Self {
        serde_json::from_str(line).expect("a line of the table of kinds")
    }
}

impl From<Row> for Kind {
    fn from(row: Row) -> Self {
        Kind {
            resource: Resource::new(&row.storage_group, &row.plural),
            group: row.group,
            version: row.version,
            storage_version: row.storage_version,
            kind: row.kind,
            plural: row.plural,
            singular: row.singular,
            short_names: row.short_names,
            categories: row.categories,
            namespaced: row.namespaced,
            verbs: row.verbs,
            subresources: row.subresources.into_iter().map(Subresource::from).collect(),
            stored: row.stored,
            served: row.served,
            storage_hash: row.storage_hash,
            deprecation: row.deprecation,
        }
    }
}

impl From<SubresourceRow> for Subresource {
    fn from(row: SubresourceRow) -> Self {
        Subresource { name: row.name, group: row.group, version: row.version, kind: row.kind, verbs: row.verbs }
    }
}

#[cfg(test)]
mod tests;
