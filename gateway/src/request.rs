//! A request that has been received: who sends it, what it asks for, and its body.

use std::sync::Arc;

use bytes::Bytes;
use cox_objects::{Kind, Status, User};
use http::{HeaderMap, Method};

use crate::negotiate::{Form, Offer, negotiate};
use crate::query::Query;
use crate::route::Info;

/// What handlers work on.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// What it asks for.
    pub info: Info,
    /// The server as the client calls it (`host:port`).
    pub host: String,
    /// Its path as it came, with its escapes.
    pub raw_path: String,
    /// Its query as it came; empty if there is none.
    pub raw_query: String,
    /// Its parameters.
    pub query: Query,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; empty if there is none, or it was not read (of conversations).
    pub body: Bytes,
    /// On whose behalf.
    pub user: Arc<User>,
    /// Its id: the same in the `Audit-Id` header, on the bus and in the log.
    pub id: uuid::Uuid,
    /// W3C trace context for what is sent on its behalf: that of its span, or what the client sent where nothing is exported.
    pub traceparent: Option<String>,
}

impl Request {
    /// The form of its answer.
    ///
    /// # Errors
    /// 406 if there is none that it takes.
    pub fn form(&self, offer: Offer) -> Result<Form, Status> {
        negotiate(&self.headers, &self.query, offer)
    }
}

/// 404 of an object, named as the request names it.
pub fn not_found(kind: &Kind, name: &str) -> Status {
    Status::not_found(&cox_objects::Resource::new(&kind.group, &kind.plural), name)
}
