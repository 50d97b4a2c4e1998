//! The Pod Security Standards: what a pod of each level must not do, in Kubernetes' words.
//!
//! Source: the Pod Security Standards of Kubernetes' documentation, in their newest version.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::value::{flag, int, list, text, texts};

/// A fault: what it is, and what exactly is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) reason: &'static str,
    pub(super) detail: String,
}

impl Fault {
    fn new(reason: &'static str, detail: String) -> Option<Self> {
        Some(Fault { reason, detail })
    }
}

/// A pod's metadata and spec, and its containers of all sorts.
struct Pod<'a> {
    spec: &'a Value,
    containers: Vec<&'a Value>,
}

type Check = fn(&Pod<'_>) -> Option<Fault>;

const BASELINE: [Check; 12] = [
    app_armor,
    default_capabilities,
    host_namespaces,
    host_paths,
    host_ports,
    probe_hosts,
    privileged,
    proc_mount,
    selinux,
    seccomp_unconfined,
    sysctls,
    host_process,
];
/// What the restricted level adds; it is stricter about capabilities, volumes and seccomp than the baseline is.
const RESTRICTED: [Check; 6] =
    [privilege_escalation, dropped_capabilities, volume_types, non_root, root_user, seccomp_set];

/// What is wrong with a pod's spec at the baseline level.
pub(super) fn baseline(spec: &Value) -> Vec<Fault> {
    let pod = pod(spec);
    BASELINE.iter().filter_map(|check| check(&pod)).collect()
}

/// What is wrong with a pod's spec at the restricted level.
pub(super) fn restricted(spec: &Value) -> Vec<Fault> {
    const REPLACED: [Check; 3] = [default_capabilities, host_paths, seccomp_unconfined];
    let pod = pod(spec);
    let kept = BASELINE.iter().filter(|check| !REPLACED.iter().any(|other| std::ptr::fn_addr_eq(*other, **check)));
    kept.chain(&RESTRICTED).filter_map(|check| check(&pod)).collect()
}

fn pod(spec: &Value) -> Pod<'_> {
    let lists = ["/initContainers", "/containers", "/ephemeralContainers"];
    Pod { spec, containers: lists.iter().flat_map(|at| list(spec, at)).collect() }
}

impl Pod<'_> {
    fn windows(&self) -> bool {
        text(self.spec, "/os/name") == "windows"
    }

    /// The names of the containers of which something holds.
    fn those(&self, is: impl Fn(&Value) -> bool) -> Vec<&str> {
        self.containers.iter().filter(|c| is(c)).map(|c| text(c, "/name")).collect()
    }

    /// `pod`, `container "a"`, or both, for whose security context something holds; none if it holds for none.
    fn setters(&self, is: impl Fn(&Value) -> bool) -> Option<String> {
        let own = self.spec.get("securityContext").is_some_and(&is).then(|| "pod".to_owned());
        let those = self.those(|c| c.get("securityContext").is_some_and(&is));
        let those = (!those.is_empty()).then(|| containers(&those));
        let both: Vec<String> = own.into_iter().chain(those).collect();
        (!both.is_empty()).then(|| both.join(" and "))
    }

    /// The values that something has in the security contexts of the pod and its containers.
    fn values<'a>(&'a self, pointer: &str, bad: impl Fn(&str) -> bool) -> BTreeSet<&'a str> {
        let contexts = std::iter::once(self.spec).chain(self.containers.iter().copied());
        let contexts = contexts.filter_map(|holder| holder.get("securityContext"));
        contexts.map(|context| text(context, pointer)).filter(|value| bad(value)).collect()
    }
}

/// `container "a"`, `containers "a", "b"`.
fn containers(names: &[&str]) -> String {
    format!("{} {}", if names.len() == 1 { "container" } else { "containers" }, quoted(names.iter().copied()))
}

fn quoted<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ")
}

