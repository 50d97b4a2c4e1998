//! From a recorded HTTP request to what the gateway would make of it.

use super::*;

/// What a request is, for the pipeline.
pub(super) enum Call {
    Get((Key, cox_objects::Resource), String),
    Write(Box<ApiRequest>),
}

/// A step with its placeholders filled in; none if it needs an answer that was not given.
pub(super) fn filled(step: &Value, namespace: &str, answers: &BTreeMap<String, Value>) -> Option<Value> {
    if step.get("watch").is_some() || step.get("anonymous").is_some() {
        return None;
    }
    let mut step = step.clone();
    let response = step.as_object_mut()?.remove("response")?;
    let filled = fill(&step, namespace, answers)?;
    let mut step = filled;
    step.as_object_mut()?.insert("response".into(), response);
    Some(step)
}

fn fill(value: &Value, namespace: &str, answers: &BTreeMap<String, Value>) -> Option<Value> {
    Some(match value {
        Value::String(text) => string(text, namespace, answers)?,
        Value::Array(items) => Value::Array(items.iter().map(|i| fill(i, namespace, answers)).collect::<Option<_>>()?),
        Value::Object(fields) => {
            let mut new = serde_json::Map::new();
            for (key, value) in fields {
                let key = string(key, namespace, answers)?;
                new.insert(key.as_str()?.to_owned(), fill(value, namespace, answers)?);
            }
            Value::Object(new)
        }
        other => other.clone(),
    })
}

fn string(text: &str, namespace: &str, answers: &BTreeMap<String, Value>) -> Option<Value> {
    let mut text = text.replace("{{ns}}", namespace);
    while let Some(start) = text.find("{{steps.") {
        let end = start + text[start..].find("}}")?;
        let path = text[start + 8..end].replace("\\.", "\u{1}");
        let mut parts = path.split('.').map(|p| p.replace('\u{1}', "."));
        let mut value = answers.get(&parts.next()?)?;
        for part in parts {
            value = match value {
                Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
                other => other.get(&part)?,
            };
        }
        if start == 0 && end + 2 == text.len() {
            return Some(value.clone());
        }
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.replace_range(start..end + 2, &shown);
    }
    Some(text.into())
}

pub(super) fn parse(step: &Value, kinds: &Kinds) -> Option<Call> {
    let (path, query) = step["path"].as_str()?.split_once('?').unwrap_or((step["path"].as_str()?, ""));
    let path = decode(path);
    let mut parts = path.trim_matches('/').split('/');
    let (group, version) = match parts.next()? {
        "api" => ("", parts.next()?),
        "apis" => (parts.next()?, parts.next()?),
        _ => return None,
    };
    let mut rest: Vec<&str> = parts.collect();
    let mut namespace = "";
    if rest.first() == Some(&"namespaces") && rest.len() > 2 && !matches!(rest[2], "status" | "finalize") {
        namespace = rest[1];
        rest.drain(..2);
    }
    let plural = *rest.first()?;
    let kind = kinds.at(group, version, plural)?;
    let (name, subresource) = (rest.get(1).copied().unwrap_or(""), rest.get(2).copied().unwrap_or(""));
    let headers = &step["headers"];
    let content = headers["Content-Type"].as_str().unwrap_or("application/json");
    let json = content.contains("json");
    if headers.get("Accept").is_some() || !json || content.contains("apply-patch") || rest.len() > 3 {
        return None;
    }
    let verb = match step["method"].as_str()? {
        "GET" if !name.is_empty() && matches!(subresource, "" | "status" | "scale") => {
            let key = Key::new(kind.resource.clone(), if kind.namespaced { namespace } else { "" }, name);
            let shown = kind.version == kind.storage_version && kind.resource.group() == group;
            return shown.then(|| Call::Get((key, cox_objects::Resource::new(group, plural)), subresource.to_owned()));
        }
        "POST" => Verb::Create,
        "PUT" => Verb::Update,
        "PATCH" => Verb::Patch,
        "DELETE" if name.is_empty() => Verb::DeleteCollection,
        "DELETE" => Verb::Delete,
        _ => return None,
    };
    let patch_type = (verb == Verb::Patch).then(|| match content {
        c if c.contains("strategic") => PatchType::Strategic,
        c if c.contains("json-patch") => PatchType::Json,
        _ => PatchType::Merge,
    });
    let body: Bytes = match step.get("body") {
        None | Some(Value::Null) if step.get("body").is_none() => Bytes::new(),
        Some(Value::Object(o)) if o.contains_key("$text") => o["$text"].as_str()?.to_owned().into(),
        Some(body) => body.to_string().into(),
        None => Bytes::new(),
    };
    let mut options = WriteOptions::default();
    let mut delete = serde_json::Map::new();
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decode(value);
        match key {
            "dryRun" => options.dry_run = value == "All",
            "fieldValidation" => options.field_validation = value,
            "fieldManager" => options.field_manager = value,
            "force" => options.force = value == "true",
            "labelSelector" => options.label_selector = value,
            "fieldSelector" => options.field_selector = value,
            "limit" => options.limit = value.parse().ok()?,
            "gracePeriodSeconds" => drop(delete.insert(key.into(), value.parse::<i64>().ok()?.into())),
            "propagationPolicy" => drop(delete.insert(key.into(), value.into())),
            "orphanDependents" => drop(delete.insert(key.into(), (value == "true").into())),
            "as" | "timeoutSeconds" | "pretty" | "whatever" => {}
            _ => {}
        }
    }
    if !delete.is_empty() {
        options.delete_options = Some(Value::Object(delete).to_string().into());
    }
    Some(Call::Write(Box::new(ApiRequest {
        id: RequestId::default(),
        deadline: u64::MAX,
        user: Some(user(step)),
        verb,
        group: group.to_owned(),
        version: version.to_owned(),
        plural: plural.to_owned(),
        subresource: subresource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        options,
        patch_type,
        body,
        observed: None,
        trigger: None,
        folded: Vec::new(),
        correlation: None,
        traceparent: None,
        guard: None,
    })))
}

fn user(step: &Value) -> User {
    let mut user = User::default();
    let strings = |v: &Value| -> Vec<String> {
        v.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    match &step["as"] {
        Value::String(name) => user.name.clone_from(name),
        Value::Object(who) => {
            user.name = who["user"].as_str().unwrap_or_default().to_owned();
            user.groups = strings(who.get("groups").unwrap_or(&Value::Null));
            user.uid = who.get("uid").and_then(Value::as_str).unwrap_or_default().to_owned();
            for (key, values) in who.get("extra").and_then(Value::as_object).into_iter().flatten() {
                user.extra.insert(key.clone(), strings(values));
            }
        }
        _ => {
            user.name = "kubernetes-admin".to_owned();
            user.groups.push("system:masters".to_owned());
        }
    }
    // As the gateway completes the groups of those it authenticated.
    if let Some((namespace, _)) = user.name.strip_prefix("system:serviceaccount:").and_then(|n| n.split_once(':')) {
        user.groups.push("system:serviceaccounts".to_owned());
        user.groups.push(format!("system:serviceaccounts:{namespace}"));
    }
    if !user.groups.iter().any(|g| g == "system:authenticated" || g == "system:unauthenticated") {
        user.groups.push("system:authenticated".to_owned());
    }
    user
}

/// Percent-decoding.
fn decode(text: &str) -> String {
    let mut out = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|h| u8::from_str_radix(std::str::from_utf8(h).ok()?, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (b'+', _) => {
                out.push(b' ');
                at += 1;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
