//! What was measured: samples, percentiles, the table.

use std::fmt::{Display, Write};
use std::time::Duration;

use serde::Serialize;

/// The samples of a measurement.
#[derive(Default)]
pub(super) struct Samples {
    microseconds: Vec<u32>,
    failures: u64,
    failure: Option<String>,
}

impl Samples {
    /// Notes a success.
    pub(super) fn took(&mut self, time: Duration) {
        self.microseconds.push(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
    }

    /// Notes a failure; the first is told.
    pub(super) fn failed(&mut self, error: String) {
        self.failures += 1;
        self.failure.get_or_insert(error);
    }

    /// Takes in another connection's.
    pub(super) fn add(&mut self, other: Samples) {
        self.microseconds.extend(other.microseconds);
        self.failures += other.failures;
        self.failure = self.failure.take().or(other.failure);
    }

    /// The figures.
    pub(super) fn measured(mut self, operation: impl Display, connections: u16, elapsed: Duration) -> Measured {
        self.microseconds.sort_unstable();
        let at = |share: f64| percentile(&self.microseconds, share);
        let seconds = elapsed.as_secs_f64();
        Measured {
            operation: operation.to_string(),
            connections,
            count: self.microseconds.len(),
            failures: self.failures,
            failure: self.failure.clone(),
            seconds,
            per_second: self.microseconds.len() as f64 / seconds.max(1e-9),
            p50_ms: at(0.50),
            p90_ms: at(0.90),
            p99_ms: at(0.99),
            max_ms: at(1.0),
            facts: Vec::new(),
        }
    }
}

/// The smallest of the sorted samples that this share of them does not exceed, in milliseconds; none without samples.
fn percentile(sorted: &[u32], share: f64) -> Option<f64> {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.max(1) - 1).map(|microseconds| f64::from(*microseconds) / 1000.0)
}

/// The figures of one measurement.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    pub(super) operation: String,
    pub(super) connections: u16,
    /// Requests that succeeded; for watch, events that arrived.
    pub(super) count: usize,
    pub(super) failures: u64,
    pub(super) failure: Option<String>,
    pub(super) seconds: f64,
    pub(super) per_second: f64,
    pub(super) p50_ms: Option<f64>,
    pub(super) p90_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    pub(super) max_ms: Option<f64>,
    /// What else is to be known of it: a name and a figure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) facts: Vec<(&'static str, f64)>,
}

impl Measured {
    /// What to say if nothing was measured.
    pub(super) fn missing(&self) -> Option<String> {
        let why = self.failure.as_deref().unwrap_or("there was nothing to measure");
        (self.count == 0)
            .then(|| format!("{} at {} connections has no figure: {why}", self.operation, self.connections))
    }
}

/// What a process, or several together, have of memory, in KiB.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Share {
    /// All that is mapped and there.
    pub(super) rss: u64,
    /// The same, but what others have as well is divided among them.
    pub(super) pss: u64,
    /// What no other process has.
    pub(super) uss: u64,
}

impl Share {
    /// Takes in another process'.
    pub(super) fn add(&mut self, other: Share) {
        self.rss += other.rss;
        self.pss += other.pss;
        self.uss += other.uss;
    }
}

/// The memory of a node's part, beside its containers' own processes.
#[derive(Debug, Serialize)]
pub(super) struct NodeMemory {
    /// How many pods there were.
    pub(super) pods: u16,
    /// The process with the kubelet in it, without pods.
    pub(super) process_idle: Share,
    /// The same with them.
    pub(super) process: Share,
    /// What monitors are forked from.
    pub(super) spawner: Share,
    /// All monitors.
    pub(super) monitors: Share,
    pub(super) monitor_count: u32,
    /// By how much the PSS of all of them together grew, for each pod.
    pub(super) per_pod_kib: u64,
}

