//! Options of how long the past is kept, and on how much of the disk.

use std::str::FromStr;

use clap::Args;
use cox_log::{Keep, Retention};
use cox_objects::{Resource, kinds};

use crate::named;

/// Options of what of the past is kept.
#[derive(Args, Clone)]
pub struct Past {
    /// How long the past of objects can be read: a time (7d, 12h), `newest` (only what they are) or `forever`; RESOURCE=AGE for those of one
    /// kind (secrets=30d, foos.example.com=newest). May be given many times. As far back as the newest 15 minutes and 100,000 changes
    /// everything is kept.
    #[arg(long, value_name = "AGE|RESOURCE=AGE", value_delimiter = ',', default_values = ["7d", "leases=newest", "events=newest"])]
    pub keep: Vec<Rule>,
    /// How much of the disk the log may take (500MiB, 20GiB): beyond it less of the past is kept, down to the newest 100,000 changes.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_disk: Option<u64>,
}

/// How long the past of objects is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which; all that have no rule of their own, if none.
    resource: Option<Resource>,
    keep: Keep,
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let keep = |text: &str| text.parse::<Keep>().map_err(|error| error.to_string());
        match text.split_once('=') {
            None => Ok(Rule { resource: None, keep: keep(text)? }),
            Some((name, age)) => Ok(Rule { resource: Some(resource(name)?), keep: keep(age)? }),
        }
    }
}

/// The resource that is meant. Those of the cluster's own kinds are not known here; they go by their whole names.
fn resource(name: &str) -> Result<Resource, String> {
    match named::object(&kinds::builtin(), name) {
        Ok((kind, None)) => Ok(kind.resource.clone()),
        _ if name.contains('.') && !name.contains('/') => Ok(Resource::from(name)),
        _ => Err(format!(
            "there is no kind {name:?}; write the plural and the group of one of your own, as foos.example.com"
        )),
    }
}

impl Past {
    /// What they come to. A rule that is given again is the later one, and what is not named stays as it is without options.
    pub fn retention(&self) -> Retention {
        let mut retention = Retention { max_disk: self.max_disk, ..Retention::default() };
        for Rule { resource, keep } in &self.keep {
            match resource {
                None => retention.keep = *keep,
                Some(resource) => drop(retention.by_resource.insert(resource.clone(), *keep)),
            }
        }
        retention
    }
}

/// Bytes, from a number with its unit.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size of 1MiB and more, as 500MiB or 20GiB");
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?);
    let shift = match unit {
        "MiB" | "Mi" => 20,
        "GiB" | "Gi" => 30,
        "TiB" | "Ti" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn retention(arguments: &[&str]) -> Result<Retention, clap::Error> {
        match Cli::try_parse_from(["cox", "up"].iter().chain(arguments))?.command {
            Command::Up(up) => Ok(up.past.retention()),
            _ => unreachable!("not up"),
        }
    }

    #[test]
    fn without_options_it_is_the_default() {
        assert_eq!(retention(&[]).unwrap(), Retention::default());
    }

    #[test]
    fn rules_are_for_all_or_for_a_kind() {
        let given = retention(&["--keep", "1d,secret=30d", "--keep", "foos.example.com=forever", "--max-disk", "2GiB"])
            .unwrap();
        let days = |days: u64| Keep::For(Duration::from_secs(days * 86_400));
        assert_eq!((given.keep, given.max_disk), (days(1), Some(2 << 30)));
        let of = |name: &str| given.by_resource.get(&Resource::from(name)).copied();
        assert_eq!((of("secrets"), of("foos.example.com")), (Some(days(30)), Some(Keep::Forever)));
        assert_eq!((of("leases.coordination.k8s.io"), of("events")), (Some(Keep::Newest), Some(Keep::Newest)));
        for wrong in [
            "--keep=7",
            "--keep=foos=1d",
            "--keep=cm/a=1d",
            "--keep=",
            "--max-disk=5",
            "--max-disk=0GiB",
            "--max-disk=9G",
        ] {
            assert!(retention(&[wrong]).is_err(), "{wrong}");
        }
    }
}
