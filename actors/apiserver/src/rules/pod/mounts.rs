//! Where a container mounts its volumes and devices.

use std::collections::BTreeSet;

use cox_objects::{FieldError, Path};
use serde_json::Value;

use super::super::check::{self, Errors};
use super::super::read::Read;
use super::spec::Around;
use super::volumes;

/// `volumeMounts`. Kubernetes reports the details of a mount at the list, without its index.
pub(super) fn volume_mounts(errors: &mut Errors, container: &Value, around: &Around<'_>, path: &Path) {
    let devices = container.list("volumeDevices");
    let mut points = BTreeSet::new();
    for (i, mount) in container.list("volumeMounts").iter().enumerate() {
        let at = path.index(i);
        let (own, point) = (mount.text("name"), mount.text("mountPath"));
        check::required(errors, &at.child("name"), own);
        if !around.volumes.contains_key(own) {
            errors.push(FieldError::not_found(&at.child("name"), own));
        }
        check::required(errors, &at.child("mountPath"), point);
        if !points.insert(point) {
            errors.push(FieldError::invalid(&at.child("mountPath"), point, "must be unique"));
        }
        if devices.iter().any(|d| d.text("name") == own) {
            errors.push(FieldError::invalid(&at.child("name"), own, "must not already exist in volumeDevices"));
        }
        if devices.iter().any(|d| d.text("devicePath") == point) {
            let detail = "must not already exist as a path in volumeDevices";
            errors.push(FieldError::invalid(&at.child("mountPath"), point, detail));
        }
        let (sub_path, expression) = (mount.text("subPath"), mount.text("subPathExpr"));
        if !sub_path.is_empty() {
            volumes::descending_path(errors, &path.child("subPath"), sub_path);
        }
        if !expression.is_empty() {
            if !sub_path.is_empty() {
                let detail = "subPathExpr and subPath are mutually exclusive";
                errors.push(FieldError::invalid(&at.child("subPathExpr"), expression, detail));
            }
            volumes::descending_path(errors, &path.child("subPathExpr"), expression);
        }
        if mount.has("mountPropagation") {
            propagation(errors, mount, container, &path.child("mountPropagation"));
        }
        recursive_read_only(errors, mount, &path.child("recursiveReadOnly"));
    }
}

fn propagation(errors: &mut Errors, mount: &Value, container: &Value, path: &Path) {
    let mode = mount.text("mountPropagation");
    check::one_of(errors, path, mode, &["Bidirectional", "HostToContainer", "None"]);
    if mode == "Bidirectional" && !container.at("securityContext").flag("privileged") {
        let detail = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(FieldError::forbidden(path, detail));
    }
}

fn recursive_read_only(errors: &mut Errors, mount: &Value, path: &Path) {
    match mount.text("recursiveReadOnly") {
        "" | "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !mount.flag("readOnly") {
                errors.push(FieldError::forbidden(path, "may only be specified when readOnly is true"));
            }
            if !["", "None"].contains(&mount.text("mountPropagation")) {
                let detail = "may only be specified when mountPropagation is None or not specified";
                errors.push(FieldError::forbidden(path, detail));
            }
        }
        other => errors.push(FieldError::not_supported(path, other, &["Disabled", "Enabled", "IfPossible"])),
    }
}

/// `volumeDevices`
pub(super) fn volume_devices(errors: &mut Errors, container: &Value, around: &Around<'_>, path: &Path) {
    let mounts = container.list("volumeMounts");
    let (mut paths, mut names) = (BTreeSet::new(), BTreeSet::new());
    for (i, device) in container.list("volumeDevices").iter().enumerate() {
        let at = path.index(i);
        let (name_at, path_at) = (at.child("name"), at.child("devicePath"));
        let (own, point) = (device.text("name"), device.text("devicePath"));
        check::required(errors, &name_at, own);
        if names.contains(own) {
            errors.push(FieldError::invalid(&name_at, own, "must be unique"));
        }
        match around.volumes.get(own) {
            None => errors.push(FieldError::not_found(&name_at, own)),
            Some(volume) if !volume.has("persistentVolumeClaim") && !volume.has("ephemeral") => {
                let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.push(FieldError::invalid(&name_at, own, detail));
            }
            Some(_) => {}
        }
        check::required(errors, &path_at, point);
        if paths.contains(point) {
            errors.push(FieldError::invalid(&path_at, point, "must be unique"));
        }
        if point.split('/').any(|part| part == "..") {
            errors.push(FieldError::invalid(&path_at, point, "can not contain backsteps ('..')"));
        } else {
            paths.insert(point);
        }
        if mounts.iter().any(|m| m.text("name") == own) {
            errors.push(FieldError::invalid(&name_at, own, "must not already exist in volumeMounts"));
        }
        if mounts.iter().any(|m| m.text("mountPath") == point) {
            let detail = "must not already exist as a path in volumeMounts";
            errors.push(FieldError::invalid(&path_at, point, detail));
        }
        if !own.is_empty() {
            names.insert(own);
        }
    }
}
