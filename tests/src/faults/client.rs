//! One client of the API over TLS that asks once and says honestly how it went: done, refused, surely not, or perhaps.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

use super::history::{self, NAMESPACE, Outcome};
use crate::Cluster;

/// How long an answer may take, beyond the server's own patience.
const PATIENCE: Duration = Duration::from_secs(75);

/// A client of its own connections.
#[derive(Clone)]
pub struct Door {
    client: kube::Client,
}

/// An answer, as far as the load cares.
#[derive(Debug)]
pub struct Answer {
    /// What it says of the request.
    pub outcome: Outcome,
    /// The HTTP status; 0 if there was none.
    pub code: u16,
    /// The body: an object, or a `Status`.
    pub body: Value,
    /// Seconds of a `Retry-After` header.
    pub retry_after: Option<u64>,
}

impl Door {
    /// A client of a cluster as its administrator. It outlives restarts of the server.
    ///
    /// # Errors
    /// If the kubeconfig cannot be used.
    pub async fn open(cluster: &Cluster) -> Result<Door> {
        Self::with(&cluster.kubeconfig()).await
    }

    /// The same for any kubeconfig.
    ///
    /// # Errors
    /// If it cannot be used.
    pub async fn with(kubeconfig: &Path) -> Result<Door> {
        let kubeconfig = kube::config::Kubeconfig::read_from(kubeconfig)?;
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await?;
        // A request that is sent again by itself would be refused by its own first effect.
        config.default_retry = false;
        Ok(Door { client: config.try_into()? })
    }

    /// The client itself, for what this one does not do.
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// Reads an object.
    pub async fn get(&self, resource: &str, name: &str) -> Answer {
        let answer = self.ask("GET", &path(resource, name), "", Value::Null).await;
        match (answer.code, &answer.outcome) {
            (404, Outcome::Refused) => Answer { outcome: Outcome::Done { revision: None, value: None }, ..answer },
            // Nothing is done by reading.
            (_, Outcome::Perhaps) => Answer { outcome: Outcome::Never, ..answer },
            _ => answer,
        }
    }

    /// Makes a ConfigMap with a value.
    pub async fn create(&self, name: &str, value: &str) -> Answer {
        self.ask("POST", &path("configmaps", ""), "application/json", map(name, value)).await
    }

    /// Makes a Service with a value in an annotation: it takes an address in the same transaction.
    pub async fn create_service(&self, name: &str, value: &str) -> Answer {
        let body = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "annotations": {"value": value}},
            "spec": {"ports": [{"port": 80}]}});
        self.ask("POST", &path("services", ""), "application/json", body).await
    }

    /// Gives a ConfigMap a value, if it is there.
    pub async fn put(&self, name: &str, value: &str) -> Answer {
        let body = json!({"data": {"value": value}});
        self.ask("PATCH", &path("configmaps", name), "application/merge-patch+json", body).await
    }

    /// Gives a ConfigMap a value, if it has this version.
    pub async fn swap(&self, name: &str, version: u64, value: &str) -> Answer {
        let mut body = map(name, value);
        if let Some(metadata) = body.get_mut("metadata") {
            *metadata = json!({"name": name, "resourceVersion": version.to_string()});
        }
        self.ask("PUT", &path("configmaps", name), "application/json", body).await
    }

    /// Removes an object.
    pub async fn delete(&self, resource: &str, name: &str) -> Answer {
        self.ask("DELETE", &path(resource, name), "application/json", Value::Null).await
    }

    /// Sends a request.
    pub async fn ask(&self, method: &str, path: &str, content_type: &str, body: Value) -> Answer {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        match tokio::time::timeout(PATIENCE, self.send(method, path, content_type, bytes)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(outcome)) => without_answer(outcome),
            Err(_) => without_answer(Outcome::Perhaps),
        }
    }

    async fn send(&self, method: &str, path: &str, content_type: &str, body: Vec<u8>) -> Result<Answer, Outcome> {
        let mut request = hyper::Request::builder().method(method).uri(path);
        if !content_type.is_empty() {
            request = request.header(hyper::header::CONTENT_TYPE, content_type);
        }
        let request = request.body(Body::from(body)).map_err(|error| Outcome::Wrong(error.to_string()))?;
        let response = self.client.send(request).await.map_err(|error| lost(&error))?;
        let code = response.status().as_u16();
        let retry_after = response.headers().get(hyper::header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        // An answer that breaks off may have said anything.
        let body = response.into_body().collect().await.map_err(|_| Outcome::Perhaps)?.to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
        Ok(Answer { outcome: outcome(code, &body), code, body, retry_after })
    }
}

fn without_answer(outcome: Outcome) -> Answer {
    Answer { outcome, code: 0, body: Value::Null, retry_after: None }
}

fn path(resource: &str, name: &str) -> String {
    let slash = if name.is_empty() { "" } else { "/" };
    format!("/api/v1/namespaces/{NAMESPACE}/{resource}{slash}{name}")
}

fn map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}})
}

/// What a request came to that has no answer: without a connection it was surely not done.
fn lost(error: &kube::Error) -> Outcome {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(|error| error.is_connect()) {
            return Outcome::Never;
        }
        cause = error.source();
    }
    Outcome::Perhaps
}

fn outcome(code: u16, body: &Value) -> Outcome {
    let reason = body.get("reason").and_then(Value::as_str).unwrap_or_default();
    match (code, reason) {
        (200 | 201, _) => {
            let revision = body.pointer("/metadata/resourceVersion").and_then(Value::as_str);
            Outcome::Done { revision: revision.and_then(|text| text.parse().ok()), value: history::value(body) }
        }
        (404, "NotFound") | (409, "AlreadyExists" | "Conflict") => Outcome::Refused,
        (429 | 503, _) => Outcome::Never,
        (500 | 504, _) => Outcome::Perhaps,
        _ => Outcome::Wrong(format!("{code} {body}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: u16, reason: &str) -> Outcome {
        outcome(code, &json!({"kind": "Status", "reason": reason}))
    }

    #[test]
    fn answers_are_told_apart() {
        assert_eq!(said(404, "NotFound"), Outcome::Refused);
        assert_eq!(said(409, "AlreadyExists"), Outcome::Refused);
        assert_eq!(said(503, "ServiceUnavailable"), Outcome::Never);
        assert_eq!(said(429, "TooManyRequests"), Outcome::Never);
        assert_eq!(said(504, "Timeout"), Outcome::Perhaps);
        assert!(matches!(said(403, "Forbidden"), Outcome::Wrong(_)));
        // A path that is not served is no missing object.
        assert!(matches!(outcome(404, &"404 page not found".into()), Outcome::Wrong(_)));
        let object = json!({"metadata": {"resourceVersion": "7"}, "data": {"value": "a"}});
        assert_eq!(outcome(201, &object), Outcome::Done { revision: Some(7), value: Some("a".to_owned()) });
    }
}
