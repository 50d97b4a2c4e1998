//! Authorization of reads and of paths: RBAC and what nodes may read, on the mirror, exactly as of the position that the mirror has.

use std::sync::Arc;

use cox_mirror::{Mirror, Selected, Start, Watch, WatchQuery};
use cox_objects::rbac::{Attributes, Decision, Index, MASTERS, Target, authorize, authorize_node};
use cox_objects::{Resource, Status, User};
use parking_lot::Mutex;

use crate::auth::impersonate::Right;
use crate::route::Info;

const RESOURCES: [Resource; 4] =
    [Resource::CLUSTERROLES, Resource::ROLES, Resource::CLUSTERROLEBINDINGS, Resource::ROLEBINDINGS];

/// Decides who may do what. Clones share the index.
#[derive(Clone)]
pub struct Authorizer {
    mirror: Mirror,
    state: Arc<Mutex<Followed>>,
}

#[derive(Default)]
struct Followed {
    index: Index,
    watches: Vec<Watch>,
}

impl Authorizer {
    /// Decides by the roles and bindings in a mirror.
    pub fn new(mirror: Mirror) -> Self {
        Authorizer { mirror, state: Arc::default() }
    }

    /// Whether a request may be made.
    ///
    /// # Errors
    /// 403 in Kubernetes' words.
    pub fn check(&self, user: &User, info: &Info) -> Result<(), Status> {
        self.decide(&Attributes { user, verb: &info.verb, target: target(info) }, &info.selected_node)
    }

    /// Whether a user may act as another, for a request.
    ///
    /// # Errors
    /// 403: who has none of the rights is told which of the finer verbs of newer versions (`impersonate-on:…`) the request would need;
    /// who has some is told the first that is missing.
    pub fn check_impersonation(&self, user: &User, rights: &[Right], info: &Info) -> Result<(), Status> {
        let checks: Vec<Result<(), Status>> =
            rights.iter().map(|right| self.decide(&right.attributes(user), "")).collect();
        let refused = checks.iter().filter(|check| check.is_err()).count();
        if refused > 0 && refused == checks.len() {
            let verb = format!("impersonate-on:user-info:{}", info.verb);
            return Err(Attributes { user, verb: &verb, target: target(info) }.forbidden(""));
        }
        checks.into_iter().collect()
    }

    fn decide(&self, attributes: &Attributes<'_>, selected_node: &str) -> Result<(), Status> {
        // Administrators need no index.
        if attributes.user.is_in(MASTERS) {
            return Ok(());
        }
        let mut state = self.state.lock();
        state.catch_up(&self.mirror);
        let by_role = authorize(&state.index, attributes);
        if by_role.allowed {
            return Ok(());
        }
        match authorize_node(&state.index, &self.mirror, attributes, selected_node) {
            Some(Decision { allowed: true, .. }) => Ok(()),
            Some(Decision { reason, .. }) if !reason.is_empty() => Err(attributes.forbidden(&reason)),
            _ => Err(attributes.forbidden(&by_role.reason)),
        }
    }
}

fn target(info: &Info) -> Target<'_> {
    match info.resource_request {
        true => Target::Resource {
            group: &info.group,
            resource: &info.resource,
            subresource: &info.subresource,
            namespace: &info.namespace,
            name: &info.name,
        },
        false => Target::Path(&info.path),
    }
}

impl Right {
    fn attributes<'a>(&'a self, user: &'a User) -> Attributes<'a> {
        Attributes {
            user,
            verb: "impersonate",
            target: Target::Resource {
                group: self.group,
                resource: self.resource,
                subresource: &self.subresource,
                namespace: &self.namespace,
                name: &self.name,
            },
        }
    }
}

impl Followed {
    /// Takes in what has changed since the last decision; begins anew if that is not remembered any more.
    fn catch_up(&mut self, mirror: &Mirror) {
        if self.watches.is_empty() || self.advance().is_none() {
            self.begin(mirror);
        }
    }

    fn advance(&mut self) -> Option<()> {
        for watch in &mut self.watches {
            while let Some(segment) = watch.take_segment().ok()? {
                for event in segment.events() {
                    let gone = event.entry.change == cox_objects::Change::Deleted;
                    note(&mut self.index, event.entry.key(), (!gone).then(|| event.entry.new.object()));
                }
            }
        }
        Some(())
    }

    fn begin(&mut self, mirror: &Mirror) {
        self.index = Index::default();
        self.watches.clear();
        for resource in RESOURCES {
            let query = WatchQuery { what: Selected::all(resource.clone()), start: Start::Now, bookmarks: false };
            // From the watch's start on nothing is missed; what is listed after it is at least as new.
            if let Ok(watch) = mirror.watch(query) {
                self.watches.push(watch);
            }
            for (key, object) in cox_objects::Source::list(mirror, &resource, "") {
                note(&mut self.index, &key, Some(&object));
            }
        }
    }
}

fn note(index: &mut Index, key: &cox_objects::Key, object: Option<&cox_objects::Object>) {
    if let Err(error) = index.apply(key, object) {
        tracing::warn!(%key, %error, "a role or binding cannot be read and gives nothing");
    }
}

#[cfg(test)]
mod tests;
