//! Roles and bindings kept parsed, and changed object by object as a log or a projection of it goes on.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::{Binding, RbacView, ReadError, RoleRef, Rule, binding_of, rules_in};
use crate::{Key, Object, Resource};

/// The roles and bindings at some revision. An object that cannot be read counts as absent.
#[derive(Clone, Debug, Default)]
pub struct Index {
    cluster_roles: BTreeMap<String, Arc<[Rule]>>,
    roles: BTreeMap<String, BTreeMap<String, Arc<[Rule]>>>,
    cluster_bindings: BTreeMap<String, Binding>,
    bindings: BTreeMap<String, BTreeMap<String, Binding>>,
}

fn put<T>(map: &mut BTreeMap<String, T>, name: &str, value: Option<T>) {
    match value {
        Some(value) => drop(map.insert(name.to_owned(), value)),
        None => drop(map.remove(name)),
    }
}

fn put_in<T>(map: &mut BTreeMap<String, BTreeMap<String, T>>, key: &Key, value: Option<T>) {
    let namespace = map.entry(key.namespace().to_owned()).or_default();
    put(namespace, key.name(), value);
    if namespace.is_empty() {
        map.remove(key.namespace());
    }
}

impl Index {
    /// Whether changes of a resource concern the index.
    pub fn covers(resource: &Resource) -> bool {
        resource.group() == super::GROUP
    }

    /// Takes in an object's new state (none: it is gone). Other resources are ignored.
    ///
    /// # Errors
    /// If the object cannot be read; it then counts as absent.
    pub fn apply(&mut self, key: &Key, object: Option<&Object>) -> Result<(), ReadError> {
        let value = object.map(Object::value);
        let rules = || value.as_ref().map(rules_in).transpose();
        let binding = || value.as_ref().map(binding_of).transpose();
        if key.resource == Resource::CLUSTERROLES {
            put(&mut self.cluster_roles, key.name(), None);
            put(&mut self.cluster_roles, key.name(), rules()?);
        } else if key.resource == Resource::ROLES {
            put_in(&mut self.roles, key, None);
            put_in(&mut self.roles, key, rules()?);
        } else if key.resource == Resource::CLUSTERROLEBINDINGS {
            put(&mut self.cluster_bindings, key.name(), None);
            put(&mut self.cluster_bindings, key.name(), binding()?);
        } else if key.resource == Resource::ROLEBINDINGS {
            put_in(&mut self.bindings, key, None);
            put_in(&mut self.bindings, key, binding()?);
        }
        Ok(())
    }
}

impl RbacView for Index {
    fn cluster_bindings(&self, visit: &mut dyn FnMut(&Binding) -> ControlFlow<()>) -> ControlFlow<()> {
        self.cluster_bindings.values().try_for_each(visit)
    }

    fn bindings(&self, namespace: &str, visit: &mut dyn FnMut(&Binding) -> ControlFlow<()>) -> ControlFlow<()> {
        self.bindings.get(namespace).into_iter().flat_map(BTreeMap::values).try_for_each(visit)
    }

    fn rules(&self, namespace: &str, role: &RoleRef) -> Option<Arc<[Rule]>> {
        match role.kind.as_str() {
            "ClusterRole" => self.cluster_roles.get(&role.name).cloned(),
            _ => self.roles.get(namespace)?.get(&role.name).cloned(),
        }
    }
}
