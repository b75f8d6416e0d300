//! Five hundred services that are asked ten times a second by HTTP, at a server that accepts and never answers: whoever
//! asks lar something meanwhile does not notice.
//!
//! Its pings' median may be at most [`MOST`] times that of a manager of as many services that nobody asks. Both are
//! sent pings in turn, so that whatever else the machine does (it accepts connections, too) hits both; there are
//! [`ATTEMPTS`], of which the least counts.

#[path = "support/lar.rs"]
mod lar;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lar::Lar;
use nix::poll::{PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit};

/// Half of them are starting and asked whether they are ready, the others running and asked whether they still work.
const SERVICES: usize = 500;
const PINGS: usize = 1000;

/// How often each is asked, and when lar gives an answer up. So at each moment half of the questions are open.
const EVERY: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_millis(50);

/// How much longer a ping may take.
const MOST: f64 = 1.5;
/// How often it is tried until that is so.
const ATTEMPTS: usize = 3;

/// A server that accepts, and never answers.
struct Mute {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Mute {
    fn new() -> Mute {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, accepted) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = accepted.clone();
        std::thread::spawn(move || {
            // Long enough that it is lar that ends them.
            let mut held = VecDeque::with_capacity(SERVICES * 2);
            for peer in listener.incoming() {
                if held.len() == SERVICES * 2 {
                    held.pop_front();
                }
                held.push_back(peer);
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Mute { address, accepted }
    }
}

/// Somebody who asks a manager something.
struct Client {
    to: UnixStream,
    from: BufReader<UnixStream>,
    times: Vec<Duration>,
}

impl Client {
    /// Over one connection.
    fn of(lar: &Lar) -> Client {
        let to = lar.connect();
        let from = BufReader::new(to.try_clone().unwrap());
        Client { to, from, times: Vec::new() }
    }

    fn ping(&mut self) {
        let mut reply = String::new();
        let began = Instant::now();
        self.to.write_all(b"lar1 ping\n").unwrap();
        while !reply.ends_with("ok\n") {
            assert_ne!(self.from.read_line(&mut reply).unwrap(), 0, "{reply}");
        }
        self.times.push(began.elapsed());
    }

    /// The median of the pings so far; they are forgotten.
    fn median(&mut self, whose: &str) -> Duration {
        self.times.sort();
        let at = |percent: usize| self.times[(self.times.len() - 1) * percent / 100];
        let [median, most, all] = [50, 99, 100].map(at);
        println!("  {whose}: median {median:?}, 99 of 100 {most:?}, the longest {all:?}");
        self.times.clear();
        median
    }
}

fn main() {
    if getrlimit(Resource::RLIMIT_NOFILE).unwrap().1 < SERVICES as u64 * 4 {
        return lar::skip("too few open files are allowed");
    }
    let mute = Mute::new();
    let accepted = || mute.accepted.load(Ordering::Relaxed);
    let (mut quiet, mut asking) = (manager(None), manager(Some(mute.address)));
    let end = Instant::now() + lar::DEADLINE;
    // Each has been asked more than once: from then on they are asked in whatever order that has led to.
    while accepted() < SERVICES * 2 {
        assert!(Instant::now() < end, "nobody is asked");
        pause();
    }
    let (mut to_quiet, mut to_asking) = (Client::of(&quiet), Client::of(&asking));
    let mut best: Option<(Duration, Duration)> = None;
    let good = (0..ATTEMPTS).any(|_| {
        let (before, began) = (accepted(), Instant::now());
        for _ in 0..PINGS {
            to_quiet.ping();
            pause();
            to_asking.ping();
            pause();
        }
        let (asked, took) = (accepted() - before, began.elapsed());
        println!("{asked} questions in {took:?}");
        let rounds = took.as_secs_f64() / (EVERY + TIMEOUT).as_secs_f64();
        assert!(asked as f64 > rounds / 2.0 * SERVICES as f64, "they are not asked as often");
        let medians = (to_quiet.median("asks nobody"), to_asking.median("asks all"));
        let (quiet, asking) = best.unwrap_or(medians);
        let (quiet, asking) = *best.insert((quiet.min(medians.0), asking.min(medians.1)));
        let ratio = asking.as_secs_f64() / quiet.as_secs_f64();
        println!("  {ratio:.2} times");
        ratio <= MOST
    });
    for lar in [&mut quiet, &mut asking] {
        lar.ask("shutdown").expect(0);
        assert_eq!(lar.end(), 0);
    }
    assert!(good, "whoever asks lar something waits for its questions to others");
}

/// A millisecond or so.
fn pause() {
    poll(&mut [], PollTimeout::from(1_u8)).unwrap();
}

/// A manager of so many services; they are asked if there is somebody to ask.
fn manager(address: Option<SocketAddr>) -> Lar {
    let (every, timeout) = (EVERY.as_millis(), TIMEOUT.as_millis());
    let mut config = "<defaults>\n transcript none\n ring 0\n</defaults>\n".to_owned();
    for number in 0..SERVICES {
        let keys = match address {
            Some(address) if number % 2 == 0 => format!(
                "ready timeout {timeout}ms http http://{address}/\n start-timeout none\n \
                 ready-interval {every}ms"
            ),
            Some(address) => format!(
                "health every {every}ms timeout {timeout}ms failures 1000000 http http://{address}/"
            ),
            None => "ready none".into(),
        };
        config += &format!("<service s{number:03}>\n program sleep 1000\n {keys}\n</service>\n");
    }
    let lar = Lar::with(" spawn-rate none", &config);
    lar.wait(&format!("s{:03}=running", SERVICES - 1));
    lar
}
