//! The records of `logs`: the rings' lines, one a record. A line that is longer than a record may
//! be comes in parts; what a slow reader missed is counted in a record of its own.

use std::fmt;

use super::reply::{Full, Step, Told, told};
use super::view::View;
use super::work::Logs;
use crate::ctl::protocol::record::Buffer;
use crate::plan::InstanceId;
use crate::transcript::ring::Ring;

/// How many lines of output follow a start that failed: enough for the message that matters.
pub const LAST_LINES: u32 = 5;

/// The most of a line that one record carries, in bytes; each may be escaped as four.
const PART: usize = 2048;

/// Writes the next line of whoever has one, taking turns.
pub fn step(logs: &mut Logs, view: &View, out: &mut Buffer) -> Step {
    for (id, position) in &mut logs.sent {
        let Some(ring) = ring(*id, logs.stream.as_deref(), view) else { continue };
        match line(&view.supervisor.label(*id), ring, *position, !logs.follow, out) {
            Ok(None) => {}
            Ok(Some(next)) => {
                *position = next;
                return Step::Wrote;
            }
            Err(Full) => return Step::Full,
        }
    }
    if logs.follow { Step::Later } else { Step::Done }
}

/// What was written last: to standard output and error, or to a stream.
pub fn ring<'a>(id: InstanceId, stream: Option<&str>, view: &View<'a>) -> Option<&'a Ring> {
    let Some(name) = stream else { return (view.output)(id) };
    let service = view.supervisor.service(view.supervisor.instance(id).service);
    (view.stream)(id, service.input.way(name)?)
}

/// Writes the line of `ring` at `position`, if there is one. An unfinished one counts only if `all`.
pub fn line(
    label: &dyn fmt::Display,
    ring: &Ring,
    position: u64,
    all: bool,
    out: &mut Buffer,
) -> Told {
    let (from, head, tail) = ring.since(position);
    if from > position {
        let lost = out.record().field("name", label).field("lost_bytes", from - position);
        return told(lost.finish(), Some(from));
    }
    let mut bytes = [0; PART];
    let mut length = 0;
    let mut ended = false;
    for &byte in head.iter().chain(tail) {
        if byte == b'\n' || length == PART {
            ended = byte == b'\n';
            break;
        }
        bytes[length] = byte;
        length += 1;
    }
    if !ended && length < PART && (length == 0 || !all) {
        return Ok(None);
    }
    // Not in the middle of a character, if it is one.
    if !ended && length == PART {
        length = boundary(&bytes);
    }
    let part = (!ended).then_some("yes");
    let record = out.record().field("name", label).bytes("text", &bytes[..length]);
    let next = from + (length + usize::from(ended)) as u64;
    told(record.maybe("part", part).finish(), Some(next))
}

fn boundary(bytes: &[u8]) -> usize {
    let back = (1..4).find(|&back| bytes[bytes.len() - back] & 0xc0 != 0x80).unwrap_or(0);
    match back > 0 && bytes[bytes.len() - back] >= 0xc0 {
        true => bytes.len() - back,
        false => bytes.len(),
    }
}

/// The position of the last `lines` lines; the last one need not be finished.
pub fn tail(ring: &Ring, lines: u32) -> u64 {
    let (from, head, tail) = ring.since(0);
    let length = (head.len() + tail.len()) as u64;
    if lines == 0 {
        return from + length;
    }
    let mut left = lines;
    for (back, &byte) in tail.iter().rev().chain(head.iter().rev()).enumerate() {
        if byte == b'\n' && back > 0 {
            left -= 1;
            if left == 0 {
                return from + length - back as u64;
            }
        }
    }
    from
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Label, Standing};

    const WEB: Label<'static> =
        Label { service: "web", number: 1, several: false, standing: Standing::Regular };

    fn lines(ring: &Ring, mut position: u64, all: bool) -> String {
        let mut out = Buffer::new(64 * 1024);
        while let Ok(Some(next)) = line(&WEB, ring, position, all, &mut out) {
            position = next;
        }
        String::from_utf8(out.pending().to_vec()).unwrap()
    }

    #[test]
    fn the_tail_counts_lines_whether_the_last_is_finished_or_not() {
        let mut ring = Ring::new(64);
        ring.push(b"one\ntwo\nthree\n");
        assert_eq!(lines(&ring, tail(&ring, 2), true), "name=web text=two\nname=web text=three\n");
        ring.push(b"fo");
        let text = "name=web text=three\nname=web text=fo part=yes\n";
        assert_eq!(lines(&ring, tail(&ring, 2), true), text);
        assert_eq!(lines(&ring, tail(&ring, 1), false), "");
        assert_eq!(tail(&ring, 0), 16);
        assert_eq!(tail(&ring, 99), 0);
    }

    #[test]
    fn what_fell_out_is_counted() {
        let mut ring = Ring::new(8);
        ring.push(b"abc\ndefg\nhi\n");
        assert_eq!(
            lines(&ring, 0, true),
            "name=web lost_bytes=4\nname=web text=defg\nname=web text=hi\n"
        );
    }

    #[test]
    fn a_long_line_comes_in_parts_that_do_not_tear_characters() {
        let mut ring = Ring::new(8192);
        ring.push("a".as_bytes());
        ring.push("ä".repeat(2000).as_bytes());
        ring.push(b"\n");
        let text = lines(&ring, 0, false);
        assert_eq!(text.lines().count(), 2);
        assert_eq!(text.matches('ä').count(), 2000);
        assert!(!text.contains("\\x"));
    }
}
