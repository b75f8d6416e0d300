//! What lar listens on for its services: data only, `sys::listener` opens it.

use core::fmt;
use core::net::IpAddr;

/// One `<socket>`. lar opens it when it is loaded and keeps it while its services come and go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// What services call it; also in LISTEN_FDNAMES.
    pub name: String,
    /// Where it listens. Two sockets of a plan never say the same.
    pub listen: Listen,
    /// The mode of a `unix` socket in the file system.
    pub mode: u32,
    /// Who owns that; `None` is lar's own user.
    pub user: Option<u32>,
    /// Its group; `None` is lar's own.
    pub group: Option<u32>,
    /// How many connections may wait to be accepted; the kernel has a limit of its own.
    pub backlog: u32,
}

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// For TCP connections.
    Tcp(Address),
    /// For UDP datagrams.
    Udp(Address),
    /// For connections in the file system (`@name`: in the abstract name space).
    Unix(String),
}

/// An IP address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// `None`: every address of this machine, of IPv4 and IPv6.
    pub ip: Option<IpAddr>,
    /// Never 0.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            None => write!(f, "*:{}", self.port),
            Some(IpAddr::V4(ip)) => write!(f, "{ip}:{}", self.port),
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
        }
    }
}

/// As a configuration file has it.
impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => write!(f, "tcp {address}"),
            Listen::Udp(address) => write!(f, "udp {address}"),
            Listen::Unix(path) => write!(f, "unix {path}"),
        }
    }
}
