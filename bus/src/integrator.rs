//! Outside programs: which events one gets, and the JSON that it and the apiserver say to each other.
//!
//! Flow: an operator has a consumer made ([`crate::server::Door`] makes the credentials). The program asks JetStream for the next message of
//! that consumer and acknowledges it. If the stream's window passes the consumer's position, the apiserver publishes a [`Gap`] until the
//! program has read what it missed with [`Read`].

use std::fmt;
use std::str::FromStr;

use cox_objects::{Event, Key, Resource, Revision};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Skipped;
use crate::event::{self, Outgoing};
use crate::seal::{SealError, SealingKey};
use crate::{Identity, Subjects};

mod consumer;

pub use consumer::{Consumer, Consumers, Window};

/// Which events pass: written `*`, or `<resource>[/<namespace>[/<name>]]` with `*` for any and `_` as the namespace of cluster-scoped objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Filter {
    /// The resource; any, if none.
    pub resource: Option<Resource>,
    /// The namespace, empty for cluster-scoped objects; any, if none.
    pub namespace: Option<String>,
    /// The name; any, if none.
    pub name: Option<String>,
}

/// A text that is no filter.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no filter: write RESOURCE[.GROUP][/NAMESPACE[/NAME]] (deployments.apps/default, nodes), or * for all events"
)]
pub struct BadFilter(String);

impl Filter {
    /// Whether it lets the events of an object pass.
    pub fn passes(&self, key: &Key) -> bool {
        self.resource.as_ref().is_none_or(|resource| key.resource == *resource)
            && self.namespace.as_ref().is_none_or(|namespace| key.namespace() == namespace)
            && self.name.as_ref().is_none_or(|name| key.name() == name)
    }

    /// Whether some object passes both: JetStream takes no such filters together.
    pub fn overlaps(&self, other: &Filter) -> bool {
        fn both<T: PartialEq>(a: &Option<T>, b: &Option<T>) -> bool {
            a.is_none() || b.is_none() || a == b
        }
        both(&self.resource, &other.resource)
            && both(&self.namespace, &other.namespace)
            && both(&self.name, &other.name)
    }
}

impl FromStr for Filter {
    type Err = BadFilter;

    fn from_str(text: &str) -> Result<Self, BadFilter> {
        let parts: Vec<&str> = text.split('/').collect();
        let [resource, rest @ ..] = parts.as_slice() else { return Err(BadFilter(text.to_owned())) };
        if rest.len() > 2 || parts.iter().any(|part| part.is_empty() || part.contains(char::is_whitespace)) {
            return Err(BadFilter(text.to_owned()));
        }
        let part = |at: usize| rest.get(at).filter(|part| **part != "*").map(|part| (*part).to_owned());
        Ok(Filter {
            resource: (*resource != "*").then(|| {
                let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
                Resource::new(group, plural)
            }),
            namespace: part(0).map(|namespace| if namespace == "_" { String::new() } else { namespace }),
            name: part(1),
        })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.resource.as_ref().map_or("*", Resource::as_str))?;
        let namespace = match self.namespace.as_deref() {
            None => "*",
            Some("") => "_",
            Some(namespace) => namespace,
        };
        match &self.name {
            Some(name) => write!(f, "/{namespace}/{name}"),
            None if self.namespace.is_some() => write!(f, "/{namespace}"),
            None => Ok(()),
        }
    }
}

/// Where an outside program finds what is its own; in its credentials file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// The stream.
    pub stream: String,
    /// Its consumer in it.
    pub consumer: String,
    /// What its inboxes have to begin with.
    pub inbox: String,
    /// Where it asks for events that it missed.
    pub read: String,
    /// Where it is told that it missed some.
    pub gap: String,
}

impl Way {
    /// That of an integrator's name.
    pub fn of(subjects: &Subjects, name: &str) -> Way {
        let identity = Identity::Integrator(name.to_owned());
        Way {
            stream: subjects.stream(),
            consumer: name.to_owned(),
            // The apiserver answers under its own name only.
            inbox: subjects.inbox_from(&identity, &Identity::Apiserver),
            read: subjects.integrator(&identity, "read"),
            gap: subjects.integrator(&identity, "gap"),
        }
    }
}

/// Events between these revisions (both included) were dropped from the stream before the program had them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first.
    pub from: Revision,
    /// The last.
    pub to: Revision,
}

/// Asks for the events of a range that pass the program's filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// The first revision.
    pub from: Revision,
    /// The last; those past the head are left out.
    pub to: Revision,
    /// Everything up to here was taken in: the notice of a gap goes away with its last revision.
    #[serde(default)]
    pub taken: Revision,
}

/// A part of the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// CloudEvents in their JSON format, in order. A sealed object is `data_base64` with the extension `sealedkey`.
    pub events: Vec<Value>,
    /// Where to go on; none at the end.
    pub next: Option<Revision>,
    /// Where events of the page may be missing, since the past of their objects is not kept that long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// Why there is no answer: the range is no longer kept, or the program may not read any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// An event in CloudEvents' JSON format: the attributes that its message has as headers, and the object as `data`.
///
/// # Errors
/// If a Secret cannot be sealed.
pub fn structured(subjects: &Subjects, event: &Event, sealing: &SealingKey) -> Result<Value, SealError> {
    let Outgoing { headers, body, .. } = event::encode(subjects, event, sealing, usize::MAX)?;
    Ok(event::to_json(&headers, &body))
}

#[cfg(test)]
mod tests;