fn app_armor(pod: &Pod<'_>) -> Option<Fault> {
    const AT: &str = "/appArmorProfile/type";
    let bad = |profile: &str| !["", "RuntimeDefault", "Localhost"].contains(&profile);
    let setters = pod.setters(|context| bad(text(context, AT)))?;
    let values = pod.values(AT, bad);
    let reason = if values.len() == 1 { "forbidden AppArmor profile" } else { "forbidden AppArmor profiles" };
    Fault::new(reason, format!("{setters} must not set AppArmor profile type to {}", quoted(values)))
}

fn default_capabilities(pod: &Pod<'_>) -> Option<Fault> {
    const DEFAULT: [&str; 13] = [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ];
    added(pod, &DEFAULT).and_then(|detail| Fault::new("non-default capabilities", detail))
}

/// Which containers add capabilities beyond those that are allowed.
fn added(pod: &Pod<'_>, allowed: &[&str]) -> Option<String> {
    let beyond = |container: &Value| -> BTreeSet<String> {
        let added = texts(container, "/securityContext/capabilities/add").into_iter();
        added.filter(|c| !allowed.contains(c)).map(str::to_owned).collect()
    };
    let those = pod.those(|container| !beyond(container).is_empty());
    let all: BTreeSet<String> = pod.containers.iter().flat_map(|container| beyond(container)).collect();
    let all = quoted(all.iter().map(String::as_str));
    (!those.is_empty())
        .then(|| format!("{} must not include {all} in securityContext.capabilities.add", containers(&those)))
}

fn host_namespaces(pod: &Pod<'_>) -> Option<Fault> {
    let shared = ["hostNetwork", "hostPID", "hostIPC"].into_iter();
    let shared: Vec<String> =
        shared.filter(|f| flag(pod.spec, &format!("/{f}")) == Some(true)).map(|f| format!("{f}=true")).collect();
    if shared.is_empty() { None } else { Fault::new("host namespaces", shared.join(", ")) }
}

fn host_paths(pod: &Pod<'_>) -> Option<Fault> {
    let volumes = list(pod.spec, "/volumes").iter().filter(|v| v.get("hostPath").is_some_and(|p| !p.is_null()));
    let names: Vec<&str> = volumes.map(|v| text(v, "/name")).collect();
    let noun = if names.len() == 1 { "volume" } else { "volumes" };
    if names.is_empty() { None } else { Fault::new("hostPath volumes", format!("{noun} {}", quoted(names))) }
}

fn host_ports(pod: &Pod<'_>) -> Option<Fault> {
    let taken = |container: &Value| -> Vec<i64> {
        list(container, "/ports").iter().filter_map(|p| int(p, "/hostPort")).filter(|n| *n != 0).collect()
    };
    let those = pod.those(|container| !taken(container).is_empty());
    let ports: BTreeSet<String> =
        pod.containers.iter().flat_map(|container| taken(container)).map(|n| n.to_string()).collect();
    let reason = if ports.len() == 1 { "hostPort" } else { "hostPorts" };
    let verb = if those.len() == 1 { "uses" } else { "use" };
    let all = ports.into_iter().collect::<Vec<_>>().join(", ");
    if those.is_empty() { None } else { Fault::new(reason, format!("{} {verb} {reason} {all}", containers(&those))) }
}

