//! The lines of a watch: one event each, encoded once for all who see the same.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use cox_mirror::{EventKind, Item, Segment, WatchEvent};
use cox_objects::{Object, Revision, Status};
use serde_json::{Value, json};

use crate::json::put;
use crate::negotiate::{Form, Shape};
use crate::shape::{self, Include, View};

/// Encodes for one watch.
pub(super) struct Frames {
    view: View,
    form: Form,
    include: Include,
    /// Whether the columns of the Table were sent: they go with the first event only.
    headed: bool,
}

impl Frames {
    pub(super) fn new(view: View, form: Form, include: Include) -> Self {
        Frames { view, form, include, headed: false }
    }

    /// The place of this form in the shared encodings; none if it is not shared.
    fn slot(&self) -> Option<usize> {
        // The views of a resource in other versions take other places than the stored one.
        let version = if self.view.is_stored() { 0 } else { 4 };
        match (&self.form.shape, self.form.pretty) {
            (_, true) => None,
            (Shape::Plain, _) => Some(version),
            (Shape::Partial(of), _) if of == "v1" => Some(version + 1),
            (Shape::Table(of), _) if of == "v1" && self.include == Include::Metadata => Some(version + 2),
            _ => None,
        }
    }

    pub(super) fn initial(&mut self, items: &[Arc<Item>]) -> Bytes {
        let mut out = BytesMut::new();
        for item in items {
            let line = self.line(EventKind::Added, item.object());
            out.put_slice(&line);
        }
        out.freeze()
    }

    pub(super) fn segment(&mut self, segment: &Segment) -> Bytes {
        match self.slot() {
            Some(slot) if self.headed || !matches!(self.form.shape, Shape::Table(_)) => {
                segment.frames().get_or_make(slot, || self.encode(segment.events()))
            }
            _ => {
                let mut out = BytesMut::new();
                for event in segment.events() {
                    let line = self.line(event.kind, event.object());
                    out.put_slice(&line);
                }
                out.freeze()
            }
        }
    }

    /// Events of a shared form; of a Table, without columns.
    fn encode(&self, events: &[WatchEvent]) -> Bytes {
        let lines: Vec<Bytes> = events
            .iter()
            .map(|event| {
                // A change is seen in up to four ways; each has its place beside the others' for the three shapes.
                let place = self.slot().map_or(usize::MAX, |slot| slot_of(slot, event.kind));
                event.entry.frames().get_or_make(place, || self.render(event.kind, event.object(), true))
            })
            .collect();
        let mut out = BytesMut::with_capacity(lines.iter().map(Bytes::len).sum());
        for line in lines {
            out.put_slice(&line);
        }
        out.freeze()
    }

    fn line(&mut self, kind: EventKind, object: &Object) -> Bytes {
        let line = self.render(kind, object, self.headed);
        self.headed = true;
        line
    }

    fn render(&self, kind: EventKind, object: &Object, headed: bool) -> Bytes {
        let kind = kind.as_str();
        match &self.form.shape {
            Shape::Plain if !self.form.pretty => wrap(kind, &self.view.bytes(object)),
            Shape::Plain => event(kind, &self.view.value(object)),
            Shape::Partial(version) | Shape::PartialList(version) => {
                event(kind, &shape::partial(self.view.kind(), &object.value(), version))
            }
            Shape::Table(version) => {
                let value = object.value();
                let revision = value.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
                let metadata = json!({ "resourceVersion": revision });
                event(kind, &shape::table_with(self.view.kind(), &[&value], self.include, version, metadata, !headed))
            }
        }
    }

    pub(super) fn bookmark(&self, revision: Revision, initial_end: bool) -> Bytes {
        let kind = self.view.kind();
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if initial_end {
            put(&mut metadata, "annotations", json!({"k8s.io/initial-events-end": "true"}));
        }
        let (name, version) = match &self.form.shape {
            Shape::Plain => (kind.kind.clone(), kind.api_version()),
            Shape::Partial(version) | Shape::PartialList(version) => {
                ("PartialObjectMetadata".to_owned(), format!("meta.k8s.io/{version}"))
            }
            Shape::Table(version) => {
                let table = json!({"kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"),
                    "metadata": {"resourceVersion": revision.to_string()}, "columnDefinitions": null,
                    "rows": [{"cells": [], "object": {"kind": kind.kind, "apiVersion": kind.api_version(), "metadata": metadata}}]});
                return event("BOOKMARK", &table);
            }
        };
        event("BOOKMARK", &json!({"kind": name, "apiVersion": version, "metadata": metadata}))
    }
}

/// Stored plain events take the first places for their four kinds; the rarer shapes and views take the others, where there is room.
fn slot_of(slot: usize, kind: EventKind) -> usize {
    let kind = match kind {
        EventKind::Added => 0,
        EventKind::Modified => 1,
        EventKind::Deleted => 2,
        EventKind::Left => 3,
    };
    slot * 4 + kind
}

/// An ERROR event.
pub(super) fn error(status: &Status) -> Bytes {
    event("ERROR", &status.to_value())
}

fn event(kind: &str, object: &Value) -> Bytes {
    wrap(kind, object.to_string().as_bytes())
}

fn wrap(kind: &str, object: &[u8]) -> Bytes {
    let mut line = BytesMut::with_capacity(object.len() + 40);
    line.put_slice(b"{\"type\":\"");
    line.put_slice(kind.as_bytes());
    line.put_slice(b"\",\"object\":");
    line.put_slice(object);
    line.put_slice(b"}\n");
    line.freeze()
}
