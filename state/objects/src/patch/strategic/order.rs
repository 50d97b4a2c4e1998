//! The order of merged lists: what the patch names comes in the patch's order, the rest stays where the server had it.

use serde_json::Value;

use super::{PATCH, StrategicError, print::printed};

/// Puts the items of a merged list in order: those in `wanted` by their order there, the others by `server`'s, and the two
/// interleaved as the server had them; where it does not tell, the patch's come first.
pub(super) fn arrange(merged: Vec<Value>, wanted: &[Value], server: &[Value], key: &str) -> Vec<Value> {
    let (mut ours, mut theirs): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| index(wanted, item, key).is_some());
    ours.sort_by_key(|item| index(wanted, item, key));
    theirs.sort_by_key(|item| index(server, item, key));
    let mut out = Vec::with_capacity(ours.len() + theirs.len());
    let (mut ours, mut theirs) = (ours.into_iter().peekable(), theirs.into_iter().peekable());
    loop {
        let theirs_first = match (ours.peek(), theirs.peek()) {
            (None, None) => return out,
            (None, Some(_)) => true,
            (Some(_), None) => false,
            (Some(our), Some(their)) => match (index(server, their, key), index(server, our, key)) {
                (Some(their), Some(our)) => their < our,
                _ => false,
            },
        };
        out.extend(if theirs_first { theirs.next() } else { ours.next() });
    }
}

/// Where an item is in a list: by its merge key, or by itself if there is none.
fn index(list: &[Value], item: &Value, key: &str) -> Option<usize> {
    list.iter().position(|other| match key {
        "" => other == item,
        key => item.get(key).is_some() && other.get(key) == item.get(key),
    })
}

/// Whether the items of a patch come in the order that `$setElementOrder` gives, all of them.
pub(super) fn matches(patch: &[Value], wanted: &[Value], key: &'static str) -> Result<(), StrategicError> {
    let mut rest = wanted.iter();
    for item in patch.iter().filter(|item| item.get(PATCH).is_none()) {
        let same = |other: &Value| match key {
            "" => other == item,
            key => other.get(key) == item.get(key),
        };
        if key.is_empty() || item.get(key).is_some() {
            if !rest.any(same) {
                let list = |items: &[Value]| printed(&Value::Array(items.to_vec()));
                return Err(StrategicError::OrderMismatch(list(patch), list(wanted)));
            }
        } else {
            return Err(StrategicError::NoMergeKey(printed(item), key));
        }
    }
    Ok(())
}
