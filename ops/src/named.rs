//! Kinds as people name them on a command line.

use std::sync::Arc;

use anyhow::{Result, bail};
use cox_objects::{Kind, Kinds};

/// A kind, and an object of it if one is named: `KIND` or `KIND/NAME`.
///
/// # Errors
/// If there is no such kind, or the name is none.
pub fn object<'a>(kinds: &Kinds, text: &'a str) -> Result<(Arc<Kind>, Option<&'a str>)> {
    match text.split_once('/') {
        None => Ok((kind(kinds, text)?, None)),
        Some((_, name)) if name.is_empty() || name.contains('/') => bail!("{text:?} is not KIND/NAME"),
        Some((word, name)) => Ok((kind(kinds, word)?, Some(name))),
    }
}

/// The kind that a word means as kubectl understands it: plural, singular, kind or short name, with `.GROUP` or `.VERSION.GROUP` after it if
/// another group has one of that name. The first in the order of discovery is it.
fn kind(kinds: &Kinds, word: &str) -> Result<Arc<Kind>> {
    let lower = word.to_lowercase();
    let (name, rest) = lower.split_once('.').unwrap_or((&lower, ""));
    let named = |kind: &Kind| {
        kind.plural == name
            || kind.singular == name
            || kind.kind.to_lowercase() == name
            || kind.short_names.iter().any(|short| short == name)
    };
    let grouped =
        |kind: &Kind| rest.is_empty() || kind.group == rest || format!("{}.{}", kind.version, kind.group) == rest;
    let readable = |kind: &Kind| kind.served && kind.stored && kind.allows("get");
    match kinds.all().iter().find(|kind| readable(kind) && named(kind) && grouped(kind)) {
        Some(kind) => Ok(kind.clone()),
        None => bail!("there is no kind {word:?}; see `kubectl api-resources`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_go_by_all_their_names() {
        let kinds = cox_objects::kinds::builtin();
        let found = |word| object(&kinds, word).map(|(kind, _)| format!("{} {}", kind.plural, kind.api_version()));
        for word in ["deployments", "deployment", "Deployment", "deploy", "deploy.apps", "deployments.v1.apps"] {
            assert_eq!(found(word).unwrap(), "deployments apps/v1", "{word}");
        }
        assert_eq!(found("ev").unwrap(), "events v1");
        assert_eq!(found("events.events.k8s.io").unwrap(), "events events.k8s.io/v1");
        assert_eq!(found("hpa").unwrap(), "horizontalpodautoscalers autoscaling/v2");
        assert_eq!(found("hpa.v1.autoscaling").unwrap(), "horizontalpodautoscalers autoscaling/v1");
        for wrong in ["", "nothing", "pods.apps", "subjectaccessreviews"] {
            assert!(found(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_may_follow() {
        let kinds = cox_objects::kinds::builtin();
        assert_eq!(object(&kinds, "cm/settings").unwrap().1, Some("settings"));
        assert_eq!(object(&kinds, "cm").unwrap().1, None);
        assert!(object(&kinds, "cm/").is_err() && object(&kinds, "cm/a/b").is_err());
    }
}
