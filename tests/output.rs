//! Captured output with real pipes, files and children. Time is a number that the tests hand in, so
//! none of them waits for a back-off.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use lar::output::{News, Output, Pace, StreamId};
use lar::plan::{Format, InstanceId, OnFull, Plan, Process, Rotate, Service, Target};
use lar::time::{Duration, Instant};
use lar::transcript::Wall;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid, mkfifo};

const WALL: Wall = Wall(1_795_224_645_067_000_000);

/// A directory that goes with the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let path = std::env::temp_dir().join(format!("lar-{name}-{}-{nanos}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Dir(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn to(path: &Path) -> Target {
    Target::File(path.to_str().unwrap().to_owned())
}

fn service(name: &str, targets: &[Target]) -> Service {
    let process = |target: &Target| Process { transcript: target.clone(), ..Process::default() };
    Service {
        name: name.to_owned(),
        processes: targets.iter().map(process).collect(),
        ..Service::default()
    }
}

/// The loop, without its epoll.
struct Bench {
    output: Output,
    now: Instant,
}

impl Bench {
    fn new(services: Vec<Service>) -> Bench {
        let plan = Plan { services, ..Plan::default() };
        let now = Instant::from_nanos(1_000_000_000_000);
        let (output, warnings) = Output::new(&plan, false, now);
        assert_eq!(warnings, []);
        Bench { output, now }
    }

    /// The service's end of an instance's standard output (or error).
    fn pen(&self, instance: u32) -> File {
        open(self.output.stdio(InstanceId(instance)).0)
    }

    /// Turns until nothing is ready and nothing is due. (What waits for the tick is left to
    /// [`Bench::pass`].)
    fn pump(&mut self) {
        let mut ready: Vec<StreamId> = self.output.sources().map(|(id, _)| id).collect();
        loop {
            while let Some(id) = ready.pop() {
                if self.output.readable(id, self.now, WALL) == Pace::More {
                    ready.push(id);
                }
            }
            match self.output.due(self.now) {
                Some(id) => ready.push(id),
                None => return,
            }
        }
    }

    /// Lets time pass, deadline by deadline.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.pump();
        while let Some(next) = self.output.next_deadline().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.pump();
        }
        self.now = end;
    }

    fn drain(&mut self, instance: u32) {
        self.output.drain(InstanceId(instance), self.now, WALL);
    }

    fn news(&mut self) -> Vec<News> {
        std::iter::from_fn(|| self.output.poll_notice()).map(|notice| notice.news).collect()
    }
}

fn open(fd: i32) -> File {
    OpenOptions::new().write(true).open(format!("/proc/self/fd/{fd}")).unwrap()
}

#[test]
fn bytes_arrive_as_they_were_written_across_processes() {
    let dir = Dir::new("raw");
    let log = dir.path("log");
    let mut bench = Bench::new(vec![service("web", &[to(&log)])]);
    for script in ["printf 'one\\ntw'", "printf 'o\\n\\000\\377three' >&2"] {
        let (out, err) = bench.output.stdio(InstanceId(0));
        bench.output.before_spawn(InstanceId(0));
        let mut child = Command::new("sh");
        child.args(["-c", script]).stdout(open(out)).stderr(open(err));
        assert!(child.status().unwrap().success());
        bench.drain(0);
    }
    assert_eq!(fs::read(&log).unwrap(), b"one\ntwo\n\0\xffthree");
    let (_, head, tail) = bench.output.ring(InstanceId(0)).unwrap().since(0);
    assert_eq!([head, tail].concat(), b"one\ntwo\n\0\xffthree");
}

