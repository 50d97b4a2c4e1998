//! One request on its way through the pipeline, with all that its decision may use: no clock, no IO, no other randomness.

use std::cell::RefCell;

use cox_bus::ApiRequest;
use cox_objects::{Key, Kind, Kinds, Object, Resource, User};
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, RngCore};

use crate::config::Config;
use crate::pipeline::collection::Progress;
use crate::state::State;

/// The request and the world as it is decided.
pub(crate) struct Context<'a> {
    pub(crate) state: &'a dyn State,
    pub(crate) kinds: &'a Kinds,
    pub(crate) config: &'a Config,
    pub(crate) kind: &'a Kind,
    pub(crate) request: &'a ApiRequest,
    pub(crate) user: &'a User,
    pub(crate) now: Timestamp,
    pub(crate) random: RefCell<StdRng>,
    /// How far earlier transactions of the same request came.
    pub(crate) progress: Option<&'a Progress>,
}

/// The letters of generated names: no vowels, and nothing that reads like another.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

impl Context<'_> {
    /// The resource whose objects the request is about.
    pub(crate) fn resource(&self) -> &Resource {
        &self.kind.resource
    }

    /// The resource as the URL names it, which is how errors name it.
    pub(crate) fn named(&self) -> Resource {
        Resource::new(&self.kind.group, &self.kind.plural)
    }

    /// The key of an object of the request's kind and namespace.
    pub(crate) fn key(&self, name: &str) -> Key {
        let namespace = if self.kind.namespaced { self.request.namespace.as_str() } else { "" };
        Key::new(self.kind.resource.clone(), namespace, name)
    }

    /// The object that the request names.
    pub(crate) fn current(&self) -> Option<Object> {
        self.state.get(&self.key(&self.request.name))
    }

    /// The time as metadata has it.
    pub(crate) fn time(&self) -> String {
        self.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// A new uid: a random (version 4) UUID.
    pub(crate) fn uid(&self) -> String {
        let mut bytes = [0; 16];
        self.random.borrow_mut().fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// Five random letters, as generated names end.
    pub(crate) fn suffix(&self) -> String {
        let mut random = self.random.borrow_mut();
        (0..5).filter_map(|_| ALPHABET.get(random.random_range(0..ALPHABET.len())).map(|&b| char::from(b))).collect()
    }

    /// A random number below `bound`, which is not 0.
    pub(crate) fn below(&self, bound: u32) -> u32 {
        self.random.borrow_mut().random_range(0..bound.max(1))
    }
}
