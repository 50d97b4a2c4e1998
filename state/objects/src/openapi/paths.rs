//! The paths of a document, from the table of kinds.

use serde_json::{Map, Value, json};

use super::parameters;
use crate::schema::schema;
use crate::{Kind, Kinds, Subresource};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const BODIES: [&str; 2] = ["application/json", "application/yaml"];
const PATCHES: [&str; 3] =
    ["application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"];

/// The kinds that the API serves.
pub(super) fn served(kinds: &Kinds) -> impl Iterator<Item = &Kind> {
    kinds.all().iter().map(AsRef::as_ref).filter(|kind| kind.served)
}

/// The `paths` of the document at a path of the index.
pub(super) fn of(kinds: &Kinds, path: &str) -> Value {
    let mut out = Map::new();
    match path.split('/').collect::<Vec<_>>().as_slice() {
        ["version"] => read_only(&mut out, "/version/", "version", "io.k8s.apimachinery.pkg.version.Info"),
        ["api"] => read_only(&mut out, "/api/", "core", &format!("{META}.APIVersions")),
        ["apis"] => read_only(&mut out, "/apis/", "apis", &format!("{META}.APIGroupList")),
        ["apis", group] => {
            read_only(&mut out, &format!("/apis/{group}/"), &tag(group, ""), &format!("{META}.APIGroup"))
        }
        _ => {
            for kind in served(kinds).filter(|k| path == root(k)) {
                if out.is_empty() {
                    let tag = tag(&kind.group, &kind.version);
                    read_only(&mut out, &format!("/{path}/"), &tag, &format!("{META}.APIResourceList"));
                }
                add(&mut out, kind);
            }
        }
    }
    Value::Object(out)
}

/// A discovery document's path.
fn read_only(out: &mut Map<String, Value>, path: &str, tag: &str, definition: &str) {
    let operation = json!({
        "tags": [tag], "description": "get available resources", "operationId": format!("get{}", camel(tag)),
        "responses": answers(&[200], Some(definition)),
    });
    out.insert(path.to_owned(), json!({"get": operation}));
}

/// `api/v1`, `apis/apps/v1`
fn root(kind: &Kind) -> String {
    let api = if kind.group.is_empty() { "api" } else { "apis" };
    format!("{api}/{}", kind.api_version())
}

fn add(out: &mut Map<String, Value>, kind: &Kind) {
    let definition = schema().named(&kind.api_version(), &kind.kind).map_or("", |t| t.definition);
    let list = format!("{definition}List");
    let plural = &kind.plural;
    let (base, middle) = match kind.namespaced {
        true => (format!("/{}/namespaces/{{namespace}}/{plural}", root(kind)), "Namespaced"),
        false => (format!("/{}/{plural}", root(kind)), ""),
    };
    let name = &kind.kind;
    let own = Builder { kind, wire: (&kind.group, &kind.version, name), definition, suffix: format!("{middle}{name}") };
    let mut collection = Map::new();
    if kind.allows("list") {
        collection.insert("get".to_owned(), own.list("list", &list));
    }
    if kind.allows("create") {
        collection.insert("post".to_owned(), own.create(&format!("create {} {name}", article(name))));
    }
    if kind.allows("deletecollection") {
        collection.insert("delete".to_owned(), own.delete_collection());
    }
    insert(out, &base, collection, parents(kind, false));
    let mut item = Map::new();
    if kind.allows("get") {
        item.insert("get".to_owned(), own.read(&format!("read the specified {name}")));
    }
    if kind.allows("update") {
        item.insert("put".to_owned(), own.replace(&format!("replace the specified {name}")));
    }
    if kind.allows("patch") {
        item.insert("patch".to_owned(), own.patch(&format!("partially update the specified {name}")));
    }
    if kind.allows("delete") {
        item.insert("delete".to_owned(), own.delete());
    }
    insert(out, &format!("{base}/{{name}}"), item, parents(kind, true));
    for sub in &kind.subresources {
        let item = subresource(kind, sub, definition, middle);
        insert(out, &format!("{base}/{{name}}/{}", sub.name), item, parents(kind, true));
    }
    watches(out, kind, definition, middle);
    if kind.namespaced && kind.allows("list") {
        let everywhere = Builder { suffix: format!("{name}ForAllNamespaces"), ..own };
        let mut item = Map::new();
        item.insert("get".to_owned(), everywhere.list("list", &list));
        insert(out, &format!("/{}/{plural}", root(kind)), item, Vec::new());
    }
}