#[test]
fn the_unterminated_last_line_is_ended_when_its_process_ends() {
    let dir = Dir::new("last");
    let log = dir.path("log");
    let mut web = service("web", &[to(&log)]);
    web.output.prefix = Some(true);
    let mut bench = Bench::new(vec![web]);
    bench.pen(0).write_all(b"one\npanic: no").unwrap();
    bench.pump();
    assert_eq!(fs::read_to_string(&log).unwrap(), "[web] one\n");
    bench.drain(0);
    bench.pen(0).write_all(b"two\n").unwrap();
    bench.pump();
    assert_eq!(fs::read_to_string(&log).unwrap(), "[web] one\n[web] panic: no\n[web] two\n");
}

#[test]
fn stderr_may_go_elsewhere_and_json_says_which_it_was() {
    let dir = Dir::new("json");
    let (log, errors) = (dir.path("log"), dir.path("errors"));
    let mut web = service("shop:web", &[to(&log), to(&log)]);
    web.processes[1].stderr = Some(to(&errors));
    web.output.format = Format::Json;
    let mut bench = Bench::new(vec![web]);
    let (out, err) = bench.output.stdio(InstanceId(1));
    open(out).write_all(b"out\n").unwrap();
    open(err).write_all(b"\"err\"\n").unwrap();
    bench.pump();
    let head = "{\"time\":\"2026-11-21T01:30:45.067Z\",\"service\":\"shop:web\",\"instance\":2,";
    let known = format!("{head}\"stream\":\"stdout\",\"text\":\"out\"}}\n");
    assert_eq!(fs::read_to_string(log).unwrap(), known);
    let known = format!("{head}\"stream\":\"stderr\",\"text\":\"\\\"err\\\"\"}}\n");
    assert_eq!(fs::read_to_string(errors).unwrap(), known);
}

#[test]
fn two_writers_of_one_file_never_tear_each_others_lines() {
    for prefix in [false, true] {
        let dir = Dir::new("shared");
        let log = dir.path("log");
        let mut web = service("web", &[to(&log), to(&log)]);
        web.output.prefix = Some(prefix);
        let mut bench = Bench::new(vec![web]);
        let mut pens = [bench.pen(0), bench.pen(1)];
        let lines: Vec<String> =
            (0..2000).map(|n| format!("{n} {}\n", "x".repeat(n % 97))).collect();
        let text = lines.concat();
        // Every chunk ends within a line, and the two take turns.
        for (index, chunk) in text.as_bytes().chunks(53).enumerate() {
            for pen in &mut pens {
                pen.write_all(chunk).unwrap();
                bench.pass(Duration::from_millis(3));
            }
            assert!(index < 10_000);
        }
        bench.drain(0);
        bench.drain(1);
        let read = fs::read_to_string(&log).unwrap();
        let mut counts = vec![0; lines.len()];
        for line in read.lines() {
            let bare = line.replace("[web@1] ", "").replace("[web@2] ", "") + "\n";
            let at: usize = bare.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(bare, lines[at]);
            counts[at] += 1;
        }
        assert!(counts.iter().all(|count| *count == 2));
    }
}

