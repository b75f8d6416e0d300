//! Five hundred services that are asked ten times a second by HTTP, at a server that accepts and never answers: whoever
//! asks lar something meanwhile does not notice.
//!
//! A ping is sent each millisecond over one connection, whatever became of the one before, so what holds the loop up is
//! counted for all whom it would have kept waiting. The median may be at most [`MOST`] times that of a manager of as
//! many services that nobody asks. Both are measured in one run; what else the machine does hits one of them at times,
//! so there are [`ATTEMPTS`], of which the least counts.

#[path = "support/lar.rs"]
mod lar;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lar::Lar;
use nix::poll::{PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit};

/// Half of them are starting and asked whether they are ready, the others running and asked whether they still work.
const SERVICES: usize = 500;
const PINGS: usize = 1000;
const PACE: Duration = Duration::from_millis(1);

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

/// How long pings took, the shortest first.
struct Pings(Vec<Duration>);

impl Pings {
    /// The one that so many of a hundred were not slower than.
    fn at(&self, percent: usize) -> Duration {
        self.0[(self.0.len() - 1) * percent / 100]
    }

    /// Over one connection.
    fn take(lar: &Lar) -> Pings {
        let mut to = lar.connect();
        let mut from = BufReader::new(to.try_clone().unwrap());
        let mut line = String::new();
        let mut times = Vec::with_capacity(PINGS);
        let mut due = Instant::now();
        while times.len() < PINGS {
            due += PACE;
            while due > Instant::now() {
                poll(&mut [], PollTimeout::from(1_u8)).unwrap();
            }
            // Who could not be sent in time has waited since then.
            let late = due.elapsed() > PACE;
            let began = if late { due } else { Instant::now() };
            to.write_all(b"lar1 ping\n").unwrap();
            line.clear();
            while !line.ends_with("ok\n") {
                assert_ne!(from.read_line(&mut line).unwrap(), 0, "{line}");
            }
            times.push(began.elapsed());
        }
        times.sort();
        Pings(times)
    }
}

fn main() {
    if getrlimit(Resource::RLIMIT_NOFILE).unwrap().1 < SERVICES as u64 * 4 {
        return lar::skip("too few open files are allowed");
    }
    let mute = Mute::new();
    let mut best: Option<(Duration, Duration)> = None;
    let good = (0..ATTEMPTS).any(|_| {
        let (quiet, asked) = (measure(None), measure(Some(&mute)));
        let (least_quiet, least_asked) = best.unwrap_or((quiet, asked));
        let (quiet, asked) = (quiet.min(least_quiet), asked.min(least_asked));
        best = Some((quiet, asked));
        let ratio = asked.as_secs_f64() / quiet.as_secs_f64();
        println!("medians: {quiet:?} and {asked:?}, {ratio:.2} times");
        ratio <= MOST
    });
    assert!(good, "whoever asks lar something waits for its questions to others");
}

/// The median of pings to a manager of so many services; they are asked if there is somebody to ask.
fn measure(mute: Option<&Mute>) -> Duration {
    let (every, timeout) = (EVERY.as_millis(), TIMEOUT.as_millis());
    let mut config = "<defaults>\n transcript none\n ring 0\n</defaults>\n".to_owned();
    for number in 0..SERVICES {
        let keys = match mute {
            Some(Mute { address, .. }) if number % 2 == 0 => format!(
                "ready timeout {timeout}ms http http://{address}/\n start-timeout none\n \
                 ready-interval {every}ms"
            ),
            Some(Mute { address, .. }) => format!(
                "health every {every}ms timeout {timeout}ms failures 1000000 http http://{address}/"
            ),
            None => "ready none".into(),
        };
        config += &format!("<service s{number:03}>\n program sleep 1000\n {keys}\n</service>\n");
    }
    let mut lar = Lar::with(" spawn-rate none", &config);
    lar.wait(&format!("s{:03}=running", SERVICES - 1));
    let before = mute.map(|mute| {
        // Once all have been asked, they are asked in whatever order that has led to.
        let accepted = || mute.accepted.load(Ordering::Relaxed);
        let (first, end) = (accepted(), Instant::now() + lar::DEADLINE);
        while accepted() < first + SERVICES * 2 {
            assert!(Instant::now() < end, "nobody is asked");
            poll(&mut [], PollTimeout::from(1_u8)).unwrap();
        }
        accepted()
    });
    let began = Instant::now();
    let pings = Pings::take(&lar);
    let took = began.elapsed();
    if let (Some(mute), Some(before)) = (mute, before) {
        let asked = mute.accepted.load(Ordering::Relaxed) - before;
        println!("  {asked} questions in {took:?}");
        let rounds = took.as_secs_f64() / (EVERY + TIMEOUT).as_secs_f64();
        assert!(asked as f64 > rounds / 2.0 * SERVICES as f64, "they are not asked as often");
    }
    let [median, most, all] = [50, 99, 100].map(|percent| pings.at(percent));
    println!("  {PINGS} pings: median {median:?}, of 99 in 100 {most:?}, the longest {all:?}");
    lar.ask("shutdown").expect(0);
    assert_eq!(lar.end(), 0);
    median
}
