//! CronJobs.

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::super::check::{self, Errors};
use super::super::super::read::{Fill, Read};
use super::{job, schedule};

/// Defaults: let runs overlap, keep three that succeeded and one that failed.
pub(crate) fn defaults(object: &mut Value) {
    let spec = object.object("spec");
    spec.fill("concurrencyPolicy", "Allow");
    spec.fill_unset("suspend", false);
    spec.fill_unset("successfulJobsHistoryLimit", 3);
    spec.fill_unset("failedJobsHistoryLimit", 1);
    job::template_defaults(spec.object("jobTemplate").object("spec"));
}

/// The spec.
pub(crate) fn validate(errors: &mut Errors, object: &Value) {
    let spec = object.at("spec");
    let path = Path::new("spec");
    let own = spec.text("schedule");
    let at = path.child("schedule");
    if own.is_empty() {
        errors.push(FieldError::required(&at, ""));
    } else if own.contains("TZ") {
        let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        errors.push(FieldError::invalid(&at, own, detail));
    } else if let Err(fault) = schedule::check(own) {
        errors.push(FieldError::invalid(&at, own, &fault));
    }
    check::non_negative(errors, &path.child("startingDeadlineSeconds"), spec.int("startingDeadlineSeconds"));
    let policies = ["Allow", "Forbid", "Replace"];
    check::required_one_of(errors, &path.child("concurrencyPolicy"), spec.text("concurrencyPolicy"), &policies);
    for field in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        check::non_negative(errors, &path.child(field), spec.int(field));
    }
    if let Some(zone) = spec.at("timeZone").as_str() {
        time_zone(errors, zone, &path.child("timeZone"));
    }
    let job = spec.at("jobTemplate").at("spec");
    let at = path.child("jobTemplate").child("spec");
    job::content(errors, job, &at);
    if job.flag("manualSelector") {
        errors.push(FieldError::not_supported(&at.child("manualSelector"), true, &["nil", "false"]));
    }
}

/// The name of a zone; whether it exists is for the machine's zone data to say.
fn time_zone(errors: &mut Errors, zone: &str, path: &Path) {
    let well_formed = zone.split('/').all(|part| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || ['_', '-', '+'].contains(&c))
    });
    if zone.is_empty() {
        errors.push(FieldError::invalid(path, zone, "timeZone must be nil or non-empty string"));
    } else if zone.eq_ignore_ascii_case("local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.push(FieldError::invalid(path, zone, detail));
    } else if !well_formed || !schedule::AREAS.contains(&zone.split('/').next().unwrap_or_default()) {
        errors.push(FieldError::invalid(path, zone, &format!("unknown time zone {zone}")));
    }
}
