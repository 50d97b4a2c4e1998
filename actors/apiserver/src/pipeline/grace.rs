//! What a delete does to an object: finalizers for its dependents, the marks of a deletion, the grace period of pods.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::options::{DeleteOptions, Propagation};
use crate::context::Context;
use crate::strategy::{self, Deletion, Dependents};
use crate::value::{deleting, int, items, list, map, text, texts};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// What becomes of the object.
#[derive(Debug, PartialEq)]
pub(crate) enum Fate {
    /// It is as it was: this delete adds nothing to what is under way.
    Nothing(Value),
    /// It stays, marked as being deleted.
    Marked(Value),
    /// It is gone, and this is how it looked last.
    Gone(Value),
}

/// The fate of any object but a namespace.
pub(crate) fn object(ctx: &Context<'_>, mut object: Value, options: &DeleteOptions) -> Fate {
    let graceful = strategy::of(ctx.resource()).deletion == Deletion::Pod;
    if graceful && deleting(&object) {
        return shorten(ctx, object, options);
    }
    let changed = finalizers(ctx, &mut object, options);
    let held = !list(&object, "/metadata/finalizers").is_empty();
    if graceful {
        let period = period(&object, options);
        mark(&mut object, ctx.now, period);
        return if held || period > 0 { Fate::Marked(object) } else { Fate::Gone(object) };
    }
    if !held {
        return Fate::Gone(object);
    }
    if deleting(&object) {
        return if changed { Fate::Marked(object) } else { Fate::Nothing(object) };
    }
    mark(&mut object, ctx.now, 0);
    Fate::Marked(object)
}

/// The fate of a namespace: it is marked first, and goes when the namespace controller has emptied it and taken its finalizers.
pub(crate) fn namespace(ctx: &Context<'_>, mut object: Value, options: &DeleteOptions) -> Fate {
    if deleting(&object) {
        let held = !list(&object, "/spec/finalizers").is_empty() || !list(&object, "/metadata/finalizers").is_empty();
        return if held { Fate::Nothing(object) } else { Fate::Gone(object) };
    }
    finalizers(ctx, &mut object, options);
    map(&mut object, "metadata").insert("deletionTimestamp".into(), ctx.time().into());
    map(&mut object, "status").insert("phase".into(), "Terminating".into());
    Fate::Marked(object)
}

/// A pod that is being deleted already: only a shorter period is news.
fn shorten(ctx: &Context<'_>, mut object: Value, options: &DeleteOptions) -> Fate {
    let held = !list(&object, "/metadata/finalizers").is_empty();
    let Some(before) = int(&object, "/metadata/deletionGracePeriodSeconds") else {
        return if held { Fate::Nothing(object) } else { Fate::Gone(object) };
    };
    let Some(asked) = options.grace().filter(|asked| *asked < before) else {
        return Fate::Nothing(object);
    };
    let begun = text(&object, "/metadata/deletionTimestamp")
        .parse::<Timestamp>()
        .ok()
        .and_then(|end| end.checked_sub(SignedDuration::from_secs(before)).ok())
        .unwrap_or(ctx.now);
    set_marks(&mut object, begun, asked);
    if held || asked > 0 { Fate::Marked(object) } else { Fate::Gone(object) }
}

/// The grace period of a pod, in seconds.
fn period(pod: &Value, options: &DeleteOptions) -> i64 {
    let asked = options.grace().or_else(|| int(pod, "/spec/terminationGracePeriodSeconds")).unwrap_or(0);
    let unscheduled = text(pod, "/spec/nodeName").is_empty();
    let finished = matches!(text(pod, "/status/phase"), "Failed" | "Succeeded");
    match asked {
        _ if unscheduled || finished => 0,
        // A negative period means the shortest one.
        ..0 => 1,
        asked => asked,
    }
}

fn mark(object: &mut Value, now: Timestamp, period: i64) {
    if let Some(generation) = int(object, "/metadata/generation").filter(|g| *g > 0 && !deleting(object)) {
        map(object, "metadata").insert("generation".into(), (generation + 1).into());
    }
    set_marks(object, now, period);
}

fn set_marks(object: &mut Value, begun: Timestamp, period: i64) {
    let end = begun.checked_add(SignedDuration::from_secs(period)).unwrap_or(begun);
    let metadata = map(object, "metadata");
    metadata.insert("deletionTimestamp".into(), end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into());
    metadata.insert("deletionGracePeriodSeconds".into(), period.into());
}

/// Sets the finalizers that say what becomes of the dependents; whether that changed anything.
fn finalizers(ctx: &Context<'_>, object: &mut Value, options: &DeleteOptions) -> bool {
    let before: Vec<String> = texts(object, "/metadata/finalizers").into_iter().map(str::to_owned).collect();
    let has = |name: &str| before.iter().any(|f| f == name);
    let (orphan, foreground) = match options.propagation {
        Some(Propagation::Orphan) => (true, false),
        Some(Propagation::Foreground) => (false, true),
        Some(Propagation::Background) => (false, false),
        None if has(ORPHAN) => (true, false),
        None if has(FOREGROUND) => (false, true),
        None => (strategy::of(ctx.resource()).dependents == Dependents::Orphaned, false),
    };
    let mut after: Vec<String> = before.iter().filter(|f| *f != ORPHAN && *f != FOREGROUND).cloned().collect();
    after.extend(orphan.then(|| ORPHAN.to_owned()));
    after.extend(foreground.then(|| FOREGROUND.to_owned()));
    let changed = before.len() != after.len() || !after.iter().all(|f| has(f));
    if changed {
        let metadata = map(object, "metadata");
        if after.is_empty() {
            metadata.remove("finalizers");
        } else {
            *items(metadata, "finalizers") = after.into_iter().map(Value::from).collect();
        }
    }
    changed
}
