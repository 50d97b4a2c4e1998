//! A cluster's folder: its identity and its keys, and the names that follow from them.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use cox_gateway::pki::TokenKeys;
use cox_gateway::{Pki, ServerNames};
use rand::Rng;

/// What to do where keys are missing.
const COPY: &str = "copy the pki folder from the cluster's, or give the cluster's with --data-dir";

/// What a cluster is known by.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its folder.
    pub dir: PathBuf,
    /// 8 hexadecimal digits: in the names of bridges, tables and cgroups, so that two clusters live side by side on a machine.
    pub id: String,
}

impl Cluster {
    /// Opens a cluster's folder (0700), made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made, or is no cluster's.
    pub fn open(dir: &Path) -> Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).with_context(|| {
            format!("{} cannot be made; choose another folder with --data-dir, or run this as root", dir.display())
        })?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
            .with_context(|| format!("{} is not ours; choose another folder with --data-dir", dir.display()))?;
        let dir = dir.canonicalize()?;
        let file = dir.join("cluster");
        let id = match fs::read_to_string(&file) {
            Ok(id) => id.trim().to_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let id = format!("{:08x}", rand::rng().random::<u32>());
                fs::write(&file, format!("{id}\n")).with_context(|| format!("{} cannot be written", file.display()))?;
                id
            }
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", file.display())),
        };
        if id.len() != 8 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            bail!(
                "{} does not hold a cluster's id; restore it, or choose another folder with --data-dir",
                file.display()
            );
        }
        Ok(Cluster { dir, id })
    }

    /// The cluster whose folder it is; it must be there.
    ///
    /// # Errors
    /// If there is none.
    pub fn existing(dir: &Path) -> Result<Self> {
        if !dir.join("cluster").exists() {
            bail!("there is no cluster in {}; give its folder with --data-dir", dir.display());
        }
        Self::open(dir)
    }

    /// The folder of a part of a cluster that began elsewhere: made if it is not there, with that cluster's id.
    ///
    /// # Errors
    /// If it cannot be made, or is another cluster's.
    pub fn join(dir: &Path, id: &str) -> Result<Self> {
        let file = dir.join("cluster");
        if !file.exists() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .with_context(|| format!("{} cannot be made", dir.display()))?;
            fs::write(&file, format!("{id}\n")).with_context(|| format!("{} cannot be written", file.display()))?;
        }
        let cluster = Self::open(dir)?;
        if cluster.id != id {
            bail!(
                "{} is of cluster {}, and the credentials are of cluster {id}; choose another folder with --data-dir",
                dir.display(),
                cluster.id
            );
        }
        Ok(cluster)
    }

    /// The keys; made at the first start.
    ///
    /// # Errors
    /// If they cannot be read or written.
    pub fn keys(&self, service: Ipv4Addr, hosts: &[Ipv4Addr], host_name: &str) -> Result<Pki> {
        let addresses = hosts.iter().chain([&service]).map(|ip| IpAddr::V4(*ip)).collect();
        let names = ServerNames { names: vec![host_name.to_owned()], addresses };
        Ok(Pki::load_or_make(&self.key_folder(), &names, SystemTime::now())?)
    }

    /// The folder of the keys.
    pub fn key_folder(&self) -> PathBuf {
        self.dir.join("pki")
    }

    /// The keys of service account tokens, for an apiserver.
    ///
    /// # Errors
    /// If they are not there.
    pub fn token_keys(&self) -> Result<TokenKeys> {
        Pki::token_keys(&self.key_folder()).context(COPY)
    }

    /// The certificate of the cluster's authority, for controllers and apiservers. It is no secret.
    ///
    /// # Errors
    /// If it is not there.
    pub fn root_ca(&self) -> Result<String> {
        Pki::root_ca(&self.key_folder()).context(COPY)
    }

    /// Whether the cluster has its keys here, all that a gateway needs.
    ///
    /// # Errors
    /// If not.
    pub fn has_keys(&self) -> Result<()> {
        let file = self.key_folder().join("ca.key");
        ensure!(file.exists(), "{COPY}: {} is not there", file.display());
        Ok(())
    }

    /// The folder of the bus' credentials.
    pub fn credentials(&self) -> PathBuf {
        self.dir.join("bus").join("creds")
    }

    /// Writes the administrator's kubeconfig (0600) and says where it is.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_kubeconfig(&self, pki: &Pki, server: &str) -> Result<PathBuf> {
        use std::io::Write;
        let path = self.dir.join("admin.kubeconfig");
        let fresh = self.dir.join("admin.kubeconfig.new");
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(pki.admin_kubeconfig(server).as_bytes())?;
        fs::rename(&fresh, &path).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(path)
    }

    /// The bridge of the node's pods.
    pub fn bridge(&self) -> String {
        format!("cox-{}", self.id)
    }

    /// The cgroup of the node's pods.
    pub fn cgroup(&self) -> String {
        format!("cox-{}", self.id)
    }

    /// The nftables table of the proxy.
    pub fn table(&self) -> String {
        format!("cox_{}", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_writes_is_for_its_owner_only() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("data");
        // One that was there before, open to all.
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        let cluster = Cluster::open(&dir).unwrap();
        let pki = cluster.keys(Ipv4Addr::new(10, 96, 0, 1), &[], "host").unwrap();
        let kubeconfig = cluster.write_kubeconfig(&pki, "https://127.0.0.1:6443").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&cluster.key_folder()), mode(&kubeconfig)), (0o700, 0o700, 0o600));
    }
}
