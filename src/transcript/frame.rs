//! Splitting a stream of bytes into lines, and dressing each: `[web@2] text`, a time before it, or
//! one JSON object a line.
//!
//! Invariants: the result depends on the bytes only, never on how they were cut into reads (given
//! one time); no byte of text is ever dropped; a [`Page`] holds whole lines only, so that whoever
//! writes one at a time never tears a line (only undressed text whose line outgrows the carry is
//! passed on in parts).

use super::scan::{escape, newline};
use super::time::{self, Stamp, Wall};

/// The longest line that is kept in one piece, in bytes, when lines are dressed or shared; a longer
/// one is split here. It is also the memory that a dressed stream may hold between two reads, so it
/// protects lar from a service that never ends its line. One page: what a pipe takes without
/// tearing, too.
pub const LINE: usize = 4096;

/// How much a [`Page`] gathers before it must be written, in bytes. More means fewer writes; it is
/// touched only by dressed streams, and there is one for the whole manager.
pub const PAGE: usize = 96 * 1024;

/// The most that one line can become: every byte of it as `\u00XX` (6), and what stands around it
/// (a head of at most [`HEAD`] bytes, the tail and the mark). Room for it is made before a line is
/// begun.
const WIDEST: usize = 6 * LINE + HEAD + 64;

/// The room for what stands before a line: a time (six times [`time::ROOM`] at worst, escaped) and
/// names.
const HEAD: usize = 6 * time::ROOM + 512;

/// At the end of a piece of a line that was too long, as in a shell script: it goes on in the next
/// one.
const SPLIT_TEXT: &[u8] = b"\\\n";
const SPLIT_JSON: &[u8] = b"\",\"split\":true}\n";

/// What neighbours can be told apart by, on a light and on a dark ground: cyan, yellow, green, magenta, blue, and the
/// same bright. Red is for errors.
const COLOURS: [&str; 10] = [
    "\x1b[36m", "\x1b[33m", "\x1b[32m", "\x1b[35m", "\x1b[34m", "\x1b[96m", "\x1b[93m", "\x1b[92m",
    "\x1b[95m", "\x1b[94m",
];

/// Text, or JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// The head, the line.
    Text,
    /// One object a line: `time`, `service`, `instance`, `stream`, `text`, and `split` for a cut
    /// line.
    Json,
}

/// How the lines of a stream are dressed.
#[derive(Clone, Debug)]
pub struct Frame {
    style: Style,
    stamp: Option<Stamp>,
    label: Vec<u8>,
}

impl Frame {
    /// Text lines: the time if there is a stamp, then `[label] ` if there is a label, in the colour of
    /// this number if there is one.
    pub fn text(stamp: Option<Stamp>, label: Option<&str>, colour: Option<u32>) -> Frame {
        let mut head = Vec::new();
        if let Some(label) = label {
            let paint = |colour| COLOURS[colour as usize % COLOURS.len()];
            let (on, off) = colour.map_or(("", ""), |colour| (paint(colour), "\x1b[0m"));
            head.extend_from_slice(format!("{on}[{label}]{off} ").as_bytes());
        }
        Frame { style: Style::Text, stamp, label: cut(head) }
    }

    /// JSON lines. The time is in the stamp's format.
    pub fn json(stamp: Stamp, service: &str, instance: u32, stream: &str) -> Frame {
        let mut head = b"\",\"service\":\"".to_vec();
        escape(service.as_bytes(), &mut head);
        let rest = format!("\",\"instance\":{instance},\"stream\":\"{stream}\",\"text\":\"");
        head.extend_from_slice(rest.as_bytes());
        Frame { style: Style::Json, stamp: Some(stamp), label: cut(head) }
    }

