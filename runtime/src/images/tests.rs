//! Tests of the store: loading, names, sharing, removal, damage, pulling.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::digest::sha256;
use super::*;

/// An image's documents and layers by digest.
struct Built {
    blobs: BTreeMap<String, Vec<u8>>,
    manifest: Vec<u8>,
    config: Vec<u8>,
}

fn layer(file: &str, content: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, file, content.as_bytes()).unwrap();
    tar.into_inner().unwrap()
}

fn descriptor(bytes: &[u8]) -> Value {
    json!({"mediaType": "application/x", "digest": format!("sha256:{}", sha256(bytes)), "size": bytes.len()})
}

fn built(layers: &[Vec<u8>], label: &str) -> Built {
    let diff_ids: Vec<String> = layers.iter().map(|l| format!("sha256:{}", sha256(l))).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": {"Entrypoint": ["/run"], "User": "7", "StopSignal": "SIGQUIT", "Labels": {"l": label}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = config.to_string().into_bytes();
    let compressed: Vec<Vec<u8>> = layers.iter().map(|l| zstd::encode_all(&l[..], 1).unwrap()).collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor(&config),
        "layers": compressed.iter().map(|l| descriptor(l)).collect::<Vec<_>>(),
    });
    let manifest = manifest.to_string().into_bytes();
    let all = compressed.into_iter().chain([config.clone(), manifest.clone()]);
    Built { blobs: all.map(|b| (sha256(&b), b)).collect(), manifest, config }
}

/// Writes an OCI layout folder.
fn layout(image: &Built, name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("blobs/sha256")).unwrap();
    for (hex, bytes) in &image.blobs {
        fs::write(folder.path().join("blobs/sha256").join(hex), bytes).unwrap();
    }
    let mut entry = descriptor(&image.manifest);
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    fs::write(folder.path().join("index.json"), json!({"manifests": [entry]}).to_string()).unwrap();
    folder
}

fn store() -> (tempfile::TempDir, ImageStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = ImageStore::open(folder.path()).unwrap();
    (folder, store)
}

fn layers_there(folder: &tempfile::TempDir) -> usize {
    fs::read_dir(folder.path().join("layers")).unwrap().count()
}

#[test]
fn images_are_loaded_share_layers_and_are_removed() {
    let (folder, store) = store();
    let base = layer("base", "b");
    let one = built(&[base.clone(), layer("one", "1")], "one");
    let two = built(&[base, layer("two", "2")], "two");
    let loaded = store.load(layout(&one, "r.io/one:1").path()).unwrap();
    assert_eq!(loaded[0].id, format!("sha256:{}", sha256(&one.config)));
    assert_eq!((loaded[0].repo_tags.as_slice(), loaded[0].repo_digests.len()), (&["r.io/one:1".to_owned()][..], 0));
    let config = &loaded[0].config;
    assert_eq!((config.user.as_str(), config.stop_signal.as_deref()), ("7", Some("SIGQUIT")));
    store.load(layout(&two, "r.io/two:1").path()).unwrap();
    assert_eq!(layers_there(&folder), 3, "the base is there once");
    let layers = store.layers(&loaded[0].id).unwrap().unwrap();
    assert_eq!(fs::read_to_string(layers.dir.join(&layers.names[1]).join("one")).unwrap(), "1");

    // Another process sees it, and its changes are seen here.
    let other = ImageStore::open(folder.path()).unwrap();
    assert_eq!(other.list().unwrap().len(), 2);
    other.remove(&loaded[0].id).unwrap();
    assert_eq!(store.resolve("r.io/one:1").unwrap(), None);
    assert_eq!(layers_there(&folder), 2);
    other.remove(&loaded[0].id).unwrap();

    // A name moves.
    store.load(layout(&one, "r.io/two:1").path()).unwrap();
    assert_eq!(store.resolve("r.io/two:1").unwrap().unwrap().id, loaded[0].id);
    let nameless = store.resolve(&format!("sha256:{}", sha256(&two.config))).unwrap().unwrap();
    assert!(nameless.repo_tags.is_empty());
}

#[test]
fn docker_archives_are_loaded_too() {
    let (_folder, store) = store();
    let plain = layer("f", "x");
    let image = built(std::slice::from_ref(&plain), "docker");
    let manifest = json!([{"Config": "c.json", "RepoTags": ["box:1"], "Layers": ["1/layer.tar"]}]).to_string();
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, bytes) in
        [("c.json", &image.config[..]), ("1/layer.tar", &plain), ("manifest.json", manifest.as_bytes())]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, bytes).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar.gz");
    fs::write(&path, tar.into_inner().unwrap().finish().unwrap()).unwrap();
    let loaded = store.load(&path).unwrap();
    assert_eq!(loaded[0].repo_tags, ["docker.io/library/box:1"]);
    assert!(store.resolve("box:1").unwrap().is_some());
}

