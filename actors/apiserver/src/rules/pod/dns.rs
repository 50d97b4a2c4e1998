//! A pod's own DNS settings and host aliases.

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::Read;

const NAMESERVERS: usize = 3;
const SEARCHES: usize = 32;
const SEARCH_CHARS: usize = 2048;

/// `spec.dnsConfig`, which `dnsPolicy: None` needs.
pub(super) fn config(errors: &mut Errors, spec: &Value, path: &Path) {
    let config = spec.at("dnsConfig");
    if spec.text("dnsPolicy") == "None" {
        if config.is_null() {
            errors.push(FieldError::required(path, "must provide `dnsConfig` when `dnsPolicy` is None"));
            return;
        }
        if !config.filled("nameservers") {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            errors.push(FieldError::required(&path.child("nameservers"), detail));
            return;
        }
    }
    let at = path.child("nameservers");
    let servers = config.texts("nameservers");
    if servers.len() > NAMESERVERS {
        let detail = format!("must not have more than {NAMESERVERS} nameservers");
        errors.push(FieldError::invalid(&at, servers.clone(), &detail));
    }
    for (i, server) in servers.into_iter().enumerate() {
        check::ip(errors, &at.index(i), server);
    }
    searches(errors, config, &path.child("searches"));
    for (i, option) in config.list("options").iter().enumerate() {
        if !option.filled("name") {
            errors.push(FieldError::required(&path.child("options").index(i), "must not be empty"));
        }
    }
}

fn searches(errors: &mut Errors, config: &Value, path: &Path) {
    let searches = config.texts("searches");
    if searches.len() > SEARCHES {
        let detail = format!("must not have more than {SEARCHES} search paths");
        errors.push(FieldError::invalid(path, searches.clone(), &detail));
    }
    if searches.join(" ").len() > SEARCH_CHARS {
        let detail = format!("must not have more than {SEARCH_CHARS} characters (including spaces) in the search list");
        errors.push(FieldError::invalid(path, searches.clone(), &detail));
    }
    for (i, search) in searches.into_iter().enumerate() {
        // The root alone is allowed, and so are a trailing dot and underscores.
        if search == "." {
            continue;
        }
        let domain = search.strip_suffix('.').unwrap_or(search);
        if !cox_objects::name::is_dns1123_subdomain(&domain.replace('_', "a")).is_empty() {
            check::dns_subdomain(errors, &path.index(i), domain);
        }
    }
}

/// `spec.hostAliases`
pub(super) fn host_aliases(errors: &mut Errors, spec: &Value, path: &Path) {
    for (i, alias) in spec.list("hostAliases").iter().enumerate() {
        let at = path.index(i);
        check::ip(errors, &at.child("ip"), alias.text("ip"));
        for (j, host) in alias.texts("hostnames").into_iter().enumerate() {
            check::dns_subdomain(errors, &at.child("hostnames").index(j), host);
        }
    }
}