#[test]
fn a_grandchild_that_writes_for_ever_cannot_hang_a_drain() {
    let dir = Dir::new("yes");
    let log = dir.path("log");
    let mut bench = Bench::new(vec![service("web", &[to(&log)])]);
    let mut child = Command::new("sh")
        .args(["-c", "yes & echo $! >&2"])
        .stdout(bench.pen(0))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pid = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut pid).unwrap();
    child.wait().unwrap();
    for _ in 0..20 {
        bench.drain(0);
    }
    kill(Pid::from_raw(pid.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
    let size = fs::metadata(&log).unwrap().len();
    assert!(size <= 20 * 1024 * 1024, "a drain takes no more than the pipe held: {size}");
}

#[test]
fn a_full_disk_is_counted_and_confessed_and_never_stops_the_reading() {
    let dir = Dir::new("full");
    let log = dir.path("log");
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    let mut bench = Bench::new(vec![service("web", &[to(&log)])]);
    let mut pen = bench.pen(0);
    for _ in 0..50 {
        // More than the pipe holds in all: it would block if nobody read.
        pen.write_all(&[b'x'; 20_000]).unwrap();
        bench.pass(Duration::from_millis(10));
    }
    bench.pass(Duration::from_secs(100));
    let news = bench.news();
    assert_eq!(news.len(), 1, "reported once: {news:?}");
    assert!(matches!(news[0], News::Failed { errno: nix::errno::Errno::ENOSPC, .. }));
    fs::remove_file(&log).unwrap();
    assert!(bench.output.reopen(bench.now).iter().all(|(_, result)| result.is_ok()));
    bench.pass(Duration::from_millis(10));
    pen.write_all(b"after\n").unwrap();
    bench.pass(Duration::from_millis(10));
    let known = "lar: 1000000 bytes of output lost: No space left on device\nafter\n";
    assert_eq!(fs::read_to_string(&log).unwrap(), known);
    assert_eq!(bench.news(), [News::Recovered { lost: 1_000_000 }]);
    assert_eq!(bench.output.next_deadline(), None);
}

#[test]
fn with_on_full_block_nothing_is_lost_on_a_full_disk() {
    if !geteuid().is_root() {
        eprintln!("skipped: mounting a small tmpfs needs root");
        return;
    }
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    let dir = Dir::new("tmpfs");
    let none = None::<&str>;
    // Only this thread's view changes.
    let mounted = unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none))
        .and_then(|()| {
            mount(Some("none"), &dir.0, Some("tmpfs"), MsFlags::empty(), Some("size=64k"))
        });
    if let Err(errno) = mounted {
        eprintln!("skipped: no mount namespace here: {errno}");
        return;
    }
    for on_full in [OnFull::Block, OnFull::Drop] {
        let (log, ballast) = (dir.path("log"), dir.path("ballast"));
        let _ = fs::remove_file(&log);
        fs::write(&ballast, [0; 40_000]).unwrap();
        let mut web = service("web", &[to(&log)]);
        web.output.prefix = Some(true);
        web.output.on_full = on_full;
        let mut bench = Bench::new(vec![web]);
        let text: String = (0..5000).map(|n| format!("{n}\n")).collect();
        bench.pen(0).write_all(text.as_bytes()).unwrap();
        bench.pump();
        bench.drain(0);
        bench.pass(Duration::from_secs(5));
        assert!(matches!(bench.news()[..], [News::Failed { .. }]));
        // Room for 24 kB was not enough for the 54 kB that it becomes; now it is.
        fs::remove_file(&ballast).unwrap();
        bench.pass(Duration::from_secs(40));
        bench.drain(0);
        let read = fs::read_to_string(&log).unwrap();
        let known: String = (0..5000).map(|n| format!("[web] {n}\n")).collect();
        match on_full {
            OnFull::Block => assert!(read == known, "{} of {}", read.len(), known.len()),
            OnFull::Drop => {
                let lost = read.lines().last().unwrap();
                let count: usize = lost.split(' ').nth(1).unwrap().parse().unwrap();
                let kept = read.len() - lost.len() - 1;
                let kept = kept - usize::from(!known[..kept].ends_with('\n'));
                assert_eq!(kept + count, known.len(), "{lost}");
            }
        }
    }
}

