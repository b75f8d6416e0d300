//! The event log's handlers beside those of Python, which zdaemon has: files that rotate and syslogs get the same
//! bytes. One test only: a process has one log.

#[path = "support/lar.rs"]
mod lar_support;

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

use lar::logger::{CRITICAL, ZDAEMON};
use lar::plan::{EventLog, Level, LogFile, Rotate, Syslog, SyslogAddress};
use lar_support::{DEADLINE, Scratch, skip};

/// (size, how many are kept)
const ROTATIONS: [(u64, u32); 4] = [(100, 2), (64, 1), (1000, 3), (20, 5)];

/// What both are told.
fn lines() -> Vec<String> {
    (0..60).map(|number| "x".repeat(number * 7 % 23) + &number.to_string()).collect()
}

const PYTHON: &str = r#"
import logging, logging.handlers, sys
lines, *rotations = [arg.split(' ') for arg in sys.argv[1:]]
for at, (size, keep) in enumerate(rotations):
    handler = logging.handlers.RotatingFileHandler('log%d' % at, maxBytes=int(size), backupCount=int(keep))
    handler.setFormatter(logging.Formatter('%(levelname)s %(message)s'))
    for line in lines:
        handler.handle(logging.LogRecord('root', logging.INFO, '', 0, line, (), None))
for facility in ('user', 'local3'):
    handler = logging.handlers.SysLogHandler('socket', facility)
    handler.setFormatter(logging.Formatter('%(name)s %(message)s'))
    for level in (10, 20, 30, 40, 50):
        handler.handle(logging.LogRecord('root', level, '', 0, 'größe', (), None))
"#;

/// Each file's text by its name.
fn texts(dir: &Path) -> BTreeMap<String, String> {
    let files = std::fs::read_dir(dir).unwrap().flatten();
    let files = files.filter(|file| file.file_name().to_string_lossy().starts_with("log"));
    let text = |file: std::fs::DirEntry| {
        let text = std::fs::read_to_string(file.path()).unwrap();
        (file.file_name().to_string_lossy().into_owned(), text)
    };
    files.map(text).collect()
}

fn datagrams(socket: &UnixDatagram, count: usize) -> Vec<String> {
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let one = || {
        let mut bytes = [0; 5000];
        let length = socket.recv(&mut bytes).expect("a datagram in time");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    (0..count).map(|_| one()).collect()
}

#[test]
fn files_that_rotate_and_syslogs_get_what_pythons_handlers_give_them() {
    let (ours, theirs) = (Scratch::new(), Scratch::new());
    let socket = UnixDatagram::bind(ours.at("socket")).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(DEADLINE)).unwrap();
    let at = |name: &str| ours.at(name).to_str().unwrap().to_owned();
    let log = handlers(at, &udp);
    let warnings: Vec<String> = lar::logger::init(&log).iter().map(ToString::to_string).collect();
    let known = [format!(
        "event log {}: can't be opened: No such file or directory; going on without it",
        at("nobody")
    )];
    assert_eq!(warnings, known);

    // The first line is the one that finds the disk full, which is told once.
    log::debug!("größe");
    let full = "<28>root event log /dev/full: No space left on device; lines are lost until one can be written\0";
    assert_eq!([udp_text(&udp), udp_text(&udp)], ["<31>root größe\0", full]);
    // The kernel holds ten datagrams and not more.
    let mut sent = datagrams(&socket, 4);
    log::info!(target: ZDAEMON, "größe");
    log::warn!("größe");
    sent.extend(datagrams(&socket, 4));
    assert!(!ours.at("late").exists());
    log::error!("größe");
    log::error!(target: CRITICAL, "größe");
    sent.extend(datagrams(&socket, 4));
    let late = std::fs::read_to_string(ours.at("late")).unwrap();
    assert!(late.lines().count() == 2 && late.ends_with(" error größe\n"), "{late}");
    let told = std::fs::read_to_string(ours.at("main")).unwrap();
    assert_eq!(told.matches("/dev/full: No space left on device").count(), 1, "{told}");
    // A new syslog in the old one's place gets the next line.
    drop(socket);
    std::fs::remove_file(ours.at("socket")).unwrap();
    log::info!(target: ZDAEMON, "nobody hears");
    let told = std::fs::read_to_string(ours.at("main")).unwrap();
    let missing = format!("event log {}: No such file or directory", at("socket"));
    assert_eq!(told.matches(&missing).count(), 2, "once for each of the two: {told}");
    let socket = UnixDatagram::bind(ours.at("socket")).unwrap();
    log::info!(target: ZDAEMON, "here again");
    let again = datagrams(&socket, 4);
    let lost = |text: &String| {
        text.starts_with("<12>root ") && text.ends_with(" lines of this log were lost\0")
    };
    assert!(again.iter().any(lost), "{again:?}");
    assert!(again.contains(&"<158>root here again\0".to_owned()), "{again:?}");

    compare_with_python(&ours, &theirs, sent);
}

/// What was sent before, and what is written now.
fn compare_with_python(ours: &Scratch, theirs: &Scratch, sent: Vec<String>) {
    for name in texts(&ours.path).keys() {
        std::fs::remove_file(ours.at(name)).unwrap();
    }
    // Empty files again, under the same names.
    lar::logger::reopen();
    for line in lines() {
        log::info!(target: ZDAEMON, "{line}");
    }
    let socket = UnixDatagram::bind(theirs.at("socket")).unwrap();
    let mut python = Command::new("python3");
    python.args(["-c", PYTHON]).arg(lines().join(" ")).current_dir(&theirs.path);
    python.args(ROTATIONS.map(|(size, keep)| format!("{size} {keep}")));
    match python.output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(why) => return skip(&format!("no python3: {why}")),
    }
    assert_eq!(texts(&ours.path), texts(&theirs.path));
    let (user, local): (Vec<String>, Vec<String>) = sent
        .into_iter()
        .filter(|text| text.ends_with(" größe\0"))
        .partition(|text| priority(text) < 16);
    assert_eq!([user, local].concat(), datagrams(&socket, 10));
}

/// All of them, at paths of `at`'s choice.
fn handlers(at: impl Fn(&str) -> String, udp: &UdpSocket) -> EventLog {
    let post = |address, facility| Syslog {
        address,
        facility,
        level: Level::Trace,
        format: "%(name)s %(message)s".into(),
        date_format: None,
    };
    let rotated = ROTATIONS.iter().enumerate().map(|(index, &(size, keep))| LogFile {
        rotate: Some(Rotate { size, keep }),
        format: Some("%(levelname)s %(message)s".into()),
        ..LogFile::new(at(&format!("log{index}")), Level::Info)
    });
    let mut files: Vec<LogFile> = rotated.collect();
    files.push(LogFile { delay: true, ..LogFile::new(at("late"), Level::Error) });
    // Where everything else is told.
    files.push(LogFile::new(at("main"), Level::Trace));
    files.push(LogFile::new("/dev/full", Level::Trace));
    let local = SyslogAddress::Path(at("socket"));
    let syslogs = vec![
        post(local.clone(), 1),
        post(local, 19),
        post(SyslogAddress::Udp(udp.local_addr().unwrap()), 3),
        post(SyslogAddress::Path(at("nobody")), 1),
    ];
    EventLog { level: Level::Trace, files, syslogs, zdaemons: true }
}

fn udp_text(socket: &UdpSocket) -> String {
    let mut bytes = [0; 5000];
    let length = socket.recv(&mut bytes).expect("a datagram in time");
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

fn priority(text: &str) -> u32 {
    text[1..].split_once('>').unwrap().0.parse().unwrap()
}