    fn head(&self, at: Wall, out: &mut Vec<u8>) {
        match (self.style, &self.stamp) {
            (Style::Text, Some(stamp)) => {
                out.extend_from_slice(stamp.render(at).as_bytes());
                out.push(b' ');
            }
            (Style::Text, None) => {}
            (Style::Json, stamp) => {
                out.extend_from_slice(b"{\"time\":\"");
                if let Some(stamp) = stamp {
                    escape(stamp.render(at).as_bytes(), out);
                }
            }
        }
        out.extend_from_slice(&self.label);
    }

    fn line(&self, parts: [&[u8]; 2], split: bool, page: &mut Page) {
        page.out.extend_from_slice(&page.head);
        match self.style {
            Style::Text => {
                page.out.extend_from_slice(parts[0]);
                page.out.extend_from_slice(parts[1]);
                page.out.extend_from_slice(if split { SPLIT_TEXT } else { b"\n" });
            }
            Style::Json => {
                // A character may lie across the carry and the read; a line from the carry alone is
                // rare enough to be put together first.
                match parts {
                    [first, []] => escape(first, &mut page.out),
                    [[], second] => escape(second, &mut page.out),
                    [first, second] => {
                        page.joined.clear();
                        page.joined.extend_from_slice(first);
                        page.joined.extend_from_slice(second);
                        escape(&page.joined, &mut page.out);
                    }
                }
                page.out.extend_from_slice(if split { SPLIT_JSON } else { b"\"}\n" });
            }
        }
    }
}

/// Names are at most 63 bytes by the config's rule; this keeps [`HEAD`] true whatever becomes of
/// that rule.
fn cut(mut head: Vec<u8>) -> Vec<u8> {
    head.truncate(HEAD - 6 * time::ROOM - 16);
    head
}

/// Where dressed lines are gathered until they are written: one for the whole manager, sized once.
#[derive(Debug)]
pub struct Page {
    head: Vec<u8>,
    joined: Vec<u8>,
    out: Vec<u8>,
}

impl Default for Page {
    fn default() -> Page {
        Page::new()
    }
}

impl Page {
    /// An empty page; the only allocation it ever makes.
    pub fn new() -> Page {
        Page {
            head: Vec::with_capacity(HEAD),
            joined: Vec::with_capacity(2 * LINE),
            out: Vec::with_capacity(PAGE),
        }
    }

    /// What is on it.
    pub fn bytes(&self) -> &[u8] {
        &self.out
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.out.clear();
    }

    fn room(&self) -> usize {
        PAGE - self.out.len()
    }
}

/// One stream's place between its reads.
#[derive(Debug)]
pub struct Framer {
    mode: Mode,
    /// The beginning of a line whose end has not come yet: at most [`LINE`] bytes.
    carry: Vec<u8>,
}

#[derive(Debug)]
enum Mode {
    Raw,
    /// `open`: the line's beginning was too long for the carry, and is written.
    Whole {
        open: bool,
    },
    Dressed(Frame),
}

impl Framer {
    /// Bytes pass as they are; the caller may write them without a page ([`Framer::passes`]).
    pub fn raw() -> Framer {
        Framer { mode: Mode::Raw, carry: Vec::new() }
    }

    /// Bytes pass as they are, but only up to a line's end: for a file that several streams share.
    pub fn whole() -> Framer {
        Framer { mode: Mode::Whole { open: false }, carry: Vec::with_capacity(LINE) }
    }

    /// Each line is dressed.
    pub fn dressed(frame: Frame) -> Framer {
        Framer { mode: Mode::Dressed(frame), carry: Vec::with_capacity(LINE) }
    }

    /// Whether bytes pass unchanged and at once.
    pub fn passes(&self) -> bool {
        matches!(self.mode, Mode::Raw)
    }

    /// Begins a batch: `at` is the time of every line that ends in it. Call it before
    /// [`Framer::feed`].
    pub fn begin(&self, at: Wall, page: &mut Page) {
        page.head.clear();
        if let Mode::Dressed(frame) = &self.mode {
            frame.head(at, &mut page.head);
        }
    }

