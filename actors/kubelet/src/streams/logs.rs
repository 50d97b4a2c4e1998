//! A container's log, for `kubectl logs`.

use bytes::{Bytes, BytesMut};
use cox_bus::node::LogRequest;
use cox_bus::{Offer, SinkHalf, codec};
use cox_kit::Feed;
use cox_objects::Status;
use cox_runtime::logs::{LogEntry, LogOptions, LogReader, LogStream};
use cox_runtime::{ContainerInfo, ContainerState, Event};
use k8s_openapi::api::core::v1::Pod;
use tokio_util::sync::CancellationToken;

use super::{pod_of, starts_of};
use crate::node::Context;
use crate::spec::names::log_folder;

/// Text that is gathered before it is sent, in bytes; what is there goes out at once when there is no more.
const CHUNK: usize = 64 * 1024;

/// Serves a log.
pub(super) async fn logs<F: Feed>(context: &Context<F>, offer: Offer) {
    let Ok(request) = codec::decode::<LogRequest>(&offer.hello) else {
        offer.refuse(Status::bad_request("the request is not understood"));
        return;
    };
    let ended = CancellationToken::new();
    let (container, reader) = match open(context, &request, &ended).await {
        Ok(opened) => opened,
        Err(status) => return offer.refuse(status),
    };
    let Ok(duplex) = offer.accept().await else { return };
    let (sink, mut source) = duplex.split();
    let ending = async {
        if request.follow {
            until_ended(context, &container).await;
            // The reader goes on to the end of what is there.
            ended.cancel();
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = send(sink, reader, &request) => {}
        // A client that leaves ends the reading.
        _ = source.recv(), if request.follow => {}
        () = ending => {}
    }
}

async fn open<F: Feed>(
    context: &Context<F>,
    request: &LogRequest,
    ended: &CancellationToken,
) -> Result<(ContainerInfo, LogReader), Status> {
    let pod = pod_of(context, &request.target)?;
    let mut starts = starts_of(context, &request.target).await?;
    // One that is only being made has no log yet.
    starts.retain(|c| !matches!(c.state, ContainerState::Created));
    let target = &request.target;
    let mut newest = starts.pop();
    if request.previous {
        newest = starts.pop();
        if newest.is_none() {
            let text =
                format!("previous terminated container {:?} in pod {:?} not found", target.container, target.pod);
            return Err(Status::bad_request(text));
        }
    }
    let Some(container) = newest else {
        let text = format!(
            "container {:?} in pod {:?} is waiting to start: {}",
            target.container,
            target.pod,
            wait_of(&pod, &target.container)
        );
        return Err(Status::bad_request(text));
    };
    let path =
        context.config.log_dir(&log_folder(&pod)).join(&target.container).join(format!("{}.log", container.attempt));
    let now = cox_kit::clock::now();
    let since = match (request.since_seconds, &request.since_time) {
        (Some(seconds), _) => Some(now - jiff::SignedDuration::from_secs(seconds)),
        (None, Some(text)) => cox_objects::time::parse(text).ok(),
        (None, None) => None,
    };
    let options = LogOptions {
        tail: request.tail_lines.and_then(|n| u64::try_from(n).ok()),
        since: since.and_then(|t| i64::try_from(t.as_nanosecond()).ok()),
        follow: request.follow.then(|| ended.clone()),
    };
    LogReader::open(&path, options)
        .map(|reader| (container, reader))
        .map_err(|e| Status::internal(format!("failed to open the log of {:?}: {e}", target.container)))
}

/// What a container waits for, as far as it was told.
fn wait_of(pod: &Pod, container: &str) -> String {
    let status = pod.status.as_ref();
    let lists = status
        .iter()
        .flat_map(|s| [&s.container_statuses, &s.init_container_statuses, &s.ephemeral_container_statuses]);
    let told = lists.flatten().flatten().find(|s| s.name == container);
    let reason = told.and_then(|s| s.state.as_ref()?.waiting.as_ref()?.reason.clone());
    match reason.as_deref() {
        Some("ErrImagePull") => "image can't be pulled".to_owned(),
        Some("ImagePullBackOff") => "trying and failing to pull image".to_owned(),
        Some(other) => other.to_owned(),
        None => "ContainerCreating".to_owned(),
    }
}

/// Waits until the container has ended.
async fn until_ended<F: Feed>(context: &Context<F>, container: &ContainerInfo) {
    let mut events = context.runtime.events();
    loop {
        // Looked at after each event, and once before any: it may have ended before we listened.
        match context.runtime.container_status(&container.id).await {
            Ok(Some(status)) if !matches!(status.info.state, ContainerState::Exited { .. }) => {}
            _ => return,
        }
        loop {
            match events.recv().await {
                Ok(Event::Exited { container: id, .. }) if id != container.id => {}
                Ok(Event::Started { .. }) => {}
                _ => break,
            }
        }
    }
}

async fn send(mut sink: SinkHalf, mut reader: LogReader, request: &LogRequest) {
    let mut left = request.limit_bytes.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    let mut text = BytesMut::with_capacity(CHUNK);
    let mut line_begun = false;
    let wanted = |entry: &LogEntry| match request.stream.as_deref() {
        Some("stdout" | "Stdout") => entry.stream == LogStream::Stdout,
        Some("stderr" | "Stderr") => entry.stream == LogStream::Stderr,
        _ => true,
    };
    loop {
        // Only when nothing more is there at once is what was gathered sent.
        let next = futures::future::FutureExt::now_or_never(reader.next());
        let entry = match next {
            Some(entry) => entry,
            None => {
                if !flush(&mut sink, &mut text).await {
                    return;
                }
                reader.next().await
            }
        };
        let Ok(Some(entry)) = entry else { break };
        if !wanted(&entry) {
            continue;
        }
        let before = text.len();
        if request.timestamps && !line_begun {
            text.extend_from_slice(entry.timestamp().as_bytes());
            text.extend_from_slice(b" ");
        }
        text.extend_from_slice(&entry.content);
        if entry.whole {
            text.extend_from_slice(b"\n");
        }
        line_begun = !entry.whole;
        let added = text.len() - before;
        if added >= left {
            text.truncate(before + left);
            break;
        }
        left -= added;
        if text.len() >= CHUNK && !flush(&mut sink, &mut text).await {
            return;
        }
    }
    if flush(&mut sink, &mut text).await {
        // A client that has left does not hear the end.
        let _ = sink.finish().await;
    }
}

/// Sends what was gathered; false if the client has left.
async fn flush(sink: &mut SinkHalf, text: &mut BytesMut) -> bool {
    if text.is_empty() {
        return true;
    }
    let data: Bytes = text.split().freeze();
    sink.send(data).await.is_ok()
}
