//! Who a request comes from (recorded in `auth/bad-credentials`, `auth/impersonation`, `auth/token-in-use`).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cox_mirror::Mirror;
use cox_objects::{Draft, Epoch, Key, Position, Resource};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::*;
use crate::pki::{Pki, ServerNames};

#[test]
fn only_a_bearer_token_counts() {
    assert_eq!(bearer("Bearer abc"), Some("abc"));
    assert_eq!(bearer("bearer  abc "), Some("abc"));
    for none in ["Bearer ", "Bearer", "Basic YTpi", "Magic x", ""] {
        assert_eq!(bearer(none), None, "{none}");
    }
}

#[test]
fn a_certificate_names_user_and_groups() {
    use rustls_pki_types::pem::PemObject;
    let pki = Pki::make(&ServerNames::default(), SystemTime::now()).unwrap();
    let der = rustls_pki_types::CertificateDer::from_pem_slice(pki.admin.certificate.as_bytes()).unwrap();
    let user = certificate::user_of(&der).unwrap();
    assert_eq!(user.name, "kubernetes-admin");
    assert_eq!(user.groups, ["system:masters", "system:authenticated"]);
    assert!(certificate::user_of(b"nonsense").is_none());
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(n, v)| (HeaderName::from_bytes(n.as_bytes()).unwrap(), HeaderValue::from_str(v).unwrap()))
        .collect()
}

#[test]
fn impersonated_users_have_the_groups_that_go_with_them() {
    let user = |pairs: &[(&str, &str)]| impersonate::wanted(&headers(pairs)).unwrap().unwrap().into_user();
    assert_eq!(user(&[("Impersonate-User", "jane")]).groups, ["system:authenticated"]);
    let devs = user(&[("Impersonate-User", "jane"), ("Impersonate-Group", "devs"), ("Impersonate-Group", "ops")]);
    assert_eq!(devs.groups, ["devs", "ops", "system:authenticated"]);
    let robot = user(&[("Impersonate-User", "system:serviceaccount:n:robot")]);
    assert_eq!(robot.groups, ["system:serviceaccounts", "system:serviceaccounts:n", "system:authenticated"]);
    assert_eq!(user(&[("Impersonate-User", "system:anonymous")]).groups, ["system:unauthenticated"]);
    let outside = user(&[("Impersonate-User", "jane"), ("Impersonate-Group", "system:unauthenticated")]);
    assert_eq!(outside.groups, ["system:unauthenticated"]);
    let extra = user(&[("Impersonate-User", "jane"), ("Impersonate-Extra-Example.com%2fX", "y")]);
    assert_eq!(extra.extra["example.com/x"], ["y"]);
}

#[test]
fn what_impersonation_needs() {
    let wanted = impersonate::wanted(&headers(&[
        ("Impersonate-User", "system:serviceaccount:n:robot"),
        ("Impersonate-Group", "g"),
        ("Impersonate-Uid", "u"),
        ("Impersonate-Extra-Scopes", "a"),
    ]));
    let rights = wanted.unwrap().unwrap().rights();
    let seen: Vec<_> = rights.iter().map(|r| (r.resource, r.namespace.as_str(), r.name.as_str())).collect();
    assert_eq!(
        seen,
        [("serviceaccounts", "n", "robot"), ("groups", "", "g"), ("userextras", "", "a"), ("uids", "", "u")]
    );
}

#[test]
fn impersonation_without_a_user_is_a_bad_request() {
    let message = |pair| impersonate::wanted(&headers(&[pair])).unwrap_err().message;
    assert_eq!(
        message(("Impersonate-Group", "devs")),
        "requested &user.DefaultInfo{Name:\"\", UID:\"\", Groups:[]string{\"devs\"}, Extra:map[string][]string(nil)} without \
         impersonating a user name"
    );
    assert_eq!(
        message(("Impersonate-Extra-Scopes", "x")),
        "requested &user.DefaultInfo{Name:\"\", UID:\"\", Groups:[]string(nil), Extra:map[string][]string{\"scopes\":[]string{\"x\"}}} \
         without impersonating a user name"
    );
    assert_eq!(impersonate::wanted(&HeaderMap::new()).unwrap(), None);
}

fn mirror(uid: &str) -> Mirror {
    let mirror = Mirror::new(cox_mirror::Limits::default());
    let account = json!({"kind": "ServiceAccount", "apiVersion": "v1",
        "metadata": {"name": "robot", "namespace": "n", "uid": uid}});
    let key = Key::new(Resource::SERVICEACCOUNTS, "n", "robot");
    let object = Draft::encode(&account).unwrap().seal(1);
    mirror.update(|state| state.reset(Position { epoch: Epoch(1), revision: 1 }, [(key, object)]));
    mirror
}

fn claims(now: u64) -> Value {
    json!({"iss": token::ISSUER, "aud": [token::ISSUER], "sub": "system:serviceaccount:n:robot", "jti": "j",
        "exp": now + 600, "nbf": now, "iat": now,
        "kubernetes.io": {"namespace": "n", "serviceaccount": {"name": "robot", "uid": "u-1"}}})
}

#[test]
fn a_token_is_good_as_long_as_its_account_and_its_time() {
    let pki = Pki::make(&ServerNames::default(), SystemTime::now()).unwrap();
    let tokens = token::Tokens::new(&pki.tokens.public).unwrap();
    let key = jsonwebtoken::EncodingKey::from_ec_pem(pki.tokens.private.as_bytes()).unwrap();
    let sign = |claims: &Value| {
        jsonwebtoken::encode(&jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256), claims, &key).unwrap()
    };
    let now = SystemTime::now();
    let seconds = now.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let good = sign(&claims(seconds));
    let user = tokens.user(&good, &mirror("u-1"), now).unwrap();
    assert_eq!((user.name.as_str(), user.uid.as_str()), ("system:serviceaccount:n:robot", "u-1"));
    assert_eq!(user.extra["authentication.kubernetes.io/credential-id"], ["JTI=j"]);

    assert!(matches!(tokens.user(&good, &mirror("u-2"), now), Err(token::Refused::Gone(_))));
    let before = now - Duration::from_secs(60);
    assert!(matches!(tokens.user(&good, &mirror("u-1"), before), Err(token::Refused::NotYet)));
    for (pointer, bad) in [("/exp", json!(seconds - 60)), ("/aud", json!(["else"])), ("/iss", json!("else"))] {
        let mut claims = claims(seconds);
        *claims.pointer_mut(pointer).unwrap() = bad;
        assert!(tokens.user(&sign(&claims), &mirror("u-1"), now).is_err(), "{pointer}");
    }
    let mut bound = claims(seconds);
    bound["kubernetes.io"]["pod"] = json!({"name": "p", "uid": "x"});
    assert!(matches!(tokens.user(&sign(&bound), &mirror("u-1"), now), Err(token::Refused::Gone(_))));
    assert!(tokens.user("nonsense", &mirror("u-1"), now).is_err());
    assert!(tokens.user("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.", &mirror("u-1"), now).is_err());
}