    /// Puts lines from `input` on the page until that is full, and keeps the beginning of an
    /// unfinished one. Gives how many bytes it took: fewer than there are means that the page must
    /// be written first.
    pub fn feed(&mut self, input: &[u8], page: &mut Page) -> usize {
        match &mut self.mode {
            Mode::Raw => {
                let part = &input[..input.len().min(page.room())];
                page.out.extend_from_slice(part);
                part.len()
            }
            Mode::Whole { open } => whole(open, &mut self.carry, input, page),
            Mode::Dressed(frame) => dress(frame, &mut self.carry, input, page),
        }
    }

    /// The stream has ended, or begins anew: puts its unterminated line on the page, with the
    /// newline that it lacks. The page must be empty, and begun.
    pub fn finish(&mut self, page: &mut Page) {
        match &mut self.mode {
            Mode::Whole { open } if *open || !self.carry.is_empty() => {
                page.out.extend_from_slice(&self.carry);
                page.out.push(b'\n');
                *open = false;
            }
            Mode::Raw | Mode::Whole { .. } => {}
            Mode::Dressed(_) if self.carry.is_empty() => {}
            Mode::Dressed(frame) => frame.line([&self.carry, &[]], false, page),
        }
        self.carry.clear();
    }
}

fn whole(open: &mut bool, carry: &mut Vec<u8>, input: &[u8], page: &mut Page) -> usize {
    if page.room() < LINE + 1 {
        return 0;
    }
    let input = &input[..input.len().min(page.room() - LINE)];
    let ended = match input.iter().rposition(|byte| *byte == b'\n') {
        Some(at) => at + 1,
        None => 0,
    };
    let (lines, tail) = input.split_at(ended);
    if ended > 0 {
        page.out.extend_from_slice(carry);
        carry.clear();
    }
    page.out.extend_from_slice(lines);
    *open &= ended == 0;
    if *open || carry.len() + tail.len() > LINE {
        page.out.extend_from_slice(carry);
        carry.clear();
        page.out.extend_from_slice(tail);
        *open = true;
    } else {
        carry.extend_from_slice(tail);
    }
    input.len()
}

fn dress(frame: &Frame, carry: &mut Vec<u8>, input: &[u8], page: &mut Page) -> usize {
    let mut taken = 0;
    while taken < input.len() && page.room() >= WIDEST {
        let rest = &input[taken..];
        // One more than fits: a line of exactly LINE bytes is whole if its newline comes next.
        let limit = LINE + 1 - carry.len();
        let window = &rest[..rest.len().min(limit)];
        match newline(window) {
            Some(at) => {
                frame.line([carry.as_slice(), &rest[..at]], false, page);
                carry.clear();
                taken += at + 1;
            }
            None if window.len() < limit => {
                carry.extend_from_slice(window);
                taken += window.len();
            }
            None => {
                carry.extend_from_slice(&window[..limit - 1]);
                taken += limit - 1;
                let end = boundary(carry);
                frame.line([&carry[..end], &[]], true, page);
                carry.copy_within(end.., 0);
                carry.truncate(LINE - end);
            }
        }
    }
    taken
}

