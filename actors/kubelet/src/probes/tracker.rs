//! When a probe's answers become a verdict: pure.

use std::time::Duration;

use k8s_openapi::api::core::v1::Probe;

/// Which of a container's probes it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Holds up the other two until it has succeeded once.
    Startup,
    /// Whether the container takes traffic.
    Readiness,
    /// Whether it is to be restarted.
    Liveness,
}

impl Kind {
    /// As messages begin with it.
    pub fn title(self) -> &'static str {
        match self {
            Kind::Startup => "Startup",
            Kind::Readiness => "Readiness",
            Kind::Liveness => "Liveness",
        }
    }

    /// As messages name it elsewhere.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Startup => "startup",
            Kind::Readiness => "readiness",
            Kind::Liveness => "liveness",
        }
    }
}

/// Times and thresholds of a probe, with the API's defaults where unset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// From the container's start to the first asking.
    pub initial_delay: Duration,
    /// Between askings.
    pub period: Duration,
    /// Of one asking.
    pub timeout: Duration,
    /// Failures in a row that count.
    pub failures: u32,
    /// Successes in a row that count.
    pub successes: u32,
}

impl Rhythm {
    /// The rhythm of a probe.
    pub fn of(probe: &Probe) -> Self {
        let seconds = |value: Option<i32>, default: u32| {
            Duration::from_secs(value.and_then(|v| u32::try_from(v).ok()).unwrap_or(default).into())
        };
        let count = |value: Option<i32>, default: u32| {
            value.and_then(|v| u32::try_from(v).ok()).filter(|v| *v > 0).unwrap_or(default)
        };
        Rhythm {
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10).max(Duration::from_secs(1)),
            timeout: seconds(probe.timeout_seconds, 1).max(Duration::from_secs(1)),
            failures: count(probe.failure_threshold, 3),
            successes: count(probe.success_threshold, 1),
        }
    }
}

/// Counts answers of one probe of one running container.
#[derive(Clone, Debug)]
pub struct Tracker {
    rhythm: Rhythm,
    last: Option<bool>,
    in_a_row: u32,
    verdict: Option<bool>,
}

impl Tracker {
    /// Nothing asked yet.
    pub fn new(rhythm: Rhythm) -> Self {
        Tracker { rhythm, last: None, in_a_row: 0, verdict: None }
    }

    /// Takes an answer; the verdict, if it has changed with it.
    pub fn answer(&mut self, success: bool) -> Option<bool> {
        self.in_a_row = if self.last == Some(success) { self.in_a_row.saturating_add(1) } else { 1 };
        self.last = Some(success);
        let needed = if success { self.rhythm.successes } else { self.rhythm.failures };
        if self.in_a_row < needed || self.verdict == Some(success) {
            return None;
        }
        self.verdict = Some(success);
        Some(success)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tracker(failures: u32, successes: u32) -> Tracker {
        let second = Duration::from_secs(1);
        Tracker::new(Rhythm { initial_delay: second, period: second, timeout: second, failures, successes })
    }

    #[test]
    fn thresholds_count_in_a_row() {
        let mut t = tracker(3, 2);
        let verdicts: Vec<_> =
            [false, false, true, false, false, false, true, true, true].map(|a| t.answer(a)).into_iter().collect();
        assert_eq!(verdicts, [None, None, None, None, None, Some(false), None, Some(true), None]);
    }

    #[test]
    fn unset_fields_have_the_apis_defaults() {
        let rhythm = Rhythm::of(&Probe::default());
        assert_eq!(
            (rhythm.period.as_secs(), rhythm.timeout.as_secs(), rhythm.failures, rhythm.successes),
            (10, 1, 3, 1)
        );
    }

    proptest! {
        /// A verdict is never given before its threshold, and two in a row never agree.
        #[test]
        fn verdicts_alternate_and_are_earned(answers in prop::collection::vec(any::<bool>(), 0..60), f in 1u32..5, s in 1u32..5) {
            let mut t = tracker(f, s);
            let mut before = None;
            for (i, answer) in answers.iter().enumerate() {
                if let Some(verdict) = t.answer(*answer) {
                    prop_assert_ne!(before, Some(verdict));
                    let needed = if verdict { s } else { f } as usize;
                    prop_assert!(i + 1 >= needed && answers[i + 1 - needed..=i].iter().all(|a| *a == verdict));
                    before = Some(verdict);
                }
            }
        }
    }
}
