//! JSON text of values. `Value`'s own `Display` goes through the formatter token by token and costs several times as much.

use serde::Serialize;
use serde_json::Value;

/// The text of a value.
pub fn bytes(value: &Value) -> Vec<u8> {
    let mut text = Vec::with_capacity(512);
    append(&mut text, value);
    text
}

/// Appends the text of a value that has one: a `Value`, or text.
pub(crate) fn append<T: Serialize + ?Sized>(text: &mut Vec<u8>, value: &T) {
    // A vector takes all that is written, and what is written here has string keys only.
    let _ = serde_json::to_writer(text, value);
}
