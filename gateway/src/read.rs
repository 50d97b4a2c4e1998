//! GET of an object, of a collection, and of the subresources that are views of an object.

pub(crate) mod list;
mod past;

use cox_objects::{Key, Object, Status};

use crate::answer::{self, Answer};
use crate::gateway::Gateway;
use crate::negotiate::{Form, Offer, Shape};
use crate::options::{self, Version};
use crate::request::{Request, not_found};
use crate::route::Target;
use crate::shape::{self, Include, View};

/// Answers a GET of one object, or of its `status`, `scale` and the like.
///
/// # Errors
/// Whatever the client is to be told.
pub(crate) async fn get(gateway: &Gateway, request: &Request, target: &Target) -> Result<Answer, Status> {
    permitted(gateway, request).await?;
    // Before it is looked whether the object is there, since an error must be in a form that the client takes, too.
    let form = request.form(Offer::Objects)?;
    let object = match options::at(&request.query)? {
        None => found(gateway, target)?,
        Some(at) => past::object(gateway, target, at).await?,
    };
    let view = View::new(&target.kind);
    if target.subresource == "scale" {
        let scale = cox_objects::scale::of(&object.value()).map_err(Status::internal)?;
        return Ok(answer::value(200, &scale, &Form { shape: Shape::Plain, ..form }));
    }
    show(request, &view, &object, &form)
}

/// The object that a GET means: fenced, authorized, there.
///
/// # Errors
/// 403, 404, 504.
pub(crate) async fn object(gateway: &Gateway, request: &Request, target: &Target) -> Result<Object, Status> {
    permitted(gateway, request).await?;
    found(gateway, target)
}

/// Waits until the mirror is as new as a GET asks for, and decides whether it may be made.
///
/// # Errors
/// 403, 504, 500 for a version that is none.
pub(crate) async fn permitted(gateway: &Gateway, request: &Request) -> Result<(), Status> {
    let version = options::get(&request.query);
    match version {
        Ok(Version::NotOlderThan(revision)) => gateway.wait_for(revision).await?,
        Ok(Version::Any) => {}
        _ => drop(gateway.fence.pass().await?),
    }
    gateway.authorizer.check(&request.user, &request.info)?;
    version.map(drop)
}

fn found(gateway: &Gateway, target: &Target) -> Result<Object, Status> {
    let key = Key::new(target.kind.resource.clone(), &target.namespace, &target.name);
    gateway.mirror.get(&key).ok_or_else(|| not_found(&target.kind, &target.name))
}

fn show(request: &Request, view: &View, object: &Object, form: &Form) -> Result<Answer, Status> {
    shape::check(&form.shape, view.kind(), false)?;
    match &form.shape {
        Shape::Plain => Ok(answer::json(200, view.bytes(object), form)),
        Shape::Table(version) => {
            let value = object.value();
            let revision = value.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
            let metadata = serde_json::json!({ "resourceVersion": revision });
            let table = shape::table(
                view.kind(),
                &[&value],
                Include::parse(request.query.text("includeObject"))?,
                version,
                metadata,
            );
            Ok(answer::value(200, &table, form))
        }
        Shape::Partial(version) | Shape::PartialList(version) => {
            Ok(answer::value(200, &shape::partial(view.kind(), &object.value(), version), form))
        }
    }
}
