//! Tokens of service accounts: JWTs bound to what they were issued for.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

/// The keys and names with which tokens are signed and verified.
pub struct TokenKeys {
    issuer: String,
    audiences: Vec<String>,
    key_id: String,
    signing: EncodingKey,
    verifying: DecodingKey,
}

/// Why keys cannot be used, or a token is no good.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The key files are not an ECDSA P-256 pair in PEM.
    #[error("the service account keys are not a P-256 pair in PEM: {0}")]
    Keys(#[source] jsonwebtoken::errors::Error),
    /// The token is not ours, or was changed.
    #[error("invalid bearer token")]
    Invalid,
    /// It was good once.
    #[error("service account token has expired")]
    Expired,
    /// It cannot be signed.
    #[error("the token cannot be signed: {0}")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

impl TokenKeys {
    /// Keys from PEM: a PKCS#8 private key and its public key; ES256.
    ///
    /// # Errors
    /// If they are something else.
    pub fn from_pem(issuer: &str, key_id: &str, private: &[u8], public: &[u8]) -> Result<Self, TokenError> {
        Ok(TokenKeys {
            issuer: issuer.to_owned(),
            audiences: vec![issuer.to_owned()],
            key_id: key_id.to_owned(),
            signing: EncodingKey::from_ec_pem(private).map_err(TokenError::Keys)?,
            verifying: DecodingKey::from_ec_pem(public).map_err(TokenError::Keys)?,
        })
    }

    /// The audiences of a token that asks for none, which are also the API's own.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// Signs claims, under our issuer.
    ///
    /// # Errors
    /// If the key cannot sign.
    pub fn sign(&self, mut claims: Claims) -> Result<String, TokenError> {
        claims.iss.clone_from(&self.issuer);
        let mut header = Header::new(Algorithm::ES256);
        header.typ = None;
        header.kid = Some(self.key_id.clone());
        jsonwebtoken::encode(&header, &claims, &self.signing).map_err(TokenError::Sign)
    }

    /// The claims of a token that we signed and that is not over at `now` (seconds since the Unix epoch). The caller checks its audience,
    /// and that what it is bound to still exists.
    ///
    /// # Errors
    /// If it is not such a token.
    pub fn verify(&self, token: &str, now: u64) -> Result<Claims, TokenError> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[&self.issuer]);
        // Times are compared with the caller's clock, audiences by the caller.
        validation.validate_exp = false;
        validation.validate_aud = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.verifying, &validation)
            .map_err(|_| TokenError::Invalid)?
            .claims;
        if claims.exp <= now { Err(TokenError::Expired) } else { Ok(claims) }
    }
}

/// What a token says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// For whom.
    pub aud: Vec<String>,
    /// Seconds since the Unix epoch.
    pub exp: u64,
    /// Seconds since the Unix epoch.
    pub iat: u64,
    /// Who signed.
    pub iss: String,
    /// The token's own id.
    pub jti: String,
    /// What it stands for.
    #[serde(rename = "kubernetes.io")]
    pub kubernetes: Bound,
    /// Seconds since the Unix epoch.
    pub nbf: u64,
    /// `system:serviceaccount:NAMESPACE:NAME`
    pub sub: String,
}

/// The objects that a token is bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Namespace of all of them.
    pub namespace: String,
    /// The node of the pod, or the node itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Reference>,
    /// A pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Reference>,
    /// A secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Reference>,
    /// The account.
    pub serviceaccount: Reference,
}

/// One object, in one life of its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Its name.
    pub name: String,
    /// Its uid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A fresh pair.
    pub(crate) fn keys() -> TokenKeys {
        let pair = rcgen::KeyPair::generate().unwrap();
        let (private, public) = (pair.serialize_pem(), pair.public_key_pem());
        TokenKeys::from_pem("https://kubernetes.default.svc", "k1", private.as_bytes(), public.as_bytes()).unwrap()
    }

    fn claims(exp: u64) -> Claims {
        Claims { aud: vec!["a".into()], exp, sub: "system:serviceaccount:n:s".into(), ..Claims::default() }
    }

    #[test]
    fn a_token_says_what_was_signed_until_it_is_over() {
        let keys = keys();
        let token = keys.sign(claims(100)).unwrap();
        let read = keys.verify(&token, 99).unwrap();
        assert_eq!(
            (read.iss.as_str(), read.sub.as_str()),
            ("https://kubernetes.default.svc", "system:serviceaccount:n:s")
        );
        assert!(matches!(keys.verify(&token, 100), Err(TokenError::Expired)));
    }

    #[test]
    fn a_token_of_another_key_is_none() {
        let token = keys().sign(claims(100)).unwrap();
        assert!(matches!(keys().verify(&token, 1), Err(TokenError::Invalid)));
        assert!(matches!(keys().verify("nonsense", 1), Err(TokenError::Invalid)));
    }
}
