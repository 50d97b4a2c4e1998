//! The instruments of requests that are counted together, each made when it is first needed.

use std::sync::OnceLock;
use std::time::Duration;

use cox_kit::Registry;
use cox_kit::metrics::{Counter, Gauge, Histogram, Metric};

const REQUESTS: Metric =
    Metric { name: "apiserver_request_total", help: "Answered requests by what they asked for, and code." };
const DURATION: Metric = Metric { name: "apiserver_request_duration_seconds", help: "Time to the head of the answer." };
const SIZES: Metric = Metric { name: "apiserver_response_sizes", help: "Bytes of the answers to reads." };
const LONG_RUNNING: Metric = Metric { name: "apiserver_longrunning_requests", help: "Open watches and conversations." };

/// Upper bounds of durations, in seconds: Kubernetes' own, and finer ones below.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0,
    10.0, 15.0, 20.0, 30.0, 45.0, 60.0,
];
/// Upper bounds of sizes, in bytes: Kubernetes' own.
const BYTES: &[f64] = &[1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// The codes that answers of our own have; those of others, behind `proxy`, are looked up in the registry each time.
const CODES: [u16; 27] = [
    101, 200, 201, 202, 204, 301, 302, 304, 400, 401, 403, 404, 405, 406, 408, 409, 410, 413, 415, 422, 429, 500, 501,
    502, 503, 504, 507,
];

/// What requests that are counted together have in common.
#[derive(Default)]
pub(super) struct Labels {
    pub(super) verb: &'static str,
    pub(super) group: String,
    pub(super) version: String,
    pub(super) resource: String,
    pub(super) subresource: String,
    pub(super) scope: &'static str,
}

impl Labels {
    fn pairs(&self) -> [(&str, &str); 7] {
        let Labels { verb, group, version, resource, subresource, scope } = self;
        [
            ("component", "apiserver"),
            ("group", group),
            ("resource", resource),
            ("scope", scope),
            ("subresource", subresource),
            ("verb", verb),
            ("version", version),
        ]
    }
}

/// The instruments.
pub(super) struct Series {
    labels: Labels,
    took: Histogram,
    sizes: OnceLock<Histogram>,
    codes: [OnceLock<Counter>; CODES.len()],
    open: OnceLock<Gauge>,
}

impl Series {
    pub(super) fn new(registry: &Registry, labels: Labels) -> Self {
        let took = registry.histogram(DURATION, &labels.pairs(), SECONDS);
        let codes = std::array::from_fn(|_| OnceLock::new());
        Series { labels, took, sizes: OnceLock::new(), codes, open: OnceLock::new() }
    }

    pub(super) fn count(&self, registry: &Registry, code: u16, took: Duration, size: Option<u64>) {
        let counter = || {
            let code = code.to_string();
            let labels: Vec<(&str, &str)> = [("code", code.as_str())].into_iter().chain(self.labels.pairs()).collect();
            registry.counter(REQUESTS, &labels)
        };
        match CODES.binary_search(&code).ok().and_then(|place| self.codes.get(place)) {
            Some(known) => known.get_or_init(counter).add(1),
            None => counter().add(1),
        }
        self.took.took(took);
        if let Some(size) = size.filter(|_| matches!(self.labels.verb, "GET" | "LIST")) {
            let sizes = self.sizes.get_or_init(|| registry.histogram(SIZES, &self.labels.pairs(), BYTES));
            sizes.observe(size as f64);
        }
    }

    /// How many of these are open.
    pub(super) fn long_running(&self, registry: &Registry) -> Gauge {
        self.open.get_or_init(|| registry.gauge(LONG_RUNNING, &self.labels.pairs())).clone()
    }
}
