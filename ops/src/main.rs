//! `cox`: the one binary of Coxswain. Composition, command line, telemetry.
#![allow(unreachable_pub, reason = "a binary has no interface; `pub` says what a module offers the others")]

mod address;
mod backup;
mod bench;
mod cli;
mod cluster;
mod component;
mod compose;
mod control;
mod credentials;
mod events;
mod figures;
mod folder;
mod get;
mod history;
mod hollow;
mod image;
mod integrator;
mod metrics;
mod named;
mod node;
mod operator;
mod output;
mod process;
mod ready;
mod restore;
mod since;
mod site;
mod start;
mod status;
mod telemetry;
mod up;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

// Many threads allocate and free objects of all sizes: the system's allocator keeps the fragments. RocksDB's C++ has this one, too.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // A container's monitor is this program again; it must not have a thread before it forks.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "monitor") {
        cox_runtime::monitor::main(arguments);
    }
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers()).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(run(cli));
            runtime.shutdown_timeout(std::time::Duration::from_secs(2));
            outcome
        }
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<output::Unread>() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cox: {}", line(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes in one line; what a cause only repeats is said once.
fn line(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text.replace('\n', " ")
}

/// Two workers do what there is to do on small machines best; larger ones get one for every two processors.
fn workers() -> usize {
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    (processors / 2).max(2)
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Up(options) => up::run(options).await,
        Command::Down(options) => node::down(&options.data_dir).await,
        Command::Component(options) => component::run(options).await,
        Command::Credentials(options) => credentials::run(&options),
        Command::Image(options) => image::run(options).await,
        Command::Events(options) => events::run(options).await,
        Command::Get(options) => get::run(options).await,
        Command::Log(options) => history::run(options).await,
        Command::Status(options) => status::run(options).await,
        Command::Metrics(options) => metrics::run(options).await,
        Command::Integrator(options) => integrator::run(options).await,
        Command::Backup(options) => backup::run(options).await,
        Command::Verify(options) => verify::run(&options),
        Command::Restore(options) => restore::run(&options),
        Command::Bench(options) => bench::run(options).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_that_says_nothing_twice() {
        let cause = std::io::Error::other("no space\nleft");
        let error = anyhow::Error::new(cause).context("writing f: no space\nleft").context("the log cannot be kept");
        assert_eq!(line(&error), "the log cannot be kept: writing f: no space left");
    }
}
