//! Users and groups from /etc/passwd and /etc/group, without NSS: a static binary in an empty root has no
//! libnss to load, and NSS may ask the network while PID 1 waits.
//!
//! Lines that are not in order are left out, as libc does. Names keep no order but the files'.

use std::io;

use crate::plan::Account;

/// Both files, parsed.
#[derive(Clone, Debug, Default)]
pub struct Users {
    users: Vec<Entry>,
    groups: Vec<Group>,
}

/// A line of /etc/passwd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The user's number.
    pub uid: u32,
    /// The number of its primary group.
    pub gid: u32,
    /// Name, home and shell.
    pub account: Account,
}

/// A line of /etc/group.
#[derive(Clone, Debug)]
struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

impl Users {
    /// This machine's. A file that is not there is empty: an image may have neither.
    pub fn load() -> io::Result<Users> {
        Ok(Users::parse(&content("/etc/passwd")?, &content("/etc/group")?))
    }

    /// From the content of passwd(5) and group(5).
    pub fn parse(passwd: &[u8], group: &[u8]) -> Users {
        let (passwd, group) = (String::from_utf8_lossy(passwd), String::from_utf8_lossy(group));
        Users {
            users: passwd.lines().filter_map(user).collect(),
            groups: group.lines().filter_map(self::group).collect(),
        }
    }

    /// The user of this name.
    pub fn by_name(&self, name: &str) -> Option<&Entry> {
        self.users.iter().find(|entry| entry.account.name == name)
    }

    /// The first user with this number.
    pub fn by_uid(&self, uid: u32) -> Option<&Entry> {
        self.users.iter().find(|entry| entry.uid == uid)
    }

    /// The number of the group of this name.
    pub fn group(&self, name: &str) -> Option<u32> {
        self.groups.iter().find(|group| group.name == name).map(|group| group.gid)
    }

    /// The name of the first group with this number.
    pub fn group_name(&self, gid: u32) -> Option<&str> {
        self.groups.iter().find(|group| group.gid == gid).map(|group| group.name.as_str())
    }

    /// The groups whose member list names this user, ascending, each once.
    pub fn groups_of(&self, user: &str) -> Vec<u32> {
        let named = |group: &&Group| group.members.iter().any(|member| member == user);
        let mut gids: Vec<u32> = self.groups.iter().filter(named).map(|group| group.gid).collect();
        gids.sort_unstable();
        gids.dedup();
        gids
    }
}

fn content(path: &str) -> io::Result<Vec<u8>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        result => result,
    }
}

/// `name:password:uid:gid:comment:home:shell`. The largest number means "no change" to setresuid(2), so it can
/// be nobody's.
fn user(line: &str) -> Option<Entry> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| is_name(name))?;
    let uid = number(fields.nth(1)?)?;
    let gid = number(fields.next()?)?;
    let home = fields.nth(1)?;
    let shell = fields.next().unwrap_or("");
    let account = Account { name: name.into(), home: home.into(), shell: shell.trim_end().into() };
    Some(Entry { uid, gid, account })
}

/// `name:password:gid:member,member`.
fn group(line: &str) -> Option<Group> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| is_name(name))?.to_string();
    let gid = number(fields.nth(1)?)?;
    let members = fields.next().unwrap_or("").trim_end().split(',');
    let members = members.filter(|member| !member.is_empty()).map(str::to_string).collect();
    Some(Group { name, gid, members })
}

/// NIS's `+` lines and comments name nobody.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(['#', '+', '-'])
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/bash\n\
        # comment:x:1:1::/:\n\
        +nis:x:2:2::/:\n\
        short:x:3\n\
        toor:x:0:0::/root2:\n\
        max:x:4294967295:0::/:\n\
        www:x:33:33:\xff:/var/www:/usr/sbin/nologin\n\
        bad:x:minus:1::/:";
    const GROUP: &[u8] =
        b"root:x:0:\nwww:x:33:\nlog:x:4:www,root\nadm:x:3:www\nlog2:x:4:www\nx:y\n";

    #[test]
    fn lines_in_order_are_found_and_others_left_out() {
        let users = Users::parse(PASSWD, GROUP);
        assert_eq!(users.users.len(), 3);
        let www = users.by_name("www").unwrap();
        assert_eq!((www.uid, www.gid, www.account.home.as_str()), (33, 33, "/var/www"));
        assert_eq!(users.by_uid(0).unwrap().account.name, "root");
        assert_eq!(users.by_name("max"), None);
        assert_eq!(users.group("log"), Some(4));
        assert_eq!(users.group_name(33), Some("www"));
        assert_eq!(users.group("x"), None);
    }

    #[test]
    fn supplementary_groups_are_those_that_name_the_user() {
        let users = Users::parse(PASSWD, GROUP);
        assert_eq!(users.groups_of("www"), [3, 4]);
        assert_eq!(users.groups_of("root"), [4]);
        assert_eq!(users.groups_of("nobody"), [0u32; 0]);
    }

    #[test]
    fn this_machine_has_a_root() {
        let users = Users::load().unwrap();
        if let Some(root) = users.by_uid(0) {
            assert_eq!(users.by_name(&root.account.name).unwrap().uid, 0);
        } else {
            println!("skipped: this machine has no /etc/passwd");
        }
    }
}
