//! Questions that tell how an instance is: may it be depended on, and does it still work?

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::time::Duration;

/// A question that tells whether an instance is ready, or healthy.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// Somebody accepts connections at this address, `HOST:PORT` in numbers.
    Tcp(String),
    /// Somebody accepts connections on this socket (`@name`: an abstract one).
    Unix(String),
    /// A plain GET of this URL, `http://HOST:PORT/PATH` with the host in numbers, has a status below 400.
    Http(String),
    /// There is such a file.
    File(String),
    /// It has written this text since it was started.
    Log(String),
    /// This command exits with 0.
    Command(Vec<String>),
    /// It says so itself to $NOTIFY_SOCKET: READY=1, or WATCHDOG=1 again and again.
    Notify,
    /// It writes a line to this fd (s6's protocol).
    Fd(i32),
}

impl Probe {
    /// Whether lar asks it (else it listens).
    pub fn asks(&self) -> bool {
        match self {
            Probe::Tcp(_)
            | Probe::Unix(_)
            | Probe::Http(_)
            | Probe::File(_)
            | Probe::Command(_) => true,
            Probe::Log(_) | Probe::Notify | Probe::Fd(_) => false,
        }
    }

    /// With the number of an instance put in for `put`'s placeholder.
    pub(super) fn map(&self, put: impl Fn(&String) -> String) -> Probe {
        match self {
            Probe::Tcp(address) => Probe::Tcp(put(address)),
            Probe::Unix(path) => Probe::Unix(put(path)),
            Probe::Http(url) => Probe::Http(put(url)),
            Probe::File(path) => Probe::File(put(path)),
            Probe::Log(text) => Probe::Log(put(text)),
            Probe::Command(words) => Probe::Command(words.iter().map(put).collect()),
            Probe::Notify => Probe::Notify,
            Probe::Fd(number) => Probe::Fd(*number),
        }
    }
}

/// How often a running instance is asked whether it still works. What is asked stands in [`super::Process::health`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// From one question to the next; of `notify`, within which the next WATCHDOG=1 must come.
    pub every: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How many bad answers in a row make it unhealthy; at least 1.
    pub failures: u32,
}

impl Default for Health {
    /// every 10s timeout 5s failures 3.
    fn default() -> Health {
        Health { every: Duration::from_secs(10), timeout: Duration::from_secs(5), failures: 3 }
    }
}

/// A command that a service brings along, beside its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Run before its program; if it fails, that is a failed start.
    PreStart,
    /// Run to stop it, before any signal.
    Stop,
    /// Run in place of a stop and a start.
    Restart,
    /// Run by `ctl reload`.
    Reload,
    /// Run when its program has ended, and told how.
    PostStop,
}

/// Where `http://HOST[:PORT][/PATH]` leads to, what the host is called in the request, and the path. `None` if it is
/// no such URL: the host is a numeric address or `localhost`, since a PID 1 has no resolver.
pub fn http_parts(url: &str) -> Option<(SocketAddr, &str, &str)> {
    let rest = url.strip_prefix("http://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let printable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if !printable(path) || path.starts_with('?') {
        return None;
    }
    let path = if path.is_empty() { "/" } else { path };
    let address = match (host.parse::<SocketAddr>(), host.strip_prefix("localhost")) {
        (Ok(address), _) => address,
        (Err(_), Some("")) => SocketAddr::from((Ipv4Addr::LOCALHOST, 80)),
        (Err(_), Some(port)) => {
            let port = port.strip_prefix(':')?.parse().ok()?;
            SocketAddr::from((Ipv4Addr::LOCALHOST, port))
        }
        (Err(_), None) => {
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            match bare {
                Some(host) => SocketAddr::from((host.parse::<Ipv6Addr>().ok()?, 80)),
                None => SocketAddr::from((host.parse::<Ipv4Addr>().ok()?, 80)),
            }
        }
    };
    (address.port() != 0).then_some((address, host, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_url_has_a_numeric_host_and_may_have_a_port_and_a_path() {
        let part =
            |url| http_parts(url).map(|(address, host, path)| (address.to_string(), host, path));
        let good = |address: &str, host, path| Some((address.to_string(), host, path));
        assert_eq!(part("http://127.0.0.1"), good("127.0.0.1:80", "127.0.0.1", "/"));
        assert_eq!(
            part("http://localhost:8080/a?b"),
            good("127.0.0.1:8080", "localhost:8080", "/a?b")
        );
        assert_eq!(part("http://[::1]/x"), good("[::1]:80", "[::1]", "/x"));
        assert_eq!(part("http://[::1]:81"), good("[::1]:81", "[::1]:81", "/"));
        for bad in [
            "https://127.0.0.1",
            "127.0.0.1",
            "http://",
            "http://example.org/",
            "http://127.0.0.1:0/",
            "http://127.0.0.1:99999/",
            "http://localhostess/",
            "http://127.0.0.1/a b",
            "http://127.0.0.1?a",
            "http://127.0.0.1/\r\nX: y",
        ] {
            assert_eq!(part(bad), None, "{bad}");
        }
    }
}
