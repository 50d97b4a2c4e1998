//! What each level says of pods.

use serde_json::{Value, json};

use super::{baseline, restricted};

fn container(name: &str, context: Value) -> Value {
    json!({"name": name, "securityContext": context})
}

/// A spec that is fine at every level.
fn modest() -> Value {
    json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            container("c", json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}})),
        ],
    })
}

#[test]
fn a_modest_pod_is_fine() {
    assert_eq!(baseline(&modest()), []);
    assert_eq!(restricted(&modest()), []);
}

#[test]
fn the_baseline_forbids_what_reaches_the_host() {
    let cases: &[(Value, &str, &str)] = &[
        (json!({"hostNetwork": true, "hostIPC": true}), "host namespaces", "hostNetwork=true, hostIPC=true"),
        (
            json!({"volumes": [{"name": "a", "hostPath": {"path": "/"}}, {"name": "b", "emptyDir": {}}]}),
            "hostPath volumes",
            "volume \"a\"",
        ),
        (
            json!({"containers": [{"name": "a", "ports": [{"hostPort": 80}, {"hostPort": 81}]}]}),
            "hostPorts",
            "container \"a\" uses hostPorts 80, 81",
        ),
        (
            json!({"containers": [container("a", json!({"privileged": true}))],
                "initContainers": [container("b", json!({"privileged": true}))]}),
            "privileged",
            "containers \"b\", \"a\" must not set securityContext.privileged=true",
        ),
        (
            json!({"containers": [container("a", json!({"capabilities": {"add": ["SYS_ADMIN", "CHOWN", "NET_RAW"]}}))]}),
            "non-default capabilities",
            "container \"a\" must not include \"NET_RAW\", \"SYS_ADMIN\" in securityContext.capabilities.add",
        ),
        (
            json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}, "containers": [
                container("a", json!({"seccompProfile": {"type": "Unconfined"}}))]}),
            "seccompProfile",
            "pod and container \"a\" must not set securityContext.seccompProfile.type to \"Unconfined\"",
        ),
        (
            json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax"}, {"name": "net.ipv4.tcp_syncookies"}]}}),
            "forbidden sysctls",
            "kernel.msgmax",
        ),
        (
            json!({"securityContext": {"seLinuxOptions": {"type": "spc_t", "user": "u"}}}),
            "seLinuxOptions",
            "pod set forbidden securityContext.seLinuxOptions: type \"spc_t\"; user may not be set",
        ),
        (
            json!({"containers": [container("a", json!({"procMount": "Unmasked"}))]}),
            "procMount",
            "container \"a\" must not set securityContext.procMount to \"Unmasked\"",
        ),
    ];
    for (spec, reason, detail) in cases {
        let found = baseline(spec);
        assert_eq!(found.len(), 1, "{spec}: {found:?}");
        assert_eq!((found[0].reason, found[0].detail.as_str()), (*reason, *detail));
    }
}

#[test]
fn the_restricted_level_asks_for_restraint() {
    let with = |pointer: &str, value: Value| {
        let mut spec = modest();
        let (holder, field) = pointer.rsplit_once('/').unwrap();
        spec.pointer_mut(holder).unwrap()[field] = value;
        spec
    };
    let cases = [
        (
            with("/securityContext/runAsNonRoot", json!(false)),
            "runAsNonRoot != true",
            "pod must not set securityContext.runAsNonRoot=false",
        ),
        (
            with("/containers/0/securityContext/capabilities", json!({"drop": ["NET_RAW"]})),
            "unrestricted capabilities",
            "container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]",
        ),
        (
            with("/volumes", json!([{"name": "v", "hostPath": {"path": "/"}}, {"name": "w", "nfs": {}}])),
            "restricted volume types",
            "volumes \"v\", \"w\" use restricted volume types \"hostPath\", \"nfs\"",
        ),
        (
            with("/securityContext/seccompProfile", json!({"type": "Unconfined"})),
            "seccompProfile",
            "pod must not set securityContext.seccompProfile.type to \"Unconfined\"",
        ),
    ];
    for (spec, reason, detail) in cases {
        let found = restricted(&spec);
        assert_eq!(found.len(), 1, "{spec}: {found:?}");
        assert_eq!((found[0].reason, found[0].detail.as_str()), (reason, detail));
    }
}

#[test]
fn a_container_may_speak_for_itself() {
    let mut spec = modest();
    spec["securityContext"] = json!({});
    spec["containers"][0]["securityContext"]["runAsNonRoot"] = json!(true);
    spec["containers"][0]["securityContext"]["seccompProfile"] = json!({"type": "Localhost"});
    assert_eq!(restricted(&spec), []);
}