/// The older paths of watches.
fn watches(out: &mut Map<String, Value>, kind: &Kind, definition: &str, middle: &str) {
    const USE: &str = "deprecated: use the 'watch' parameter with a list operation instead";
    if !kind.allows("watch") {
        return;
    }
    let (root, plural, name) = (root(kind), &kind.plural, &kind.kind);
    let mut put = |path: &str, action: &str, suffix: String, description: String, parents: Vec<Value>| {
        let own = Builder { kind, wire: (&kind.group, &kind.version, name), definition, suffix };
        let mut fields = own.operation("watch", action, &description);
        fields.insert("responses".to_owned(), answers(&[200], Some(&format!("{META}.WatchEvent"))));
        let item = Map::from_iter([("get".to_owned(), Value::Object(fields))]);
        insert(out, path, item, parents.into_iter().chain(parameters::list()).collect());
    };
    let all = format!("watch individual changes to a list of {name}. {USE}.");
    let one = format!(
        "watch changes to an object of kind {name}. {USE}, filtered to a single item with the 'fieldSelector' parameter."
    );
    let base = match kind.namespaced {
        true => format!("/{root}/watch/namespaces/{{namespace}}/{plural}"),
        false => format!("/{root}/watch/{plural}"),
    };
    put(&base, "watchlist", format!("{middle}{name}List"), all.clone(), parents(kind, false));
    put(&format!("{base}/{{name}}"), "watch", format!("{middle}{name}"), one, parents(kind, true));
    if kind.namespaced {
        let suffix = format!("{name}ListForAllNamespaces");
        put(&format!("/{root}/watch/{plural}"), "watchlist", suffix, all, Vec::new());
    }
}

fn subresource(kind: &Kind, sub: &Subresource, definition: &str, middle: &str) -> Map<String, Value> {
    let (group, version) = match sub.version.as_str() {
        "" => (kind.group.as_str(), kind.version.as_str()),
        version => (sub.group.as_str(), version),
    };
    let wire = schema().kind(group, version, &sub.kind).map(|t| t.definition);
    let own = Builder {
        kind,
        wire: (group, version, &sub.kind),
        definition: wire.unwrap_or(definition),
        suffix: format!("{middle}{}{}", kind.kind, camel(&sub.name)),
    };
    let (what, whose) = (&sub.name, &kind.kind);
    let mut item = Map::new();
    for verb in &sub.verbs {
        let built = match (verb.as_str(), wire) {
            ("get", Some(_)) => ("get", own.read(&format!("read {what} of the specified {whose}"))),
            ("update", Some(_)) => ("put", own.replace(&format!("replace {what} of the specified {whose}"))),
            ("patch", Some(_)) => ("patch", own.patch(&format!("partially update {what} of the specified {whose}"))),
            ("create", Some(_)) => ("post", own.create(&format!("create {what} of {} {whose}", article(whose)))),
            // Streams have options instead of bodies.
            ("get", None) => ("get", own.connect("GET", what)),
            ("create", None) => ("post", own.connect("POST", what)),
            ("update", None) => ("put", own.connect("PUT", what)),
            ("delete", None) => ("delete", own.connect("DELETE", what)),
            _ => continue,
        };
        item.insert(built.0.to_owned(), built.1);
    }
    item
}

fn insert(out: &mut Map<String, Value>, path: &str, mut item: Map<String, Value>, mut parents: Vec<Value>) {
    if !item.is_empty() {
        parents.extend(parameters::common());
        item.insert("parameters".to_owned(), Value::Array(parents));
        out.insert(path.to_owned(), Value::Object(item));
    }
}

/// The parameters of the path.
fn parents(kind: &Kind, named: bool) -> Vec<Value> {
    let name = named.then(|| parameters::path("name", &format!("name of the {}", kind.kind)));
    let namespace = kind.namespaced.then(|| parameters::path("namespace", "object name and auth scope"));
    name.into_iter().chain(namespace).collect()
}

/// Builds the operations of a kind or subresource.
struct Builder<'a> {
    kind: &'a Kind,
    /// Group, version and kind of the body.
    wire: (&'a str, &'a str, &'a str),
    definition: &'a str,
    /// The end of operation ids: `NamespacedPodStatus`.
    suffix: String,
}

