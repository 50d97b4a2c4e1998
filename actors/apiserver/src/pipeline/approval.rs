//! Who may approve certificate signing requests: besides `update`, the verb `approve` on their signer.

use cox_objects::Status;
use serde_json::Value;

use super::authorize::{Asked, allowed};
use crate::context::Context;
use crate::value::text;

/// Checks the right to approve, and to sign, of a write to the subresources that do so.
pub(crate) fn check(ctx: &Context<'_>, old: &Value) -> Result<(), Status> {
    let (verb, what) = match ctx.request.subresource.as_str() {
        "approval" => ("approve", "approve"),
        "status" if ctx.kind.plural == "certificatesigningrequests" => ("sign", "sign"),
        _ => return Ok(()),
    };
    let signer = text(old, "/spec/signerName");
    let domain = signer.split_once('/').map_or(signer, |(domain, _)| domain);
    let ask = |name: &str| {
        allowed(ctx, &Asked { verb, group: "certificates.k8s.io", resource: "signers", name, ..Asked::default() })
    };
    if ask(signer) || ask(&format!("{domain}/*")) {
        return Ok(());
    }
    let why = format!("user not permitted to {what} requests with signerName {signer:?}");
    Err(Status::forbidden(&ctx.named(), &ctx.request.name, &why))
}
