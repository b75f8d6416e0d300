//! Who a client is, and what it may therefore do. The kernel says who; the file's mode only keeps
//! strangers from connecting at all.

use std::os::fd::AsFd;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use crate::plan::{Access, Allow, Who};
use crate::sys::peer;

/// What the client at the other end of `socket` may do; `None`: nothing. `owner` is the manager's
/// own user.
pub fn of(socket: &impl AsFd, owner: u32, allow: &[Allow]) -> Option<Access> {
    let peer = getsockopt(socket, PeerCredentials).ok()?;
    if peer.uid() == 0 || peer.uid() == owner {
        return Some(Access::Admin);
    }
    let mut groups = Vec::new();
    if allow.iter().any(|line| matches!(line.who, Who::Group(_))) {
        groups = peer::groups(socket.as_fd());
    }
    granted(peer.uid(), peer.gid(), &groups, allow)
}

fn granted(uid: u32, gid: u32, groups: &[u32], allow: &[Allow]) -> Option<Access> {
    let meant = |line: &&Allow| match line.who {
        Who::User(user) => user == uid,
        Who::Group(group) => group == gid || groups.contains(&group),
    };
    allow.iter().filter(meant).map(|line| line.level).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_line_that_fits_counts() {
        let line = |level, who| Allow { level, who };
        let allow = [
            line(Access::View, Who::Group(100)),
            line(Access::Operate, Who::User(7)),
            line(Access::Admin, Who::Group(4)),
        ];
        assert_eq!(granted(7, 100, &[], &allow), Some(Access::Operate));
        assert_eq!(granted(8, 100, &[], &allow), Some(Access::View));
        assert_eq!(granted(8, 100, &[4], &allow), Some(Access::Admin));
        assert_eq!(granted(8, 8, &[], &allow), None);
    }
}
