//! What is kept of the log, in a line.

use cox_apiserver::compaction::Keeps;
use cox_objects::at::time_text;

use crate::output::bytes;

/// How much it takes, how far back it can be read, and what is set.
pub(super) fn text(log: &Keeps) -> String {
    let mut parts = vec![bytes(log.disk)];
    if let Some(most) = log.max_disk {
        parts.push(format!(" of {}", bytes(most)));
    }
    if let Some(daily) = log.daily {
        parts.push(format!(", about {daily} events a day"));
    }
    parts.push(format!("; readable from revision {}", log.readable_from));
    if let Some(since) = log.readable_since {
        parts.push(format!(" ({})", time_text(since)));
    }
    parts.push(" on".to_owned());
    parts.extend(log.floors.iter().map(|(resource, floor)| format!(", {resource} from {floor}")));
    parts.push(format!("; no event missing from {}; keeps {}", log.dense_from, log.keep.join(", ")));
    parts.concat()
}
