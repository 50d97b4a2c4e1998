//! A small disk of a test's own, which it can fill, empty and write-protect.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statvfs::statvfs;

/// A mounted tmpfs. Dropping it takes it away, also from under who still uses it.
pub struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Mounts one of a size in MiB; the folder is made.
    ///
    /// # Errors
    /// If this process may not mount.
    pub fn mount(folder: &Path, size: u64) -> Result<Disk> {
        std::fs::create_dir_all(folder)?;
        let options = format!("size={size}m,mode=0700");
        mount(Some("cox-disk"), folder, Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))
            .context("a disk cannot be mounted: this test needs root")?;
        Ok(Disk { folder: folder.to_owned() })
    }

    /// Takes space until so many bytes are left, about.
    ///
    /// # Errors
    /// If it cannot be written for another reason.
    pub fn fill(&self, left: u64) -> Result<()> {
        let mut file = File::options().create(true).append(true).open(self.ballast())?;
        let piece = vec![0; 64 << 10];
        loop {
            let free = self.free()?.saturating_sub(left);
            let size = usize::try_from(free)?.min(piece.len());
            // What others take meanwhile may be the last of it.
            match file.write(piece.get(..size).unwrap_or_default()) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(nix::libc::ENOSPC) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives the space back.
    ///
    /// # Errors
    /// If it was not taken.
    pub fn free_up(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.ballast())?)
    }

    /// Lets nobody write any more, or again.
    ///
    /// # Errors
    /// If somebody writes to it.
    pub fn protect(&self, protected: bool) -> Result<()> {
        let option = if protected { "remount,ro" } else { "remount,rw" };
        let output = Command::new("mount").args(["-o", option]).arg(&self.folder).output()?;
        ensure!(output.status.success(), "mount -o {option}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    fn free(&self) -> Result<u64> {
        let stat = statvfs(&self.folder)?;
        Ok(stat.blocks_available() * stat.fragment_size())
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = umount2(&self.folder, MntFlags::MNT_DETACH) {
            eprintln!("{}: {error}", self.folder.display());
        }
    }
}
