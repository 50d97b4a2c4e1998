//! The messages of a node feed (MessagePack, named fields).

use std::sync::Arc;

use bytes::Bytes;
use cox_objects::object::ObjectError;
use cox_objects::{Cause, Key, Object, Position, RequestId, Resource, Revision};
use serde::{Deserialize, Serialize};

use super::Scope;
use crate::state::Put;

/// What a node says when it opens its feed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// For whom the feed is.
    pub scope: Scope,
}

/// A message of the server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// The whole set begins; it is as of this position.
    Begin {
        /// 0; every further message is one more.
        number: u64,
        /// Where the set stands.
        position: Position,
    },
    /// Objects of the whole set.
    Part {
        /// The message's number.
        number: u64,
        /// The objects.
        puts: Vec<WirePut>,
    },
    /// The whole set was sent.
    Whole {
        /// The message's number.
        number: u64,
    },
    /// Changes, up to a position; none tells only how far the server is.
    Changes {
        /// The message's number.
        number: u64,
        /// Up to where these are all.
        position: Position,
        /// The changes, in order.
        puts: Vec<WirePut>,
    },
}

impl Message {
    /// The message's number in its feed.
    pub fn number(&self) -> u64 {
        match self {
            Message::Begin { number, .. }
            | Message::Part { number, .. }
            | Message::Whole { number }
            | Message::Changes { number, .. } => *number,
        }
    }
}

/// A put on the wire, with as much of the cause of its event as a node needs to go on with its chain of causes and its trace.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WirePut {
    #[serde(rename = "r")]
    resource: Resource,
    #[serde(rename = "p")]
    path: String,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    object: Option<Bytes>,
    #[serde(rename = "a")]
    at: Revision,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    correlation: Option<RequestId>,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
}

impl From<Put> for WirePut {
    fn from(Put { key, object, at, cause }: Put) -> Self {
        let object = object.map(|object| object.bytes().clone());
        WirePut {
            resource: key.resource.clone(),
            path: key.path().to_owned(),
            object,
            at,
            correlation: cause.correlation,
            traceparent: cause.traceparent.clone(),
        }
    }
}

impl TryFrom<WirePut> for Put {
    type Error = ObjectError;

    fn try_from(wire: WirePut) -> Result<Self, ObjectError> {
        let key = Key::at(wire.resource, &wire.path);
        // Who wrote it is not for the node to know; with which chain and trace to go on is.
        let cause = Cause { correlation: wire.correlation, traceparent: wire.traceparent, ..Cause::default() };
        Ok(Put { key, object: wire.object.map(Object::from_stored).transpose()?, at: wire.at, cause: Arc::new(cause) })
    }
}

impl WirePut {
    /// What it takes on the wire, about.
    pub(crate) fn weight(&self) -> usize {
        self.object.as_ref().map_or(0, Bytes::len) + self.path.len() + 64
    }
}
