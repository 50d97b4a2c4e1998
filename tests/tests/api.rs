//! kubectl against `cox up --no-node`: it prints what it prints with Kubernetes.

use anyhow::Result;
use cox_tests::Cluster;

const CONFIG: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: web}}
data: {colour: blue}
"#;

#[test]
fn creates_what_the_demo_needs_and_deletes_it() -> Result<()> {
    let cluster = Cluster::without_node(&[])?;
    let cases: &[(&[&str], &str)] = &[
        (&["create", "configmap", "c1", "--from-literal=colour=blue"], "configmap/c1 created\n"),
        (&["create", "secret", "generic", "s1", "--from-literal=password=hunter2"], "secret/s1 created\n"),
        (&["create", "namespace", "team-a"], "namespace/team-a created\n"),
        (&["create", "serviceaccount", "robot"], "serviceaccount/robot created\n"),
        (&["create", "deployment", "web", "--image=cox.local/web:1", "--replicas=2"], "deployment.apps/web created\n"),
        (&["get", "configmap", "c1", "-o", "name"], "configmap/c1\n"),
        (&["get", "configmap", "c1", "-o", "jsonpath={.data.colour}"], "blue"),
        (&["get", "secret", "s1", "-o", "jsonpath={.data.password} {.type}"], "aHVudGVyMg== Opaque"),
        (&["get", "namespace", "team-a", "-o", "jsonpath={.status.phase}"], "Active"),
        (&["get", "deployment", "web", "-o", "jsonpath={.spec.replicas} {.spec.strategy.type}"], "2 RollingUpdate"),
        (&["get", "sa", "-A", "-l", "none=here"], ""),
        (&["delete", "configmap", "c1"], "configmap \"c1\" deleted\n"),
        (&["delete", "secret", "s1"], "secret \"s1\" deleted\n"),
        (&["delete", "serviceaccount", "robot"], "serviceaccount \"robot\" deleted\n"),
        (&["delete", "deployment", "web"], "deployment.apps \"web\" deleted\n"),
    ];
    prints(&cluster, cases)?;
    let gone = cluster.try_kubectl(&["get", "configmap", "c1"], "")?;
    assert_eq!(
        (gone.success, gone.err.as_str()),
        (false, "Error from server (NotFound): configmaps \"c1\" not found\n")
    );
    let table = cluster.kubectl(&["get", "namespaces"])?;
    let mut lines = table.lines();
    assert_eq!(lines.next().unwrap().split_whitespace().collect::<Vec<_>>(), ["NAME", "STATUS", "AGE"]);
    let names: Vec<&str> = lines.filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["default", "kube-node-lease", "kube-public", "kube-system", "team-a"]);
    Ok(())
}

#[test]
fn a_namespace_goes_with_what_is_in_it() -> Result<()> {
    let cluster = Cluster::without_node(&[])?;
    cluster.kubectl(&["create", "namespace", "team-a"])?;
    cluster.kubectl(&["create", "configmap", "c", "-n", "team-a"])?;
    cluster.kubectl(&["create", "service", "clusterip", "s", "--tcp=80", "-n", "team-a"])?;
    // kubectl waits until it is gone.
    assert_eq!(cluster.kubectl(&["delete", "namespace", "team-a"])?, "namespace \"team-a\" deleted\n");
    cluster.kubectl(&["create", "namespace", "team-a"])?;
    let left = cluster.kubectl(&["get", "configmaps,services", "-n", "team-a", "-o", "name"])?;
    assert!(!left.contains("/c\n") && !left.contains("/s\n"), "{left}");
    Ok(())
}

#[test]
fn applies_and_says_what_changed() -> Result<()> {
    let cluster = Cluster::without_node(&[])?;
    assert_eq!(cluster.kubectl_with(&["apply", "-f", "-"], CONFIG)?, "configmap/settings created\n");
    let version =
        |cluster: &Cluster| cluster.kubectl(&["get", "cm", "settings", "-o", "jsonpath={.metadata.resourceVersion}"]);
    let before = version(&cluster)?;
    assert_eq!(cluster.kubectl_with(&["apply", "-f", "-"], CONFIG)?, "configmap/settings unchanged\n");
    assert_eq!(version(&cluster)?, before, "what changes nothing is no event");
    let edited = CONFIG.replace("blue", "red");
    let diff = cluster.try_kubectl(&["diff", "-f", "-"], &edited)?;
    // `diff` asks with server-side dry-run, which is a patch that keeps nothing.
    assert!(diff.out.contains("-  colour: blue") && diff.out.contains("+  colour: red"), "{diff:?}");
    assert_eq!(version(&cluster)?, before, "a dry run keeps nothing");
    assert_eq!(cluster.kubectl_with(&["apply", "-f", "-"], &edited)?, "configmap/settings configured\n");
    assert_eq!(cluster.kubectl(&["get", "cm", "settings", "-o", "jsonpath={.data.colour}"])?, "red");
    let removed = CONFIG.replace(", labels: {app: web}", "");
    assert_eq!(cluster.kubectl_with(&["apply", "-f", "-"], &removed)?, "configmap/settings configured\n");
    assert_eq!(cluster.kubectl(&["get", "cm", "settings", "-o", "jsonpath={.metadata.labels}"])?, "");
    assert_eq!(cluster.kubectl_with(&["delete", "-f", "-"], CONFIG)?, "configmap \"settings\" deleted\n");
    Ok(())
}

