//! The api request and its reply: what every write in the cluster looks like on the bus (MessagePack).

use bytes::Bytes;
use cox_objects::{Key, RequestId, Revision, Status, Trigger, User};
use serde::{Deserialize, Serialize};

/// What an api request asks for. Reads are served by mirrors and are not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// POST: a new object, or a subresource that is created (`binding`, `eviction`, `token`) or a review.
    Create,
    /// PUT.
    Update,
    /// PATCH.
    Patch,
    /// DELETE of one object.
    Delete,
    /// DELETE of a collection.
    DeleteCollection,
}

impl Verb {
    /// The verb as RBAC and subjects write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
        }
    }
}

/// The dialect of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PatchType {
    /// `application/json-patch+json`
    Json,
    /// `application/merge-patch+json`
    Merge,
    /// `application/strategic-merge-patch+json`
    Strategic,
    /// `application/apply-patch+yaml`
    Apply,
}

/// The options of a write, from the query string or from a component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WriteOptions {
    /// Do everything but commit.
    pub dry_run: bool,
    /// Who is named in managedFields; the user agent's first part if not given.
    pub field_manager: String,
    /// `Ignore`, `Warn` or `Strict`; empty is the server's default, Warn.
    pub field_validation: String,
    /// Take over fields that others own (server-side apply only).
    pub force: bool,
    /// Label selector of a collection delete.
    pub label_selector: String,
    /// Field selector of a collection delete.
    pub field_selector: String,
    /// Limit of a collection delete; 0 is none.
    pub limit: u64,
    /// DeleteOptions given in the query, as JSON; the body's win.
    pub delete_options: Option<Bytes>,
}

/// A guard that a Lease is still held as the writer believes; it names no clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseGuard {
    /// The Lease.
    pub key: Key,
    /// Its uid.
    pub uid: String,
    /// Its `holderIdentity`.
    pub holder: String,
    /// Its `leaseTransitions`.
    pub transitions: i64,
}

/// One write (or review). The sender's bus identity is in the subject, not here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiRequest {
    /// The same in all repetitions of this request.
    pub id: RequestId,
    /// Milliseconds since the Unix epoch; the receiver does nothing after it.
    pub deadline: u64,
    /// On whose behalf; only a gateway may say so, a component's user follows from its identity.
    pub user: Option<User>,
    /// What is asked.
    pub verb: Verb,
    /// API group; empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural name of the resource.
    pub plural: String,
    /// Subresource, or empty.
    pub subresource: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Name, or empty for a create or a collection.
    pub name: String,
    /// Options.
    pub options: WriteOptions,
    /// The dialect of `body`, of a patch.
    pub patch_type: Option<PatchType>,
    /// The object, patch or DeleteOptions: JSON, opaque to the bus. May be empty.
    pub body: Bytes,
    /// The revision up to which the writer had seen; none for people.
    pub observed: Option<Revision>,
    /// What the writer reacted to.
    pub trigger: Option<Trigger>,
    /// Further triggers of the same decision, at most [`cox_objects::Cause::MAX_FOLDED`].
    pub folded: Vec<Trigger>,
    /// The chain this belongs to; none begins one.
    pub correlation: Option<RequestId>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// The Lease under which the writer leads.
    pub guard: Option<LeaseGuard>,
}

/// The answer to an [`ApiRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiReply {
    /// HTTP status code: 200, 201, 202, or an error's.
    pub code: u16,
    /// The revision of the write (for a mirror to wait for); 0 if nothing was written.
    pub revision: Revision,
    /// The newest revision that the answer may tell of, an error too: who reads after it must not see less.
    #[serde(default)]
    pub seen: Revision,
    /// The JSON of the answer: an object, or a `Status`.
    pub body: Bytes,
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
    /// Seconds for a `Retry-After` header.
    pub retry_after: Option<u32>,
}

impl ApiReply {
    /// The reply that carries an error.
    pub fn error(status: &Status) -> Self {
        ApiReply {
            code: status.code,
            revision: 0,
            seen: 0,
            body: status.to_value().to_string().into(),
            warnings: Vec::new(),
            retry_after: status.retry_after,
        }
    }

    /// Whether the request was carried out.
    pub fn is_success(&self) -> bool {
        self.code < 300
    }
}