impl Builder<'_> {
    fn operation(&self, verb: &str, action: &str, description: &str) -> Map<String, Value> {
        let Kind { group, version, .. } = self.kind;
        let (wire_group, wire_version, wire_kind) = self.wire;
        let operation = json!({
            "tags": [tag(group, version)],
            "description": description,
            "operationId": format!("{verb}{}{}", camel(&tag(group, version)), self.suffix),
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": {"group": wire_group, "version": wire_version, "kind": wire_kind},
        });
        match operation {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    fn finish(mut fields: Map<String, Value>, parameters: Vec<Value>, body: Option<Value>, responses: Value) -> Value {
        if !parameters.is_empty() {
            fields.insert("parameters".to_owned(), Value::Array(parameters));
        }
        if let Some(body) = body {
            fields.insert("requestBody".to_owned(), body);
        }
        fields.insert("responses".to_owned(), responses);
        Value::Object(fields)
    }

    fn list(&self, action: &str, definition: &str) -> Value {
        let fields = self.operation("list", action, &format!("list or watch objects of kind {}", self.kind.kind));
        Self::finish(fields, parameters::list(), None, answers(&[200], Some(definition)))
    }

    fn create(&self, description: &str) -> Value {
        let fields = self.operation("create", "post", description);
        let answers = answers(&[200, 201, 202], Some(self.definition));
        Self::finish(fields, parameters::write(), Some(body(&BODIES, self.definition, true)), answers)
    }

    fn read(&self, description: &str) -> Value {
        let fields = self.operation("read", "get", description);
        Self::finish(fields, Vec::new(), None, answers(&[200], Some(self.definition)))
    }

    fn replace(&self, description: &str) -> Value {
        let fields = self.operation("replace", "put", description);
        let answers = answers(&[200, 201], Some(self.definition));
        Self::finish(fields, parameters::write(), Some(body(&BODIES, self.definition, true)), answers)
    }

    fn patch(&self, description: &str) -> Value {
        let fields = self.operation("patch", "patch", description);
        let mut parameters = parameters::write();
        parameters.push(parameters::force());
        let body = body(&PATCHES, &format!("{META}.Patch"), true);
        Self::finish(fields, parameters, Some(body), answers(&[200, 201], Some(self.definition)))
    }

    fn delete(&self) -> Value {
        let name = &self.kind.kind;
        let fields = self.operation("delete", "delete", &format!("delete {} {name}", article(name)));
        let body = body(&BODIES, &format!("{META}.DeleteOptions"), false);
        Self::finish(fields, parameters::delete(), Some(body), answers(&[200, 202], Some(&format!("{META}.Status"))))
    }

    fn delete_collection(&self) -> Value {
        let description = format!("delete collection of {}", self.kind.kind);
        let mut fields = self.operation("delete", "deletecollection", &description);
        let id = camel(&tag(&self.kind.group, &self.kind.version));
        let suffix = self.suffix.strip_prefix("Namespaced");
        let id = match suffix {
            Some(name) => format!("delete{id}CollectionNamespaced{name}"),
            None => format!("delete{id}Collection{}", self.suffix),
        };
        fields.insert("operationId".to_owned(), Value::from(id));
        let parameters = parameters::delete().into_iter().chain(parameters::list()).collect();
        let body = body(&BODIES, &format!("{META}.DeleteOptions"), false);
        Self::finish(fields, parameters, Some(body), answers(&[200], Some(&format!("{META}.Status"))))
    }

    fn connect(&self, method: &str, what: &str) -> Value {
        let description = format!("connect {method} requests to {what} of {}", self.kind.kind);
        let verb = format!("connect{}", camel(&method.to_lowercase()));
        Self::finish(self.operation(&verb, "connect", &description), Vec::new(), None, answers(&[200], None))
    }
}

/// The responses of an operation; without a definition the answer is text.
fn answers(codes: &[u16], definition: Option<&str>) -> Value {
    let mut out = Map::new();
    for code in codes {
        let text = match code {
            200 => "OK",
            201 => "Created",
            _ => "Accepted",
        };
        let content: Map<String, Value> = match definition {
            Some(definition) => BODIES.iter().map(|media| ((*media).to_owned(), referring(definition))).collect(),
            None => [("*/*".to_owned(), json!({"schema": {"type": "string"}}))].into_iter().collect(),
        };
        out.insert(code.to_string(), json!({"description": text, "content": content}));
    }
    out.insert("401".to_owned(), json!({"description": "Unauthorized"}));
    Value::Object(out)
}

fn body(media: &[&str], definition: &str, required: bool) -> Value {
    let content: Map<String, Value> = media.iter().map(|m| ((*m).to_owned(), referring(definition))).collect();
    if required { json!({"content": content, "required": true}) } else { json!({"content": content}) }
}

fn referring(definition: &str) -> Value {
    json!({"schema": {"$ref": format!("#/components/schemas/{definition}")}})
}

/// `core_v1`, `apps_v1`, `rbacAuthorization_v1`
fn tag(group: &str, version: &str) -> String {
    let short = group.strip_suffix(".k8s.io").unwrap_or(group);
    let mut words = short.split('.');
    let first = words.next().filter(|w| !w.is_empty()).unwrap_or("core");
    let name = std::iter::once(first.to_owned()).chain(words.map(camel)).collect::<String>();
    if version.is_empty() { name } else { format!("{name}_{version}") }
}

/// `core_v1` → `CoreV1`
fn camel(text: &str) -> String {
    let word = |w: &str| {
        let mut letters = w.chars();
        letters.next().map(|c| c.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    };
    text.split('_').map(word).collect()
}

fn article(kind: &str) -> &'static str {
    if kind.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" }
}
