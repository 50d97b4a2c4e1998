//! A cluster whose every component is a process of its own, beside a nats-server that nobody of them started.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::fcntl::Flock;

use crate::cluster::node_turn;
use crate::process::{Process, binary, tail};
use crate::wait::{Look, until};
use crate::{Kubectl, Node, image};

/// The components, and whose credentials each has. They need no order.
const COMPONENTS: [(&str, &str); 7] = [
    ("kubelet", "node:apart"),
    ("proxy", "proxy:apart"),
    ("feeds", "feed"),
    ("scheduler", "scheduler"),
    ("controllers", "controllers"),
    ("gateway", "gateway"),
    ("apiserver", "apiserver"),
];
/// How long the nats-server may take until it listens.
const BUS: Duration = Duration::from_secs(20);

/// The cluster. Dropping it ends it and removes what it made.
pub struct Apart {
    folder: tempfile::TempDir,
    options: Vec<String>,
    components: BTreeMap<&'static str, Process>,
    bus: Child,
    _turn: Flock<File>,
}

impl Apart {
    /// Makes the credentials, starts the nats-server with them, loads the demo's image, and starts all components. Waits until no other
    /// test has a node.
    ///
    /// # Errors
    /// If one of them does not become ready.
    pub fn start(node: Node) -> Result<Apart> {
        let turn = node_turn()?;
        let folder = tempfile::Builder::new().prefix("cox-").tempdir()?;
        let [bus, api] = [free_port()?, free_port()?];
        let url = format!("nats://127.0.0.1:{bus}");
        let node = [
            "--node-name=apart".to_owned(),
            format!("--pod-cidr=10.244.{}.0/24", node.slot),
            format!("--service-cidr=10.97.{}.0/24", node.slot),
        ];
        let logs = format!("--log-dir={}", folder.path().join("log").display());
        let mut options = vec![format!("--nats-url={url}"), format!("--listen=127.0.0.1:{api}"), logs];
        options.extend(node.iter().cloned());
        let mut making = vec!["credentials", "--nats-url", &url];
        making.extend(node.iter().map(String::as_str));
        let account = cox(&folder.path().join("data"), &making)?;
        let bus = start_bus(folder.path(), bus, &account)?;
        let mut apart = Apart { folder, options, components: BTreeMap::new(), bus, _turn: turn };
        let archive = apart.folder.path().join("image");
        image::write(&archive)?;
        cox(&apart.data(), &["image", "load", &archive.to_string_lossy()])?;
        let all = COMPONENTS.map(|(name, _)| name);
        apart.run(&all)?;
        Ok(apart)
    }

    /// Starts components, and waits until they are ready.
    ///
    /// # Errors
    /// If one is not a component, or does not become ready.
    pub fn run(&mut self, names: &[&'static str]) -> Result<()> {
        for &name in names {
            let (_, identity) = COMPONENTS.iter().find(|(known, _)| *known == name).context("no such component")?;
            let credentials = self.data().join("bus").join("creds").join(format!("{identity}.json"));
            let mut arguments = vec!["component".to_owned(), name.to_owned()];
            arguments.push(format!("--creds={}", credentials.display()));
            arguments.push(format!("--data-dir={}", self.data().display()));
            arguments.extend(self.options.iter().cloned());
            self.components.insert(name, Process::start(&arguments, &self.messages(name))?);
        }
        for name in names {
            self.components.get(name).context("it was not started")?.ready().with_context(|| (*name).to_owned())?;
        }
        Ok(())
    }

    /// Kills components with SIGKILL.
    ///
    /// # Errors
    /// If one does not run.
    pub fn kill(&mut self, names: &[&'static str]) -> Result<()> {
        names.iter().try_for_each(|name| self.components.remove(name).context("it does not run")?.kill())
    }

    /// Stops all components with SIGTERM, one after the other; each must end in good order.
    ///
    /// # Errors
    /// If one does not.
    pub fn stop(&mut self) -> Result<()> {
        for (name, _) in COMPONENTS {
            if let Some(process) = self.components.remove(name) {
                process.stop().with_context(|| name.to_owned())?;
            }
        }
        Ok(())
    }

    /// Its data directory, which all components share.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Calls kubectl, which must succeed, and gives what it prints.
    ///
    /// # Errors
    /// If it fails.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        let (kubeconfig, cache) = (self.data().join("admin.kubeconfig"), self.folder.path().join("kube-cache"));
        Kubectl { kubeconfig, cache }.run(arguments, input)
    }

    /// Runs `cox` with other arguments, as `status`; the data directory is added.
    ///
    /// # Errors
    /// If it fails.
    pub fn cox(&self, arguments: &[&str]) -> Result<String> {
        cox(&self.data(), arguments)
    }

    fn messages(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (name, _) in COMPONENTS {
                eprintln!("--- what {name} said last ---\n{}", tail(&self.messages(name)));
            }
        }
        self.components.clear();
        if let Err(error) = self.cox(&["down"]) {
            eprintln!("{error:#}");
        }
        // It may be gone already.
        let _ = self.bus.kill();
        let _ = self.bus.wait();
    }
}

fn cox(data: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("timeout");
    command.args(["-k", "5", "60"]).arg(binary()?).args(arguments).arg("--data-dir").arg(data);
    let output = command.stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cox {arguments:?}: {}: {text}{message}", output.status);
    Ok(text)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A nats-server as an administrator would run one, with the part of its configuration that `cox` printed.
fn start_bus(folder: &Path, port: u16, account: &str) -> Result<Child> {
    let (conf, store) = (folder.join("nats.conf"), folder.join("nats"));
    let own = format!("host: 127.0.0.1\nport: {port}\njetstream: {{store_dir: \"{}\"}}\n", store.display());
    fs::write(&conf, own + account)?;
    let program = cox_bus::server::find(None)?.path;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).arg("-c").arg(&conf);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    until("the nats-server listens", BUS, || {
        let there = std::net::TcpStream::connect(("127.0.0.1", port));
        Ok(Look::at(there.is_ok(), || format!("{there:?}")))
    })?;
    Ok(child)
}
