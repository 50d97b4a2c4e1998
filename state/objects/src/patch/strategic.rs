//! Strategic merge patch: merges by the patch strategies and merge keys that the types declare.
//!
//! The rules are those of Kubernetes' API conventions; in short: maps merge, null deletes, lists are replaced unless the type
//! says `merge`, then items are told apart by the merge key (scalars by themselves). Directives in the patch change that:
//! `$patch: replace|delete`, `$deleteFromPrimitiveList/F`, `$setElementOrder/F`, `$retainKeys`.

mod clean;
mod order;
mod print;

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::Status;
use crate::schema::{Field, Patch, Shape, Type};
pub use print::printed;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const SET_ORDER: &str = "$setElementOrder/";

/// Why a patch cannot be applied; the texts are Kubernetes'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StrategicError {
    /// `$retainKeys` is no list, or leaves out a key that the patch sets.
    #[error("invalid patch format of retainKeys")]
    RetainKeys,
    /// `$deleteFromPrimitiveList` is no list.
    #[error("invalid patch format of primitive list")]
    PrimitiveList,
    /// `$setElementOrder` is no list, or its field is none.
    #[error("invalid patch format of setElementOrder list")]
    SetElementOrder,
    /// `$patch` has an unknown value.
    #[error("unknown patch type: {0} in map: {1}")]
    PatchType(String, String),
    /// An item to delete does not say which.
    #[error("delete patch type with no merge key defined")]
    DeleteWithoutKey,
    /// An item of a list has no merge key.
    #[error("map: {0} does not contain declared merge key: {1}")]
    NoMergeKey(String, &'static str),
    /// `$patch: merge` in a list.
    #[error("merging lists cannot yet be specified in the patch")]
    MergeList,
    /// Items of one list are of different types.
    #[error("list element types are not identical")]
    MixedList,
    /// `$setElementOrder` leaves out an item of the patch, or has another order.
    #[error("The order in patch list:\n{0}\n doesn't match {SET_ORDER} list:\n{1}\n", SET_ORDER = "$setElementOrder")]
    OrderMismatch(String, String),
    /// The patch is no object.
    #[error("invalid JSON document")]
    Document,
}

impl From<StrategicError> for Status {
    fn from(error: StrategicError) -> Self {
        use StrategicError::{Document, PrimitiveList, RetainKeys, SetElementOrder};
        match error {
            RetainKeys | PrimitiveList | SetElementOrder | Document => Status::bad_request(error.to_string()),
            // Kubernetes has no better answer to the others.
            other => Status::new(500, "", other.to_string()),
        }
    }
}

/// The object that a patch makes of `current`, by the object's type. Unknown fields of the patch are still in it: the caller
/// checks the result as it checks any body.
///
/// # Errors
/// If the patch is malformed.
pub fn apply(current: &Value, patch: &Value, owner: &Type) -> Result<Value, StrategicError> {
    let (Value::Object(original), Value::Object(patch)) = (current, patch) else {
        return Err(StrategicError::Document);
    };
    Ok(Value::Object(merge_map(original.clone(), patch.clone(), Place::Struct(owner))?))
}

/// What the table knows of the place where we are.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// The fields of a struct.
    Struct(&'a Type),
    /// A map whose values have a shape.
    Map(&'a Shape),
    /// Anything.
    Unknown,
}

impl<'a> Place<'a> {
    fn of(shape: &'a Shape) -> Self {
        match shape {
            Shape::Struct(_) => shape.as_struct().map_or(Place::Unknown, Place::Struct),
            Shape::Map(inner) => Place::Map(inner),
            _ => Place::Unknown,
        }
    }

    fn field(&self, name: &str) -> Option<&'a Field> {
        match self {
            Place::Struct(owner) => owner.field(name),
            _ => None,
        }
    }

    /// The shape of what is under a key.
    fn shape(&self, name: &str) -> Option<&'a Shape> {
        match self {
            Place::Struct(owner) => owner.field(name).map(|f| &f.shape),
            Place::Map(inner) => Some(inner),
            Place::Unknown => None,
        }
    }

    /// Where a key's map leads.
    fn under(&self, name: &str) -> Place<'a> {
        self.shape(name).map_or(Place::Unknown, Place::of)
    }

    /// Where the items of a key's list are.
    fn items(&self, name: &str) -> Place<'a> {
        self.shape(name).and_then(Shape::inner).map_or(Place::Unknown, Place::of)
    }

    fn patch(&self, name: &str) -> Patch {
        self.field(name).map(|f| f.patch.clone()).unwrap_or_default()
    }
}

type Object = Map<String, Value>;

