//! Why a program did not come up, for whoever has started zdaemon's manager and waits for it.
//!
//! A manager in the background has nobody left to say it to: its own output is the transcript, or nothing. So it
//! may be given a pipe. It writes there at its end, if that was the program's doing: one line (`exit status 1
//! (3 times in 4s)`), then the latest output. If the pipe is closed without a word, there was nothing to tell.

use std::fmt::Write;
use std::os::fd::OwnedFd;

use super::Loop;
use crate::ctl::protocol::zdaemon::Ended;
use crate::exit::Stage;
use crate::plan::InstanceId;
use crate::python::Repr;
use crate::supervisor::{Cause, Phase};
use crate::sys::{clock, fd};
use crate::time::Human;
use crate::transcript::Ring;

/// The most output that is told: lines, and bytes. With its first line all of it fits into PIPE_BUF, so that it is
/// written whole or not at all.
const LINES: usize = 20;
const BYTES: usize = 2048;

/// The writing end of the pipe. Not blocking, and in no program's hands.
pub struct StartReport(pub OwnedFd);

impl Loop {
    /// Tells it, if the program has ended the manager.
    pub(super) fn tell_start_report(&mut self) {
        let Some(StartReport(pipe)) = self.report.take() else { return };
        let Some(mut text) = self.why_it_ended().map(String::into_bytes) else { return };
        if let Some(ring) = self.output.ring(InstanceId(0)) {
            text.extend(latest(ring));
        }
        // Nobody may be reading any more.
        let _ = fd::write(&pipe, &text);
    }

    /// `exit status 1 (3 times in 4s)`; `None` if somebody asked for the end.
    fn why_it_ended(&self) -> Option<String> {
        let instance = self.supervisor.instance(InstanceId(0));
        if ![Phase::Exited, Phase::Failed].contains(&instance.phase) {
            return None;
        }
        let process = self.supervisor.process(InstanceId(0))?;
        let program = process.executable.as_ref().or(process.argv.first())?;
        let mut line = match instance.cause {
            Cause::Exited(status, _) => Ended(status).to_string(),
            Cause::SpawnFailed(Stage::Exec, errno) => {
                format!("can't exec {}: {errno}", Repr(program))
            }
            Cause::SpawnFailed(stage, errno) => format!("can't start it: {errno} (stage {stage})"),
            _ => return None,
        };
        if instance.restarts > 0 {
            let life = Human(clock::now().since(self.started));
            // Writing to a string never fails.
            let _ = write!(line, " ({} times in {life})", instance.restarts + 1);
        }
        line.push('\n');
        Some(line)
    }
}

/// The last lines of an output, whole ones as far as they fit.
fn latest(ring: &Ring) -> Vec<u8> {
    let (_, head, tail) = ring.since(ring.end().saturating_sub(BYTES as u64));
    let bytes = [head, tail].concat();
    let ended = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let starts = ended.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    let start = starts.map(|(at, _)| at + 1).nth(LINES - 1);
    // A line that has lost its beginning is left out, unless it is all there is.
    let cut = ring.end() > BYTES as u64;
    let first = ended.iter().position(|byte| *byte == b'\n').filter(|_| cut).map(|at| at + 1);
    bytes.get(start.or(first).unwrap_or(0)..).unwrap_or(&[]).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_lines_are_whole() {
        let mut ring = Ring::new(16 * 1024);
        ring.push(b"a\nb\nc");
        assert_eq!(latest(&ring), b"a\nb\nc");
        (0..30).for_each(|number| ring.push(format!("{number}\n").as_bytes()));
        let text = String::from_utf8(latest(&ring)).unwrap();
        assert_eq!((text.lines().count(), text.lines().next()), (LINES, Some("10")));
        ring.push(&[b'x'; 1500]);
        ring.push(b"\n");
        ring.push(&[b'y'; 1000]);
        assert_eq!(latest(&ring), [b'y'; 1000]);
        ring.push(&[b'z'; 3000]);
        assert_eq!(latest(&ring), [b'z'; BYTES], "better a part of a line than nothing");
    }
}