#[test]
fn a_fifo_without_a_reader_does_not_hang_and_a_slow_reader_loses_nothing() {
    let dir = Dir::new("fifo");
    let fifo = dir.path("fifo");
    mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let plan = Plan { services: vec![service("web", &[to(&fifo)])], ..Plan::default() };
    let now = Instant::from_nanos(1_000_000_000);
    let (output, warnings) = Output::new(&plan, false, now);
    assert_eq!(warnings.len(), 1, "it could not be opened: {warnings:?}");
    let mut bench = Bench { output, now };
    bench.pen(0).write_all(b"lost\n").unwrap();
    bench.pump();
    let mut options = OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, nix::libc::O_NONBLOCK);
    let mut reader = options.read(true).open(&fifo).unwrap();
    bench.pass(Duration::from_secs(2));
    let mut text = String::new();
    let _ = reader.read_to_string(&mut text);
    assert_eq!(text, "lar: 5 bytes of output lost: No such device or address\n");
    // 64 KiB fit into the FIFO; the rest waits for its reader.
    let lines: String = (0..25_000).map(|n| format!("{n}\n")).collect();
    bench.pen(0).write_all(lines.as_bytes()).unwrap();
    bench.pump();
    text.clear();
    while text.len() < lines.len() {
        let _ = reader.read_to_string(&mut text);
        bench.pass(Duration::from_millis(50));
    }
    assert!(text == lines);
    // A reader that has stopped for good is not waited for longer than a second.
    bench.pen(0).write_all(lines.as_bytes()).unwrap();
    bench.pump();
    bench.pass(Duration::from_secs(3));
    bench.news();
    bench.pen(0).write_all(lines.as_bytes()).unwrap();
    bench.pump();
    text.clear();
    let _ = reader.read_to_string(&mut text);
    bench.pass(Duration::from_secs(1));
    let mut last = String::new();
    let _ = reader.read_to_string(&mut last);
    let lost = 2 * lines.len() - text.len();
    assert_eq!(
        last,
        format!("\nlar: {lost} bytes of output lost: the reader had stopped\n")
            .trim_start_matches(if text.ends_with('\n') { '\n' } else { ' ' })
    );
}

#[test]
fn a_file_that_has_grown_is_put_aside_at_a_lines_end() {
    let dir = Dir::new("rotate");
    let log = dir.path("log");
    let mut web = service("web", &[to(&log)]);
    web.output.rotate = Some(Rotate { size: 100, keep: 2 });
    let mut bench = Bench::new(vec![web]);
    let mut pen = bench.pen(0);
    for n in 0..40 {
        pen.write_all(format!("{n:03} this is ").as_bytes()).unwrap();
        bench.pass(Duration::from_millis(10));
        pen.write_all(b"a line\n").unwrap();
        bench.pass(Duration::from_millis(10));
    }
    let mut text = String::new();
    for name in ["log.2", "log.1", "log"] {
        let part = fs::read_to_string(dir.path(name)).unwrap();
        assert!(part.len() <= 120 && part.ends_with('\n'), "{name}: {part}");
        text += &part;
    }
    let lines: Vec<&str> = text.lines().collect();
    let numbers: Vec<u32> = lines.iter().map(|line| line[..3].parse().unwrap()).collect();
    assert!(lines.iter().all(|line| line.ends_with(" this is a line")));
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]) && numbers.last() == Some(&39));
    assert!(!dir.path("log.3").exists());
    assert_eq!(bench.news(), []);
}

#[test]
fn nothing_is_lost_between_a_rename_and_the_reopening() {
    let dir = Dir::new("reopen");
    let (log, old) = (dir.path("log"), dir.path("old"));
    let mut bench = Bench::new(vec![service("web", &[to(&log), to(&log)])]);
    for (instance, text) in [(0, "one\n"), (1, "two\n")] {
        bench.pen(instance).write_all(text.as_bytes()).unwrap();
        bench.pump();
    }
    fs::rename(&log, &old).unwrap();
    bench.pen(0).write_all(b"three\n").unwrap();
    bench.pump();
    bench.pen(1).write_all(b"four\n").unwrap();
    let results = bench.output.reopen(bench.now);
    assert_eq!(results, [(log.to_str().unwrap().to_owned(), Ok(()))], "one file, once");
    bench.pump();
    assert_eq!(fs::read_to_string(&old).unwrap(), "one\ntwo\nthree\n");
    assert_eq!(fs::read_to_string(&log).unwrap(), "four\n");
    // One that can't be opened leaves the old one in use.
    fs::remove_file(&log).unwrap();
    fs::create_dir(&log).unwrap();
    assert!(bench.output.reopen(bench.now)[0].1.is_err());
    bench.pen(1).write_all(b"five\n").unwrap();
    bench.pump();
    assert_eq!(bench.news(), []);
}

