//! A process of components: started, watched, and stopped in reverse order of start.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Result, bail};
use cox_apiserver::Apiserver;
use cox_bus::server::NatsServer;
use cox_gateway::Serving;
use cox_kit::Running;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal as Kind, kill};
use nix::unistd::Pid;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{cli, output, telemetry};

/// What runs, in order of start.
#[derive(Default)]
pub struct Process {
    members: Vec<Member>,
}

/// One of those that run.
pub enum Member {
    /// The nats-server that carries the others. It starts itself again.
    Bus(Box<NatsServer>),
    /// The apiserver, which closes the log when it has stopped.
    Apiserver(Apiserver),
    /// The gateway, which lets open requests end.
    Gateway(Serving),
    /// Any other tree of actors.
    Component(Running),
    /// Many trees that have nothing to do with each other: they are stopped together.
    Many(Vec<Running>),
}

impl Process {
    /// Takes in what was started last, and gives it back to be looked at.
    pub fn add(&mut self, member: Member) {
        self.members.push(member);
    }

    /// Takes in trees of actors in the order in which they were started.
    pub fn extend(&mut self, running: impl IntoIterator<Item = Running>) {
        self.members.extend(running.into_iter().map(Member::Component));
    }

    /// Waits until a component ends by itself: it failed too often.
    async fn failed(&mut self) -> String {
        let running = self.members.iter_mut().flat_map(|member| match member {
            Member::Bus(_) => Vec::new(),
            Member::Apiserver(apiserver) => vec![apiserver.running()],
            Member::Gateway(gateway) => vec![gateway.running()],
            Member::Component(running) => vec![running],
            Member::Many(all) => all.iter_mut().collect(),
        });
        let all: Vec<_> = running
            .map(|running| {
                Box::pin(async move {
                    let name = running.name().to_owned();
                    format!("{name} failed too often: {}", running.failed().await)
                })
            })
            .collect();
        if all.is_empty() {
            return std::future::pending().await;
        }
        futures::future::select_all(all).await.0
    }

    /// Stops everything in reverse order of start.
    async fn stop(self) {
        for member in self.members.into_iter().rev() {
            match member {
                Member::Bus(server) => server.stop().await,
                Member::Apiserver(apiserver) => apiserver.stop().await,
                Member::Gateway(gateway) => gateway.stop().await,
                Member::Component(running) => running.stop().await,
                Member::Many(all) => drop(futures::future::join_all(all.into_iter().map(Running::stop)).await),
            }
        }
    }
}

/// Runs a process: `start` fills it and says what is ready, which is printed; then it runs until Ctrl-C or SIGTERM. Who sends a second
/// signal does not want to wait: the process is killed, which loses nothing acknowledged.
///
/// # Errors
/// That of `start`, or which component failed too often. What was started is stopped in either case.
pub async fn run(telemetry: &cli::Telemetry, start: impl AsyncFnOnce(&mut Process) -> Result<String>) -> Result<()> {
    let spans = telemetry::start(telemetry)?;
    cox_runtime::return_large_blocks();
    open_many_files();
    let mut signals = Signals::new()?;
    let mut process = Process::default();
    let started = tokio::select! {
        started = start(&mut process) => Some(started),
        () = signals.next() => None,
    };
    let outcome = match started {
        None => Ok(()),
        Some(Err(error)) => Err(error),
        Some(Ok(ready)) => {
            // A cluster whose starter does not listen runs all the same.
            let _ = output::line(&format!("ready {ready}"));
            tokio::select! {
                () = signals.next() => Ok(()),
                failed = process.failed() => Err(anyhow::anyhow!("{failed}")),
                never = let_go_of_the_start() => match never {},
            }
        }
    };
    tokio::select! {
        () = process.stop() => {}
        () = signals.next() => {
            eprintln!("cox: killed while it was stopping");
            kill(Pid::this(), Kind::SIGKILL)?;
            bail!("killed while it was stopping");
        }
    }
    spans.flush();
    outcome
}

/// Lets go, once, of code that only the start needed: most of what is resident of a cluster that has nothing to do.
async fn let_go_of_the_start() -> Infallible {
    tokio::time::sleep(SETTLED).await;
    if let Err(error) = cox_runtime::release_code() {
        tracing::debug!(%error, "the start's code stays resident");
    }
    std::future::pending().await
}

/// Lets the process open as many files as it may: most are connections, and few hosts give a program more than a thousand by itself.
fn open_many_files() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard.min(FILES)
    {
        // Then there are fewer connections.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(FILES), hard);
    }
}

/// How many connections a gateway may have in this process: half of the files, so that log and nodes never lack any.
pub fn room_for_connections() -> usize {
    let (files, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    usize::try_from(files / 2).unwrap_or(CONNECTIONS).min(CONNECTIONS)
}

/// By then a start is over, the first elections and statuses included.
const SETTLED: Duration = Duration::from_secs(5);
/// The most files that are asked for: what is started from here has the same limit, and some programs look at each.
const FILES: u64 = 65_536;
/// The most connections: with what TLS keeps of each, about half a gigabyte.
const CONNECTIONS: usize = 10_000;

/// The signals that end a process.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
