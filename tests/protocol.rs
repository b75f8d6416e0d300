//! The control protocol: whatever is written is read back as it was.

use lar::ctl::protocol::command::COMMANDS;
use lar::ctl::protocol::record::{Buffer, Fields};
use lar::ctl::protocol::reply::Line;
use lar::ctl::protocol::request::{Request, line};
use lar::ctl::protocol::words::{Quoted, split};
use lar::exit::Code;

/// A xorshift generator: the same numbers every time, so that a failure comes again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }

    /// Bytes of which many are special.
    fn bytes(&mut self, most: usize) -> Vec<u8> {
        const SPECIAL: &[u8] = b" \"'\\=\n\r\t\x00\x1b\x7fabcxn0\xc3\xa4\xff\xc2\x85";
        let length = self.roll(most + 1);
        let one = |dice: &mut Dice| match dice.roll(4) {
            0 => dice.roll(256) as u8,
            _ => SPECIAL[dice.roll(SPECIAL.len())],
        };
        (0..length).map(|_| one(self)).collect()
    }

    fn word(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes(12)).replace(['\n', '\r', '\0'], "-")
    }
}

#[test]
fn every_record_is_one_printable_line_and_reads_back_the_same_bytes() {
    let mut dice = Dice(0x1a5);
    for round in 0..5_000 {
        let values: Vec<Vec<u8>> = (0..dice.roll(5) + 1).map(|_| dice.bytes(40)).collect();
        let mut buffer = Buffer::new(8192);
        let mut record = buffer.record();
        for (at, value) in values.iter().enumerate() {
            record = match std::str::from_utf8(value) {
                Ok(text) if dice.roll(2) == 0 => record.field(&format!("k{at}"), text),
                _ => record.bytes(&format!("k{at}"), value),
            };
        }
        assert!(record.finish());
        let text = std::str::from_utf8(buffer.pending()).unwrap();
        let line = text.strip_suffix('\n').unwrap();
        assert!(!line.contains(char::is_control), "round {round}: {line:?}");
        let Some(Line::Record(fields)) = Line::parse(line) else {
            panic!("round {round}: {line:?}");
        };
        let read: Vec<&[u8]> = fields.iter().map(|(_, value)| value).collect();
        assert_eq!(read, values, "round {round}: {line:?}");
    }
}

#[test]
fn every_word_survives_quoting() {
    let mut dice = Dice(7);
    for _ in 0..5_000 {
        let words: Vec<String> = (0..dice.roll(4)).map(|_| dice.word()).collect();
        let quoted: Vec<String> = words.iter().map(|word| Quoted(word).to_string()).collect();
        assert_eq!(split(&quoted.join(" ")).unwrap(), words, "{quoted:?}");
    }
}

#[test]
fn no_line_makes_a_reader_panic() {
    let mut dice = Dice(99);
    for _ in 0..10_000 {
        let mut text = String::from_utf8_lossy(&dice.bytes(60)).into_owned();
        if dice.roll(2) == 0 {
            text.insert_str(0, "error code=");
        }
        let _ = Line::parse(&text);
        let _ = split(&text);
        let _ = Request::read(&format!("lar1 {text}"));
        let verb = COMMANDS[dice.roll(COMMANDS.len())].name;
        let _ = Request::read(&format!("lar1 {verb} {text}"));
    }
}

#[test]
fn a_record_that_does_not_fit_leaves_no_trace() {
    let mut buffer = Buffer::new(300); // 256 of them are the reserve
    assert!(buffer.record().field("a", "short").finish());
    let before = buffer.pending().to_vec();
    assert!(!buffer.record().field("b", "x".repeat(60)).finish());
    assert_eq!(buffer.pending(), before);
    assert!(buffer.last_record().word("error").field("code", "x".repeat(60)).finish());
    buffer.consume(3);
    assert!(buffer.pending().starts_with(b"hort\nerror code=xxx"));
    buffer.consume(usize::MAX);
    assert!(buffer.is_empty());
}

#[test]
fn the_last_line_tells_the_exit_code() {
    assert_eq!(Line::parse("ok"), Some(Line::Ok));
    let error = |line: &str| match Line::parse(line) {
        Some(Line::Error { code, message }) => (code, message),
        other => panic!("{line}: {other:?}"),
    };
    let (code, message) = error("error code=timed-out message=\"not yet\"");
    assert_eq!((code, message.as_str()), (Code::TimedOut, "not yet"));
    assert_eq!(error("error code=from-the-future").0, Code::Failed);
    for line in ["okay", "error", "error message=x", "a=b=c \"", "a=\"b", "a=\"b\"c", "=", "x"] {
        let parsed = Line::parse(line);
        assert!(!matches!(parsed, Some(Line::Ok | Line::Error { .. })), "{line}: {parsed:?}");
    }
    assert_eq!(Fields::parse("a=\"b"), None);
}

#[test]
fn a_request_that_is_wrong_says_how() {
    let said = |line: &str| Request::read(line).unwrap_err().to_string();
    for (line, message) in [
        ("status", "a request starts with `lar1`"),
        ("lar1", "no verb"),
        ("lar1 'x", "the quote ' is not closed"),
        ("lar1 statsu", "no verb is called statsu; did you mean status?"),
        ("lar1 stop", "stop needs a name (or `all`)"),
        ("lar1 kill", "kill needs a name (or `all`)"),
        ("lar1 stop --forc web", "stop has no option --forc; did you mean --force?"),
        ("lar1 start --force web", "start has no option --force"),
        ("lar1 logs -x", "logs has no option -x"),
        ("lar1 logs -n", "--lines needs a value"),
        ("lar1 logs -n many", "many is nothing for --lines"),
        ("lar1 stop --timeout 3x web", "3x is nothing for --timeout"),
        ("lar1 stop --force=yes web", "yes is nothing for --force"),
        ("lar1 ping pong", "ping does not take pong"),
        ("lar1 wait web", "web is not NAME=STATE"),
        ("lar1 loglevel loud", "loud is no log level: off, error, warn, info, debug, trace"),
    ] {
        assert_eq!(said(line), message, "{line}");
    }
}

#[test]
fn options_are_understood_in_every_form() {
    let read = |line: &str| Request::read(line).unwrap();
    for line in ["lar1 logs -f -n 5 web", "lar1 logs -fn5 web", "lar1 logs web --follow --lines=5"]
    {
        let request = read(line);
        assert!(request.follow && request.lines == Some(5) && request.names == ["web"], "{line}");
    }
    for line in
        ["lar1 kill HUP web", "lar1 kill -HUP web", "lar1 kill -1 web", "lar1 kill sighup web"]
    {
        let request = read(line);
        assert_eq!((request.signal.number(), request.names), (1, vec!["web".to_owned()]), "{line}");
    }
    assert_eq!(read("lar1 kill web").signal.number(), 15);
    assert_eq!(read("lar1 kill hup").names, ["hup"], "a lone word is a name");
    assert_eq!(read("lar1 stop -- -odd").names, ["-odd"]);
}

#[test]
fn what_can_not_be_one_line_is_no_request() {
    assert_eq!(line(&["status".into(), "a b".into()]).as_deref(), Some("lar1 status 'a b'\n"));
    assert_eq!(line(&["a\nlar1 shutdown".into()]), None);
    assert_eq!(line(&["x".repeat(70_000)]), None);
}
