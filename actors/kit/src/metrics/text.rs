//! Prometheus' text format, version 0.0.4.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use super::{Family, Series};

/// A set of labels as it is written: `a="1",b="2"`.
pub(super) fn labels(labels: &[(&str, &str)]) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let all: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    all.join(",")
}

/// Appends a family.
pub(super) fn write(out: &mut String, name: &str, family: &Family) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {}", family.help, family.kind);
    for (labels, series) in &family.series {
        let _ = match series {
            Series::Counter(counter) => line(out, name, labels, counter.get()),
            Series::Gauge(gauge) => line(out, name, labels, gauge.get()),
            Series::Asked(ask) => line(out, name, labels, ask()),
            Series::Histogram(histogram) => {
                let buckets = &*histogram.0;
                let bounds = buckets.bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
                let bucket = format!("{name}_bucket");
                let comma = if labels.is_empty() { "" } else { "," };
                let mut count = 0;
                for (bound, own) in bounds.zip(&buckets.counts) {
                    count += own.load(Ordering::Relaxed);
                    let _ = line(out, &bucket, &format!("{labels}{comma}le=\"{bound}\""), count);
                }
                let sum = f64::from_bits(buckets.sum.load(Ordering::Relaxed));
                let _ = line(out, &format!("{name}_sum"), labels, sum);
                line(out, &format!("{name}_count"), labels, count)
            }
        };
    }
}

fn line(out: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) -> std::fmt::Result {
    match labels {
        "" => writeln!(out, "{name} {value}"),
        labels => writeln!(out, "{name}{{{labels}}} {value}"),
    }
}
