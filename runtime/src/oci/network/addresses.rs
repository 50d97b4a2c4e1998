//! Which sandbox has which address: a file for each, in the form that CNI's `host-local` plugin keeps.
//!
//! # Guarantees
//! - An address belongs to one sandbox: its file is made whole, and only if there is none.
//! - Addresses are given in turn, so that one that was let go is not another's at once.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;
use parking_lot::Mutex;

/// The last address that was given; its file is read when the first one is asked for.
const LAST: &str = "last_reserved_ip.0";
/// An address on its way.
const NEW: &str = "new";

/// The addresses of one subnet.
#[derive(Debug)]
pub(super) struct Addresses {
    folder: PathBuf,
    subnet: Ipv4Net,
    gateway: Ipv4Addr,
    /// Held while one is given: the last one given by this process.
    last: Mutex<Option<Ipv4Addr>>,
}

impl Addresses {
    pub(super) fn new(folder: PathBuf, subnet: Ipv4Net, gateway: Ipv4Addr) -> Self {
        Self { folder, subnet, gateway, last: Mutex::default() }
    }

    /// Gives `owner` an address.
    ///
    /// # Errors
    /// `AddrNotAvailable` when all are in use; the file system's.
    pub(super) fn take(&self, owner: &str, interface: &str) -> io::Result<Ipv4Addr> {
        let mut last = self.last.lock();
        fs::create_dir_all(&self.folder)?;
        let new = self.folder.join(NEW);
        fs::write(&new, format!("{owner}\r\n{interface}"))?;
        let before = last.or_else(|| fs::read_to_string(self.folder.join(LAST)).ok()?.trim().parse().ok());
        for address in in_turn(self.subnet, before).filter(|a| *a != self.gateway) {
            match fs::hard_link(&new, self.folder.join(address.to_string())) {
                Ok(()) => {
                    *last = Some(address);
                    fs::write(self.folder.join(LAST), address.to_string())?;
                    fs::remove_file(&new)?;
                    return Ok(address);
                }
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
        fs::remove_file(&new)?;
        Err(io::Error::new(ErrorKind::AddrNotAvailable, format!("every address of {} is in use", self.subnet)))
    }

    /// Lets go of all addresses of `owner`. Fine if it has none.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn release(&self, owner: &str) -> io::Result<()> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Ok(()) };
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| is_address(path)) {
            let noted = fs::read_to_string(&path).unwrap_or_default();
            if noted.lines().next() == Some(owner) {
                crate::files::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

fn is_address(path: &Path) -> bool {
    path.file_name().and_then(|n| n.to_str()).is_some_and(|name| name.parse::<Ipv4Addr>().is_ok())
}

/// Every host address of the subnet once, beginning behind `last`.
fn in_turn(subnet: Ipv4Net, last: Option<Ipv4Addr>) -> impl Iterator<Item = Ipv4Addr> {
    let last = last.unwrap_or(Ipv4Addr::UNSPECIFIED);
    let after = subnet.hosts().filter(move |a| *a > last);
    after.chain(subnet.hosts().filter(move |a| *a <= last))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn of(folder: &Path) -> Addresses {
        Addresses::new(folder.join("br"), "10.1.2.0/29".parse().unwrap(), Ipv4Addr::new(10, 1, 2, 1))
    }

    #[test]
    fn each_owner_has_its_own_until_none_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let addresses = of(dir.path());
        let given: BTreeSet<_> = (2..=6).map(|n| addresses.take(&format!("s{n}"), "eth0").unwrap()).collect();
        let all: BTreeSet<_> = (2..=6).map(|n| Ipv4Addr::new(10, 1, 2, n)).collect();
        assert_eq!(given, all);
        assert_eq!(addresses.take("more", "eth0").unwrap_err().kind(), ErrorKind::AddrNotAvailable);
        addresses.release("s4").unwrap();
        addresses.release("s4").unwrap();
        assert_eq!(addresses.take("more", "eth0").unwrap(), Ipv4Addr::new(10, 1, 2, 4));
    }

    #[test]
    fn what_was_let_go_rests_also_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = of(dir.path()).take("a", "eth0").unwrap();
        let addresses = of(dir.path());
        addresses.release("a").unwrap();
        assert_ne!(addresses.take("b", "eth0").unwrap(), first);
        let note = fs::read_to_string(dir.path().join("br/10.1.2.3")).unwrap();
        assert_eq!(note, "b\r\neth0");
    }
}