#[test]
fn labels_annotates_and_patches() -> Result<()> {
    let cluster = Cluster::without_node(&[])?;
    cluster.kubectl_with(&["apply", "-f", "-"], CONFIG)?;
    let cases: &[(&[&str], &str)] = &[
        (&["label", "cm", "settings", "tier=front"], "configmap/settings labeled\n"),
        (&["label", "cm", "settings", "tier=front"], "configmap/settings not labeled\n"),
        (&["label", "cm", "settings", "tier-"], "configmap/settings unlabeled\n"),
        (&["annotate", "cm", "settings", "note=hello"], "configmap/settings annotated\n"),
        (&["patch", "cm", "settings", "-p", r#"{"data":{"size":"L"}}"#], "configmap/settings patched\n"),
        (&["patch", "cm", "settings", "-p", r#"{"data":{"size":"L"}}"#], "configmap/settings patched (no change)\n"),
        (
            &["patch", "cm", "settings", "--type=json", "-p", r#"[{"op":"remove","path":"/data/size"}]"#],
            "configmap/settings patched\n",
        ),
        (
            &["patch", "cm", "settings", "--type=merge", "-p", r#"{"data":{"colour":null}}"#],
            "configmap/settings patched\n",
        ),
        (&["get", "cm", "settings", "-o", "jsonpath={.data}"], ""),
        (&["get", "cm", "-l", "app=web", "-o", "name"], "configmap/settings\n"),
        (&["get", "cm", "--field-selector", "metadata.name=settings", "-o", "name"], "configmap/settings\n"),
        (&["create", "deployment", "web", "--image=i"], "deployment.apps/web created\n"),
        (&["scale", "deployment", "web", "--replicas=3"], "deployment.apps/web scaled\n"),
        (&["set", "image", "deployment/web", "i=j"], "deployment.apps/web image updated\n"),
        (
            &["get", "deployment", "web", "-o", "jsonpath={.spec.replicas} {.spec.template.spec.containers[0].image}"],
            "3 j",
        ),
    ];
    prints(&cluster, cases)?;
    let twice = cluster.try_kubectl(&["label", "cm", "settings", "app=other"], "")?;
    assert!(!twice.success && twice.err.contains("already has a value (web), and --overwrite is false"), "{twice:?}");
    Ok(())
}

#[test]
fn explains_itself_and_says_who_may_what() -> Result<()> {
    let cluster = Cluster::without_node(&[])?;
    let may = ["auth", "can-i", "create", "pods"];
    assert_eq!(cluster.kubectl(&may)?, "yes\n");
    let robot = "--as=system:serviceaccount:default:default";
    let refused = cluster.try_kubectl(&["auth", "can-i", "create", "pods", robot], "")?;
    assert_eq!((refused.success, refused.out.as_str()), (false, "no\n"));
    let forbidden = cluster.try_kubectl(&["get", "secrets", robot], "")?;
    let reason = "User \"system:serviceaccount:default:default\" cannot list resource \"secrets\" in API group \"\" in the namespace \"default\"";
    assert!(
        !forbidden.success
            && forbidden.err.starts_with("Error from server (Forbidden): ")
            && forbidden.err.contains(reason),
        "{forbidden:?}"
    );

    let explained = cluster.kubectl(&["explain", "pod.spec.containers.image"])?;
    assert!(explained.contains("KIND:       Pod") && explained.contains("FIELD: image <string>"), "{explained}");
    let resources = cluster.kubectl(&["api-resources", "--no-headers"])?;
    let deployments = resources.lines().find(|line| line.starts_with("deployments ")).unwrap();
    assert_eq!(
        deployments.split_whitespace().collect::<Vec<_>>(),
        ["deployments", "deploy", "apps/v1", "true", "Deployment"]
    );
    let versions = cluster.kubectl(&["api-versions"])?;
    for version in ["v1", "apps/v1", "coordination.k8s.io/v1", "rbac.authorization.k8s.io/v1"] {
        assert!(versions.lines().any(|line| line == version), "{versions}");
    }
    let version = cluster.kubectl(&["version"])?;
    assert!(version.contains("Server Version: v1.36.2"), "{version}");
    assert!(cluster.kubectl(&["cluster-info"])?.contains("https://127.0.0.1:"));
    Ok(())
}

#[test]
fn bad_input_gets_the_answer_of_kubernetes() -> Result<()> {
    let cluster = Cluster::without_node(&[])?;
    let cases = [
        (
            "{kind: ConfigMap, apiVersion: v1, metadata: {name: Upper}}",
            "The ConfigMap \"Upper\" is invalid: metadata.name: Invalid value: \"Upper\": a lowercase RFC 1123 subdomain",
        ),
        ("{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {}}", "spec.containers: Required value"),
        ("{kind: ConfigMap, apiVersion: v1, metadata: {name: c}, dat: {}}", "unknown field \"dat\""),
        (
            "{kind: ConfigMap, apiVersion: v1, metadata: {name: c, namespace: nowhere}}",
            "namespaces \"nowhere\" not found",
        ),
    ];
    for (manifest, message) in cases {
        // Without the first line kubectl would take it for JSON.
        let refused = cluster.try_kubectl(&["create", "-f", "-"], &format!("---\n{manifest}"))?;
        assert!(!refused.success && refused.err.contains(message), "{manifest}: {refused:?}");
    }
    let unknown = cluster.try_kubectl(&["get", "nothings"], "")?;
    assert_eq!(
        (unknown.success, unknown.err.as_str()),
        (false, "error: the server doesn't have a resource type \"nothings\"\n")
    );
    assert_eq!(
        cluster.kubectl(&["get", "cm,pods", "-o", "name"])?,
        "configmap/kube-root-ca.crt\n",
        "nothing is half written"
    );
    Ok(())
}

fn prints(cluster: &Cluster, cases: &[(&[&str], &str)]) -> Result<()> {
    for (arguments, printed) in cases {
        assert_eq!(cluster.kubectl(arguments)?, *printed, "kubectl {}", arguments.join(" "));
    }
    Ok(())
}
