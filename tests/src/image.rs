//! The demo's image: this machine's static busybox with a web server that answers with its pod's name, as a folder in the OCI layout.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The image's name.
pub const NAME: &str = "cox.local/web:1";

const BUSYBOX: &str = "/bin/busybox";
const APPLETS: &[&str] = &["sh", "sleep", "echo", "cat", "tar", "hostname", "httpd", "nc", "ls", "mkdir", "test"];
/// What a container of it runs: the web server on port 3000.
const SERVE: &str = "mkdir -p /www && hostname > /www/index.html && exec httpd -f -p 3000 -h /www";

/// Writes the image into `folder`, which must be empty or absent.
///
/// # Errors
/// If busybox is not installed, or the folder cannot be written.
pub fn write(folder: &Path) -> Result<()> {
    let blobs = folder.join("blobs").join("sha256");
    fs::create_dir_all(&blobs)?;
    let put = |bytes: &[u8], media: &str| -> Result<Value> {
        let hash = sha256(bytes);
        fs::write(blobs.join(&hash), bytes)?;
        Ok(
            json!({"mediaType": format!("application/vnd.oci.image.{media}"), "digest": format!("sha256:{hash}"), "size": bytes.len()}),
        )
    };
    let tar = layer()?;
    let layer = put(&tar, "layer.v1.tar")?;
    let config = json!({
        "architecture": architecture(), "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sh", "-c", SERVE]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&tar))]},
    });
    let config = put(config.to_string().as_bytes(), "config.v1+json")?;
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
    let mut manifest = put(manifest.to_string().as_bytes(), "manifest.v1+json")?;
    if let Some(fields) = manifest.as_object_mut() {
        fields.insert("annotations".to_owned(), json!({"org.opencontainers.image.ref.name": NAME}));
    }
    fs::write(folder.join("index.json"), json!({"schemaVersion": 2, "manifests": [manifest]}).to_string())?;
    fs::write(folder.join("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}).to_string())?;
    Ok(())
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn layer() -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let header = |kind, mode, size| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header
    };
    for folder in ["bin/", "etc/", "tmp/"] {
        tar.append_data(&mut header(tar::EntryType::Directory, 0o755, 0), folder, std::io::empty())?;
    }
    let busybox = fs::read(BUSYBOX).with_context(|| format!("{BUSYBOX} is missing: apt-get install busybox-static"))?;
    let mut file = header(tar::EntryType::Regular, 0o755, busybox.len() as u64);
    tar.append_data(&mut file, "bin/busybox", busybox.as_slice())?;
    for applet in APPLETS {
        tar.append_link(&mut header(tar::EntryType::Symlink, 0o777, 0), format!("bin/{applet}"), "busybox")?;
    }
    Ok(tar.into_inner()?)
}
