//! Content negotiation: which form an answer takes, and which form a body has.

use cox_objects::Status;
use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT};

use crate::query::Query;

/// How text is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `application/json`
    #[default]
    Json,
    /// `application/yaml`
    Yaml,
}

impl Encoding {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Encoding::Json => "application/json",
            Encoding::Yaml => "application/yaml",
        }
    }
}

/// What is made of the objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Shape {
    /// The objects as they are.
    #[default]
    Plain,
    /// A Table of this version of `meta.k8s.io` (`v1`, `v1beta1`).
    Table(String),
    /// Their metadata only, in this version; of one object.
    Partial(String),
    /// The same of a list.
    PartialList(String),
}

/// The form of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Form {
    /// Its encoding.
    pub encoding: Encoding,
    /// Its shape.
    pub shape: Shape,
    /// Indented, for people.
    pub pretty: bool,
}

/// What an endpoint can answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Objects and lists, Tables and metadata of them.
    Objects,
    /// Collections, which can be watched too.
    Collection,
    /// A watch: JSON only.
    Watch,
    /// Discovery documents.
    Documents,
}

const ACCEPTED: &str = "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const STREAMS: &str = ", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// One alternative of an `Accept` header.
struct Clause<'a> {
    media: String,
    params: Vec<(String, &'a str)>,
    quality: f32,
}

/// The form in which a request wants its answer.
///
/// # Errors
/// 406, in the two wordings that Kubernetes has: one for a type that no endpoint gives, one for parameters that do not fit.
pub fn negotiate(headers: &HeaderMap, query: &Query, offer: Offer) -> Result<Form, Status> {
    let accept = header(headers, ACCEPT);
    let pretty = pretty(headers, query);
    if accept.trim().is_empty() {
        return Ok(Form { pretty, ..Form::default() });
    }
    let clauses = clauses(accept);
    if offer != Offer::Documents && !clauses.iter().any(|c| is_offered(&c.media)) {
        let streams = if matches!(offer, Offer::Collection | Offer::Watch) { STREAMS } else { "" };
        return Err(unavailable(&format!("application/json, application/yaml, {PROTOBUF}{streams}")));
    }
    clauses
        .iter()
        .find_map(|clause| form(clause, offer, pretty))
        .ok_or_else(|| Status::new(406, "NotAcceptable", ACCEPTED))
}

/// 406 of an endpoint that has only these representations.
pub fn unavailable(representations: &str) -> Status {
    let message = format!("406: Not Acceptable\n\nAvailable representations: {representations}");
    Status::new(406, "NotAcceptable", message).with_details(serde_json::json!({}))
}

/// Whether one of the clauses of `Accept` is this type or `*/*`; true without the header.
pub fn accepts(headers: &HeaderMap, media: &str) -> bool {
    let accept = header(headers, ACCEPT);
    accept.is_empty() || clauses(accept).iter().any(|c| c.media == media || c.media == "*/*")
}

/// Whether this clause asks for aggregated discovery, which stands before the plain document in the order of preference.
pub fn wants_aggregated(headers: &HeaderMap) -> Aggregated {
    let mut result = Aggregated::No;
    for clause in clauses(header(headers, ACCEPT)) {
        let param = |name: &str| clause.params.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
        match (param("as"), param("g"), param("v")) {
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => return Aggregated::Yes,
            (Some(_), _, _) => result = Aggregated::Unknown,
            (None, _, _) if is_offered(&clause.media) || clause.media == "application/*" => return Aggregated::No,
            _ => {}
        }
    }
    result
}

/// What a client thinks of aggregated discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregated {
    /// It wants it.
    Yes,
    /// It does not ask for it.
    No,
    /// It asks for a version of it that there is not, and nothing else.
    Unknown,
}

/// The encoding for an error, whatever was negotiated: YAML if that is what comes first.
pub fn of_error(headers: &HeaderMap, query: &Query) -> Form {
    negotiate(headers, query, Offer::Documents)
        .map(|form| Form { shape: Shape::Plain, ..form })
        .unwrap_or_else(|_| Form { pretty: pretty(headers, query), ..Form::default() })
}

