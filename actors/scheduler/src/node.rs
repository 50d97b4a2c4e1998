//! What the scheduler knows of a node.

use std::collections::BTreeMap;
use std::sync::Arc;

use cox_objects::Quantity;
use k8s_openapi::api::core::v1 as api;

use crate::resources::Resources;
use crate::term::LabelMap;

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// None is placed there.
    NoSchedule,
    /// Other nodes are better.
    PreferNoSchedule,
    /// None is placed there, and those that are there have to go.
    NoExecute,
}

impl Effect {
    /// Reads it; none for an unknown one.
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "NoSchedule" => Some(Effect::NoSchedule),
            "PreferNoSchedule" => Some(Effect::PreferNoSchedule),
            "NoExecute" => Some(Effect::NoExecute),
            _ => None,
        }
    }

    /// Whether it keeps pods away altogether.
    pub fn forbids(self) -> bool {
        self != Effect::PreferNoSchedule
    }
}

/// A taint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    /// `key`
    pub key: String,
    /// `value`
    pub value: String,
    /// `effect`
    pub effect: Effect,
}

/// A node, as far as placing pods on it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: LabelMap,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// Whether it is cordoned.
    pub unschedulable: bool,
    /// What pods may use.
    pub allocatable: Resources,
    /// How many pods it takes.
    pub pods: i64,
    /// The images it has, by each of their names, with their size in bytes.
    pub images: BTreeMap<String, i64>,
}

impl Node {
    /// Reads a node.
    pub fn read(node: &api::Node) -> Self {
        let spec = node.spec.as_ref();
        let status = node.status.as_ref();
        let taint = |t: &api::Taint| {
            let effect = Effect::read(&t.effect)?;
            Some(Taint { key: t.key.clone(), value: t.value.clone().unwrap_or_default(), effect })
        };
        let allocatable = status.and_then(|s| s.allocatable.as_ref());
        let pods = allocatable.and_then(|list| list.get("pods")).and_then(|q| Quantity::parse(&q.0).ok());
        let mut images = BTreeMap::new();
        for image in status.and_then(|s| s.images.as_ref()).into_iter().flatten() {
            for name in image.names.iter().flatten() {
                images.insert(name.clone(), image.size_bytes.unwrap_or(0));
            }
        }
        Node {
            name: node.metadata.name.as_deref().unwrap_or_default().into(),
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: spec.and_then(|s| s.taints.as_ref()).into_iter().flatten().filter_map(taint).collect(),
            unschedulable: spec.and_then(|s| s.unschedulable).unwrap_or(false),
            allocatable: allocatable.map(Resources::read).unwrap_or_default(),
            pods: pods.map_or(0, |q| q.value()),
            images,
        }
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }
}
