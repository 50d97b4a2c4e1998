//! Who a container runs as and with which privileges: the pod's settings below the container's own.

use std::path::Path;

use cox_runtime::{Capabilities, SeccompProfile, Security, UserSpec};
use k8s_openapi::api::core::v1::{Container, Pod, PodSecurityContext, SecurityContext};

use super::names::pod_id;

/// Why a container may not run as asked: `CreateContainerConfigError` with this text.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SecurityError {
    /// `runAsNonRoot` and the image runs as root.
    #[error("container has runAsNonRoot and image will run as root (pod: {pod:?}, container: {container})")]
    Root {
        /// `name_namespace(uid)`
        pod: String,
        /// Its name.
        container: String,
    },
    /// `runAsNonRoot` and `runAsUser: 0`.
    #[error("container's runAsUser breaks non-root policy (pod: {pod:?}, container: {container})")]
    RunAsRoot {
        /// `name_namespace(uid)`
        pod: String,
        /// Its name.
        container: String,
    },
    /// `runAsNonRoot` and the image names its user: it cannot be told whether that is root.
    #[error(
        "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root (pod: {pod:?}, container: {container})"
    )]
    Named {
        /// The image's user.
        user: String,
        /// `name_namespace(uid)`
        pod: String,
        /// Its name.
        container: String,
    },
}

/// Who runs the container.
///
/// # Errors
/// If `runAsNonRoot` asks for what the image (whose user is given) does not keep.
pub fn user(pod: &Pod, container: &Container, image_user: &str) -> Result<UserSpec, SecurityError> {
    let (own, shared) = contexts(pod, container);
    let uid = own.run_as_user.or(shared.run_as_user);
    let non_root = own.run_as_non_root.or(shared.run_as_non_root) == Some(true);
    if non_root {
        let (id, name) = (pod_id(pod), container.name.clone());
        let image = image_user.split(':').next().unwrap_or_default();
        match (uid, image.parse::<u32>()) {
            (Some(0), _) => return Err(SecurityError::RunAsRoot { pod: id, container: name }),
            (Some(_), _) => {}
            (None, Ok(0)) => return Err(SecurityError::Root { pod: id, container: name }),
            (None, Ok(_)) => {}
            (None, Err(_)) if image.is_empty() => return Err(SecurityError::Root { pod: id, container: name }),
            (None, Err(_)) => {
                return Err(SecurityError::Named { user: image.to_owned(), pod: id, container: name });
            }
        }
    }
    let groups = shared.supplemental_groups.iter().flatten().chain(shared.fs_group.iter());
    Ok(UserSpec {
        uid: uid.and_then(|id| u32::try_from(id).ok()),
        gid: own.run_as_group.or(shared.run_as_group).and_then(|id| u32::try_from(id).ok()),
        supplemental_groups: groups.filter_map(|id| u32::try_from(*id).ok()).collect(),
        strict_groups: shared.supplemental_groups_policy.as_deref() == Some("Strict"),
    })
}

/// The container's privileges. `seccomp_root` is where Localhost profiles lie.
pub fn privileges(pod: &Pod, container: &Container, seccomp_root: &Path) -> Security {
    let (own, shared) = contexts(pod, container);
    let privileged = own.privileged == Some(true);
    let capabilities = own.capabilities.clone().unwrap_or_default();
    let seccomp = own.seccomp_profile.as_ref().or(shared.seccomp_profile.as_ref());
    let apparmor = own.app_armor_profile.as_ref().or(shared.app_armor_profile.as_ref());
    Security {
        privileged,
        read_only_rootfs: own.read_only_root_filesystem == Some(true),
        no_new_privileges: own.allow_privilege_escalation == Some(false),
        capabilities: Capabilities {
            add: capabilities.add.unwrap_or_default(),
            drop: capabilities.drop.unwrap_or_default(),
        },
        seccomp: match seccomp.map(|profile| profile.type_.as_str()) {
            Some("RuntimeDefault") if !privileged => SeccompProfile::RuntimeDefault,
            Some("Localhost") if !privileged => {
                let file = seccomp.and_then(|p| p.localhost_profile.as_deref()).unwrap_or_default();
                SeccompProfile::File(seccomp_root.join(file))
            }
            _ => SeccompProfile::Unconfined,
        },
        unmasked_proc: own.proc_mount.as_deref() == Some("Unmasked"),
        apparmor_profile: apparmor.filter(|p| p.type_ == "Localhost").and_then(|p| p.localhost_profile.clone()),
    }
}

fn contexts(pod: &Pod, container: &Container) -> (SecurityContext, PodSecurityContext) {
    let shared = pod.spec.as_ref().and_then(|spec| spec.security_context.clone());
    (container.security_context.clone().unwrap_or_default(), shared.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(shared: serde_json::Value, own: serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"},
            "spec": {"securityContext": shared, "containers": [{"name": "c", "securityContext": own}]}}))
        .unwrap()
    }

    fn user_of(pod: &Pod, image: &str) -> Result<UserSpec, String> {
        user(pod, &pod.spec.as_ref().unwrap().containers[0], image).map_err(|e| e.to_string())
    }

    #[test]
    fn the_containers_own_settings_win() {
        let pod = pod(json!({"runAsUser": 1000, "runAsGroup": 7, "fsGroup": 9}), json!({"runAsUser": 5}));
        let user = user_of(&pod, "").unwrap();
        assert_eq!((user.uid, user.gid, user.supplemental_groups), (Some(5), Some(7), vec![9]));
    }

    #[test]
    fn non_root_is_checked_as_recorded() {
        let refuses = pod(json!({"runAsNonRoot": true}), json!({}));
        let text = user_of(&refuses, "").unwrap_err();
        assert_eq!(text, "container has runAsNonRoot and image will run as root (pod: \"p_ns(u)\", container: c)");
        assert!(user_of(&refuses, "65534").is_ok());
        assert!(user_of(&refuses, "nobody").unwrap_err().contains("non-numeric user (nobody)"));
        let explicit = pod(json!({"runAsNonRoot": true}), json!({"runAsUser": 0}));
        assert!(user_of(&explicit, "1").is_err());
    }
}
