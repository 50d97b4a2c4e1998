//! A sandbox's namespaces, held by files on which they are mounted: no process is needed to keep them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::sethostname;

use super::snapshot::unmount;
use crate::port::sandbox::SandboxSpec;
use crate::sys;

/// The kinds, as OCI calls them, with the kernel's name and flag.
const KINDS: [(&str, &str, CloneFlags); 3] = [
    ("network", "net", CloneFlags::CLONE_NEWNET),
    ("ipc", "ipc", CloneFlags::CLONE_NEWIPC),
    ("uts", "uts", CloneFlags::CLONE_NEWUTS),
];

/// Which kinds a sandbox has of its own.
pub(super) fn own_kinds(spec: &SandboxSpec) -> Vec<(&'static str, &'static str, CloneFlags)> {
    let is_own = |kind: &str| match kind {
        "ipc" => !spec.host.ipc,
        // The host's name goes with the host's network.
        _ => !spec.host.network,
    };
    KINDS.into_iter().filter(|(kind, ..)| is_own(kind)).collect()
}

/// The files of a sandbox's own namespaces, by OCI type.
pub(super) fn files(folder: &Path, spec: &SandboxSpec) -> BTreeMap<&'static str, PathBuf> {
    let mut files: BTreeMap<_, _> =
        own_kinds(spec).into_iter().map(|(kind, file, _)| (kind, folder.join("ns").join(file))).collect();
    if spec.shared_pid && !spec.host.pid {
        files.insert("pid", folder.join("ns/pid"));
    }
    files
}

/// Makes the namespaces, with the loopback interface up, the host name and the kernel parameters set.
///
/// # Errors
/// The machine's, naming the step.
pub(super) fn create(folder: &Path, spec: &SandboxSpec) -> io::Result<()> {
    fs::create_dir_all(folder.join("ns"))?;
    let kinds = own_kinds(spec);
    if kinds.is_empty() {
        return Ok(());
    }
    let (folder, spec) = (folder.to_owned(), spec.clone());
    // A thread of its own: what it unshares ends with it, but for the files.
    let thread = std::thread::Builder::new().name("namespaces".to_owned()).spawn(move || -> io::Result<()> {
        unshare(kinds.iter().fold(CloneFlags::empty(), |all, (.., flag)| all | *flag))?;
        if !spec.host.network {
            sethostname(&spec.hostname)?;
            sys::set_interface_up("lo", true)?;
        }
        for (name, value) in &spec.sysctls {
            let path = Path::new("/proc/sys").join(name.replace('.', "/"));
            fs::write(&path, value)
                .map_err(|e| io::Error::new(e.kind(), format!("set kernel parameter {name}: {e}")))?;
        }
        for (_, file, _) in kinds {
            hold(&Path::new("/proc/thread-self/ns").join(file), &folder.join("ns").join(file))?;
        }
        Ok(())
    })?;
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
}

/// Keeps a namespace by mounting it on a file.
///
/// # Errors
/// The machine's.
pub(super) fn hold(namespace: &Path, file: &Path) -> io::Result<()> {
    File::create(file)?;
    let none: Option<&str> = None;
    mount(Some(namespace), file, none, MsFlags::MS_BIND, none)
        .map_err(|e| io::Error::new(io::Error::from(e).kind(), format!("keep {}: {e}", namespace.display())))
}

/// Lets go of all namespaces of a sandbox. Fine if there are none.
///
/// # Errors
/// The kernel's.
pub(super) fn release(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder.join("ns")).into_iter().flatten().flatten() {
        unmount(&entry.path())?;
        fs::remove_file(entry.path())?;
    }
    Ok(())
}

/// Runs something in a network namespace, on a thread that ends with it.
///
/// # Errors
/// The thread's, and those of `work`.
pub(super) async fn within_network<T: Send + 'static>(
    file: PathBuf,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (answer, result) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("within-network".to_owned()).spawn(move || {
        let done = File::open(file)
            .and_then(|file| setns(file, CloneFlags::CLONE_NEWNET).map_err(io::Error::from))
            .and_then(|()| work());
        // Nobody waits any more if the caller has given up.
        let _ = answer.send(done);
    })?;
    result.await.unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
}
