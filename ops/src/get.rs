//! `cox get`: objects as they are, or as they were, asked for over REST.

use std::path::Path;

use anyhow::{Context, Result, bail};
use cox_objects::{Kind, kinds};
use hyper::Request;
use hyper::header::ACCEPT;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use crate::cli::{Form, Get};
use crate::{named, output};

mod table;

const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";
const JSON: &str = "application/json";

/// Prints objects.
///
/// # Errors
/// What the server says, or one line that says what to do.
pub async fn run(options: Get) -> Result<()> {
    let (kind, named) = named::object(&kinds::builtin(), &options.kind)?;
    let name = match (named, options.name.as_deref()) {
        (Some(_), Some(name)) => bail!("{} and {name} are two names", options.kind),
        (named, name) => named.or(name),
    };
    if options.all_namespaces && name.is_some() {
        bail!("an object is named in one namespace: -A goes without a name");
    }
    let namespace = if kind.namespaced && !options.all_namespaces { options.namespace.as_str() } else { "" };
    let mut path = path(&kind, namespace, name);
    if let Some(at) = options.at {
        path.push_str(&format!("?at={at}"));
    }
    let file = options.kubeconfig.clone().unwrap_or_else(|| options.data_dir.join("admin.kubeconfig"));
    let client = client(&file).await?;
    let answer = read(&client, &path, if options.output.is_some() { JSON } else { TABLE }).await?;
    match options.output {
        None => {
            let text = table::text(&answer, kind.namespaced && options.all_namespaces);
            if text.is_empty() {
                eprintln!("cox: no {} were found", kind.plural);
            }
            output::print(&text)
        }
        Some(Form::Json) => output::line(&serde_json::to_string_pretty(&whole(&kind, answer))?),
        Some(Form::Yaml) => output::print(&cox_gateway::yaml::write(&whole(&kind, answer))),
        Some(Form::Name) => output::print(&names(&kind, &answer)),
    }
}

async fn client(kubeconfig: &Path) -> Result<Client> {
    let unusable = || format!("{} cannot be used; give another with --kubeconfig", kubeconfig.display());
    let read = Kubeconfig::read_from(kubeconfig).with_context(unusable)?;
    let config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
    Client::try_from(config.with_context(unusable)?).with_context(unusable)
}

/// Where objects are: one, or those of a namespace, or all of a kind.
fn path(kind: &Kind, namespace: &str, name: Option<&str>) -> String {
    let root = if kind.group.is_empty() { "/api" } else { "/apis" };
    let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
    let mut path = format!("{root}/{}", kind.api_version());
    for (before, segment) in [("/namespaces/", namespace), ("/", Some(kind.plural.as_str())), ("/", name)] {
        if let Some(segment) = segment {
            path.push_str(before);
            path.extend(segment.bytes().map(escaped));
        }
    }
    path
}

/// A byte of a path's segment.
fn escaped(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b':' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    }
}

async fn read(client: &Client, path: &str, form: &str) -> Result<Value> {
    let request = Request::get(path).header(ACCEPT, form).body(Vec::new().into())?;
    let answer = client.send(request).await.context("the cluster cannot be reached; is it running?")?;
    let code = answer.status();
    let body = answer.into_body().collect_bytes().await?;
    let said: Value =
        serde_json::from_slice(&body).with_context(|| format!("the server's answer, {code}, is no JSON"))?;
    if code.is_success() {
        return Ok(said);
    }
    bail!("{}", said.get("message").and_then(Value::as_str).unwrap_or(code.as_str()))
}

/// An answer as kubectl prints it: of a list, objects that each say what they are.
fn whole(kind: &Kind, mut answer: Value) -> Value {
    let Some(Value::Array(items)) = answer.get_mut("items").map(Value::take) else { return answer };
    let whole = |item: Value| {
        let mut object = json!({"apiVersion": kind.api_version(), "kind": kind.kind});
        if let (Some(object), Value::Object(members)) = (object.as_object_mut(), item) {
            object.extend(members);
        }
        object
    };
    let items: Vec<Value> = items.into_iter().map(whole).collect();
    let revision = answer.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
    json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": revision}, "items": items})
}

fn names(kind: &Kind, answer: &Value) -> String {
    let group = if kind.group.is_empty() { String::new() } else { format!(".{}", kind.group) };
    let one = std::slice::from_ref(answer);
    let items = answer.get("items").and_then(Value::as_array).map_or(one, Vec::as_slice);
    let name = |item: &Value| item.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned);
    items.iter().filter_map(name).map(|name| format!("{}{group}/{name}\n", kind.singular)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(word: &str) -> std::sync::Arc<Kind> {
        named::object(&kinds::builtin(), word).unwrap().0
    }

    #[test]
    fn paths_are_those_of_the_api() {
        assert_eq!(path(&kind("cm"), "a", Some("b")), "/api/v1/namespaces/a/configmaps/b");
        assert_eq!(path(&kind("deploy"), "", None), "/apis/apps/v1/deployments");
        assert_eq!(path(&kind("ns"), "", Some("../x?y")), "/api/v1/namespaces/..%2Fx%3Fy");
    }

    #[test]
    fn what_is_printed_can_be_applied() {
        let list = json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"},
            "items": [{"metadata": {"name": "a"}, "data": {"x": "1"}}]});
        let expected = json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "7"},
            "items": [{"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}, "data": {"x": "1"}}]});
        assert_eq!(whole(&kind("cm"), list.clone()), expected);
        let one = json!({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "web"}});
        assert_eq!(whole(&kind("deploy"), one.clone()), one);
        assert_eq!(names(&kind("cm"), &list), "configmap/a\n");
        assert_eq!(names(&kind("deploy"), &one), "deployment.apps/web\n");
    }
}
