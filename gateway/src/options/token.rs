//! Continue tokens: where a list went on, as of which revision, and until when that holds.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cox_objects::{Epoch, Revision, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::put;

/// For how long a token shows the list as it was; clients expect it to end, though the log keeps more.
pub(crate) const LIFE_MS: u64 = 5 * 60 * 1000;

const VERSION: &str = "coxswain.io/v1";

/// A place in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    /// Form of the token.
    #[serde(rename = "v")]
    form: String,
    /// The revision of the list; none for the rest as it is now.
    #[serde(rename = "rv")]
    pub revision: Option<Revision>,
    /// The life of the log in which the revision means something.
    #[serde(rename = "e")]
    epoch: String,
    /// The path after which to go on.
    #[serde(rename = "start")]
    pub after: String,
    /// When it was given, in milliseconds since the Unix epoch.
    #[serde(rename = "t")]
    given: u64,
}

impl Token {
    /// A token to go on after a path.
    pub(crate) fn new(epoch: Epoch, revision: Option<Revision>, after: &str, now_ms: u64) -> Self {
        Token { form: VERSION.to_owned(), revision, epoch: epoch.to_string(), after: after.to_owned(), given: now_ms }
    }

    /// As the client gets it.
    pub(crate) fn encode(&self) -> String {
        // A struct of texts and numbers has a JSON form.
        URL_SAFE_NO_PAD.encode(serde_json::to_string(self).unwrap_or_default())
    }

    /// Reads what a client sends back.
    ///
    /// # Errors
    /// 400 in Kubernetes' words.
    pub(crate) fn decode(text: &str) -> Result<Self, Status> {
        let refuse =
            |why: String| Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|error| match error {
            base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => {
                refuse(format!("illegal base64 data at input byte {at}"))
            }
            _ => refuse(format!("illegal base64 data at input byte {}", text.len().saturating_sub(1))),
        })?;
        match serde_json::from_slice::<Token>(&bytes) {
            Ok(token) if token.form == VERSION => Ok(token),
            Ok(token) => Err(refuse(format!("server does not recognize this encoded version {:?}", token.form))),
            Err(_) => Err(refuse(why(&bytes))),
        }
    }

    /// Whether it still shows the list as it was.
    ///
    /// # Errors
    /// The answer 410 with a fresh token for the rest as it is now.
    pub(crate) fn check(&self, epoch: Epoch, now_ms: u64) -> Result<(), Value> {
        let valid =
            self.revision.is_none() || (self.epoch == epoch.to_string() && now_ms < self.given.saturating_add(LIFE_MS));
        if valid { Ok(()) } else { Err(self.expired(epoch, now_ms)) }
    }

    /// The answer 410 with a fresh token for the rest as it is now.
    pub(crate) fn expired(&self, epoch: Epoch, now_ms: u64) -> Value {
        let mut status = Status::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list without the \
             continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with \
             the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the \
             first chunk was returned and now may show up in the list.",
        )
        .to_value();
        let fresh = Token::new(epoch, None, &self.after, now_ms);
        put(&mut status, "metadata", serde_json::json!({ "continue": fresh.encode() }));
        status
    }
}

/// What Go's JSON reader says of the first byte.
fn why(bytes: &[u8]) -> String {
    match bytes.first() {
        None => "unexpected end of JSON input".to_owned(),
        Some(b'{') => "unexpected end of JSON input".to_owned(),
        Some(byte) if byte.is_ascii_graphic() => {
            format!("invalid character '{}' looking for beginning of value", char::from(*byte))
        }
        Some(byte @ 0x80..) if *byte >= 0xa0 => {
            format!("invalid character '{}' looking for beginning of value", char::from(*byte))
        }
        Some(byte @ 0x80..) => format!("invalid character '\\u{byte:04x}' looking for beginning of value"),
        Some(byte) => format!("invalid character '\\x{byte:02x}' looking for beginning of value"),
    }
}
