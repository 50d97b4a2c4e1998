//! Documents that do not change while a table of kinds is served: discovery and OpenAPI, made once each.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use cox_objects::{Kinds, Status, openapi};
use http::HeaderValue;
use http::header::{ETAG, IF_NONE_MATCH, VARY};
use parking_lot::Mutex;
use serde_json::Value;

use crate::answer::{self, Answer};
use crate::body::Body;
use crate::discovery;
use crate::negotiate::{Aggregated, Offer, wants_aggregated};
use crate::request::Request;

/// The documents of one table of kinds.
pub struct Documents {
    kinds: Arc<Kinds>,
    aggregated: [(Bytes, String); 2],
    openapi: Mutex<HashMap<String, Bytes>>,
}

impl Documents {
    /// The documents of these kinds.
    pub fn new(kinds: Arc<Kinds>) -> Self {
        let aggregated = [true, false].map(|core| {
            let (text, etag) = discovery::aggregated(&kinds, core);
            (Bytes::from(text), etag)
        });
        Documents { kinds, aggregated, openapi: Mutex::default() }
    }

    /// `/api` or `/apis`, in the old form or aggregated.
    ///
    /// # Errors
    /// 406.
    pub fn top(&self, request: &Request, core: bool, server: &str) -> Result<Answer, Status> {
        let [of_core, of_groups] = &self.aggregated;
        if wants_aggregated(&request.headers) == Aggregated::Yes {
            let (text, etag) = if core { of_core } else { of_groups };
            return Ok(tagged(request, discovery::MEDIA_TYPE, text.clone(), etag));
        }
        let document = if core { discovery::versions(server) } else { discovery::group_list(&self.kinds) };
        let mut answer = self.plain(request, &document)?;
        answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
        Ok(answer)
    }

    /// Any other discovery document.
    ///
    /// # Errors
    /// 406.
    pub fn plain(&self, request: &Request, document: &Value) -> Result<Answer, Status> {
        Ok(answer::value(200, document, &request.form(Offer::Documents)?))
    }

    /// `/openapi/v3`
    pub fn openapi_index(&self) -> Answer {
        answer::text(200, openapi::index(&self.kinds).to_string())
    }

    /// `/openapi/v3/PATH`; a 404 without content if there is none.
    pub fn openapi(&self, request: &Request, path: &str) -> Answer {
        let known = self.openapi.lock().get(path).cloned();
        let Some(document) = known.or_else(|| openapi::document(&self.kinds, path)) else {
            let mut missing = Answer::new(Body::empty());
            *missing.status_mut() = http::StatusCode::NOT_FOUND;
            return missing;
        };
        self.openapi.lock().insert(path.to_owned(), document.clone());
        tagged(request, "application/json", document, &format!("\"{}\"", openapi::hash(&self.kinds, path)))
    }
}

fn tagged(request: &Request, media_type: &'static str, content: Bytes, etag: &str) -> Answer {
    let known = request.headers.get(IF_NONE_MATCH).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let is_known = known.split(',').any(|tag| tag.trim() == etag);
    let mut answer = match is_known {
        true => answer::of_body(304, media_type, Body::empty()),
        false => answer::bytes(200, media_type, content),
    };
    if let Ok(value) = HeaderValue::from_str(etag) {
        answer.headers_mut().insert(ETAG, value);
    }
    answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    answer
}
