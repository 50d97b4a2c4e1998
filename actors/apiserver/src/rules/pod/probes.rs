//! Probes and lifecycle hooks.

use cox_objects::{FieldError, Path, name};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::Read;
use super::spec::Around;

/// A liveness or startup probe, which one success must satisfy.
pub(super) fn liveness(errors: &mut Errors, container: &Value, grace: i64, field: &str, path: &Path) {
    let probe = container.at(field);
    if probe.is_null() {
        return;
    }
    let path = path.child(field);
    common(errors, probe, grace, &path);
    let successes = probe.int("successThreshold").unwrap_or(0);
    if successes != 1 {
        errors.push(FieldError::invalid(&path.child("successThreshold"), successes, "must be 1"));
    }
}

/// A readiness probe, which never ends a container.
pub(super) fn readiness(errors: &mut Errors, container: &Value, grace: i64, path: &Path) {
    let probe = container.at("readinessProbe");
    if probe.is_null() {
        return;
    }
    let path = path.child("readinessProbe");
    common(errors, probe, grace, &path);
    if let Some(seconds) = probe.int("terminationGracePeriodSeconds") {
        let at = path.child("terminationGracePeriodSeconds");
        errors.push(FieldError::invalid(&at, seconds, "must not be set for readinessProbes"));
    }
}

fn common(errors: &mut Errors, probe: &Value, grace: i64, path: &Path) {
    handler(errors, probe, grace, path);
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        check::non_negative(errors, &path.child(field), probe.int(field));
    }
    if let Some(seconds) = probe.int("terminationGracePeriodSeconds").filter(|s| *s <= 0) {
        let at = path.child("terminationGracePeriodSeconds");
        errors.push(FieldError::invalid(&at, seconds, "must be greater than 0"));
    }
}

/// `lifecycle`
pub(super) fn lifecycle(errors: &mut Errors, container: &Value, around: &Around<'_>, path: &Path) {
    let lifecycle = container.at("lifecycle");
    for hook in ["postStart", "preStop"] {
        if lifecycle.has(hook) {
            handler(errors, lifecycle.at(hook), around.grace, &path.child(hook));
        }
    }
    let signal = lifecycle.text("stopSignal");
    if !signal.is_empty() {
        stop_signal(errors, signal, around.os, &path.child("stopSignal"));
    }
}

fn stop_signal(errors: &mut Errors, signal: &str, os: &str, path: &Path) {
    let supported: Vec<&str> = match os {
        "" => {
            errors.push(FieldError::forbidden(path, "may not be set for containers with empty `spec.os.name`"));
            return;
        }
        "windows" => vec!["SIGKILL", "SIGTERM"],
        _ => SIGNALS.split(' ').collect(),
    };
    let realtime = signal.strip_prefix("SIGRTMIN+").or_else(|| signal.strip_prefix("SIGRTMAX-"));
    let realtime =
        os != "windows" && realtime.and_then(|n| n.parse::<u8>().ok()).is_some_and(|n| (1..=15).contains(&n));
    if !realtime && !supported.contains(&signal) {
        errors.push(FieldError::not_supported(path, signal, &supported));
    }
}

const SIGNALS: &str = "SIGABRT SIGALRM SIGBUS SIGCHLD SIGCLD SIGCONT SIGFPE SIGHUP SIGILL SIGINT SIGIO SIGIOT SIGKILL SIGPIPE SIGPOLL \
                       SIGPROF SIGPWR SIGQUIT SIGRTMAX SIGRTMIN SIGSEGV SIGSTKFLT SIGSTOP SIGSYS SIGTERM SIGTRAP SIGTSTP SIGTTIN SIGTTOU \
                       SIGURG SIGUSR1 SIGUSR2 SIGVTALRM SIGWINCH SIGXCPU SIGXFSZ";

fn handler(errors: &mut Errors, handler: &Value, grace: i64, path: &Path) {
    let mut handlers = 0;
    for field in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        if !handler.has(field) {
            continue;
        }
        let at = path.child(field);
        if handlers > 0 {
            errors.push(FieldError::forbidden(&at, "may not specify more than 1 handler type"));
            continue;
        }
        handlers += 1;
        action(errors, field, handler.at(field), grace, &at);
    }
    if handlers == 0 {
        errors.push(FieldError::required(path, "must specify a handler type"));
    }
}

fn action(errors: &mut Errors, kind: &str, action: &Value, grace: i64, path: &Path) {
    match kind {
        "exec" => {
            if action.list("command").is_empty() {
                errors.push(FieldError::required(&path.child("command"), ""));
            }
        }
        "httpGet" => {
            check::required(errors, &path.child("path"), action.text("path"));
            check::port_or_name(errors, &path.child("port"), action.at("port"));
            check::one_of(errors, &path.child("scheme"), action.text("scheme"), &["HTTP", "HTTPS"]);
            for header in action.list("httpHeaders") {
                let own = header.text("name");
                check::texts(errors, &path.child("httpHeaders"), own, name::is_http_header_name(own));
            }
        }
        "tcpSocket" => check::port_or_name(errors, &path.child("port"), action.at("port")),
        "grpc" => check::port(errors, &path.child("port"), action.int("port").unwrap_or(0)),
        _ => {
            let seconds = action.int("seconds").unwrap_or(0);
            if seconds < 0 || seconds > grace {
                let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
                errors.push(FieldError::invalid(path, seconds, &detail));
            }
        }
    }
}
