//! The variables that tell a pod of the Services around it (`WEB_SERVICE_HOST`, …).

use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;

/// The variables for the Services that a pod in `namespace` sees: those of its namespace, and `kubernetes` in `default`; only the latter
/// if `enableServiceLinks` is off. Sorted by Service name.
pub fn variables(services: &[Arc<Service>], namespace: &str, enabled: bool) -> Vec<(String, String)> {
    let mut visible: Vec<&Service> = Vec::new();
    for service in services {
        let meta = &service.metadata;
        let (own_namespace, name) = (text(&meta.namespace), text(&meta.name));
        let master = own_namespace == "default" && name == "kubernetes";
        let shadowed = master
            && enabled
            && namespace != "default"
            && services.iter().any(|other| {
                text(&other.metadata.namespace) == namespace
                    && text(&other.metadata.name) == "kubernetes"
                    && has_address(other)
            });
        if has_address(service) && !shadowed && (master || (enabled && own_namespace == namespace)) {
            visible.push(service);
        }
    }
    visible.sort_by_key(|service| text(&service.metadata.name));
    visible.into_iter().flat_map(of_service).collect()
}

fn has_address(service: &Service) -> bool {
    address(service).is_some()
}

fn address(service: &Service) -> Option<&str> {
    let ip = service.spec.as_ref()?.cluster_ip.as_deref()?;
    (!ip.is_empty() && ip != "None").then_some(ip)
}

fn of_service(service: &Service) -> Vec<(String, String)> {
    let Some(ip) = address(service) else { return Vec::new() };
    let prefix = text(&service.metadata.name).to_uppercase().replace('-', "_");
    let ports: Vec<_> = service.spec.iter().flat_map(|s| s.ports.iter().flatten()).collect();
    let mut out = vec![(format!("{prefix}_SERVICE_HOST"), ip.to_owned())];
    if let Some(first) = ports.first() {
        out.push((format!("{prefix}_SERVICE_PORT"), first.port.to_string()));
    }
    for port in &ports {
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            let name = name.to_uppercase().replace('-', "_");
            out.push((format!("{prefix}_SERVICE_PORT_{name}"), port.port.to_string()));
        }
    }
    for (index, port) in ports.iter().enumerate() {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let url = format!("{}://{ip}:{}", protocol.to_lowercase(), port.port);
        if index == 0 {
            out.push((format!("{prefix}_PORT"), url.clone()));
        }
        let own = format!("{prefix}_PORT_{}_{}", port.port, protocol.to_uppercase());
        out.push((own.clone(), url));
        out.push((format!("{own}_PROTO"), protocol.to_lowercase()));
        out.push((format!("{own}_PORT"), port.port.to_string()));
        out.push((format!("{own}_ADDR"), ip.to_owned()));
    }
    out
}

fn text(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(namespace: &str, name: &str, ip: &str) -> Arc<Service> {
        Arc::new(
            serde_json::from_value(json!({"metadata": {"namespace": namespace, "name": name},
                "spec": {"clusterIP": ip, "ports": [{"name": "http", "port": 80, "protocol": "TCP"},
                                                     {"name": "dns", "port": 53, "protocol": "UDP"}]}}))
            .unwrap(),
        )
    }

    fn names(services: &[Arc<Service>], enabled: bool) -> Vec<String> {
        variables(services, "ns", enabled).into_iter().map(|(name, _)| name).filter(|n| n.ends_with("_HOST")).collect()
    }

    #[test]
    fn a_pod_sees_its_namespace_and_the_api() {
        let all = [
            service("default", "kubernetes", "10.96.0.1"),
            service("ns", "my-web", "10.96.0.2"),
            service("ns", "headless", "None"),
            service("other", "db", "10.96.0.3"),
        ];
        assert_eq!(names(&all, true), ["KUBERNETES_SERVICE_HOST", "MY_WEB_SERVICE_HOST"]);
        assert_eq!(names(&all, false), ["KUBERNETES_SERVICE_HOST"]);
    }

    #[test]
    fn every_port_has_its_variables() {
        let got = variables(&[service("ns", "web", "10.96.0.2")], "ns", true);
        let text: Vec<String> = got.into_iter().map(|(n, v)| format!("{n}={v}")).collect();
        for expected in [
            "WEB_SERVICE_PORT=80",
            "WEB_SERVICE_PORT_DNS=53",
            "WEB_PORT=tcp://10.96.0.2:80",
            "WEB_PORT_53_UDP=udp://10.96.0.2:53",
            "WEB_PORT_80_TCP_PROTO=tcp",
            "WEB_PORT_80_TCP_ADDR=10.96.0.2",
        ] {
            assert!(text.iter().any(|t| t == expected), "{expected} in {text:?}");
        }
    }
}
