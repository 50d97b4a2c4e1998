//! OpenAPI v3 documents of what is served, one a group version, built on demand; the caller caches them.
//!
//! Descriptions and schemas come from one compressed file, read only while a document is built. Paths come from the table
//! of kinds: kubectl validates a manifest only if the PATCH operation of its kind has the `fieldValidation` parameter.

mod parameters;
mod paths;
mod schemas;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::Kinds;

/// Part of the hashes: it changes when documents are built otherwise.
const FORM: u64 = 2;

/// The answer to `/openapi/v3`: where each document is, with a hash that changes when the document does.
pub fn index(kinds: &Kinds) -> Value {
    let entries: Map<String, Value> = documents(kinds)
        .into_iter()
        .map(|path| {
            let url = format!("/openapi/v3/{path}?hash={}", hash(kinds, &path));
            (path, json!({"serverRelativeURL": url}))
        })
        .collect();
    json!({"paths": entries})
}

/// The hash of a document, which is its ETag too. The path is as in the index: `apis/apps/v1`.
pub fn hash(kinds: &Kinds, path: &str) -> String {
    // FNV-1a: a change has to show, an attack is no concern.
    let mut state = 0xcbf2_9ce4_8422_2325_u64 ^ FORM;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    add(path.as_bytes());
    add(schemas::COMPRESSED);
    for kind in paths::served(kinds) {
        add(format!("{kind:?}").as_bytes());
    }
    format!("{state:016X}")
}

/// The document at a path of the index (`api/v1`, `apis/apps/v1`, `apis/apps`, `version`); none if there is no such.
pub fn document(kinds: &Kinds, path: &str) -> Option<Bytes> {
    if !documents(kinds).iter().any(|known| known == path) {
        return None;
    }
    let paths = paths::of(kinds, path);
    let schemas = schemas::closure(&paths)?;
    let head = json!({"title": "Kubernetes", "version": "1.36"});
    let security = json!({"BearerToken": {
        "type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header",
    }});
    let text = format!(
        r#"{{"openapi":"3.0.0","info":{head},"paths":{paths},"components":{{"schemas":{schemas},"securitySchemes":{security}}}}}"#
    );
    Some(Bytes::from(text))
}

/// The paths of all documents.
fn documents(kinds: &Kinds) -> Vec<String> {
    let mut all = vec!["api".to_owned(), "apis".to_owned(), "version".to_owned()];
    for kind in paths::served(kinds) {
        let own = match kind.group.as_str() {
            "" => vec![format!("api/{}", kind.version)],
            group => vec![format!("apis/{group}"), format!("apis/{group}/{}", kind.version)],
        };
        all.extend(own.into_iter().filter(|p| !all.contains(p)).collect::<Vec<_>>());
    }
    all
}

#[cfg(test)]
mod tests;
