//! Amounts of resources: what pods ask for, what nodes have, in whole units (thousandths of CPU, bytes, pieces).

use std::collections::BTreeMap;
use std::sync::Arc;

use cox_objects::Quantity;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;

/// Resources by name, as manifests write them.
pub type List = BTreeMap<String, Written>;

/// An amount of each resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPU in thousandths.
    pub milli_cpu: i64,
    /// Memory in bytes.
    pub memory: i64,
    /// Ephemeral storage in bytes.
    pub ephemeral_storage: i64,
    /// Everything else by name: huge pages in bytes, extended resources in pieces.
    pub others: BTreeMap<Arc<str>, i64>,
}

impl Resources {
    /// Reads a list of resources; `pods` is not one of them. What is no quantity, which validation lets nobody write, counts as nothing.
    pub fn read(list: &List) -> Self {
        let mut all = Resources::default();
        for (name, written) in list {
            let amount = Quantity::parse(&written.0).unwrap_or_default();
            match name.as_str() {
                "pods" => {}
                "cpu" => all.milli_cpu = amount.milli_value(),
                "memory" => all.memory = amount.value(),
                "ephemeral-storage" => all.ephemeral_storage = amount.value(),
                other => drop(all.others.insert(other.into(), amount.value())),
            }
        }
        all
    }

    /// Adds amounts.
    pub fn add(&mut self, more: &Resources) {
        self.combine(more, i64::saturating_add);
    }

    /// Takes amounts away. What is then nothing of the named ones is no longer listed.
    pub fn subtract(&mut self, less: &Resources) {
        self.combine(less, i64::saturating_sub);
        self.others.retain(|_, amount| *amount != 0);
    }

    /// Raises each amount to at least that of the other.
    pub fn raise(&mut self, to: &Resources) {
        self.combine(to, Ord::max);
    }

    /// Sets the amounts that the list has, and leaves the others.
    pub fn set(&mut self, list: &List) {
        let given = Resources::read(list);
        for name in list.keys() {
            match name.as_str() {
                "cpu" => self.milli_cpu = given.milli_cpu,
                "memory" => self.memory = given.memory,
                "ephemeral-storage" => self.ephemeral_storage = given.ephemeral_storage,
                _ => {}
            }
        }
        self.others.extend(given.others);
    }

    /// Whether all amounts are nothing.
    pub fn is_nothing(&self) -> bool {
        self.milli_cpu == 0 && self.memory == 0 && self.ephemeral_storage == 0 && self.others.values().all(|n| *n == 0)
    }

    fn combine(&mut self, other: &Resources, with: fn(i64, i64) -> i64) {
        self.milli_cpu = with(self.milli_cpu, other.milli_cpu);
        self.memory = with(self.memory, other.memory);
        self.ephemeral_storage = with(self.ephemeral_storage, other.ephemeral_storage);
        for (name, amount) in &other.others {
            let own = self.others.entry(name.clone()).or_default();
            *own = with(*own, *amount);
        }
    }
}
