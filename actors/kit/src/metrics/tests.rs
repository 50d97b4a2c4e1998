//! What is measured is shown as Prometheus reads it.

use super::*;

const SEEN: Metric = Metric { name: "seen_total", help: "What was seen." };
const TIME: Metric = Metric { name: "time_seconds", help: "How long it took." };
const NOW: Metric = Metric { name: "now", help: "What is there." };

#[test]
fn instruments_are_shared_by_name_and_labels() {
    let registry = Registry::default();
    registry.counter(SEEN, &[("kind", "a")]).add(2);
    registry.clone().counter(SEEN, &[("kind", "a")]).add(1);
    registry.counter(SEEN, &[("kind", "q\"uote\n")]).add(4);
    let text = "# HELP seen_total What was seen.\n# TYPE seen_total counter\n\
                seen_total{kind=\"a\"} 3\nseen_total{kind=\"q\\\"uote\\n\"} 4\n";
    assert_eq!(registry.text(), text);
}

#[test]
fn buckets_hold_all_that_is_not_above_them() {
    let registry = Registry::default();
    let histogram = registry.histogram(TIME, &[], &[0.1, 1.0]);
    [0.05, 0.1, 0.5, 7.0].into_iter().for_each(|value| histogram.observe(value));
    let text = registry.text();
    for line in [
        "# TYPE time_seconds histogram",
        "time_seconds_bucket{le=\"0.1\"} 2",
        "time_seconds_bucket{le=\"1\"} 3",
        "time_seconds_bucket{le=\"+Inf\"} 4",
        "time_seconds_sum 7.65",
        "time_seconds_count 4",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
}

#[test]
fn a_value_is_asked_of_whoever_registered_last() {
    let registry = Registry::default();
    registry.asked(NOW, &[("of", "a")], || 1);
    registry.asked(NOW, &[("of", "a")], || 2);
    registry.section(|| "theirs 5\n".to_owned());
    assert!(registry.text().ends_with("now{of=\"a\"} 2\ntheirs 5\n"), "{}", registry.text());
}

#[test]
fn a_name_means_one_thing_and_has_so_many_labels_at_most() {
    let registry = Registry::default();
    registry.gauge(NOW, &[]).set(1);
    registry.counter(NOW, &[]).add(9);
    assert!(registry.text().ends_with("\nnow 1\n"));
    (0..2 * MAX_SERIES).for_each(|n| registry.counter(SEEN, &[("n", &n.to_string())]).add(1));
    assert_eq!(registry.text().lines().filter(|line| line.starts_with("seen_total{")).count(), MAX_SERIES);
    registry.counter(SEEN, &[("n", "0")]).add(1);
    assert!(registry.text().contains("seen_total{n=\"0\"} 2\n"), "those that are known go on");
}
