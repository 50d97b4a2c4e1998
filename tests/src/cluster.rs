//! A real `cox up` in a folder of its own, which leaves nothing behind, also when a test fails.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

use crate::image;
use crate::process::{Process, binary, tail};

/// How long `cox down` may take, in seconds.
const DOWN: &str = "60";

/// What distinguishes the node of one test from that of another on the same machine.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// The third byte of its pods' network 10.244.x.0/24 and of its Services' network 10.97.x.0/24.
    pub slot: u8,
}

/// A cluster. Dropping it ends it and removes what it made.
pub struct Cluster {
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// Held while a node runs: two at a time would be in each other's way.
    node: Option<Flock<File>>,
    port: u16,
    process: Option<Process>,
}

impl Cluster {
    /// Starts a cluster without a node, with these further arguments.
    ///
    /// # Errors
    /// If it does not become ready.
    pub fn without_node(more: &[&str]) -> Result<Cluster> {
        let arguments = ["--no-node"].iter().chain(more).map(|a| (*a).to_owned()).collect();
        Self::start(arguments, None)
    }

    /// A cluster without a node that is not started yet: its data directory is not there, and may be made, or put there, by the test.
    ///
    /// # Errors
    /// If there is no place for it.
    pub fn prepared() -> Result<Cluster> {
        Self::new(vec!["--no-node".to_owned()], None)
    }

    /// Starts a cluster with a node on this machine, with these further arguments, and loads the demo's image. Waits until no other test has a node.
    ///
    /// # Errors
    /// If it does not become ready.
    pub fn with_node(node: Node, more: &[&str]) -> Result<Cluster> {
        let mut arguments = vec![
            format!("--pod-cidr=10.244.{}.0/24", node.slot),
            format!("--service-cidr=10.97.{}.0/24", node.slot),
            format!("--node-name=node-{}", node.slot),
        ];
        arguments.extend(more.iter().map(|a| (*a).to_owned()));
        let cluster = Self::start(arguments, Some(node_turn()?))?;
        let image = cluster.folder.path().join("image");
        image::write(&image)?;
        cluster.cox(&["image", "load", &image.to_string_lossy()])?;
        Ok(cluster)
    }

    fn start(arguments: Vec<String>, node: Option<Flock<File>>) -> Result<Cluster> {
        let mut cluster = Self::new(arguments, node)?;
        cluster.up()?;
        Ok(cluster)
    }

    fn new(arguments: Vec<String>, node: Option<Flock<File>>) -> Result<Cluster> {
        let folder = tempfile::Builder::new().prefix("cox-").tempdir()?;
        Ok(Cluster { folder, arguments, environment: Vec::new(), node, port: 0, process: None })
    }

    /// Sets a variable of its environment, from the next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(set, _)| set != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Starts `cox` again after [`Cluster::kill`] or [`Cluster::stop`], on the same port.
    ///
    /// # Errors
    /// If it runs, or does not become ready.
    pub fn up(&mut self) -> Result<()> {
        self.launch(&[])?;
        self.ready().map(drop)
    }

    /// Starts `cox`, with these further arguments this time, and does not wait for it.
    ///
    /// # Errors
    /// If it runs already, or cannot be started.
    pub fn launch(&mut self, more: &[&str]) -> Result<()> {
        if self.process.is_some() {
            bail!("it runs already");
        }
        let mut arguments = ["up".to_owned(), format!("--listen=127.0.0.1:{}", self.port)].to_vec();
        for (option, folder) in [("--data-dir", self.data()), ("--log-dir", self.folder.path().join("log"))] {
            arguments.extend([option.to_owned(), folder.to_string_lossy().into_owned()]);
        }
        arguments.extend(self.arguments.iter().cloned());
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        self.process = Some(Process::start_in(&self.environment, &arguments, &self.messages())?);
        Ok(())
    }

    /// Waits until it is ready after [`Cluster::launch`], and gives the line that says so.
    ///
    /// # Errors
    /// If it does not run, or does not become ready.
    pub fn ready(&mut self) -> Result<String> {
        let line = self.process.as_ref().context("it does not run")?.ready()?;
        let port =
            line.split_whitespace().find_map(|word| word.strip_prefix("https://")?.rsplit(':').next()?.parse().ok());
        self.port = port.with_context(|| format!("no address in {line:?}"))?;
        Ok(line)
    }

    /// Waits until it has ended by itself, and gives its exit code.
    ///
    /// # Errors
    /// If it does not run, does not end, or is ended by a signal.
    pub fn ended(&mut self) -> Result<i32> {
        let status = self.process.as_mut().context("it does not run")?.ended()?;
        self.process = None;
        status.code().with_context(|| format!("{status}"))
    }

    /// The process id of `cox`, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Kills `cox` with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().context("it does not run")?.kill()
    }

    /// Stops `cox` with SIGTERM; it must end in good order.
    ///
    /// # Errors
    /// If it does not in time, or not with success.
    pub fn stop(&mut self) -> Result<()> {
        self.process.take().context("it does not run")?.stop()
    }

    /// Runs `cox` with other arguments, as `down`; the data directory is added.
    ///
    /// # Errors
    /// If it fails.
    pub fn cox(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("timeout");
        command.args(["-k", "5", DOWN]).arg(binary()?).args(arguments).arg("--data-dir").arg(self.data());
        let output = command.stdin(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!("cox {arguments:?}: {}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(text)
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder for what a test writes; it goes away with the cluster.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.data().join("admin.kubeconfig")
    }

    /// The cluster's id: in its subjects, and in the names of what it makes on the machine.
    ///
    /// # Errors
    /// If it has none yet.
    pub fn id(&self) -> Result<String> {
        Ok(fs::read_to_string(self.data().join("cluster"))?.trim().to_owned())
    }

    /// The credentials file of one of the bus' identities.
    pub fn credentials(&self, identity: &str) -> PathBuf {
        self.data().join("bus").join("creds").join(format!("{identity}.json"))
    }

    /// The process id of its nats-server.
    ///
    /// # Errors
    /// If there is none.
    pub fn nats_pid(&self) -> Result<i32> {
        let file = self.data().join("bus").join("nats-server.pid");
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        Ok(text.trim().parse()?)
    }

    /// A client for its API as the administrator.
    ///
    /// # Errors
    /// If the kubeconfig cannot be used.
    pub async fn client(&self) -> Result<kube::Client> {
        let kubeconfig = kube::config::Kubeconfig::read_from(self.kubeconfig())?;
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await?;
        Ok(kube::Client::try_from(config)?)
    }

    fn messages(&self) -> PathBuf {
        self.folder.path().join("cox.log")
    }

    /// What `cox` wrote last to standard error.
    pub fn last_messages(&self) -> String {
        tail(&self.messages())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if failed {
            eprintln!("--- what cox said last ---\n{}\n---", self.last_messages());
        }
        match self.process.take() {
            // Whatever it would say in its stop is not what the test failed of.
            Some(process) if failed => drop(process),
            Some(process) => {
                let _ = process.stop();
            }
            None => {}
        }
        if self.node.is_some()
            && let Err(error) = self.cox(&["down"])
        {
            eprintln!("{error:#}");
        }
    }
}

/// Waits until no other test has a node, and keeps others from one while it is held.
///
/// # Errors
/// If the lock's file cannot be made.
pub fn node_turn() -> Result<Flock<File>> {
    let file = File::create(std::env::temp_dir().join("cox-tests-node.lock"))?;
    Ok(Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error)?)
}
