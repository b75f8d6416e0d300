//! `<socket NAME>`: what lar listens on for its services.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::diagnostic::Report;
use super::keys::Kind;
use super::lines::{Section, Spot};
use super::section::{self, Cursor, Scope, Values};
use super::value::{self, Wrong};
use super::{identity, names};
use crate::plan::{Address, Listen, Socket};

/// How many connections may wait if nobody says. The kernel's own limit (net.core.somaxconn) is the same.
pub(super) const BACKLOG: u32 = 4096;

/// Anybody may connect, as to a port; whoever does not want that says so.
pub(super) const MODE: u32 = 0o666;

/// Reads all of them.
pub(super) fn read_all(sections: &[&Section], world: &Scope, report: &mut Report) -> Vec<Socket> {
    let mut sockets: Vec<Socket> = Vec::with_capacity(sections.len());
    for section in sections {
        let name = name(section, &sockets, report);
        let entries = section::known(section, Kind::Socket, &[], report);
        let scope = Scope { name: Some(&name), ..*world };
        let mut v = Values { kind: Kind::Socket, entries, scope, report: &mut *report };
        let socket = socket(&mut v, section, &name, &sockets);
        sockets.push(socket);
    }
    sockets
}

fn name(section: &Section, others: &[Socket], report: &mut Report) -> String {
    let Some(name) = &section.name else {
        report.error(&section.spot, "a socket needs a name");
        report.hint("as in: <socket web>");
        return String::from("?");
    };
    let spot = Spot { at: section.name_at, ..section.spot.clone() };
    if let Err(wrong) = names::check(name) {
        let spot = Spot { at: section.name_at + wrong.at.unwrap_or(0), ..spot };
        wrong.report(&spot, report);
    } else if name.contains(':') {
        report.error(
            &spot,
            "the name of a socket can't hold `:`, which parts names in LISTEN_FDNAMES",
        );
    } else if others.iter().any(|other| other.name.eq_ignore_ascii_case(name)) {
        report.error(&spot, format!("there is a socket `{name}` already"));
    }
    name.clone()
}

fn socket(v: &mut Values, section: &Section, name: &str, others: &[Socket]) -> Socket {
    let nowhere = Listen::Unix(String::new());
    let mut socket = Socket {
        name: name.to_string(),
        listen: v.read("listen", listen).unwrap_or(nowhere.clone()),
        mode: MODE,
        user: None,
        group: None,
        backlog: BACKLOG,
    };
    if !v.has("listen") {
        v.report.error(&section.spot, format!("`{name}` has no `listen`"));
        v.report.hint("as in: listen tcp 127.0.0.1:80");
    }
    if let Some(other) =
        others.iter().find(|other| other.listen == socket.listen && other.listen != nowhere)
    {
        v.wrong("listen", format!("`{}` listens there already", other.name));
        v.report.hint("one socket may be given to several services");
    }
    v.set(&mut socket.mode, "mode", value::octal);
    let world = v.scope.world;
    let user = v.word("user", |word| identity::lookup(word, world));
    socket.user = user.as_ref().map(|user| user.uid);
    let group = v.word("group", |word| identity::group(word, world));
    socket.group = group.or(user.and_then(|user| user.gid));
    v.set(&mut socket.backlog, "backlog", |word| value::number(word, 1, 1 << 30));
    if !matches!(&socket.listen, Listen::Unix(path) if !path.starts_with('@')) {
        for key in ["mode", "user", "group"] {
            v.wrong(key, format!("only a `unix` socket in the file system has a {key}"));
        }
    } else if let Some((uid, gid)) = world.confined_to() {
        let other = socket.user.is_some_and(|user| user != uid);
        if other || socket.group.is_some_and(|group| group != gid) {
            let key = if other { "user" } else { "group" };
            v.wrong(key, "only root can give a socket to somebody else");
        }
    }
    socket
}

/// `tcp HOST:PORT`, `udp HOST:PORT` or `unix PATH`.
fn listen(cursor: &mut Cursor) -> Result<Listen, Wrong> {
    let kinds = [("tcp", 0), ("udp", 1), ("unix", 2)];
    Ok(match cursor.read("what to listen on", |word| value::choice(word, &kinds))? {
        0 => Listen::Tcp(cursor.read("HOST:PORT", address)?),
        1 => Listen::Udp(cursor.read("HOST:PORT", address)?),
        _ => Listen::Unix(cursor.read("the socket's path", path)?),
    })
}

fn path(word: &str) -> Result<String, Wrong> {
    let word = value::text(word)?;
    match word.len() {
        1 if word == "@" => Err(Wrong::new("`@` is no name")),
        0..=107 if word.starts_with(['/', '@']) => Ok(word),
        0..=107 => {
            Err(Wrong::new("a socket's path starts with `/`").hint("or with `@`: an abstract name"))
        }
        _ => Err(Wrong::new("a socket's path has at most 107 bytes")),
    }
}

/// `127.0.0.1:80`, `[::1]:80`, `localhost:80`, or `*:80` for all addresses.
fn address(word: &str) -> Result<Address, Wrong> {
    let wrong = |hint: &str| Wrong::new(format!("`{word}` is not HOST:PORT")).hint(hint);
    let usual = "as in: tcp 127.0.0.1:80, or tcp *:80";
    if let Ok(address) = word.parse::<SocketAddr>() {
        return match address.port() {
            0 => Err(Wrong::new("port 0 is no port")),
            port => Ok(Address { ip: Some(address.ip()), port }),
        };
    }
    let (host, port) = word.rsplit_once(':').ok_or_else(|| wrong(usual))?;
    let port = value::number::<u16>(port, 1, 65_535)?;
    match host {
        "*" => Ok(Address { ip: None, port }),
        host if host.eq_ignore_ascii_case("localhost") => {
            Ok(Address { ip: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), port })
        }
        host if host.contains(':') => Err(wrong(&format!("as in: tcp [{host}]:{port}"))),
        "" => Err(wrong(usual)),
        _ => Err(Wrong::new(format!("`{host}` is not a numeric address")).hint(
            "lar has no resolver (one would block it): 127.0.0.1, [::1], localhost and * work",
        )),
    }
}
