//! Pods made from a template, and deleted: what is asked for, and what is told about it.

use cox_kit::recorder::Note;
use cox_kit::{Command, View};
use cox_objects::{Key, Resource};
use serde_json::{Map, Value, json};

use super::Flavor;
use crate::hash;
use crate::model::Set;
use crate::pods::Pod;

/// The longest name whose last five letters are made up.
const LONGEST_PREFIX: usize = 58;

/// Makes pods: one, then two, four, and so on, so that what is refused is refused once and not for each pod.
pub(super) fn create<F: Flavor>(view: View<'_>, set: &Set, count: usize) -> Vec<Command> {
    let prefix = format!("{}-", set.metadata.name);
    let mut names = (0_u64..).map(|n| name(&prefix, &set.metadata.uid, view.revision(), n));
    let taken = |name: &String| view.raw(&Key::new(Resource::PODS, &set.metadata.namespace, name)).is_some();
    let mut commands = Vec::with_capacity(count * 2);
    let (mut made, mut batch) = (0, 1);
    while made < count {
        let names: Vec<String> = names.by_ref().filter(|name| !taken(name)).take(batch.min(count - made)).collect();
        made += names.len();
        batch *= 2;
        commands.extend(names.iter().map(|name| Command::Create(from_template::<F>(set, &prefix, name))));
        // Told once the pods before it exist; and being no creation, it ends the batch.
        commands.extend(names.iter().map(|name| told::<F>(set, "SuccessfulCreate", format!("Created pod: {name}"))));
    }
    commands
}

/// Deletes pods, if they are still the same.
pub(super) fn delete<F: Flavor>(set: &Set, victims: &[&Pod]) -> Vec<Command> {
    let deletions = victims.iter().map(|pod| Command::delete(pod.metadata.key(Resource::PODS), &pod.metadata.uid));
    let notes =
        victims.iter().map(|pod| told::<F>(set, "SuccessfulDelete", format!("Deleted pod: {}", pod.metadata.name)));
    deletions.chain(notes).collect()
}

fn told<F: Flavor>(set: &Set, reason: &str, message: String) -> Command {
    Command::Record(Note::normal(set.metadata.about(F::API_VERSION, F::KIND), reason, message))
}

fn name(prefix: &str, uid: &str, revision: u64, n: u64) -> String {
    let end = (0..=LONGEST_PREFIX.min(prefix.len())).rev().find(|at| prefix.is_char_boundary(*at)).unwrap_or(0);
    let (prefix, _) = prefix.split_at(end);
    format!("{prefix}{}", hash::suffix(&format!("{uid}/{revision}/{n}")))
}

fn from_template<F: Flavor>(set: &Set, prefix: &str, name: &str) -> Value {
    let mut metadata = Map::new();
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = set.spec.template.pointer(&format!("/metadata/{field}")) {
            metadata.insert(field.into(), value.clone());
        }
    }
    metadata.insert("name".into(), name.into());
    metadata.insert("generateName".into(), prefix.into());
    metadata.insert("namespace".into(), set.metadata.namespace.as_str().into());
    metadata.insert("ownerReferences".into(), json!([set.metadata.as_controller(F::API_VERSION, F::KIND)]));
    let spec = set.spec.template.get("spec").cloned().unwrap_or_else(|| json!({}));
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}
