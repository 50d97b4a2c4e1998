//! Committed state as the log and its indexes have it.

use std::sync::Arc;

use cox_log::{Log, LogError};
use cox_objects::{Key, Object, Resource, Revision, Source};

use super::State;
use crate::index::{Rbac, Shared};

/// The log, read.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) log: Log,
    pub(crate) shared: Arc<Shared>,
}

/// A read that fails is reported here and shows as absence: the commit that follows meets the same fault and is refused.
fn read<T: Default>(what: &dyn std::fmt::Display, result: Result<T, LogError>) -> T {
    result.unwrap_or_else(|error| {
        tracing::error!(%what, %error, "the log cannot be read");
        T::default()
    })
}

impl Source for Stored {
    fn revision(&self) -> Revision {
        self.log.head()
    }

    fn get(&self, key: &Key) -> Option<Object> {
        read(key, self.log.get(key))
    }

    fn list(&self, resource: &Resource, namespace: &str) -> Vec<(Key, Object)> {
        let kept = self.shared.list(resource, namespace);
        kept.unwrap_or_else(|| read(resource, self.log.list(resource, namespace, None, 0).map(|listed| listed.items)))
    }

    fn owned(&self, resource: &Resource, owner_uid: &str) -> Vec<(Key, Object)> {
        let mut all = self.list(resource, "");
        all.retain(|(_, object)| {
            let value = object.value();
            crate::value::list(&value, "/metadata/ownerReferences")
                .iter()
                .any(|r| crate::value::text(r, "/uid") == owner_uid)
        });
        all
    }
}

impl State for Stored {
    fn rbac(&self) -> Arc<Rbac> {
        self.shared.rbac()
    }

    fn is_live(&self, namespace: &str) -> bool {
        self.shared.is_live(namespace)
    }

    fn port_owner(&self, port: u16) -> Option<Key> {
        self.shared.port_owner(port)
    }
}