#[test]
fn only_what_is_captured_has_a_pipe() {
    let none = service("a", &[Target::None]);
    let mut off = service("b", &vec![Target::None; 3]);
    off.output.ring = 0;
    let given = service("c", &[Target::Inherit, Target::Default]);
    let bench = Bench::new(vec![none, off, given]);
    assert_eq!(bench.output.sources().count(), 2);
    let null = bench.output.stdio(InstanceId(1));
    assert_eq!(fs::read_link(format!("/proc/self/fd/{}", null.0)).unwrap(), Path::new("/dev/null"));
    assert_eq!(bench.output.stdio(InstanceId(3)), null);
    assert_eq!(bench.output.stdio(InstanceId(4)), (1, 2));
    assert!(bench.output.ring(InstanceId(0)).is_some());
    assert!(bench.output.ring(InstanceId(1)).is_none());
    assert_eq!(bench.output.stdio(InstanceId(99)), (1, 2));
}

#[test]
fn many_small_writes_are_read_by_the_tick() {
    let mut bench = Bench::new(vec![service("web", &[Target::None])]);
    let mut pen = bench.pen(0);
    let mut paces = Vec::new();
    for _ in 0..20 {
        pen.write_all(b"a line\n").unwrap();
        paces.push(bench.output.readable(StreamId(0), bench.now, WALL));
        bench.now = bench.now + Duration::from_micros(100);
    }
    assert_eq!(paces[0], Pace::Drained, "a line alone is read at once");
    assert_eq!(paces.last(), Some(&Pace::Later));
    let due = bench.output.next_deadline().unwrap();
    let latest = bench.now + Duration::from_millis(5);
    assert!(due <= latest);
    assert_eq!(bench.output.due(Instant::from_nanos(due.as_nanos() - 1)), None);
    assert_eq!(bench.output.due(due), Some(StreamId(0)));
    let _ = bench.output.readable(StreamId(0), due, WALL);
    bench.now = due;
    bench.pass(Duration::from_millis(20));
    assert_eq!(bench.output.ring(InstanceId(0)).unwrap().end(), 20 * 7);
    assert_eq!(bench.output.next_deadline(), None, "a silent service costs nothing");
}

/// Not a test by itself: the part of the next one that runs with a standard output of its own.
#[test]
fn child_with_a_slow_standard_output() {
    if std::env::var_os("LAR_TEST_STDOUT").is_none() {
        return;
    }
    let mut bench = Bench::new(vec![service("web", &[Target::Stdout])]);
    let mut child = Command::new("seq").arg("200000").stdout(bench.pen(0)).spawn().unwrap();
    let start = std::time::Instant::now();
    let zero = bench.now;
    while child.try_wait().unwrap().is_none() {
        bench.now = zero + start.elapsed();
        bench.pump();
    }
    bench.output.close(Duration::from_secs(30), zero + start.elapsed(), WALL);
    let flags = fs::read_to_string("/proc/self/fdinfo/1").unwrap();
    let flags = flags.lines().find_map(|line| line.strip_prefix("flags:\t0")).unwrap();
    let flags = i32::from_str_radix(flags, 8).unwrap();
    assert_eq!(flags & nix::libc::O_NONBLOCK, 0);
}

#[test]
fn a_burst_on_standard_output_waits_for_its_reader_and_arrives_whole() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_with_a_slow_standard_output", "--nocapture"])
        .env("LAR_TEST_STDOUT", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut next = 1;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        if let Some(number) = line.unwrap().strip_prefix("[web] ") {
            assert_eq!(number, next.to_string());
            next += 1;
        }
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(next, 200_001);
}
