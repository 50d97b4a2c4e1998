//! Projected volumes: several sources in one tree.

use std::collections::BTreeSet;

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::super::check::{self, Errors};
use super::super::super::read::Read;
use super::super::super::selector;
use super::{downward_file, key_to_path, local_path, mode, signer_name};

const CONFLICT: &str = "conflicting duplicate paths";

/// `projected`
pub(super) fn validate(errors: &mut Errors, projected: &Value, path: &Path) {
    mode(errors, projected.int("defaultMode"), &path.child("defaultMode"));
    let mut paths = BTreeSet::new();
    for (i, source) in projected.list("sources").iter().enumerate() {
        let at = path.child("sources").index(i);
        let mut kinds = 0;
        for kind in
            ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"]
        {
            if source.has(kind) {
                kinds += 1;
                one(errors, kind, source.at(kind), &mut paths, &at.child(kind), path);
            }
        }
        if kinds > 1 {
            errors.push(FieldError::forbidden(&at, "may not specify more than 1 volume type per source"));
        }
    }
}

/// One source; Kubernetes reports clashing paths at the volume (`root`).
fn one<'a>(
    errors: &mut Errors,
    kind: &str,
    source: &'a Value,
    paths: &mut BTreeSet<&'a str>,
    path: &Path,
    root: &Path,
) {
    match kind {
        "secret" | "configMap" => {
            let own = source.text("name");
            check::required(errors, &path.child("name"), own);
            for (i, item) in source.list("items").iter().enumerate() {
                key_to_path(errors, item, &path.child("items").index(i));
                let file = item.text("path");
                if !file.is_empty() && !paths.insert(file) {
                    errors.push(FieldError::invalid(root, own, CONFLICT));
                }
            }
        }
        "downwardAPI" => {
            for item in source.list("items") {
                downward_file(errors, item, path);
                claim_path(errors, item.text("path"), paths, root);
            }
        }
        "serviceAccountToken" => {
            token_lifetime(errors, source, path);
            match source.text("path") {
                "" => errors.push(FieldError::required(&root.child("path"), "")),
                own => local_path(errors, &root.child("path"), own),
            }
            claim_path(errors, source.text("path"), paths, root);
        }
        "clusterTrustBundle" => {
            trust_bundle(errors, source, path);
            claim_path(errors, source.text("path"), paths, root);
        }
        _ => {
            let signer = source.text("signerName");
            check::required(errors, &path.child("signerName"), signer);
            let files = ["credentialBundlePath", "keyPath", "certificateChainPath"];
            for field in files {
                claim_path(errors, source.text(field), paths, root);
            }
        }
    }
}

fn claim_path<'a>(errors: &mut Errors, file: &'a str, paths: &mut BTreeSet<&'a str>, root: &Path) {
    if !file.is_empty() && !paths.insert(file) {
        errors.push(FieldError::invalid(root, file, CONFLICT));
    }
}

fn token_lifetime(errors: &mut Errors, token: &Value, path: &Path) {
    let at = path.child("expirationSeconds");
    match token.int("expirationSeconds") {
        Some(seconds) if seconds < 600 => {
            errors.push(FieldError::invalid(&at, seconds, "may not specify a duration less than 10 minutes"));
        }
        Some(seconds) if seconds > 1 << 32 => {
            errors.push(FieldError::invalid(&at, seconds, "may not specify a duration larger than 2^32 seconds"));
        }
        _ => {}
    }
}

fn trust_bundle(errors: &mut Errors, bundle: &Value, path: &Path) {
    let (by_name, by_signer) = (bundle.has("name"), bundle.has("signerName"));
    match (by_name, by_signer) {
        (true, true) => {
            errors.push(FieldError::invalid(path, bundle.clone(), "only one of name and signerName may be used"))
        }
        (false, false) => errors.push(FieldError::required(path, "either name or signerName must be specified")),
        (true, false) => check::required(errors, &path.child("name"), bundle.text("name")),
        (false, true) => {
            signer_name(errors, &path.child("signerName"), bundle.text("signerName"));
            selector::labels(errors, bundle.at("labelSelector"), &path.child("labelSelector"));
        }
    }
    match bundle.text("path") {
        "" => errors.push(FieldError::required(&path.child("path"), "")),
        own => local_path(errors, &path.child("path"), own),
    }
}