/// The end of the last whole character of `line`: up to three bytes of a broken one go to the next
/// piece.
fn boundary(line: &[u8]) -> usize {
    for back in 1..=3.min(line.len()) {
        let wanted = match line[line.len() - back] {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if wanted > back { line.len() - back } else { line.len() };
    }
    line.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(mut framer: Framer, text: &[u8], mut cut: impl FnMut() -> usize) -> Vec<u8> {
        let mut page = Page::new();
        let mut all = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (mut batch, tail) = rest.split_at(cut().clamp(1, rest.len()));
            rest = tail;
            framer.begin(Wall(1_795_224_645_067_000_000), &mut page);
            while !batch.is_empty() {
                batch = &batch[framer.feed(batch, &mut page)..];
                assert!(page.bytes().len() <= PAGE && page.out.capacity() == PAGE);
                if !framer.passes()
                    && page.bytes().len() > 1
                    && !matches!(framer.mode, Mode::Whole { .. })
                {
                    assert!(page.bytes().ends_with(b"\n"));
                }
                all.extend_from_slice(page.bytes());
                page.clear();
            }
        }
        framer.finish(&mut page);
        all.extend_from_slice(page.bytes());
        all
    }

    fn modes() -> [fn() -> Framer; 5] {
        [
            Framer::raw,
            Framer::whole,
            || Framer::dressed(Frame::text(None, Some("web@2"), None)),
            || Framer::dressed(Frame::text(Some(Stamp::default()), Some("web"), None)),
            || Framer::dressed(Frame::json(Stamp::default(), "web", 2, "stdout")),
        ]
    }

    fn all(framer: Framer, text: &[u8]) -> String {
        String::from_utf8(run(framer, text, || usize::MAX)).unwrap()
    }

    #[test]
    fn lines_are_dressed() {
        let [raw, whole, prefix, stamped, json] = modes();
        let text = b"one\n\ntwo \"x\"\\\t\x01\xff!";
        assert_eq!(run(raw(), text, || 3), text);
        assert_eq!(run(whole(), text, || 3), [&text[..], b"\n"].concat());
        assert_eq!(all(prefix(), b"one\n\ntwo"), "[web@2] one\n[web@2] \n[web@2] two\n");
        assert_eq!(all(stamped(), b"a\n"), "2026-11-21T01:30:45.067Z [web] a\n");
        let head = "{\"time\":\"2026-11-21T01:30:45.067Z\",\"service\":\"web\",\"instance\":2,\
                    \"stream\":\"stdout\",\"text\":\"";
        let lines = ["one", "", "two \\\"x\\\"\\\\\\t\\u0001\u{fffd}!"];
        let known: String = lines.iter().map(|line| format!("{head}{line}\"}}\n")).collect();
        assert_eq!(all(json(), text), known);
    }

    #[test]
    fn a_line_that_is_too_long_is_split_and_marked_and_kept() {
        let [_, _, prefix, _, json] = modes();
        let exact = "x".repeat(LINE);
        assert_eq!(all(prefix(), format!("{exact}\n").as_bytes()), format!("[web@2] {exact}\n"));
        let known = format!("[web@2] {exact}\\\n[web@2] y\n");
        assert_eq!(all(prefix(), format!("{exact}y\n").as_bytes()), known);
        let wide = "é".repeat(LINE);
        let text = all(json(), format!("x{wide}\n").as_bytes());
        assert!(!text.contains('\u{fffd}'), "no character is cut in two");
        assert_eq!(text.matches('é').count(), LINE);
        assert_eq!(text.matches("\"split\":true").count(), 2);
    }

    /// A small generator (xorshift): the seed is all there is to reproduce.
    fn random(mut state: u64) -> impl FnMut(usize) -> usize {
        move |below| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        }
    }

    #[test]
    fn the_same_bytes_in_any_chunks_give_the_same_output() {
        for seed in 1..=25 {
            let mut next = random(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(seed));
            let line = [1, 3, 80, 4095, 9000][next(5)];
            let bytes: Vec<u8> = (0..9000 + next(60_000))
                .map(|_| match next(line) {
                    0 => b'\n',
                    _ => [b'a', b'"', 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xff, 7, b'z'][next(10)],
                })
                .collect();
            for mode in modes() {
                let once = run(mode(), &bytes, || usize::MAX);
                let chunk = [1, 7, 300, 5000, 70_000][next(5)] + 1;
                let parts = run(mode(), &bytes, || next(chunk));
                assert!(once == parts, "seed {seed}: chunks up to {chunk} differ");
            }
        }
    }

    #[test]
    fn a_shared_page_holds_whole_lines() {
        let mut framer = Framer::whole();
        let mut page = Page::new();
        framer.feed(b"one\ntw", &mut page);
        assert_eq!(page.bytes(), b"one\n");
        framer.feed(b"o\n", &mut page);
        assert_eq!(page.bytes(), b"one\ntwo\n");
    }
}