fn merge_map(mut original: Object, mut patch: Object, place: Place<'_>) -> Result<Object, StrategicError> {
    if let Some(directive) = patch.remove(PATCH) {
        return match directive.as_str() {
            Some("replace") => Ok(patch),
            Some("delete") => Ok(Object::new()),
            _ => {
                patch.insert(PATCH.to_owned(), directive.clone());
                Err(StrategicError::PatchType(print::formatted(&directive), printed(&Value::Object(patch))))
            }
        };
    }
    retain_keys(&mut original, &mut patch)?;
    set_orders(&mut original, &mut patch, place)?;
    for (key, value) in patch {
        if let Some(name) = key.strip_prefix(DELETE_FROM) {
            delete_scalars(&mut original, name, value)?;
            continue;
        }
        if value.is_null() {
            original.remove(&key);
            continue;
        }
        let merged = match (original.remove(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => {
                Some(Value::Object(merge_map(old, new, place.under(&key))?))
            }
            (Some(Value::Array(old)), Value::Array(new)) if place.patch(&key).merge => {
                Some(Value::Array(merge_list(old, new, place.items(&key), place.patch(&key).merge_key)?))
            }
            (Some(Value::Array(_)), new @ Value::Array(_)) => Some(new),
            (_, new) => clean::without_directives(clean::without_nulls(new)),
        };
        if let Some(merged) = merged {
            original.insert(key, merged);
        }
    }
    Ok(original)
}

/// Drops from the original what `$retainKeys` does not name.
fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), StrategicError> {
    let Some(kept) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(kept) = kept else { return Err(StrategicError::RetainKeys) };
    let kept: HashSet<&str> = kept.iter().filter_map(Value::as_str).collect();
    let named = |key: &str| kept.contains(key);
    if !patch.keys().filter(|k| !k.starts_with('$')).all(|k| named(k)) {
        return Err(StrategicError::RetainKeys);
    }
    original.retain(|key, _| named(key));
    Ok(())
}

/// Merges the lists that the patch gives an order for, and puts them in that order.
fn set_orders(original: &mut Object, patch: &mut Object, place: Place<'_>) -> Result<(), StrategicError> {
    let directives: Vec<String> = patch.keys().filter(|k| k.starts_with(SET_ORDER)).cloned().collect();
    for directive in directives {
        let Some(Value::Array(wanted)) = patch.remove(&directive) else { return Err(StrategicError::SetElementOrder) };
        let name = directive.trim_start_matches(SET_ORDER);
        let key = place.patch(name).merge_key;
        let list = |value: Option<Value>| match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(StrategicError::SetElementOrder),
        };
        let given = list(patch.remove(name))?;
        let old = list(original.get(name).cloned())?;
        if let Some(given) = &given {
            order::matches(given, &wanted, key)?;
        }
        let (merged, server) = match (old, given) {
            (Some(old), None) => (old.clone(), old),
            (None, Some(new)) => match clean::without_directives(Value::Array(new)) {
                Some(Value::Array(new)) => (new, Vec::new()),
                _ => continue,
            },
            (Some(old), Some(new)) if place.patch(name).merge => {
                (merge_list(old.clone(), new, place.items(name), key)?, old)
            }
            (Some(old), Some(new)) => (new, old),
            (None, None) => continue,
        };
        original.insert(name.to_owned(), Value::Array(order::arrange(merged, &wanted, &server, key)));
    }
    Ok(())
}

/// `$deleteFromPrimitiveList`: takes scalars out of a list.
fn delete_scalars(original: &mut Object, name: &str, gone: Value) -> Result<(), StrategicError> {
    let Value::Array(gone) = gone else { return Err(StrategicError::PrimitiveList) };
    if let Some(Value::Array(items)) = original.get_mut(name) {
        let gone: HashSet<String> = gone.iter().map(ToString::to_string).collect();
        items.retain(|item| !gone.contains(&item.to_string()));
    }
    Ok(())
}

fn merge_list(
    original: Vec<Value>,
    patch: Vec<Value>,
    place: Place<'_>,
    key: &'static str,
) -> Result<Vec<Value>, StrategicError> {
    let maps = original.iter().chain(&patch).filter(|v| v.is_object()).count();
    if maps == 0 {
        let mut seen = HashSet::new();
        let all = original.iter().chain(&patch).filter(|item| seen.insert(item.to_string()));
        return Ok(order::arrange(all.cloned().collect(), &patch, &original, ""));
    }
    if maps < original.len() + patch.len() {
        return Err(StrategicError::MixedList);
    }
    let (original, patch) = list_directives(original, patch, key)?;
    let mut merged = original.clone();
    let mut places = order::Index::new(&merged, key);
    for item in &patch {
        if item.get(key).is_none() {
            return Err(StrategicError::NoMergeKey(printed(item), key));
        }
        let old = places.of(item, key).and_then(|place| merged.get_mut(place));
        match (old, item) {
            (Some(Value::Object(old)), Value::Object(new)) => {
                *old = merge_map(std::mem::take(old), new.clone(), place)?
            }
            _ => {
                places.push(item, key, merged.len());
                merged.push(item.clone());
            }
        }
    }
    Ok(order::arrange(merged, &patch, &original, key))
}

/// Obeys the items that only give a directive: deletes from the original, or replaces it.
fn list_directives(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    key: &'static str,
) -> Result<(Vec<Value>, Vec<Value>), StrategicError> {
    let (mut plain, mut replace, mut gone) = (Vec::with_capacity(patch.len()), false, HashSet::new());
    for item in patch {
        let Some(directive) = item.get(PATCH) else {
            plain.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                item.get(key).ok_or(StrategicError::DeleteWithoutKey)?;
                gone.extend(order::identity(&item, key));
            }
            Some("replace") => replace = true,
            Some("merge") => return Err(StrategicError::MergeList),
            _ => return Err(StrategicError::PatchType(print::formatted(directive), printed(&item))),
        }
    }
    original.retain(|old| order::identity(old, key).is_none_or(|identity| !gone.contains(&identity)));
    Ok(if replace { (plain, Vec::new()) } else { (original, plain) })
}

#[cfg(test)]
mod tests;
