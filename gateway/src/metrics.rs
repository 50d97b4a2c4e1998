//! Counters of the gateway, in Prometheus' text form.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use parking_lot::Mutex;

use crate::route::{Action, Target};

/// Upper bounds of the latency histogram, in seconds: Kubernetes' first ones, and finer below.
const BUCKETS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 1.0, 5.0];

/// What has been counted.
#[derive(Default)]
pub struct Metrics {
    requests: Mutex<BTreeMap<Label, Series>>,
    /// Watches that are open, and the events sent on all of them.
    pub watches: Arc<Level>,
    /// Conversations that are open (exec, attach, port-forward, followed logs).
    pub conversations: Arc<Level>,
}

/// Which requests are counted together, under the labels that Kubernetes gives them. All are of bounded sets, whatever clients send.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    verb: &'static str,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: &'static str,
}

impl Label {
    /// A request of which no more than its method is known.
    pub fn of_method(method: &Method) -> Self {
        let verb = match *method {
            Method::GET => "GET",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::PATCH => "PATCH",
            Method::DELETE => "DELETE",
            Method::HEAD => "HEAD",
            Method::OPTIONS => "OPTIONS",
            _ => "other",
        };
        Label { verb, ..Label::default() }
    }

    /// A request for something that is served.
    pub fn of_target(target: &Target) -> Self {
        let verb = match target.action {
            Action::Get => "GET",
            Action::List => "LIST",
            Action::Watch => "WATCH",
            Action::Create => "POST",
            Action::Update => "PUT",
            Action::Patch => "PATCH",
            Action::Delete => "DELETE",
            Action::DeleteCollection => "DELETECOLLECTION",
            Action::Connect => "CONNECT",
        };
        let scope = match (target.action, target.name.as_str(), target.namespace.as_str()) {
            (Action::Create, ..) => "resource",
            (_, "", "") => "cluster",
            (_, "", _) => "namespace",
            _ => "resource",
        };
        let kind = &target.kind;
        Label {
            verb,
            scope,
            group: kind.group.clone(),
            version: kind.version.clone(),
            resource: kind.plural.clone(),
            subresource: target.subresource.clone(),
        }
    }

    fn text(&self) -> String {
        let Label { verb, group, version, resource, subresource, scope } = self;
        format!(
            "component=\"apiserver\",group=\"{group}\",resource=\"{resource}\",scope=\"{scope}\",subresource=\"{subresource}\",\
             verb=\"{verb}\",version=\"{version}\""
        )
    }
}

#[derive(Default)]
struct Series {
    codes: BTreeMap<u16, u64>,
    buckets: [u64; BUCKETS.len()],
    count: u64,
    seconds: f64,
}

/// How many there are now of something, and how much went through them.
#[derive(Default)]
pub struct Level {
    now: AtomicI64,
    total: AtomicU64,
}

/// One of them; it is over when this is dropped.
pub struct Gauge(Arc<Level>);

impl Level {
    /// One more.
    pub fn enter(self: &Arc<Self>) -> Gauge {
        self.now.fetch_add(1, Ordering::Relaxed);
        Gauge(self.clone())
    }
}

impl Gauge {
    /// So much went through.
    pub fn add(&self, amount: u64) {
        self.0.total.fetch_add(amount, Ordering::Relaxed);
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Counts a request that was answered.
    pub fn count(&self, label: Label, code: u16, took: Duration) {
        let seconds = took.as_secs_f64();
        let mut requests = self.requests.lock();
        let series = requests.entry(label).or_default();
        *series.codes.entry(code).or_default() += 1;
        series.count += 1;
        series.seconds += seconds;
        for (bound, bucket) in BUCKETS.iter().zip(&mut series.buckets) {
            *bucket += u64::from(seconds <= *bound);
        }
    }

    /// The text, with the number of requests in flight and the mirror's revision.
    pub fn text(&self, in_flight: usize, revision: u64) -> String {
        let mut out = String::new();
        let mut say = |line: std::fmt::Arguments<'_>| {
            // Writing to a string does not fail.
            let _ = out.write_fmt(line);
            out.push('\n');
        };
        say(format_args!(
            "# HELP apiserver_request_total Answered requests by what they asked for, and code.\n# TYPE apiserver_request_total counter"
        ));
        let requests = self.requests.lock();
        for (label, series) in requests.iter() {
            let labels = label.text();
            for (code, count) in &series.codes {
                say(format_args!("apiserver_request_total{{code=\"{code}\",{labels}}} {count}"));
            }
        }
        say(format_args!(
            "# HELP apiserver_request_duration_seconds Time to the head of the answer.\n# TYPE apiserver_request_duration_seconds histogram"
        ));
        for (label, series) in requests.iter() {
            let labels = label.text();
            for (bound, count) in BUCKETS.iter().zip(&series.buckets) {
                say(format_args!("apiserver_request_duration_seconds_bucket{{{labels},le=\"{bound}\"}} {count}"));
            }
            say(format_args!("apiserver_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} {}", series.count));
            say(format_args!("apiserver_request_duration_seconds_sum{{{labels}}} {}", series.seconds));
            say(format_args!("apiserver_request_duration_seconds_count{{{labels}}} {}", series.count));
        }
        let watches = self.watches.now.load(Ordering::Relaxed);
        let sent = self.watches.total.load(Ordering::Relaxed);
        let conversations = self.conversations.now.load(Ordering::Relaxed);
        for (name, kind, help, value) in [
            ("apiserver_longrunning_requests", "gauge", "Open watches.", watches),
            (
                "apiserver_watch_events_total",
                "counter",
                "Events sent on watches.",
                i64::try_from(sent).unwrap_or(i64::MAX),
            ),
            ("cox_gateway_conversations", "gauge", "Open exec, attach, port-forward and log streams.", conversations),
            ("apiserver_current_inflight_requests", "gauge", "Requests being answered.", in_flight as i64),
            (
                "cox_mirror_revision",
                "gauge",
                "The revision that the mirror has.",
                i64::try_from(revision).unwrap_or(i64::MAX),
            ),
        ] {
            say(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}"));
        }
        out
    }
}

#[cfg(test)]
mod tests;
