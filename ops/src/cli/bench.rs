//! Options of `cox bench`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::DATA_DIR;

/// Options of `cox bench`.
#[derive(Args, Clone)]
pub struct Bench {
    /// The kubeconfig of the cluster, of any kind; $KUBECONFIG if not given, else the one in the data directory.
    #[arg(long, value_name = "FILE", env = "KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    /// Where the cluster keeps its state.
    #[arg(long, value_name = "DIR", default_value = DATA_DIR, env = "COX_DATA_DIR")]
    pub data_dir: PathBuf,
    /// How many connections, each with one request at a time.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 16, 64], value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub connections: Vec<u16>,
    /// How many watchers read what the connections write.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub watchers: u16,
    /// How many ConfigMaps a list holds.
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u16).range(1..=50_000))]
    pub listed: u16,
    /// What is measured.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', default_values_t = Operation::ALL)]
    pub operations: Vec<Operation>,
    /// How long each measurement takes at most (2s, 500ms).
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub time: Duration,
    /// How many requests (for watch: events written) each measurement makes at most.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub count: u64,
    /// For pods: the image of their containers, which must be on the node and have a shell (as that of the demo).
    #[arg(long, value_name = "NAME", default_value = "cox.local/web:1")]
    pub image: String,
    /// How many nodes `schedule` makes, and `hollow` waits for.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub nodes: u32,
    /// How many pods: those that `pods` starts at once (20 if not given, 100 at most), or that `schedule` and `hollow` make in all (5 and 30
    /// for each node if not given).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500_000))]
    pub pods: Option<u32>,
    /// Measure with so many ConfigMaps beside those that the measurements make: one table for each number, the smallest first.
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub objects: Vec<u64>,
    /// Leave the namespaces that were made, to see what a cluster does with what is in them; else they are removed at the end.
    #[arg(long)]
    pub keep: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What `cox bench` measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    /// ConfigMaps of about 1 kB are created.
    Create,
    /// One ConfigMap is read, at the newest revision.
    Get,
    /// ConfigMaps are replaced, each connection its own.
    Update,
    /// All ConfigMaps of a namespace are read at once, at the newest revision.
    List,
    /// Each connection replaces a ConfigMap of its own, and watchers read all events. Time from the write's answer to the event.
    Watch,
    /// Pods are started, one by one and many at once, deleted, and their containers killed: needs a node, and is measured only when asked for.
    Pods,
    /// Pods find their nodes, which are objects without kubelets. Not measured unless it is asked for, in a cluster without nodes.
    Schedule,
    /// Deployments until all their pods run on hollow nodes. Not measured unless it is asked for, with `cox up --hollow-nodes`.
    Hollow,
}

impl Operation {
    /// Those that need nothing but an API, in the order in which they are measured.
    pub const ALL: [Operation; 5] =
        [Operation::Create, Operation::Get, Operation::Update, Operation::List, Operation::Watch];
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Create => "create",
            Operation::Get => "get",
            Operation::Update => "update",
            Operation::List => "list",
            Operation::Watch => "watch",
            Operation::Pods => "pods",
            Operation::Schedule => "schedule",
            Operation::Hollow => "hollow",
        })
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration between 1ms and 1h, as 2s or 500ms");
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        _ => None,
    };
    match milliseconds {
        Some(milliseconds @ 1..=3_600_000) => Ok(Duration::from_millis(milliseconds)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_bounds() {
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["", "5", "s", "0s", "61m", "-1s", "99999999999999999999s", "1h2"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
