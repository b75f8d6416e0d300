//! Where the control socket is. The manager tries these places in this order, and so does its
//! client, so that they find each other without being told.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::PathBuf;

/// One possible place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A socket in the file system.
    Path(PathBuf),
    /// A name in the abstract namespace of the network namespace: for read-only roots. Anybody may
    /// take an abstract name, so both ends look at who the other is.
    Abstract(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Path(path) => path.display().fmt(f),
            Place::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

impl Place {
    /// The place that a setting names: a path, or `@name`.
    pub fn named(text: &str) -> Place {
        match text.strip_prefix('@') {
            Some(name) => Place::Abstract(name.to_owned()),
            None => Place::Path(PathBuf::from(text)),
        }
    }

    /// The usual places, in order. `runtime` is $XDG_RUNTIME_DIR.
    pub fn usual(uid: u32, runtime: Option<OsString>) -> Vec<Place> {
        let mut places = vec![Place::Path(PathBuf::from("/run/lar.sock"))];
        if let Some(directory) = runtime.filter(|directory| !directory.is_empty()) {
            places.push(Place::Path(PathBuf::from(directory).join("lar.sock")));
        }
        places.push(Place::Abstract(format!("lar-{uid}")));
        places
    }

    /// Its address; fails if the path is too long (107 bytes).
    pub fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Place::Path(path) => SocketAddr::from_pathname(path),
            Place::Abstract(name) => SocketAddr::from_abstract_name(name),
        }
    }

    /// Connects to whoever listens there.
    pub fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect_addr(&self.address()?)
    }
}

/// An error without Rust's ` (os error 13)`.
pub(crate) fn bare(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
