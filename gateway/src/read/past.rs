//! Reads with `?at=`: objects as they were at a revision, at a time, or some time ago.

use cox_mirror::PastError;
use cox_objects::at::time_text;
use cox_objects::{At, Key, Moment, Object, Revision, Status};

use crate::gateway::{Gateway, now_ms};
use crate::request::not_found;
use crate::route::Target;

/// The revision that is meant by a request that has passed the fence; the mirror is there when this returns.
///
/// # Errors
/// 400 for what is yet to come, 410 for a time that is no longer kept.
pub(super) async fn revision(gateway: &Gateway, at: At) -> Result<Revision, Status> {
    let now = now_ms();
    let revision = match at.moment(now) {
        Moment::Revision(revision) => {
            let newest = gateway.mirror.position().revision;
            if revision > newest {
                return Err(Status::bad_request(format!(
                    "at: revision {revision} is yet to come, the newest is {newest}"
                )));
            }
            revision
        }
        Moment::Time(time) if time > now => {
            return Err(Status::bad_request(format!("at: {} is yet to come", time_text(time))));
        }
        Moment::Time(time) => gateway.backend.revision_at(&gateway.mirror, time).await.map_err(status)?,
    };
    gateway.wait_for(revision).await?;
    Ok(revision)
}

/// The object that a GET means, as it was.
///
/// # Errors
/// As [`revision`]; 404 if it was not there.
pub(super) async fn object(gateway: &Gateway, target: &Target, at: At) -> Result<Object, Status> {
    let revision = revision(gateway, at).await?;
    let key = Key::new(target.kind.resource.clone(), &target.namespace, &target.name);
    let found = gateway.backend.get_past(&gateway.mirror, &key, revision).await.map_err(status)?;
    found.ok_or_else(|| not_found(&target.kind, &target.name))
}

fn status(error: PastError) -> Status {
    match error {
        PastError::Expired(why) => Status::expired(format!("too old resource version: {why}")),
        PastError::Read(error) => Status::timeout(error.to_string()),
    }
}