#[test]
fn damage_is_refused_and_leaves_nothing() {
    let (folder, store) = store();
    let image = built(&[layer("f", "x")], "damaged");
    let refused = |store: &ImageStore, image: &Built| {
        let error = store.load(layout(image, "r.io/a:1").path()).unwrap_err();
        assert!(matches!(error, ImageError::Damaged { .. }), "{error}");
        assert_eq!(store.list().unwrap(), []);
        assert_eq!(layers_there(&folder), 0);
        assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
    };
    for which in 0..image.blobs.len() {
        let mut blobs = image.blobs.clone();
        let bytes = blobs.values_mut().nth(which).unwrap();
        let last = bytes.len() - 1;
        bytes[last / 2] ^= 0x55;
        refused(&store, &Built { blobs, ..built(&[layer("f", "x")], "damaged") });
    }
    let missing = Built { blobs: BTreeMap::from([(sha256(&image.manifest), image.manifest.clone())]), ..image };
    refused(&store, &missing);
    let small = ImageStore::open(folder.path()).unwrap();
    let small = small.with_limits(Limits { layer_bytes: 1000, ..Limits::default() });
    refused(&small, &built(&[layer("big", &"x".repeat(5000))], "big"));
    let nonsense = folder.path().join("nonsense");
    fs::write(&nonsense, "not a tar").unwrap();
    assert!(matches!(store.load(&nonsense), Err(ImageError::Damaged { .. })));
}

/// A registry that has one image under `box:1`, and wants credentials for `secret`.
async fn registry(image: Built) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = Vec::new();
            let mut chunk = [0; 4096];
            while !request.ends_with(b"\r\n\r\n") {
                match socket.read(&mut chunk).await {
                    Ok(n) if n > 0 => request.extend_from_slice(&chunk[..n]),
                    _ => break,
                }
            }
            let text = String::from_utf8_lossy(&request).into_owned();
            let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
            let hex = path.rsplit(':').next().unwrap_or_default();
            let (status, kind, body) = if path.contains("secret") && !text.contains("uthorization: Basic") {
                ("401 Unauthorized", "application/json", &br#"{"errors":[{"code":"UNAUTHORIZED"}]}"#[..])
            } else if path == "/v2/" {
                ("200 OK", "application/json", &b"{}"[..])
            } else if path.ends_with("/manifests/1") {
                ("200 OK", "application/vnd.oci.image.manifest.v1+json", &image.manifest[..])
            } else if let Some(blob) = image.blobs.get(hex) {
                ("200 OK", "application/octet-stream", &blob[..])
            } else {
                ("404 Not Found", "application/json", &br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":""}]}"#[..])
            };
            // As real registries do, it says at its root how it wants to be asked.
            let head = format!(
                "HTTP/1.1 {status}\r\nwww-authenticate: Basic realm=\"test\"\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            // The client may have gone.
            let _ = socket.write_all(head.as_bytes()).await;
            let _ = socket.write_all(body).await;
        }
    });
    address
}

#[tokio::test]
async fn images_are_pulled_with_checks() {
    let (folder, store) = store();
    let store = Arc::new(store);
    let image = built(&[layer("a", "1"), layer("b", "2")], "pulled");
    let digest = format!("sha256:{}", sha256(&image.manifest));
    let address = registry(image).await;
    let name = format!("{address}/lib/box:1");
    let pulled = store.pull(&name, None).await.unwrap();
    assert_eq!(pulled.repo_tags, std::slice::from_ref(&name));
    assert_eq!(pulled.repo_digests, [format!("{address}/lib/box@{digest}")]);
    assert_eq!(layers_there(&folder), 2);
    assert_eq!(store.pull(&name, None).await.unwrap().id, pulled.id);
    assert_eq!(store.resolve(&format!("{address}/lib/box@{digest}")).unwrap().unwrap().id, pulled.id);

    let missing = store.pull(&format!("{address}/lib/none:2"), None).await.unwrap_err();
    assert!(matches!(missing, ImageError::NotFound { .. }), "{missing}");
    let secret = format!("{address}/secret/box:1");
    let denied = store.pull(&secret, None).await.unwrap_err();
    assert!(matches!(denied, ImageError::Unauthorized { .. }), "{denied}");
    assert!(denied.to_string().ends_with("authorization failed: no basic auth credentials"), "{denied}");
    let auth = RegistryAuth::Basic { username: "u".into(), password: "p".into() };
    assert_eq!(store.pull(&secret, Some(&auth)).await.unwrap().id, pulled.id);
    let nobody = store.pull("127.0.0.1:1/a:1", None).await.unwrap_err();
    assert!(matches!(nobody, ImageError::Network { .. }), "{nobody}");
}

#[tokio::test]
async fn a_registry_that_sends_something_else_is_found_out() {
    let (folder, store) = store();
    let mut image = built(&[layer("a", "1")], "false");
    let manifest = sha256(&image.manifest);
    let config = sha256(&image.config);
    for (hex, blob) in &mut image.blobs {
        if *hex != manifest && *hex != config {
            blob[9] ^= 1;
        }
    }
    let address = registry(image).await;
    let refused = Arc::new(store).pull(&format!("{address}/lib/box:1"), None).await.unwrap_err();
    assert!(matches!(refused, ImageError::Damaged { .. }), "{refused}");
    assert_eq!(layers_there(&folder), 0);
}
