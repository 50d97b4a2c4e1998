//! Every field of a pod's spec is implemented, somebody else's, or refused: a new one in the API fails this test until that is decided.

use std::collections::{BTreeMap, BTreeSet};

use cox_objects::schema::{Type, schema};
use serde_json::{Value, json};

use super::*;

/// What becomes of a field.
#[derive(Clone, Debug)]
enum Fate {
    /// This node carries it out.
    Done,
    /// The API server, the scheduler or a controller does.
    Others,
    /// A pod with it is refused: as the spec says that is given.
    Refused(Value),
    /// Its volume or container is not made (tested there).
    Fails,
    /// It only tunes what this node does not do, or means nothing on Linux without SELinux: nothing asked for is lost.
    NoEffect,
}

use Fate::{Done, Fails, NoEffect, Others};

fn all(fate: Fate, names: &str) -> Vec<(String, Fate)> {
    names.split_whitespace().map(|name| (name.to_owned(), fate.clone())).collect()
}

fn refused(name: &str, spec: Value) -> (String, Fate) {
    (name.to_owned(), Fate::Refused(spec))
}

fn with(container: Value) -> Value {
    let mut own = json!({"name": "c"});
    own.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
    json!({"containers": [own]})
}

/// The fates of the fields, by type.
fn table() -> BTreeMap<&'static str, Vec<(String, Fate)>> {
    let pod = [
        all(
            Done,
            "activeDeadlineSeconds containers dnsConfig dnsPolicy enableServiceLinks ephemeralContainers hostAliases hostIPC \
             hostNetwork hostPID hostname hostnameOverride imagePullSecrets initContainers nodeSelector affinity overhead priority \
             readinessGates resources restartPolicy securityContext serviceAccountName setHostnameAsFQDN shareProcessNamespace \
             subdomain terminationGracePeriodSeconds volumes",
        ),
        all(
            Others,
            "automountServiceAccountToken nodeName preemptionPolicy priorityClassName schedulerName schedulingGates \
             schedulingGroup serviceAccount tolerations topologySpreadConstraints",
        ),
        vec![
            refused("hostUsers", json!({"containers": [], "hostUsers": false})),
            refused("os", json!({"containers": [], "os": {"name": "windows"}})),
            refused("resourceClaims", json!({"containers": [], "resourceClaims": [{"name": "r"}]})),
            refused("runtimeClassName", json!({"containers": [], "runtimeClassName": "x"})),
        ],
    ];
    let rule = json!({"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [1]}});
    let container = [
        all(
            Done,
            "args command env envFrom image imagePullPolicy lifecycle livenessProbe name ports readinessProbe resources \
             restartPolicy securityContext startupProbe stdin stdinOnce terminationMessagePath terminationMessagePolicy tty \
             volumeMounts workingDir",
        ),
        // It says how a resize is done, and there is none.
        all(NoEffect, "resizePolicy"),
        vec![
            refused("restartPolicyRules", with(json!({"restartPolicyRules": [rule]}))),
            refused("volumeDevices", with(json!({"volumeDevices": [{"name": "v", "devicePath": "/d"}]}))),
        ],
    ];
    let volume = [
        all(Done, "configMap downwardAPI emptyDir hostPath image name projected secret"),
        all(
            Fails,
            "awsElasticBlockStore azureDisk azureFile cephfs cinder csi ephemeral fc flexVolume flocker gcePersistentDisk gitRepo \
             glusterfs iscsi nfs persistentVolumeClaim photonPersistentDisk portworxVolume quobyte rbd scaleIO storageos vsphereVolume",
        ),
    ];
    BTreeMap::from([
        ("PodSpec", pod.concat()),
        ("Container", container.concat()),
        ("EphemeralContainer", [container.concat(), all(Done, "targetContainerName")].concat()),
        ("Volume", volume.concat()),
        ("VolumeProjection", [
            all(Done, "configMap downwardAPI secret serviceAccountToken"),
            all(Fails, "clusterTrustBundle podCertificate"),
        ]
        .concat()),
        ("EnvVarSource", [
            all(Done, "configMapKeyRef fieldRef resourceFieldRef secretKeyRef"),
            all(Fails, "fileKeyRef"),
        ]
        .concat()),
        ("EnvFromSource", all(Done, "configMapRef prefix secretRef")),
        ("VolumeMount", all(Done, "mountPath mountPropagation name readOnly recursiveReadOnly subPath subPathExpr")),
        ("SecurityContext", [
            all(
                Done,
                "allowPrivilegeEscalation appArmorProfile capabilities privileged procMount readOnlyRootFilesystem runAsGroup \
                 runAsNonRoot runAsUser seccompProfile",
            ),
            all(NoEffect, "seLinuxOptions windowsOptions"),
        ]
        .concat()),
        ("PodSecurityContext", [
            all(
                Done,
                "appArmorProfile fsGroup runAsGroup runAsNonRoot runAsUser seccompProfile supplementalGroups \
                 supplementalGroupsPolicy sysctls",
            ),
            // Volumes are made anew for each pod, so there is nothing that could be left as it is.
            all(NoEffect, "fsGroupChangePolicy seLinuxChangePolicy seLinuxOptions windowsOptions"),
        ]
        .concat()),
        (
            "Probe",
            all(
                Done,
                "exec failureThreshold grpc httpGet initialDelaySeconds periodSeconds successThreshold tcpSocket \
                 terminationGracePeriodSeconds timeoutSeconds",
            ),
        ),
        ("Lifecycle", all(Done, "postStart preStop stopSignal")),
        ("LifecycleHandler", all(Done, "exec httpGet sleep tcpSocket")),
        ("ContainerRestartRule", all(Done, "action exitCodes")),
        ("ContainerPort", all(Done, "containerPort hostIP hostPort name protocol")),
        ("EmptyDirVolumeSource", all(Done, "medium sizeLimit")),
        ("ImageVolumeSource", all(Done, "pullPolicy reference")),
    ])
}

fn core(name: &str) -> &'static Type {
    let found = schema().types().iter().find(|t| t.definition == format!("io.k8s.api.core.v1.{name}"));
    found.unwrap_or_else(|| panic!("no type {name}"))
}

/// The names of a type's fields.
fn fields(of: &'static Type) -> BTreeSet<String> {
    of.fields.iter().map(|field| field.name.to_owned()).collect()
}

#[test]
fn the_fate_of_every_field_is_decided() {
    for (name, fates) in table() {
        let decided: BTreeSet<String> = fates.iter().map(|(field, _)| field.clone()).collect();
        assert_eq!(decided.len(), fates.len(), "{name}: a field is listed twice");
        assert_eq!(decided, fields(core(name)), "{name}");
    }
}

#[test]
fn what_is_not_implemented_is_refused() {
    let spec = |value: &Value| serde_json::from_value::<PodSpec>(value.clone()).unwrap();
    let mut asked = 0;
    for (field, fate) in table().into_values().flatten() {
        if let Fate::Refused(value) = fate {
            assert!(unsupported(&spec(&value)).is_some(), "{field}");
            asked += 1;
        }
    }
    assert!(asked >= 6);
    let init = json!({"containers": [], "initContainers": with(json!({"volumeDevices": [{"name": "v", "devicePath": "/d"}]}))["containers"]});
    let verdict = unsupported(&spec(&init)).unwrap();
    assert_eq!(verdict.message, "this node does not implement volumeDevices");
    let harmless = json!({"containers": [{"name": "c"}], "hostUsers": true, "os": {"name": "linux"}});
    assert_eq!(unsupported(&spec(&harmless)), None);
}
