//! Answers: objects, documents and errors as HTTP responses in the form that was negotiated.

use std::collections::VecDeque;
use std::io::Write;

use bytes::Bytes;
use cox_objects::Status;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, VARY, WARNING};
use http::{HeaderValue, Response, StatusCode};
use serde_json::Value;

use crate::body::Body;
use crate::negotiate::{Encoding, Form};
use crate::yaml;

/// A response with our kind of body.
pub type Answer = Response<Body>;

/// From this size on an answer is compressed for those who take it. Kubernetes has the same limit: below it the time is better
/// spent sending.
const GZIP_FROM: u64 = 128 * 1024;

/// A JSON value in a form.
pub fn value(code: u16, value: &Value, form: &Form) -> Answer {
    let text = match form.encoding {
        Encoding::Yaml => yaml::write(value),
        Encoding::Json if form.pretty => pretty(value),
        Encoding::Json => value.to_string(),
    };
    bytes(code, form.encoding.media_type(), text)
}

/// JSON text in a form; as it is, if that is JSON.
pub fn json(code: u16, text: Bytes, form: &Form) -> Answer {
    match form {
        Form { encoding: Encoding::Json, pretty: false, .. } => bytes(code, "application/json", text),
        form => match serde_json::from_slice::<Value>(&text) {
            Ok(parsed) => value(code, &parsed, form),
            // What was stored or answered is JSON; if it is not, it is not made better by hiding it.
            Err(_) => bytes(code, "application/json", text),
        },
    }
}

/// An error as its `Status`.
pub fn error(status: &Status, form: &Form) -> Answer {
    let mut answer = value(status.code, &status.to_value(), form);
    if let Some(seconds) = status.retry_after {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    answer
}

/// Plain text.
pub fn text(code: u16, text: impl Into<Bytes>) -> Answer {
    let mut answer = bytes(code, "text/plain; charset=utf-8", text);
    answer.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    answer
}

/// 404 of a path that the server does not know.
pub fn unknown_path() -> Answer {
    text(404, "404 page not found\n")
}

/// 204, and no more to say.
pub fn nothing() -> Answer {
    let mut answer = of_body(204, "", Body::empty());
    answer.headers_mut().remove(CONTENT_TYPE);
    answer
}

/// Bytes of some type.
pub fn bytes(code: u16, media_type: &'static str, content: impl Into<Bytes>) -> Answer {
    of_body(code, media_type, Body::full(content))
}

/// A body of some type.
pub fn of_body(code: u16, media_type: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    answer
}

/// Adds a `Warning` header for each text, as RFC 7234 writes them and Kubernetes' clients print them.
pub fn warn(answer: &mut Answer, texts: &[String]) {
    for value in texts.iter().filter_map(|text| warning(text)) {
        answer.headers_mut().append(WARNING, value);
    }
}

/// Puts a warning before those that are there; none if the text is empty.
pub fn warn_first(answer: &mut Answer, text: &str) {
    let Some(first) = warning(text).filter(|_| !text.is_empty()) else { return };
    let headers = answer.headers_mut();
    let others: Vec<HeaderValue> = headers.get_all(WARNING).iter().cloned().collect();
    headers.insert(WARNING, first);
    for other in others {
        headers.append(WARNING, other);
    }
}

/// A text with control characters cannot be a header; the answer is worth more than the warning.
fn warning(text: &str) -> Option<HeaderValue> {
    let quoted = format!("299 - \"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    HeaderValue::from_bytes(quoted.as_bytes()).ok()
}

/// Compresses a large answer, aside from the threads that answer. Streams stay as they are: they would wait for each other's bytes.
pub async fn compress(mut answer: Answer) -> Answer {
    if answer.body().size().is_none_or(|size| size < GZIP_FROM) {
        return answer;
    }
    let pieces = match std::mem::replace(answer.body_mut(), Body::empty()).into_pieces() {
        Ok(pieces) => pieces,
        Err(stream) => {
            *answer.body_mut() = stream;
            return answer;
        }
    };
    // The pieces are shared, so keeping them for the case of failure costs nothing.
    let plain = pieces.clone();
    match tokio::task::spawn_blocking(move || gzip(&pieces)).await {
        Ok(Ok(packed)) => {
            *answer.body_mut() = Body::full(packed);
            let headers = answer.headers_mut();
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
            headers.remove(CONTENT_LENGTH);
        }
        Ok(Err(_)) | Err(_) => *answer.body_mut() = Body::pieces(plain),
    }
    answer
}

fn gzip(pieces: &VecDeque<Bytes>) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    pieces.iter().try_for_each(|piece| encoder.write_all(piece))?;
    encoder.finish()
}

fn pretty(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests;
