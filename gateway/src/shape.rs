//! The shapes that objects are shown in: as they are, in another version of their kind, as a Table, their metadata only.

use std::sync::Arc;

use bytes::Bytes;
use cox_objects::kinds::convert;
pub(crate) use cox_objects::table::Include;
use cox_objects::table::Options;
use cox_objects::{Kind, Object, Status, json};
use serde_json::{Value, json};

use crate::negotiate::Shape;

/// Shows the objects of one kind.
#[derive(Clone, Debug)]
pub(crate) struct View {
    kind: Arc<Kind>,
    /// Whether the stored bytes are what this version shows.
    stored: bool,
}

impl View {
    /// A view of the objects of a kind.
    pub(crate) fn new(kind: &Arc<Kind>) -> Self {
        View { kind: kind.clone(), stored: !convert::differs(kind) }
    }

    /// The kind that is shown.
    pub(crate) fn kind(&self) -> &Arc<Kind> {
        &self.kind
    }

    /// Whether the stored bytes go out as they are.
    pub(crate) fn is_stored(&self) -> bool {
        self.stored
    }

    /// The object as JSON text.
    pub(crate) fn bytes(&self, object: &Object) -> Bytes {
        if self.stored { object.bytes().clone() } else { json::bytes(&self.value(object)).into() }
    }

    /// The object as a value.
    pub(crate) fn value(&self, object: &Object) -> Value {
        let value = object.value();
        if self.stored { value } else { convert::from_stored(&self.kind, value) }
    }

    /// `PodList`, and the version of it.
    pub(crate) fn list_kind(&self) -> (String, String) {
        (format!("{}List", self.kind.kind), self.kind.api_version())
    }
}

/// The metadata of a stored object, as an object of its own.
pub(crate) fn partial(kind: &Kind, object: &Value, version: &str) -> Value {
    let metadata = convert::metadata(kind, object);
    json!({"kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": metadata})
}

/// A Table of stored objects, of a version of `meta.k8s.io`; later events of a watch have no columns.
pub(crate) fn table(kind: &Kind, objects: &[&Value], include: Include, version: &str, metadata: Value) -> Value {
    table_with(kind, objects, include, version, metadata, true)
}

/// The same, with or without the definitions of its columns.
pub(crate) fn table_with(
    kind: &Kind,
    objects: &[&Value],
    include: Include,
    version: &str,
    metadata: Value,
    columns: bool,
) -> Value {
    let options = Options { version, include, columns };
    cox_objects::table::render(kind, objects, metadata, &options, jiff::Timestamp::now())
}

/// Refuses the metadata of a list where one object is asked for, and the other way round.
///
/// # Errors
/// 406 in Kubernetes' words.
pub(crate) fn check(shape: &Shape, kind: &Kind, is_list: bool) -> Result<(), Status> {
    let go_type = if kind.group.is_empty() {
        "core".to_owned()
    } else {
        kind.group.split('.').next().unwrap_or_default().to_owned()
    };
    let message = match (shape, is_list) {
        (Shape::Partial(_), true) => {
            format!(
                "you requested PartialObjectMetadata, but the requested object is a list (*{go_type}.{}List)",
                kind.kind
            )
        }
        (Shape::PartialList(_), false) => {
            format!(
                "you requested PartialObjectMetadataList, but the requested object is not a list (*{go_type}.{})",
                kind.kind
            )
        }
        _ => return Ok(()),
    };
    Err(Status::new(406, "NotAcceptable", message))
}