fn probe_hosts(pod: &Pod<'_>) -> Option<Fault> {
    const AT: [&str; 10] = [
        "/livenessProbe/httpGet/host",
        "/livenessProbe/tcpSocket/host",
        "/readinessProbe/httpGet/host",
        "/readinessProbe/tcpSocket/host",
        "/startupProbe/httpGet/host",
        "/startupProbe/tcpSocket/host",
        "/lifecycle/postStart/httpGet/host",
        "/lifecycle/postStart/tcpSocket/host",
        "/lifecycle/preStop/httpGet/host",
        "/lifecycle/preStop/tcpSocket/host",
    ];
    fn hosts(container: &Value) -> impl Iterator<Item = &str> {
        AT.iter().map(|at| text(container, at)).filter(|host| !["", "127.0.0.1", "::1"].contains(host))
    }
    let those = pod.those(|container| hosts(container).next().is_some());
    let all: BTreeSet<&str> = pod.containers.iter().flat_map(|container| hosts(container)).collect();
    if those.is_empty() {
        return None;
    }
    let (verb, noun) = (if those.len() == 1 { "uses" } else { "use" }, if all.len() == 1 { "host" } else { "hosts" });
    let detail = format!("{} {verb} probe or lifecycle {noun} {}", containers(&those), quoted(all));
    Fault::new("probe or lifecycle host", detail)
}

fn privileged(pod: &Pod<'_>) -> Option<Fault> {
    let those = pod.those(|container| flag(container, "/securityContext/privileged") == Some(true));
    if those.is_empty() {
        return None;
    }
    Fault::new("privileged", format!("{} must not set securityContext.privileged=true", containers(&those)))
}

fn proc_mount(pod: &Pod<'_>) -> Option<Fault> {
    const AT: &str = "/procMount";
    // A pod with users of its own cannot do harm with an unmasked /proc.
    if flag(pod.spec, "/hostUsers") == Some(false) {
        return None;
    }
    let bad = |kind: &str| !["", "Default"].contains(&kind);
    let those = pod.those(|container| bad(text(container, "/securityContext/procMount")));
    if those.is_empty() {
        return None;
    }
    let values = quoted(pod.values(AT, bad));
    Fault::new("procMount", format!("{} must not set securityContext.procMount to {values}", containers(&those)))
}

fn selinux(pod: &Pod<'_>) -> Option<Fault> {
    const TYPES: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
    const AT: [&str; 3] = ["/seLinuxOptions/type", "/seLinuxOptions/user", "/seLinuxOptions/role"];
    let [kind, user, role] = AT;
    let bad = |kind: &str| !TYPES.contains(&kind);
    let set = |value: &str| !value.is_empty();
    let setters =
        pod.setters(|context| bad(text(context, kind)) || set(text(context, user)) || set(text(context, role)))?;
    let kinds = pod.values(kind, bad);
    let mut faults = Vec::new();
    if !kinds.is_empty() {
        faults.push(format!("{} {}", if kinds.len() == 1 { "type" } else { "types" }, quoted(kinds)));
    }
    for (at, name) in [(user, "user"), (role, "role")] {
        if !pod.values(at, set).is_empty() {
            faults.push(format!("{name} may not be set"));
        }
    }
    let detail = format!("{setters} set forbidden securityContext.seLinuxOptions: {}", faults.join("; "));
    Fault::new("seLinuxOptions", detail)
}

const SECCOMP: &str = "/seccompProfile/type";

fn confined(profile: &str) -> bool {
    ["RuntimeDefault", "Localhost"].contains(&profile)
}

fn seccomp_unconfined(pod: &Pod<'_>) -> Option<Fault> {
    let bad = |profile: &str| !profile.is_empty() && !confined(profile);
    let setters = pod.setters(|context| bad(text(context, SECCOMP)))?;
    let values = quoted(pod.values(SECCOMP, bad));
    Fault::new("seccompProfile", format!("{setters} must not set securityContext.seccompProfile.type to {values}"))
}

fn sysctls(pod: &Pod<'_>) -> Option<Fault> {
    const SAFE: [&str; 12] = [
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    ];
    let named = list(pod.spec, "/securityContext/sysctls").iter().map(|s| text(s, "/name"));
    let bad: Vec<&str> = named.filter(|name| !SAFE.contains(name)).collect();
    if bad.is_empty() { None } else { Fault::new("forbidden sysctls", bad.join(", ")) }
}

