//! Names, hosts and resolv.conf as a real kubelet writes them.

use serde_json::json;

use super::*;

fn pod(spec: serde_json::Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": spec})).unwrap()
}

#[test]
fn host_ports_lead_into_the_sandbox_unless_it_has_the_hosts_network() {
    let containers = json!([{"name": "c", "ports": [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81}]}]);
    let own = sandbox(&pod(json!({"containers": containers})), 2, Path::new("/var/log/pods"));
    assert_eq!((own.ports.len(), own.id.0.as_str()), (1, "u-2"));
    assert_eq!(own.log_directory, Path::new("/var/log/pods/ns_p_u"));
    let host = sandbox(&pod(json!({"containers": containers, "hostNetwork": true})), 0, Path::new("/l"));
    assert!(host.ports.is_empty() && host.host.network);
}

#[test]
fn hosts_name_the_pod_and_its_aliases() {
    let pod = pod(json!({"containers": [], "hostname": "h", "subdomain": "sub",
        "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]}));
    let text = hosts(&pod, &["10.0.0.5".parse().unwrap()], "cluster.local");
    assert!(text.contains("10.0.0.5\th.sub.ns.svc.cluster.local\th\n"), "{text}");
    assert!(text.ends_with("\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"), "{text}");
}

#[test]
fn resolv_conf_follows_the_policy() {
    let node = NodeDns::parse("nameserver 9.9.9.9\nsearch corp\noptions edns0\n", "cluster.local", vec![]);
    let conf = |spec| resolv_conf(&pod(spec), &node);
    assert_eq!(
        conf(json!({"containers": [], "dnsPolicy": "ClusterFirst"})),
        "search ns.svc.cluster.local svc.cluster.local cluster.local corp\nnameserver 9.9.9.9\noptions ndots:5\n"
    );
    assert_eq!(
        conf(json!({"containers": [], "dnsPolicy": "Default"})),
        "search corp\nnameserver 9.9.9.9\noptions edns0\n"
    );
    assert_eq!(
        conf(json!({"containers": [], "dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.1.1.1"],
            "options": [{"name": "ndots", "value": "2"}]}})),
        "nameserver 1.1.1.1\noptions ndots:2\n"
    );
}

#[test]
fn long_names_are_cut_to_host_names() {
    let mut pod = pod(json!({"containers": []}));
    pod.metadata.name = Some(format!("{}-{}", "a".repeat(62), "b".repeat(20)));
    assert_eq!(hostname(&pod), "a".repeat(62));
}

#[test]
fn the_whole_host_name_is_the_kernels_if_asked_for() {
    let named = |whole: bool, domain: &str| {
        let spec = serde_json::json!({"containers": [], "subdomain": "s", "setHostnameAsFQDN": whole});
        let pod =
            serde_json::from_value(serde_json::json!({"metadata": {"name": "p", "namespace": "ns"}, "spec": spec}))
                .unwrap();
        kernel_hostname(&pod, domain)
    };
    assert_eq!(named(true, "cluster.local").as_deref(), Ok("p.s.ns.svc.cluster.local"));
    assert_eq!(named(false, "cluster.local").as_deref(), Ok("p"));
    assert!(named(true, &"d".repeat(60)).unwrap_err().contains("is too long"));
}
