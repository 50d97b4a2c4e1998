//! What an outside program is given of the log: the events of a range that pass its filters, a page at a time.

use cox_bus::integrator::{Filter, Gap, Page, Read, structured};
use cox_bus::{SealingKey, Skipped, Subjects};
use cox_log::Log;
use cox_objects::Revision;

use crate::source::skipped;

/// About how many bytes of objects go in one page.
const PAGE: usize = 1 << 20;
/// How many bytes of the log are looked through for one page, however few events pass.
const LOOKED_THROUGH: usize = 16 << 20;
/// How many bytes of the log are read at a time.
const CHUNK: usize = 512 << 10;

/// The answer to a question that has none.
pub(super) fn refused(why: impl std::fmt::Display) -> Page {
    Page { events: Vec::new(), next: None, skipped: Vec::new(), error: Some(why.to_string()) }
}

/// The next page of a range. Blocks on the disk.
pub(super) fn page(log: &Log, subjects: &Subjects, sealing: &SealingKey, filters: &[Filter], asked: Read) -> Page {
    // Asked before anything is read, since the floors rise.
    let skipped = skipped(log);
    let to = asked.to.min(log.head());
    let (mut next, mut bytes, mut seen) = (asked.from, 0, 0);
    let mut page = Page { events: Vec::new(), next: None, skipped: Vec::new(), error: None };
    while next <= to && bytes < PAGE && seen < LOOKED_THROUGH {
        let events = match log.events(next, to, CHUNK) {
            // What is left of the range was dropped, or never used.
            Ok(events) if events.is_empty() => {
                next = to + 1;
                break;
            }
            Ok(events) => events,
            Err(error) => return refused(error),
        };
        for event in &events {
            if bytes >= PAGE {
                break;
            }
            next = event.revision() + 1;
            seen += event.object.bytes().len();
            if !filters.iter().any(|filter| filter.passes(&event.key)) {
                continue;
            }
            bytes += event.object.bytes().len();
            match structured(subjects, event, sealing) {
                Ok(event) => page.events.push(event),
                Err(error) => return refused(error),
            }
        }
    }
    page.next = (next <= to).then_some(next);
    let read = page.next.map_or(to, |next| next - 1);
    let about = |skipped: &Skipped| filters.iter().any(|filter| concerns(filter, skipped));
    page.skipped = skipped.into_iter().filter(about).filter_map(|one| one.within(asked.from, read)).collect();
    page
}

/// Whether a filter may let events pass that are missing. That all others are missing may concern any.
fn concerns(filter: &Filter, skipped: &Skipped) -> bool {
    match (&filter.resource, &skipped.resource) {
        (Some(wanted), Some(of)) => wanted == of,
        _ => true,
    }
}

/// The first revision of a range whose event passes. Blocks on the disk.
pub(super) fn first_match(log: &Log, filters: &[Filter], Gap { from, to }: Gap) -> Result<Option<Revision>, String> {
    let mut next = from;
    while next <= to {
        let events = log.events(next, to, CHUNK).map_err(|error| error.to_string())?;
        let Some(last) = events.last() else { return Ok(None) };
        next = last.revision() + 1;
        let passes = |event: &&cox_objects::Event| filters.iter().any(|filter| filter.passes(&event.key));
        if let Some(event) = events.iter().find(passes) {
            return Ok(Some(event.revision()));
        }
    }
    Ok(None)
}
