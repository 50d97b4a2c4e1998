//! Service account tokens: signed by the cluster's key, in time, for this audience, and their account (and pod) still there.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cox_objects::{Key, Meta, Resource, Source, User};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::AUTHENTICATED;

/// The issuer of tokens, and the audience of those for the API itself.
pub const ISSUER: &str = "https://kubernetes.default.svc";

/// Checks tokens.
pub struct Tokens {
    key: DecodingKey,
    validation: Validation,
    jwks: Value,
}

/// A key that no token can be checked with.
#[derive(Debug, thiserror::Error)]
pub enum BadKey {
    /// It is no P-256 key in PEM.
    #[error("the service account key cannot be used")]
    Key(#[from] jsonwebtoken::errors::Error),
    /// It is not in the form of a public key.
    #[error("the service account key is no public key")]
    Form,
}

/// Why a token is not taken. The client only learns 401.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is not ours, out of time, for someone else, or no token at all.
    #[error("the token is not valid: {0}")]
    Invalid(#[from] jsonwebtoken::errors::Error),
    /// It is not to be used yet.
    #[error("the token is not valid yet")]
    NotYet,
    /// What it is bound to is gone, or another one of that name has taken its place.
    #[error("the token is bound to {0}, which is not there")]
    Gone(String),
}

#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    nbf: Option<u64>,
    #[serde(default)]
    jti: Option<String>,
    #[serde(rename = "kubernetes.io")]
    bound: Bound,
}

#[derive(Debug, Deserialize)]
struct Bound {
    namespace: String,
    serviceaccount: Reference,
    pod: Option<Reference>,
    secret: Option<Reference>,
    node: Option<Reference>,
}

#[derive(Debug, Deserialize)]
struct Reference {
    name: String,
    #[serde(default)]
    uid: String,
}

impl Tokens {
    /// Checks with a public key in PEM (P-256).
    ///
    /// # Errors
    /// If it is none.
    pub fn new(public: &str) -> Result<Self, BadKey> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = 10;
        let jwks = json!({ "keys": [jwk(public)?] });
        Ok(Tokens { key: DecodingKey::from_ec_pem(public.as_bytes())?, validation, jwks })
    }

    /// The public keys as a JSON Web Key Set.
    pub fn jwks(&self) -> &Value {
        &self.jwks
    }

    /// Whether the cluster's key signed it, for this audience, and it has not ended.
    pub fn is_ours(&self, token: &str) -> bool {
        jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation).is_ok()
    }

    /// The user of a token, if all that it is bound to is in `state`.
    ///
    /// # Errors
    /// If it is not to be trusted.
    pub fn user(&self, token: &str, state: &dyn Source, now: SystemTime) -> Result<User, Refused> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)?.claims;
        let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        if claims.nbf.is_some_and(|nbf| nbf > seconds + self.validation.leeway) {
            return Err(Refused::NotYet);
        }
        let Bound { namespace, serviceaccount, pod, secret, node } = &claims.bound;
        let name = format!("system:serviceaccount:{namespace}:{}", serviceaccount.name);
        if claims.sub != name {
            return Err(Refused::Gone(claims.sub));
        }
        present(state, Resource::SERVICEACCOUNTS, namespace, serviceaccount)?;
        if let Some(pod) = pod {
            present(state, Resource::PODS, namespace, pod)?;
        }
        if let Some(secret) = secret {
            present(state, Resource::SECRETS, namespace, secret)?;
        }
        let mut user = User {
            name,
            uid: serviceaccount.uid.clone(),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                AUTHENTICATED.to_owned(),
            ],
            ..User::default()
        };
        let mut extra = |key: &str, value: &str| {
            user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]);
        };
        if let Some(jti) = &claims.jti {
            extra("credential-id", &format!("JTI={jti}"));
        }
        for (kind, reference) in [("pod", pod), ("node", node)] {
            if let Some(reference) = reference {
                extra(&format!("{kind}-name"), &reference.name);
                extra(&format!("{kind}-uid"), &reference.uid);
            }
        }
        Ok(user)
    }
}

/// The id by which tokens name their key: the SHA-256 of the public key (DER), as Kubernetes makes it.
///
/// # Errors
/// If it is no public key in PEM.
pub fn key_id(public: &str) -> Result<String, BadKey> {
    Ok(URL_SAFE_NO_PAD.encode(Sha256::digest(spki(public)?)))
}

fn spki(public: &str) -> Result<Vec<u8>, BadKey> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(public.as_bytes()).map_err(|_| BadKey::Form)?;
    Ok(der.as_ref().to_vec())
}

fn jwk(public: &str) -> Result<Value, BadKey> {
    let der = spki(public)?;
    // The key ends with the point, uncompressed: 4, then x and y of 32 bytes each.
    let point = der.len().checked_sub(65).and_then(|at| der.get(at..)).ok_or(BadKey::Form)?;
    let (Some(4), Some(x), Some(y)) = (point.first(), point.get(1..33), point.get(33..)) else {
        return Err(BadKey::Form);
    };
    Ok(json!({"use": "sig", "kty": "EC", "kid": key_id(public)?, "crv": "P-256", "alg": "ES256",
        "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)}))
}

/// Whether the object is there, is the same one, and is not long deleted.
fn present(state: &dyn Source, resource: Resource, namespace: &str, reference: &Reference) -> Result<(), Refused> {
    let key = Key::new(resource, namespace, &reference.name);
    let object = state.get(&key);
    let same = object
        .as_ref()
        .and_then(|object| Meta::of(object).ok())
        .is_some_and(|meta| &*meta.uid == reference.uid.as_str());
    if same { Ok(()) } else { Err(Refused::Gone(key.to_string())) }
}
