//! A small image built from this machine's static busybox, as an OCI archive.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use sha2::{Digest, Sha256};

/// The image's name.
pub(crate) const NAME: &str = "test.local/box:1";

const APPLETS: [&str; 16] = [
    "sh", "sleep", "echo", "cat", "kill", "ps", "id", "nc", "wget", "hostname", "ip", "dd", "stty", "ls", "env", "grep",
];

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn header(kind: tar::EntryType, mode: u32, size: usize) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size as u64);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn put(tar: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, content: &[u8]) {
    let mut header = header(tar::EntryType::Regular, mode, content.len());
    tar.append_data(&mut header, path, content).unwrap();
}

fn folder(tar: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32) {
    let mut header = header(tar::EntryType::Directory, mode, 0);
    tar.append_data(&mut header, path, std::io::empty()).unwrap();
}

fn layer() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, mode) in [("bin/", 0o755), ("etc/", 0o755), ("tmp/", 0o1777), ("home/", 0o755)] {
        folder(&mut tar, path, mode);
    }
    let busybox = std::fs::read("/bin/busybox").expect("busybox-static is installed");
    put(&mut tar, "bin/busybox", 0o755, &busybox);
    for applet in APPLETS {
        let mut header = header(tar::EntryType::Symlink, 0o777, 0);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox").unwrap();
    }
    put(&mut tar, "etc/passwd", 0o644, b"root:x:0:0::/root:/bin/sh\nweb:x:33:34::/home:/bin/sh\n");
    put(&mut tar, "etc/group", 0o644, b"root:x:0:\nweb:x:34:\nlogs:x:44:web\n");
    put(&mut tar, "etc/secret", 0o600, b"only root\n");
    tar.into_inner().unwrap()
}

/// Writes the archive.
pub(crate) fn write(to: &Path) {
    let plain = layer();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&plain).unwrap();
    let layer = gzip.finish().unwrap();
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": {"Env": ["PATH=/bin", "FROM=image"], "Cmd": ["sleep", "1000"], "WorkingDir": "/tmp"},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&plain))]},
    })
    .to_string()
    .into_bytes();
    let descriptor =
        |bytes: &[u8]| json!({"mediaType": "", "digest": format!("sha256:{}", sha256(bytes)), "size": bytes.len()});
    let manifest = json!({"schemaVersion": 2, "config": descriptor(&config), "layers": [descriptor(&layer)]});
    let manifest = manifest.to_string().into_bytes();
    let mut entry = descriptor(&manifest);
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": NAME});
    let index = json!({"schemaVersion": 2, "manifests": [entry]}).to_string();

    let mut tar = tar::Builder::new(Vec::new());
    for blob in [&layer, &config, &manifest] {
        put(&mut tar, &format!("blobs/sha256/{}", sha256(blob)), 0o644, blob);
    }
    put(&mut tar, "index.json", 0o644, index.as_bytes());
    std::fs::write(to, tar.into_inner().unwrap()).unwrap();
}