fn is_offered(media: &str) -> bool {
    matches!(media, "application/json" | "application/yaml" | PROTOBUF | "*/*")
}

fn form(clause: &Clause<'_>, offer: Offer, pretty: bool) -> Option<Form> {
    let encoding = match clause.media.as_str() {
        "application/json" | "*/*" | "application/*" => Encoding::Json,
        "application/yaml" if offer != Offer::Watch => Encoding::Yaml,
        _ => return None,
    };
    let param = |name: &str| clause.params.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
    if param("stream").is_some_and(|stream| stream != "watch") {
        return None;
    }
    let shape = match param("as") {
        None => Shape::Plain,
        Some(_) if offer == Offer::Documents => return None,
        Some(name) => shape(name, param("g").unwrap_or_default(), param("v").unwrap_or_default())?,
    };
    let pretty = pretty || param("pretty").is_some_and(|p| matches!(p, "1" | "true"));
    Some(Form { encoding, shape, pretty })
}

fn shape(name: &str, group: &str, version: &str) -> Option<Shape> {
    if group != "meta.k8s.io" || !matches!(version, "v1" | "v1beta1") {
        return None;
    }
    match name {
        "Table" => Some(Shape::Table(version.to_owned())),
        "PartialObjectMetadata" => Some(Shape::Partial(version.to_owned())),
        "PartialObjectMetadataList" => Some(Shape::PartialList(version.to_owned())),
        _ => None,
    }
}

fn clauses(accept: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = accept.split(',').filter_map(clause).collect();
    // Stable, so that what is named first wins among equals; wildcards come after what is named.
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality).then(wildness(&a.media).cmp(&wildness(&b.media))));
    clauses
}

fn wildness(media: &str) -> usize {
    media.matches('*').count()
}

fn clause(text: &str) -> Option<Clause<'_>> {
    let mut parts = text.split(';');
    let media = parts.next()?.trim().to_ascii_lowercase();
    if media.is_empty() {
        return None;
    }
    let params: Vec<(String, &str)> = parts
        .filter_map(|p| p.split_once('='))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"')))
        .collect();
    let quality = params.iter().find(|(n, _)| n == "q").and_then(|(_, q)| q.parse().ok()).unwrap_or(1.0);
    Some(Clause { media, params, quality })
}

fn pretty(headers: &HeaderMap, query: &Query) -> bool {
    match query.get("pretty") {
        Some(value) => matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"),
        None => ["curl", "Wget", "Mozilla/5.0"].iter().any(|agent| header(headers, USER_AGENT).starts_with(agent)),
    }
}

/// Whether an answer may be compressed with gzip.
pub fn gzip(headers: &HeaderMap) -> bool {
    header(headers, ACCEPT_ENCODING).split(',').any(|coding| {
        let (name, q) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim() == "gzip" && q.trim().replace(' ', "") != "q=0"
    })
}

/// The form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyType {
    /// `application/json`, also without a content type.
    Json,
    /// `application/yaml`
    Yaml,
    /// `application/vnd.kubernetes.protobuf`
    Protobuf,
}

/// The form of the body of a POST, PUT or DELETE.
///
/// # Errors
/// 415, if there is none of that name or the header is malformed.
pub fn body_type(headers: &HeaderMap) -> Result<BodyType, Status> {
    let text = header(headers, CONTENT_TYPE);
    match media_type(text).as_deref() {
        _ if text.is_empty() => Ok(BodyType::Json),
        Some("application/json") => Ok(BodyType::Json),
        Some("application/yaml") => Ok(BodyType::Yaml),
        Some(PROTOBUF) => Ok(BodyType::Protobuf),
        _ => Err(Status::new(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, \
             application/vnd.kubernetes.protobuf",
        )),
    }
}

/// The type of a content type header without its parameters; none if it is malformed.
pub fn media_type(text: &str) -> Option<String> {
    let mut parts = text.split(';');
    let media = parts.next()?.trim().to_ascii_lowercase();
    let well_formed = parts.all(|p| p.trim().is_empty() || p.contains('='));
    (well_formed && !media.is_empty()).then_some(media)
}

/// A header as text; empty if it is missing or not ASCII.
pub fn header(headers: &HeaderMap, name: http::HeaderName) -> &str {
    headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
