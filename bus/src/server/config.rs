//! The server's configuration file: text from facts.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::keys::Keys;
use super::permissions::permissions;
use crate::{Identity, Subjects};

/// What the configuration depends on.
pub(super) struct Server<'a> {
    pub(super) cluster: &'a str,
    pub(super) port: u16,
    pub(super) store: &'a Path,
    pub(super) log: &'a Path,
    pub(super) keys: &'a Keys,
}

/// The largest message: our largest object (3 MiB) and its envelope, with room.
const MAX_PAYLOAD: u64 = 8 << 20;
/// How much waits for one slow reader before the server cuts it off, and slows the publisher before that.
const MAX_PENDING: u64 = 256 << 20;
/// Seconds for a client to sign in. On a loaded machine the server's own 2 s can pass before the client gets to it.
const SIGN_IN: u32 = 15;

/// The whole file. Values are JSON, which the server's format includes.
pub(super) fn server(s: &Server<'_>) -> String {
    let mut fields = vec![
        ("server_name", json!(format!("cox-{}", s.cluster))),
        ("host", json!("127.0.0.1")),
        ("port", json!(s.port)),
        ("max_payload", json!(MAX_PAYLOAD)),
        ("max_pending", json!(MAX_PENDING)),
        ("authorization", json!({"timeout": SIGN_IN})),
        ("log_file", json!(s.log)),
        ("logfile_size_limit", json!(4 << 20)),
        ("logfile_max_num", json!(2)),
        ("jetstream", json!({"store_dir": s.store, "max_memory_store": 64 << 20, "max_file_store": 1 << 30})),
    ];
    let cluster = account(s.cluster, &users(s.keys));
    fields.push(("accounts", json!({"SYS": {"users": [{"nkey": s.keys.system()}]}, "COX": cluster})));
    fields.push(("system_account", json!("SYS")));
    let mut text = "# Written at each start of cox: changes are lost.\n".to_owned();
    for (name, value) in fields {
        text.push_str(&format!("{name}: {value}\n"));
    }
    text
}

/// What belongs into the configuration of a server that someone else runs: limits, and the account with these keys.
pub(super) fn outside(cluster: &str, keys: &Keys) -> String {
    let accounts = accounts(cluster, &users(keys));
    format!("max_payload: {MAX_PAYLOAD}\nmax_pending: {MAX_PENDING}\naccounts: {accounts}\n")
}

fn users(keys: &Keys) -> Vec<(Identity, Value)> {
    keys.public().map(|(identity, key)| (identity.clone(), json!({"nkey": key}))).collect()
}

/// The account of a cluster for a server that someone else runs, as the value to put under `accounts` in its
/// configuration: the users (each with what signs it in, e.g. `{"user": …, "password": …}` or `{"nkey": …}`) and the
/// permissions of their identities.
pub fn accounts(cluster: &str, users: &[(Identity, Value)]) -> String {
    format!("{:#}", json!({"COX": account(cluster, users)}))
}

fn account(cluster: &str, users: &[(Identity, Value)]) -> Value {
    let subjects = Subjects::new(cluster);
    let users: Vec<Value> = users
        .iter()
        .map(|(identity, login)| {
            let p = permissions(&subjects, identity);
            let mut user: Map<String, Value> = login.as_object().cloned().unwrap_or_default();
            let allowed = json!({"publish": {"allow": p.publish}, "subscribe": {"allow": p.subscribe}});
            user.insert("permissions".to_owned(), allowed);
            Value::Object(user)
        })
        .collect();
    json!({"jetstream": "enabled", "users": users})
}