fn host_process(pod: &Pod<'_>) -> Option<Fault> {
    let setters = pod.setters(|context| flag(context, "/windowsOptions/hostProcess") == Some(true))?;
    Fault::new("hostProcess", format!("{setters} must not set securityContext.windowsOptions.hostProcess=true"))
}

fn privilege_escalation(pod: &Pod<'_>) -> Option<Fault> {
    let those = pod.those(|container| flag(container, "/securityContext/allowPrivilegeEscalation") != Some(false));
    if those.is_empty() || pod.windows() {
        return None;
    }
    let detail = format!("{} must set securityContext.allowPrivilegeEscalation=false", containers(&those));
    Fault::new("allowPrivilegeEscalation != false", detail)
}

fn dropped_capabilities(pod: &Pod<'_>) -> Option<Fault> {
    if pod.windows() {
        return None;
    }
    let keeping = pod.those(|container| !texts(container, "/securityContext/capabilities/drop").contains(&"ALL"));
    let keeping = (!keeping.is_empty())
        .then(|| format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", containers(&keeping)));
    let faults: Vec<String> = keeping.into_iter().chain(added(pod, &["NET_BIND_SERVICE"])).collect();
    if faults.is_empty() { None } else { Fault::new("unrestricted capabilities", faults.join("; ")) }
}

fn volume_types(pod: &Pod<'_>) -> Option<Fault> {
    const ALLOWED: [&str; 8] =
        ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];
    let kind = |volume: &Value| -> Option<String> {
        let sources = volume.as_object()?.iter().filter(|(field, source)| *field != "name" && !source.is_null());
        sources.map(|(field, _)| field.clone()).find(|field| !ALLOWED.contains(&field.as_str()))
    };
    let bad = || list(pod.spec, "/volumes").iter().filter(|volume| kind(volume).is_some());
    let names: Vec<&str> = bad().map(|volume| text(volume, "/name")).collect();
    let kinds: BTreeSet<String> = bad().filter_map(kind).collect();
    if names.is_empty() {
        return None;
    }
    let (noun, verb) = if names.len() == 1 { ("volume", "uses") } else { ("volumes", "use") };
    let types = if kinds.len() == 1 { "type" } else { "types" };
    let kinds = quoted(kinds.iter().map(String::as_str));
    Fault::new("restricted volume types", format!("{noun} {} {verb} restricted volume {types} {kinds}", quoted(names)))
}

fn non_root(pod: &Pod<'_>) -> Option<Fault> {
    const REASON: &str = "runAsNonRoot != true";
    if let Some(setters) = pod.setters(|context| flag(context, "/runAsNonRoot") == Some(false)) {
        return Fault::new(REASON, format!("{setters} must not set securityContext.runAsNonRoot=false"));
    }
    if flag(pod.spec, "/securityContext/runAsNonRoot") == Some(true) {
        return None;
    }
    let silent = pod.those(|container| flag(container, "/securityContext/runAsNonRoot").is_none());
    if silent.is_empty() {
        return None;
    }
    Fault::new(REASON, format!("pod or {} must set securityContext.runAsNonRoot=true", containers(&silent)))
}

fn root_user(pod: &Pod<'_>) -> Option<Fault> {
    let setters = pod.setters(|context| int(context, "/runAsUser") == Some(0))?;
    Fault::new("runAsUser=0", format!("{setters} must not set runAsUser=0"))
}

fn seccomp_set(pod: &Pod<'_>) -> Option<Fault> {
    if pod.windows() {
        return None;
    }
    let unconfined = seccomp_unconfined(pod);
    if unconfined.is_some() || confined(text(pod.spec, "/securityContext/seccompProfile/type")) {
        return unconfined;
    }
    let silent = pod.those(|container| text(container, "/securityContext/seccompProfile/type").is_empty());
    if silent.is_empty() {
        return None;
    }
    let which = containers(&silent);
    let detail =
        format!("pod or {which} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"");
    Fault::new("seccompProfile", detail)
}

#[cfg(test)]
mod tests;
