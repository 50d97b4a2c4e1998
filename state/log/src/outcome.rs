//! Outcomes of requests: what makes a repeated request the same request.

use cox_objects::{Revision, Status};

/// How a request ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The HTTP status of its answer.
    pub code: u16,
    /// Its first revision; the event there holds the object to answer with. 0 of a refusal.
    pub first: Revision,
    /// Its last revision; equal to `first` where nothing had to be changed. 0 of a refusal.
    pub last: Revision,
    /// Whether nothing had to be changed: there is no event of its own at these revisions.
    pub unchanged: bool,
    /// What a refused one was told. Kept in memory only.
    pub refusal: Option<Status>,
}

impl Outcome {
    /// The outcome of a refused request.
    pub fn refused(status: Status) -> Self {
        Outcome { code: status.code, first: 0, last: 0, unchanged: true, refusal: Some(status) }
    }
}