impl NodeMemory {
    fn lines(&self) -> String {
        let mib = |kib: u64| kib as f64 / 1024.0;
        let part = |name: &str, share: &Share| {
            let (rss, pss, uss) = (mib(share.rss), mib(share.pss), mib(share.uss));
            format!("{name:44}  {rss:>7.1}  {pss:>7.1}  {uss:>7.1}\n")
        };
        let pods = self.pods;
        let mut out = format!("\n{:44}  {:>7}  {:>7}  {:>7}\n", "NODE, MIB", "RSS", "PSS", "USS");
        out += &part("the process with the kubelet, without pods", &self.process_idle);
        out += &part(&format!("the process with the kubelet, {pods} pods"), &self.process);
        out += &part("what monitors are forked from", &self.spawner);
        out += &part(&format!("{} monitors", self.monitor_count), &self.monitors);
        let _ = writeln!(out, "{:44}  {:>7}  {:>7.2}", "growth for each pod", "", mib(self.per_pod_kib));
        out
    }
}

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    pub(super) server: &'a str,
    pub(super) version: &'a str,
    pub(super) results: &'a [Measured],
    /// If pods were measured on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<&'a NodeMemory>,
}

impl Report<'_> {
    /// For people.
    pub(super) fn table(&self, colours: bool) -> String {
        let bold = |text: String| if colours { format!("\x1b[1m{text}\x1b[0m") } else { text };
        let mut out = format!("{} ({})\n", self.server, self.version);
        let head = format!(
            "{:9}  {:>11}  {:>8}  {:>9}  {:>8}  {:>8}  {:>8}  {:>8}  {:>6}",
            "OPERATION", "CONNECTIONS", "COUNT", "PER SEC", "P50 MS", "P90 MS", "P99 MS", "MAX MS", "ERRORS"
        );
        let _ = writeln!(out, "{}", bold(head));
        let figure = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2}"));
        for m in self.results {
            let (p50, p90) = (figure(m.p50_ms), figure(m.p90_ms));
            let (p99, max) = (figure(m.p99_ms), figure(m.max_ms));
            let line = format!(
                "{:9}  {:>11}  {:>8}  {:>9.0}  {p50:>8}  {p90:>8}  {p99:>8}  {max:>8}  {:>6}",
                m.operation, m.connections, m.count, m.per_second, m.failures
            );
            let _ = writeln!(out, "{line}");
        }
        out += &self.node.map(NodeMemory::lines).unwrap_or_default();
        for (m, (name, figure)) in self.results.iter().flat_map(|m| m.facts.iter().map(move |fact| (m, fact))) {
            let _ = writeln!(out, "{}: {name}: {figure:.2}", m.operation);
        }
        for m in self.results {
            if let Some(failure) = &m.failure {
                let _ = writeln!(
                    out,
                    "{} at {} connections failed {} times, first with: {failure}",
                    m.operation, m.connections, m.failures
                );
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_that_were_taken() {
        let sorted: Vec<u32> = (1..=100).map(|ms| ms * 1000).collect();
        assert_eq!(percentile(&sorted, 0.50), Some(50.0));
        assert_eq!(percentile(&sorted, 0.99), Some(99.0));
        assert_eq!(percentile(&sorted, 1.0), Some(100.0));
        assert_eq!(percentile(&[7000], 0.50), Some(7.0));
        assert_eq!(percentile(&[], 0.99), None);
    }

    #[test]
    fn a_measurement_without_a_sample_is_told_of() {
        let mut samples = Samples::default();
        samples.took(Duration::from_millis(1));
        assert_eq!(samples.measured("get", 1, Duration::from_secs(1)).missing(), None);
        let mut samples = Samples::default();
        samples.failed("no process".to_owned());
        let missing = samples.measured("pod-again", 1, Duration::from_secs(1)).missing();
        assert_eq!(missing.as_deref(), Some("pod-again at 1 connections has no figure: no process"));
    }

    #[test]
    fn connections_are_added_up_and_failures_are_told() {
        let mut all = Samples::default();
        for worker in 0..2 {
            let mut own = Samples::default();
            own.took(Duration::from_millis(1 + worker));
            own.failed(format!("429: worker {worker}"));
            all.add(own);
        }
        let measured = all.measured("create", 2, Duration::from_secs(2));
        assert_eq!((measured.count, measured.failures, measured.per_second), (2, 2, 1.0));
        let report = Report { server: "https://x", version: "v1", results: &[measured], node: None };
        let table = report.table(false);
        assert!(table.contains("create at 2 connections failed 2 times, first with: 429: worker 0"), "{table}");
        assert!(!table.contains('\x1b'));
    }
}
