//! Who a container runs as: the caller's wish, the image's user, and the image's `/etc/passwd` and `/etc/group`.

use crate::port::container::{User, UserSpec};

/// The texts of the image's user databases; empty where the image has none.
#[derive(Debug, Clone, Default)]
pub(super) struct Accounts {
    pub(super) passwd: String,
    pub(super) group: String,
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl Accounts {
    fn users(&self) -> impl Iterator<Item = Account<'_>> {
        self.passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            Some(Account { name, uid, gid, home: fields.nth(1).unwrap_or_default() })
        })
    }

    fn group_id(&self, name: &str) -> Option<u32> {
        self.groups().find(|(n, ..)| *n == name).map(|(_, gid, _)| gid)
    }

    fn groups(&self) -> impl Iterator<Item = (&str, u32, &str)> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let gid = fields.nth(1)?.parse().ok()?;
            Some((name, gid, fields.next().unwrap_or_default()))
        })
    }
}

/// The user and its home.
///
/// # Errors
/// A text that says which user or group the image does not have.
pub(super) fn resolve(wish: &UserSpec, image_user: &str, accounts: &Accounts) -> Result<(User, String), String> {
    let (image_name, image_group) = match image_user.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|g| !g.is_empty())),
        None => (image_user, None),
    };
    let account = match wish.uid {
        Some(uid) => accounts.users().find(|a| a.uid == uid),
        None if image_name.is_empty() => accounts.users().find(|a| a.uid == 0),
        None => accounts
            .users()
            .find(|a| a.name == image_name)
            .or_else(|| image_name.parse().ok().and_then(|uid: u32| accounts.users().find(|a| a.uid == uid))),
    };
    let uid = match (wish.uid, &account) {
        (Some(uid), _) => uid,
        (None, Some(account)) => account.uid,
        (None, None) if image_name.is_empty() => 0,
        (None, None) => image_name
            .parse()
            .map_err(|_| format!("unable to find user {image_name}: no matching entries in passwd file"))?,
    };
    // The image's group belongs to the image's user.
    let image_gid = match image_group.filter(|_| wish.uid.is_none()) {
        Some(group) => Some(match accounts.group_id(group) {
            Some(gid) => gid,
            None => {
                group.parse().map_err(|_| format!("unable to find group {group}: no matching entries in group file"))?
            }
        }),
        None => None,
    };
    let gid = wish.gid.or(image_gid).or(account.as_ref().map(|a| a.gid)).unwrap_or(0);
    let mut groups = vec![gid];
    if !wish.strict_groups
        && let Some(account) = &account
    {
        let is_member = |members: &str| members.split(',').any(|m| m == account.name);
        groups.extend(accounts.groups().filter(|(_, _, members)| is_member(members)).map(|(_, gid, _)| gid));
    }
    groups.extend(&wish.supplemental_groups);
    groups.sort_unstable();
    groups.dedup();
    let home = account.map(|a| a.home).filter(|h| !h.is_empty()).unwrap_or("/").to_owned();
    Ok((User { uid, gid, supplemental_groups: groups }, home))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:Web:/srv:/bin/false\nbroken\n".into(),
            group: "root:x:0:root\nweb:x:34:\nlogs:x:44:web,root\n".into(),
        }
    }

    fn ids(wish: &UserSpec, image: &str) -> Result<(u32, u32, Vec<u32>), String> {
        resolve(wish, image, &accounts()).map(|(u, _)| (u.uid, u.gid, u.supplemental_groups))
    }

    #[test]
    fn the_image_names_its_user_in_all_usual_forms() {
        let none = UserSpec::default();
        assert_eq!(ids(&none, ""), Ok((0, 0, vec![0, 44])));
        assert_eq!(ids(&none, "web"), Ok((33, 34, vec![34, 44])));
        assert_eq!(ids(&none, "33"), Ok((33, 34, vec![34, 44])));
        assert_eq!(ids(&none, "web:logs"), Ok((33, 44, vec![44])));
        assert_eq!(ids(&none, "1000:7"), Ok((1000, 7, vec![7])));
        assert_eq!(ids(&none, "1000"), Ok((1000, 0, vec![0])));
        assert!(ids(&none, "nobody").unwrap_err().contains("nobody"));
        assert!(ids(&none, "web:nogroup").unwrap_err().contains("nogroup"));
    }

    #[test]
    fn the_callers_wish_wins() {
        let wish = UserSpec { uid: Some(33), gid: Some(5), supplemental_groups: vec![9, 5], strict_groups: false };
        assert_eq!(ids(&wish, "root"), Ok((33, 5, vec![5, 9, 44])));
        assert_eq!(ids(&UserSpec { strict_groups: true, ..wish }, "root"), Ok((33, 5, vec![5, 9])));
        assert_eq!(resolve(&UserSpec::default(), "web", &accounts()).unwrap().1, "/srv");
    }
}
