//! What verifiers of service account tokens ask for: the issuer's configuration and its public keys.

use cox_objects::Status;
use serde_json::{Value, json};

use crate::answer::{self, Answer};
use crate::auth::token::ISSUER;
use crate::negotiate::{Form, accepts, unavailable};
use crate::request::Request;

const KEYS: &str = "application/jwk-set+json";

/// `/.well-known/openid-configuration`; the keys are at the address that the client came to.
pub(crate) fn configuration(host: &str) -> Answer {
    let document = json!({
        "issuer": ISSUER,
        "jwks_uri": format!("https://{host}/openid/v1/jwks"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    });
    answer::value(200, &document, &Form::default())
}

/// `/openid/v1/jwks`
///
/// # Errors
/// 406 for who does not take a key set.
pub(crate) fn keys(keys: &Value, request: &Request) -> Result<Answer, Status> {
    if !accepts(&request.headers, KEYS) {
        return Err(unavailable(KEYS));
    }
    Ok(answer::bytes(200, KEYS, keys.to_string()))
}
