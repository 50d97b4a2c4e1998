//! GET of a collection: pages, versions, and the objects' own bytes as the body.

use bytes::Bytes;
use cox_mirror::{ListQuery, Listing, PastError, Selected, WatchError};
use cox_objects::{Object, Status, json};
use serde_json::{Value, json};

use crate::answer::{self, Answer};
use crate::body::Body;
use crate::gateway::{Gateway, now_ms, too_large};
use crate::json::put;
use crate::negotiate::{Encoding, Form, Offer, Shape};
use crate::options::token::Token;
use crate::options::{self, ListOptions, Version};
use crate::read::past;
use crate::request::Request;
use crate::route::Target;
use crate::shape::{self, Include, View};

/// Answers a list.
///
/// # Errors
/// Whatever the client is to be told.
pub(crate) async fn list(gateway: &Gateway, request: &Request, target: &Target) -> Result<Answer, Status> {
    let options = options::list(&target.kind, &request.query);
    reach(gateway, options.as_ref().ok()).await?;
    gateway.authorizer.check(&request.user, &request.info)?;
    let form = request.form(Offer::Collection)?;
    let mut options = options?;
    if let Some(at) = options::at(&request.query)? {
        options.version = Version::Exact(past::revision(gateway, at).await?);
    }
    shape::check(&form.shape, &target.kind, true)?;
    let include = Include::parse(request.query.text("includeObject"));
    let (after, at) = match place(gateway, &options)? {
        Place::At { after, at } => (after, at),
        Place::Expired(status) => return Ok(answer::value(410, &status, &Form { shape: Shape::Plain, ..form })),
    };
    let limit = if options.version == Version::Any && after.is_none() { 0 } else { options.limit };
    let what = Selected::within(target.kind.resource.clone(), &target.namespace).by(options.selector.clone());
    let query = ListQuery { what, limit, after, at };
    let listing = match gateway.mirror.list(&query) {
        Ok(listing) => listing,
        Err(WatchError::Future { revision, current }) => return Err(too_large(revision, current)),
        Err(WatchError::Expired { revision, oldest }) => {
            match gateway.backend.list_past(&gateway.mirror, &query, revision).await {
                Ok(listing) => listing,
                Err(PastError::Expired(_)) => return expired(gateway, &options, revision, oldest, &form),
                Err(PastError::Read(error)) => return Err(Status::timeout(format!("revision {revision}: {error}"))),
            }
        }
    };
    let view = View::new(&target.kind);
    let metadata = metadata(gateway, &listing, options.selector.is_everything());
    Ok(match &form.shape {
        Shape::Plain if form.encoding == Encoding::Json && !form.pretty => plain(&view, &listing, &metadata),
        Shape::Plain => {
            let items: Vec<Value> = listing.items.iter().map(|item| without_kind(view.value(item.object()))).collect();
            let (kind, version) = view.list_kind();
            answer::value(
                200,
                &json!({"kind": kind, "apiVersion": version, "metadata": metadata, "items": items}),
                &form,
            )
        }
        Shape::Table(version) => {
            let values: Vec<Value> = listing.items.iter().map(|item| item.object().value()).collect();
            let values: Vec<&Value> = values.iter().collect();
            answer::value(200, &shape::table(view.kind(), &values, include?, version, metadata), &form)
        }
        Shape::Partial(version) | Shape::PartialList(version) => {
            let partial = |object: &Object| shape::partial(view.kind(), &object.value(), version);
            let items: Vec<Value> = listing.items.iter().map(|item| partial(item.object())).collect();
            // Kubernetes collects these one by one, and writes null for none.
            let list = json!({"kind": "PartialObjectMetadataList", "apiVersion": format!("meta.k8s.io/{version}"),
                "metadata": metadata, "items": if items.is_empty() { Value::Null } else { Value::Array(items) }});
            answer::value(200, &list, &form)
        }
    })
}

/// Waits until the mirror has what the request needs.
async fn reach(gateway: &Gateway, options: Option<&ListOptions>) -> Result<(), Status> {
    match options.map(|o| o.version) {
        Some(Version::NotOlderThan(revision) | Version::Exact(revision)) => gateway.wait_for(revision).await,
        Some(Version::Any) => Ok(()),
        _ => gateway.fence.pass().await.map(drop),
    }
}

enum Place {
    At { after: Option<String>, at: Option<u64> },
    Expired(Value),
}

fn place(gateway: &Gateway, options: &ListOptions) -> Result<Place, Status> {
    if options.continue_token.is_empty() {
        let at = match options.version {
            Version::Exact(revision) => Some(revision),
            _ => None,
        };
        return Ok(Place::At { after: None, at });
    }
    let token = Token::decode(&options.continue_token)?;
    match token.check(gateway.mirror.position().epoch, now_ms()) {
        Ok(()) => Ok(Place::At { at: token.revision, after: Some(token.after) }),
        Err(status) => Ok(Place::Expired(status)),
    }
}

/// A revision that is not kept any more: of a page, with a token for the rest as it is now.
fn expired(
    gateway: &Gateway,
    options: &ListOptions,
    revision: u64,
    oldest: u64,
    form: &Form,
) -> Result<Answer, Status> {
    if options.continue_token.is_empty() {
        return Err(Status::expired(format!(
            "The resourceVersion for the provided list is too old: {revision} ({oldest})"
        )));
    }
    let status = Token::decode(&options.continue_token)?.expired(gateway.mirror.position().epoch, now_ms());
    Ok(answer::value(410, &status, &Form { shape: Shape::Plain, ..form.clone() }))
}

fn metadata(gateway: &Gateway, listing: &Listing, everything: bool) -> Value {
    let mut metadata = json!({"resourceVersion": listing.revision.to_string()});
    if listing.more
        && let Some(last) = listing.items.last()
    {
        let epoch = gateway.mirror.position().epoch;
        put(
            &mut metadata,
            "continue",
            Token::new(epoch, Some(listing.revision), last.key().path(), now_ms()).encode().into(),
        );
        if let Some(remaining) = listing.remaining.filter(|_| everything) {
            put(&mut metadata, "remainingItemCount", remaining.into());
        }
    }
    metadata
}

/// The list as JSON without encoding anything but its head: two pieces an object, shared with the mirror.
fn plain(view: &View, listing: &Listing, metadata: &Value) -> Answer {
    let (kind, version) = view.list_kind();
    let head = format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{version}\",\"metadata\":{metadata},\"items\":[");
    let mut pieces = Vec::with_capacity(2 * listing.items.len() + 2);
    pieces.push(Bytes::from(head));
    for (index, item) in listing.items.iter().enumerate() {
        let separator: &'static [u8] = if index == 0 { b"" } else { b"," };
        if view.is_stored() {
            pieces.push(Bytes::from_static(if index == 0 { b"{" } else { b",{" }));
            pieces.push(item.object().item_tail());
        } else {
            pieces.push(Bytes::from_static(separator));
            pieces.push(json::bytes(&without_kind(view.value(item.object()))).into());
        }
    }
    pieces.push(Bytes::from_static(b"]}\n"));
    answer::of_body(200, "application/json", Body::pieces(pieces))
}

/// List items have no kind and apiVersion.
fn without_kind(mut value: Value) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.remove("kind");
        members.remove("apiVersion");
    }
    value
}
