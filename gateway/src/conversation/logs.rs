//! Logs of a container.

use bytes::Bytes;
use cox_bus::node::{LogRequest, subject};
use cox_objects::{FieldError, Path, Status, time};
use futures::Stream;
use tokio_util::sync::CancellationToken;

use super::pod::Pod;
use super::{open, status_of};
use crate::answer::{self, Answer};
use crate::backend::Conversation;
use crate::body::Body;
use crate::gateway::Gateway;
use crate::metrics::Open;
use crate::query::Query;
use crate::read;
use crate::request::Request;
use crate::route::Target;

/// Answers a GET of a log. What is wrong with the options is said after what is wrong with the sender, and before what is wrong with the pod.
///
/// # Errors
/// Whatever the client is to be told before the first line.
pub(crate) async fn logs(gateway: &Gateway, request: &Request, target: &Target) -> Result<Answer, Status> {
    let object = match read::object(gateway, request, target).await {
        Err(status) if status.code == 403 => return Err(status),
        object => object,
    };
    let mut hello = options(&request.query, &target.name)?;
    let pod = Pod::read(&object?)?;
    let container = pod.container(request.query.text("container"))?;
    let Some(node) = pod.node() else { return Ok(answer::nothing()) };
    hello.target = pod.target(&container);
    let mut lines = Lines {
        conversation: open(gateway, node, subject::LOGS, &hello).await?,
        closing: gateway.closing.clone(),
        _open: gateway.metrics.conversation(target),
    };
    // A node that finds out late that there is no log still answers with an error instead of an empty 200.
    let first = lines.conversation.source.recv().await.map_err(|error| status_of(node, error))?;
    Ok(answer::of_body(200, "text/plain", Body::stream(lines.stream(first))))
}

/// A log on its way out. It holds both halves: a node that nobody listens to stops.
struct Lines {
    conversation: Conversation,
    closing: CancellationToken,
    _open: Open,
}

impl Lines {
    fn stream(self, first: Option<Bytes>) -> impl Stream<Item = Bytes> + Send {
        futures::stream::unfold((self, first), |(mut lines, first)| async move {
            let bytes = first?;
            let next = tokio::select! {
                next = lines.conversation.source.recv() => next.unwrap_or_else(|error| {
                    // The head of the answer is gone; the end of the text is all that can be said.
                    tracing::debug!(%error, "a log broke off");
                    None
                }),
                () = lines.closing.cancelled() => None,
            };
            Some((bytes, (lines, next)))
        })
    }
}

/// The options of a log as the node is told of them.
fn options(query: &Query, name: &str) -> Result<LogRequest, Status> {
    let (tail, seconds, limit) =
        (query.number("tailLines")?, query.number("sinceSeconds")?, query.number("limitBytes")?);
    let since = query.text("sinceTime");
    let stream = query.text("stream");
    let mut errors = Vec::new();
    if tail.is_some_and(|lines| lines < 0) {
        errors.push(FieldError::invalid(&Path::new("tailLines"), tail, "must be greater than or equal to 0"));
    }
    if limit.is_some_and(|bytes| bytes < 1) {
        errors.push(FieldError::invalid(&Path::new("limitBytes"), limit, "must be greater than 0"));
    }
    if seconds.is_some() && !since.is_empty() {
        let text = "at most one of `sinceTime` or `sinceSeconds` may be specified";
        errors.push(FieldError { field: "[]".to_owned(), ..FieldError::forbidden(&Path::root(), text) });
    } else if seconds.is_some_and(|seconds| seconds < 1) {
        errors.push(FieldError::invalid(&Path::new("sinceSeconds"), seconds, "must be greater than 0"));
    }
    let stream = match stream {
        "" | "All" => None,
        "Stdout" => Some("stdout".to_owned()),
        "Stderr" => Some("stderr".to_owned()),
        other => {
            errors.push(FieldError::not_supported(&Path::new("stream"), other, &["All", "Stderr", "Stdout"]));
            None
        }
    };
    if stream.is_some() && tail.is_some() {
        let text = "`tailLines` and specific `stream` are mutually exclusive for now";
        errors.push(FieldError::forbidden(&Path::new("tailLines"), text));
    }
    if !errors.is_empty() {
        return Err(Status::invalid("", "PodLogOptions", name, &errors));
    }
    if !since.is_empty() {
        time::parse(since).map_err(|error| Status::bad_request(error.to_string()))?;
    }
    Ok(LogRequest {
        follow: query.flag("follow"),
        previous: query.flag("previous"),
        timestamps: query.flag("timestamps"),
        since_seconds: seconds,
        since_time: (!since.is_empty()).then(|| since.to_owned()),
        tail_lines: tail,
        limit_bytes: limit,
        stream,
        ..LogRequest::default()
    })
}
