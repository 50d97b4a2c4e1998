//! Stops a container: the hook before the stop, then the runtime. And what a container left as its last word.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use cox_kit::{Feed, Why};
use cox_runtime::ContainerId;
use k8s_openapi::api::core::v1::{Container, LifecycleHandler, Pod};

use crate::model::ContainerView;
use crate::node::Context;
use crate::probes::run::{Action, ask};
use crate::spec::names::{Member, log_folder};

/// What is left to a container after a hook, or after other containers, that used up the grace period.
pub(super) const LEAST_GRACE: Duration = Duration::from_secs(2);
/// Longest termination message of a pod's containers together, in bytes.
const MAX_MESSAGES: usize = 12 * 1024;
/// Longest termination message of one container, in bytes.
const MAX_MESSAGE: usize = 4096;
/// Lines and bytes of the log that stand in for a missing message.
const LOG_LINES: usize = 80;
const LOG_BYTES: usize = 2048;
/// How much of a log's end is looked at for them, in bytes.
const LOG_TAIL: u64 = 256 * 1024;

/// Stops a container within its grace.
pub(super) async fn stop<F: Feed>(
    context: &Context<F>,
    pod: &Pod,
    member: Option<Member>,
    id: &ContainerId,
    pod_ip: &str,
    grace: Duration,
    why: &Why,
) -> Result<(), String> {
    let mut left = grace;
    let hook = member.as_ref().and_then(|m| m.container.lifecycle.as_ref()).and_then(|l| l.pre_stop.as_ref());
    if let (Some(hook), Some(member)) = (hook, &member)
        && !grace.is_zero()
    {
        let started = Instant::now();
        let outcome = tokio::time::timeout(grace, self::hook(context, &member.container, hook, id, pod_ip)).await;
        if let Ok(Err(_)) = outcome {
            context.tell(why, pod, &member.field_path(), true, "FailedPreStopHook", "PreStopHook failed");
        }
        left = grace.saturating_sub(started.elapsed()).max(LEAST_GRACE);
    }
    context.runtime.stop_container(id, left).await.map_err(|e| e.to_string())
}

/// Runs a lifecycle hook.
pub(super) async fn hook<F: Feed>(
    context: &Context<F>,
    container: &Container,
    hook: &LifecycleHandler,
    id: &ContainerId,
    pod_ip: &str,
) -> Result<(), String> {
    if let Some(sleep) = &hook.sleep {
        tokio::time::sleep(Duration::from_secs(sleep.seconds.max(0).unsigned_abs())).await;
        return Ok(());
    }
    let action = Action::of(container, hook.exec.as_ref(), hook.http_get.as_ref(), hook.tcp_socket.as_ref());
    let action = action.map_err(|e| e.to_string())?;
    // A hook has no timeout of its own: the caller's grace bounds it, or nothing does.
    let (good, text) = ask(&context.runtime, id, pod_ip, &action, Duration::from_secs(24 * 3600)).await;
    if good { Ok(()) } else { Err(text) }
}

/// What an ended container left in its termination message file, or at the end of its log.
pub(super) async fn termination_message<F: Feed>(context: &Context<F>, pod: &Pod, view: &ContainerView) -> String {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let file = context.config.container_dir(uid, &view.name, view.attempt).join("termination-log");
    let log = context.config.log_dir(&log_folder(pod)).join(&view.name).join(format!("{}.log", view.attempt));
    let spec = pod.spec.as_ref();
    let containers: Vec<&Container> =
        spec.into_iter().flat_map(|s| s.containers.iter().chain(s.init_containers.iter().flatten())).collect();
    let own = containers.iter().find(|c| c.name == view.name);
    let fallback = own.and_then(|c| c.termination_message_policy.as_deref()) == Some("FallbackToLogsOnError");
    let failed = view.ended().is_some_and(|(code, _)| code != 0);
    let limit = (MAX_MESSAGES / containers.len().max(1)).min(MAX_MESSAGE);
    let read = tokio::task::spawn_blocking(move || {
        let message = head(&file, limit).unwrap_or_default();
        if message.is_empty() && fallback && failed { log_end(&log).unwrap_or_default() } else { message }
    });
    let mut message = read.await.unwrap_or_default();
    let end = (0..=limit.min(message.len())).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
    message.truncate(end);
    message
}

/// The beginning of a file, whose length is the container's affair.
fn head(path: &Path, limit: usize) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(u64::try_from(limit).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last lines of a log in the CRI format, without its prefixes.
fn log_end(log: &Path) -> io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<&str> =
        text.lines().rev().take(LOG_LINES).filter_map(|line| line.splitn(4, ' ').nth(3)).collect();
    lines.reverse();
    let whole = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let cut = whole.len().saturating_sub(LOG_BYTES);
    let start = (cut..=whole.len()).find(|at| whole.is_char_boundary(*at)).unwrap_or(cut);
    Ok(whole.get(start..).unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_much_of_a_message_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("m");
        std::fs::write(&file, "x".repeat(10_000)).unwrap();
        assert_eq!(head(&file, 100).unwrap().len(), 100);
        assert!(head(&dir.path().join("none"), 100).is_err());
    }

    #[test]
    fn the_logs_last_lines_stand_in_within_their_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("0.log");
        let lines = |n: usize, text: &str| {
            (0..n).map(|i| format!("2026-01-01T00:00:00Z stdout F {text}{i}\n")).collect::<String>()
        };
        std::fs::write(&log, lines(100, "l")).unwrap();
        let text = log_end(&log).unwrap();
        assert_eq!((text.lines().count(), text.lines().next(), text.lines().last()), (80, Some("l20"), Some("l99")));
        std::fs::write(&log, lines(5000, &"y".repeat(100))).unwrap();
        let long = log_end(&log).unwrap();
        assert!(long.len() == LOG_BYTES && long.ends_with("y4999\n"), "{}", long.len());
        std::fs::write(&log, b"2026-01-01T00:00:00Z stderr F \xff!\n").unwrap();
        assert!(log_end(&log).unwrap().ends_with("!\n"));
    }
}
