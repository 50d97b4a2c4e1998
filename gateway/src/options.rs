//! The options of lists and watches, with the checks that Kubernetes makes of them.

pub(crate) mod token;

use cox_objects::{At, FieldError, Kind, Path, Revision, Selector, Status};

use crate::query::Query;

/// What `resourceVersion` and `resourceVersionMatch` ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// Nothing: all that was committed before the request.
    Newest,
    /// `0`: what is at hand.
    Any,
    /// This revision or a newer one.
    NotOlderThan(Revision),
    /// This revision.
    Exact(Revision),
}

/// The options of a list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ListOptions {
    /// Which objects.
    pub selector: Selector,
    /// As of when.
    pub version: Version,
    /// At most so many; 0 is no limit.
    pub limit: usize,
    /// The token of an earlier page, or nothing.
    pub continue_token: String,
}

/// The options of a watch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WatchOptions {
    /// Which objects.
    pub selector: Selector,
    /// From when.
    pub version: Version,
    /// Whether the client takes bookmarks.
    pub bookmarks: bool,
    /// `sendInitialEvents`, if given.
    pub initial: Option<bool>,
    /// After how many seconds it ends, if the client says so.
    pub timeout: Option<u64>,
}

const MATCH: &str = "resourceVersionMatch";
const AT: &str = "at";

/// The point in the past that a read asks for with `at` (ours, not Kubernetes'): a revision, a time, or how long ago.
///
/// # Errors
/// 400 if it is none, or if what else is asked for says when, too.
pub(crate) fn at(query: &Query) -> Result<Option<At>, Status> {
    let Some(text) = query.get(AT) else { return Ok(None) };
    if let Some(other) = ["resourceVersion", MATCH, "continue"].into_iter().find(|other| !query.text(other).is_empty())
    {
        return Err(Status::bad_request(format!("at: forbidden together with {other}")));
    }
    text.parse().map(Some).map_err(|error: cox_objects::at::NoMoment| Status::bad_request(format!("at: {error}")))
}

/// Reads the options of a list of a kind.
///
/// # Errors
/// 400 for what cannot be read, 422 for what does not go together.
pub(crate) fn list(kind: &Kind, query: &Query) -> Result<ListOptions, Status> {
    let limit = query.number("limit")?.unwrap_or(0);
    query.number("timeoutSeconds")?;
    let selector = Selector::parse(kind, query.text("labelSelector"), query.text("fieldSelector"))?;
    let (wanted, token) = (query.text(MATCH), query.text("continue"));
    let (version, path) = (query.text("resourceVersion"), Path::new(MATCH));
    let mut errors = Vec::new();
    if !wanted.is_empty() {
        if version.is_empty() {
            errors.push(FieldError::forbidden(
                &path,
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        }
        if !token.is_empty() {
            errors.push(FieldError::forbidden(&path, "resourceVersionMatch is forbidden when continue is provided"));
        }
        if !matches!(wanted, "Exact" | "NotOlderThan") {
            errors.push(FieldError::not_supported(&path, wanted, &["Exact", "NotOlderThan", ""]));
        }
        if wanted == "Exact" && version == "0" {
            let text = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            errors.push(FieldError::forbidden(&path, text));
        }
    }
    if query.has("sendInitialEvents") {
        let path = Path::new("sendInitialEvents");
        errors.push(FieldError::forbidden(&path, "sendInitialEvents is forbidden for list"));
    }
    refuse(&errors)?;
    let limit = usize::try_from(limit).unwrap_or(0);
    let version = match revision(version).map_err(|text| Status::bad_request(format!("resourceVersion: {text}")))? {
        None => Version::Newest,
        Some(0) => Version::Any,
        Some(revision) if wanted == "Exact" || (wanted.is_empty() && limit > 0) => Version::Exact(revision),
        Some(revision) => Version::NotOlderThan(revision),
    };
    if !token.is_empty() && !matches!(version, Version::Newest | Version::Any) {
        return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
    }
    Ok(ListOptions { selector, version, limit, continue_token: token.to_owned() })
}

/// Reads the options of a watch of a kind; `name` is that of a legacy path, or nothing.
///
/// # Errors
/// 400 for what cannot be read, 422 for what does not go together, 500 for a version that is none (as Kubernetes has it).
pub(crate) fn watch(kind: &Kind, query: &Query, name: &str) -> Result<WatchOptions, Status> {
    if query.has(AT) {
        return Err(Status::bad_request("at: a watch is of what comes, not of what was"));
    }
    query.number("limit")?;
    let timeout = query.number("timeoutSeconds")?;
    let fields = match (query.text("fieldSelector"), name) {
        (fields, "") => fields.to_owned(),
        ("", name) => format!("metadata.name={name}"),
        (fields, name) => format!("{fields},metadata.name={name}"),
    };
    let selector = Selector::parse(kind, query.text("labelSelector"), &fields)?;
    let initial = query.has("sendInitialEvents").then(|| query.flag("sendInitialEvents"));
    let (wanted, path) = (query.text(MATCH), Path::new(MATCH));
    let mut errors = Vec::new();
    if initial.is_some() && wanted != "NotOlderThan" {
        let text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        errors.push(FieldError::forbidden(&path, text));
    }
    if !wanted.is_empty() {
        if initial.is_none() {
            let text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(FieldError::forbidden(&path, text));
        }
        if wanted != "NotOlderThan" {
            errors.push(FieldError::not_supported(&path, wanted, &["NotOlderThan"]));
        }
        if query.has("continue") && !query.text("continue").is_empty() {
            errors.push(FieldError::forbidden(&path, "resourceVersionMatch is forbidden when continue is provided"));
        }
    }
    refuse(&errors)?;
    Ok(WatchOptions {
        selector,
        version: get(query)?,
        bookmarks: query.flag("allowWatchBookmarks"),
        initial,
        timeout: timeout.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0),
    })
}

/// The version that a GET of one object asks for.
///
/// # Errors
/// 500 if it is none (as Kubernetes has it).
pub(crate) fn get(query: &Query) -> Result<Version, Status> {
    match revision(query.text("resourceVersion")) {
        Ok(None) => Ok(Version::Newest),
        Ok(Some(0)) => Ok(Version::Any),
        Ok(Some(revision)) => Ok(Version::NotOlderThan(revision)),
        Err(text) => Err(Status::new(500, "", format!("resourceVersion: {text}"))),
    }
}

fn revision(text: &str) -> Result<Option<Revision>, String> {
    match text {
        "" => Ok(None),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => digits
            .parse()
            .map(Some)
            .map_err(|_| format!("Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: value out of range")),
        _ => Err(format!("Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax")),
    }
}

fn refuse(errors: &[FieldError]) -> Result<(), Status> {
    match errors {
        [] => Ok(()),
        errors => Err(Status::invalid("meta.k8s.io", "ListOptions", "", errors)),
    }
}

#[cfg(test)]
mod tests;
