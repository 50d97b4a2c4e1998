//! What a request asks for, read from its method, path and query alone: the attributes that RBAC decides on.

use http::Method;
use percent_encoding::percent_decode_str;

use crate::query::Query;

/// The attributes of a request, whether what it names exists or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// The decoded path.
    pub path: String,
    /// Whether it asks for a resource; the other fields but `verb` are empty otherwise.
    pub resource_request: bool,
    /// RBAC verb: `get`, `list`, `watch`, `create`, …; the method in lower case for other paths; empty for methods without one.
    pub verb: String,
    /// API group; empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Plural of the resource.
    pub resource: String,
    /// Subresource, or empty.
    pub subresource: String,
    /// The name that is authorized: of the path, or of a field selector `metadata.name=x`.
    pub name: String,
    /// The node to whose pods a field selector `spec.nodeName=x` keeps a list or watch, or empty.
    pub selected_node: String,
    /// The name in the path.
    pub path_name: String,
    /// What follows the subresource.
    pub rest: Vec<String>,
    /// Whether it came on a legacy `/watch/` path.
    pub legacy_watch: bool,
}

/// Subresources of a namespace, which are not resources in it.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

impl Info {
    /// Reads a request. Escaped slashes count as slashes, as Go's decoded path has it.
    pub fn read(method: &Method, raw_path: &str, query: &Query) -> Self {
        let path = percent_decode_str(raw_path).decode_utf8_lossy().into_owned();
        let trimmed = path.trim_matches('/').to_owned();
        let parts: Vec<&str> = trimmed.split('/').collect();
        Self::resource(method, &path, &parts, query).unwrap_or_else(|| Info {
            path,
            verb: method.as_str().to_ascii_lowercase(),
            ..Info::default()
        })
    }

    fn resource(method: &Method, path: &str, parts: &[&str], query: &Query) -> Option<Self> {
        let (group, version, rest) = match parts {
            ["api", version, rest @ ..] if !rest.is_empty() => ("", version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, version, rest),
            _ => return None,
        };
        let (legacy_watch, rest) = match rest {
            ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
            _ => (false, rest),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, sub, ..] if NAMESPACE_SUBRESOURCES.contains(sub) => (*namespace, rest),
            ["namespaces", namespace, inner @ ..] if !inner.is_empty() => (*namespace, inner),
            ["namespaces", namespace] => (*namespace, rest),
            _ => ("", rest),
        };
        let part = |index: usize| rest.get(index).copied().unwrap_or_default().to_owned();
        let mut info = Info {
            path: path.to_owned(),
            resource_request: true,
            verb: verb(method).to_owned(),
            group: group.to_owned(),
            version: (*version).to_owned(),
            namespace: namespace.to_owned(),
            resource: part(0),
            path_name: part(1),
            name: part(1),
            selected_node: String::new(),
            subresource: part(2),
            rest: rest.iter().skip(3).map(|s| (*s).to_owned()).collect(),
            legacy_watch,
        };
        info.refine(query);
        Some(info)
    }

    fn refine(&mut self, query: &Query) {
        if self.legacy_watch && self.verb == "get" {
            self.verb = "watch".to_owned();
        } else if self.path_name.is_empty() {
            match self.verb.as_str() {
                "get" => self.verb = if query.flag("watch") { "watch" } else { "list" }.to_owned(),
                "delete" => self.verb = "deletecollection".to_owned(),
                _ => {}
            }
        }
        if self.path_name.is_empty() && matches!(self.verb.as_str(), "list" | "watch" | "deletecollection") {
            let selector = query.text("fieldSelector");
            self.name = selected("metadata.name", selector).unwrap_or_default();
            self.selected_node = selected("spec.nodeName", selector).unwrap_or_default();
        }
    }

    /// The resource with its subresource: `pods/log`.
    pub fn full_resource(&self) -> String {
        match self.subresource.as_str() {
            "" => self.resource.clone(),
            subresource => format!("{}/{subresource}", self.resource),
        }
    }
}

fn verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::GET | Method::HEAD => "get",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    }
}

/// The one value of a field that a selector asks for: RBAC rules with `resourceNames` allow lists and watches of one name, the rules of nodes
/// those of a node's own pods.
fn selected(field: &str, selector: &str) -> Option<String> {
    selector.split(',').find_map(|term| {
        let value = term.strip_prefix(field)?.strip_prefix('=')?;
        let value = value.strip_prefix('=').unwrap_or(value);
        (!value.is_empty() && !value.contains(['/', '%', '\\'])).then(|| value.to_owned())
    })
}
