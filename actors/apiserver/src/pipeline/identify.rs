//! On whose behalf a request is carried out.

use std::borrow::Cow;

use cox_bus::{ApiRequest, Identity};
use cox_objects::{Status, User};

/// The user of a request: the sender's own, or, from a gateway, the one it authenticated.
pub(crate) fn user<'a>(from: &Identity, request: &'a ApiRequest) -> Result<Cow<'a, User>, Status> {
    match (&request.user, from.acts_for_others()) {
        (Some(user), true) => Ok(Cow::Borrowed(user)),
        (Some(_), false) => Err(refused(&format!("{from} may not act for others"))),
        (None, _) => from.user().map(Cow::Owned).ok_or_else(|| refused(&format!("{from} may not write"))),
    }
}

fn refused(why: &str) -> Status {
    Status::new(403, "Forbidden", why)
}
