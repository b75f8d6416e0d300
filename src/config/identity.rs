//! Whom a service runs as: `user`, `group` and `groups`, looked up.

use super::section::Values;
use super::value::Wrong;
use super::world::{User, World};
use crate::plan::Identity;

/// The identity a service asks for; `None` if it asks for none, for the one lar has and can't change, or
/// wrongly.
pub(super) fn read(v: &mut Values) -> Option<Identity> {
    let world = v.scope.world;
    let user = v.word("user", |word| lookup(word, world));
    let group = v.word("group", |word| self::group(word, world));
    let groups = v.read("groups", |cursor| {
        let mut ids = Vec::new();
        if cursor.skip("none") {
            return Ok(ids);
        }
        while let Some(word) = cursor.take() {
            ids.push(self::group(&word, world)?);
        }
        match ids.is_empty() {
            true => Err(Wrong::new("the names are missing")),
            false => Ok(ids),
        }
    });
    if (v.has("user") && user.is_none()) || (v.has("group") && group.is_none()) {
        return None; // reported already
    }
    let Some(gid) = group.or(user.as_ref().and_then(|user| user.gid)) else {
        match (&user, v.has("groups")) {
            (Some(user), _) => {
                let message =
                    format!("user {} is not in /etc/passwd, so its group is not known", user.uid);
                v.wrong("user", message);
                v.report.hint("say `group GID` too");
            }
            (None, true) => v.wrong("groups", "`groups` needs a `user` or a `group` beside it"),
            (None, false) => {}
        }
        return None;
    };
    if let Some((own_uid, own_gid)) = world.confined_to() {
        let same_user = user.as_ref().is_none_or(|user| user.uid == own_uid);
        if !same_user || gid != own_gid || groups.is_some() {
            let key = ["user", "group", "groups"].into_iter().find(|key| v.has(key));
            v.wrong(key.unwrap_or("user"), "only root can run a service as somebody else");
        }
        return None;
    }
    let groups = groups.unwrap_or_else(|| initial(user.as_ref(), gid, world));
    let (uid, account) = user.map_or((None, None), |user| (Some(user.uid), user.account));
    Some(Identity { uid, gid, groups, account })
}

/// As initgroups(3) has it: every group that names the user, and the primary one.
fn initial(user: Option<&User>, gid: u32, world: &dyn World) -> Vec<u32> {
    let account = user.and_then(|user| user.account.as_ref());
    let mut groups = account.map_or(Vec::new(), |account| world.groups_of(&account.name));
    groups.push(gid);
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// A user of this machine.
pub(super) fn lookup(word: &str, world: &dyn World) -> Result<User, Wrong> {
    world.user(word).ok_or_else(|| {
        let wrong = Wrong::new(format!("there is no user `{word}`"));
        wrong.hint("lar reads /etc/passwd itself; to check a file for another machine: --offline")
    })
}

/// A group of this machine.
pub(super) fn group(word: &str, world: &dyn World) -> Result<u32, Wrong> {
    world.group(word).ok_or_else(|| {
        let wrong = Wrong::new(format!("there is no group `{word}`"));
        wrong.hint("lar reads /etc/group itself; to check a file for another machine: --offline")
    })
}
