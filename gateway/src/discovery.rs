//! Discovery documents, made from the table of kinds.

mod aggregated;
mod legacy;

pub use aggregated::{MEDIA_TYPE, aggregated};
pub use legacy::{group, group_list, group_version, paths, versions};

use cox_objects::{Kind, Kinds};
use std::sync::Arc;

/// Groups in discovery order (core left out), each with its versions in order of preference.
fn groups(kinds: &Kinds) -> Vec<(&str, Vec<&str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for kind in kinds.all().iter().filter(|k| k.served && !k.group.is_empty()) {
        match groups.iter_mut().find(|(name, _)| *name == kind.group) {
            Some((_, versions)) if versions.contains(&kind.version.as_str()) => {}
            Some((_, versions)) => versions.push(&kind.version),
            None => groups.push((&kind.group, vec![&kind.version])),
        }
    }
    groups
}

/// The kinds of a version.
fn kinds_of<'a>(kinds: &'a Kinds, group: &'a str, version: &'a str) -> impl Iterator<Item = &'a Arc<Kind>> {
    kinds.all().iter().filter(move |k| k.served && k.group == group && k.version == version)
}

#[cfg(test)]
mod tests;
