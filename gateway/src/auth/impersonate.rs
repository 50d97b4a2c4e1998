//! Impersonation: the headers by which one user acts as another, and what must be allowed for it.

use std::collections::BTreeMap;

use cox_objects::{Status, User};
use http::HeaderMap;
use percent_encoding::percent_decode_str;

use super::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED};

/// Whom a request wants to act as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    user: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

/// Something that the real user must be allowed to `impersonate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// API group of the resource.
    pub group: &'static str,
    /// `users`, `groups`, `serviceaccounts`, `uids`, `userextras`
    pub resource: &'static str,
    /// The key of an extra.
    pub subresource: String,
    /// Of a service account.
    pub namespace: String,
    /// Who or what.
    pub name: String,
}

const AUTHENTICATION: &str = "authentication.k8s.io";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// Whom the headers name; none if there are no such headers.
///
/// # Errors
/// 400 if they name everything but a user.
pub fn wanted(headers: &HeaderMap) -> Result<Option<Wanted>, Status> {
    let texts = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).map(str::to_owned).collect()
    };
    let first = |name: &str| texts(name).into_iter().next().unwrap_or_default();
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        let key = name.as_str().strip_prefix("impersonate-extra-");
        if let (Some(key), Ok(value)) = (key, value.to_str()) {
            let key = percent_decode_str(key).decode_utf8_lossy().to_ascii_lowercase();
            extra.entry(key).or_default().push(value.to_owned());
        }
    }
    let wanted = Wanted {
        user: first("impersonate-user"),
        uid: first("impersonate-uid"),
        groups: texts("impersonate-group"),
        extra,
    };
    if wanted == Wanted::default() {
        return Ok(None);
    }
    if wanted.user.is_empty() {
        return Err(Status::bad_request(format!("requested {} without impersonating a user name", wanted.print())));
    }
    Ok(Some(wanted))
}

impl Wanted {
    /// All that must be allowed.
    pub fn rights(&self) -> Vec<Right> {
        let right = |group, resource, name: &str| Right {
            group,
            resource,
            subresource: String::new(),
            namespace: String::new(),
            name: name.to_owned(),
        };
        let account = self.user.strip_prefix(SERVICE_ACCOUNT).and_then(|rest| rest.split_once(':'));
        let mut rights = vec![match account {
            Some((namespace, name)) => Right { namespace: namespace.to_owned(), ..right("", "serviceaccounts", name) },
            None => right("", "users", &self.user),
        }];
        rights.extend(self.groups.iter().map(|group| right("", "groups", group)));
        for (key, values) in &self.extra {
            let of = |value: &String| Right { subresource: key.clone(), ..right(AUTHENTICATION, "userextras", value) };
            rights.extend(values.iter().map(of));
        }
        if !self.uid.is_empty() {
            rights.push(right(AUTHENTICATION, "uids", &self.uid));
        }
        rights
    }

    /// The user that the request is then taken for.
    pub fn into_user(self) -> User {
        let mut groups = self.groups;
        let account = self.user.strip_prefix(SERVICE_ACCOUNT).and_then(|rest| rest.split_once(':'));
        if let Some((namespace, _)) = account.filter(|_| groups.is_empty()) {
            groups.extend(["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]);
        }
        let said = groups.iter().any(|g| g == AUTHENTICATED || g == UNAUTHENTICATED);
        if !said {
            let group = if self.user == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
            groups.push(group.to_owned());
        }
        User { name: self.user, uid: self.uid, groups, extra: self.extra }
    }

    /// As Kubernetes prints it in the error.
    fn print(&self) -> String {
        let list = |items: &[String]| match items {
            [] => "[]string(nil)".to_owned(),
            items => format!("[]string{{{}}}", items.iter().map(|i| format!("{i:?}")).collect::<Vec<_>>().join(", ")),
        };
        let extra = if self.extra.is_empty() {
            "map[string][]string(nil)".to_owned()
        } else {
            let pairs: Vec<String> = self.extra.iter().map(|(k, v)| format!("{k:?}:{}", list(v))).collect();
            format!("map[string][]string{{{}}}", pairs.join(", "))
        };
        format!(
            "&user.DefaultInfo{{Name:{:?}, UID:{:?}, Groups:{}, Extra:{extra}}}",
            self.user,
            self.uid,
            list(&self.groups)
        )
    }
}
