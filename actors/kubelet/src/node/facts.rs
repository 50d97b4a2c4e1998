//! What kind of machine this is: read once, at start.

use std::fs;
use std::path::Path;

/// The machine's size and names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Processors.
    pub cpus: i64,
    /// Bytes of memory.
    pub memory_bytes: i64,
    /// Bytes of the disk that holds the node's state.
    pub disk_bytes: i64,
    /// `/etc/machine-id`
    pub machine_id: String,
    /// The machine's uuid, as its firmware tells it.
    pub system_uuid: String,
    /// The boot's id.
    pub boot_id: String,
    /// `uname -r`
    pub kernel: String,
    /// `PRETTY_NAME` of `/etc/os-release`
    pub os_image: String,
    /// `amd64`, `arm64`, …
    pub architecture: String,
}

impl Machine {
    /// Reads the facts; what a machine does not tell stays empty. `root` is on the disk whose size counts.
    pub fn read(root: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(path).map(|t| t.trim().to_owned()).unwrap_or_default();
        let memory = text("/proc/meminfo");
        let kib = memory
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<i64>().ok());
        let disk = nix::sys::statvfs::statvfs(root).ok();
        let machine_id = text("/etc/machine-id");
        let uuid = text("/sys/class/dmi/id/product_uuid");
        Machine {
            cpus: std::thread::available_parallelism().map_or(1, |n| i64::try_from(n.get()).unwrap_or(1)),
            memory_bytes: kib.unwrap_or(0) * 1024,
            disk_bytes: disk.map_or(0, |d| i64::try_from(d.blocks() * d.fragment_size()).unwrap_or(i64::MAX)),
            system_uuid: if uuid.is_empty() { machine_id.clone() } else { uuid },
            machine_id,
            boot_id: text("/proc/sys/kernel/random/boot_id"),
            kernel: text("/proc/sys/kernel/osrelease"),
            os_image: os_image(&text("/etc/os-release")),
            architecture: architecture(std::env::consts::ARCH).to_owned(),
        }
    }

    /// Thousandths of a CPU.
    pub fn milli_cpu(&self) -> i64 {
        self.cpus * 1000
    }
}

fn os_image(release: &str) -> String {
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map(|name| name.trim_matches('"').to_owned()).unwrap_or_else(|| "Linux".to_owned())
}

/// The name that Go, and so Kubernetes, has for an architecture.
fn architecture(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_tells_its_size() {
        let machine = Machine::read(Path::new("/"));
        assert!(machine.cpus > 0 && machine.memory_bytes > 1 << 20 && machine.disk_bytes > 1 << 20, "{machine:?}");
        assert!(!machine.kernel.is_empty() && !machine.boot_id.is_empty());
    }

    #[test]
    fn names_are_those_that_clients_know() {
        assert_eq!(
            os_image("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
            "Debian GNU/Linux 12 (bookworm)"
        );
        assert_eq!(architecture("x86_64"), "amd64");
    }
}
