//! Going on with a client's reply: from its work, record by record, into its buffer and its socket.

use super::peer::Peer;
use super::reply::{self, Step};
use super::view::View;
use super::wait::Waiter;
use super::work::{Source, Verdict, Work};
use crate::ctl::protocol::record::Buffer;
use crate::exit::Code;

/// The most records written to one client in one turn, so that a big reply to a fast reader leaves
/// the others their turn. `busy` brings the loop back at once.
const RECORDS: usize = 512;

/// Goes on with what is done for a client until its buffer and its socket are full, or there is no
/// more.
pub fn go_on(peer: &mut Peer, view: &View) {
    peer.go_on = false;
    for written in 0..=RECORDS {
        peer.go_on = written == RECORDS;
        match advance(peer, view) {
            Step::Wrote => {}
            Step::Full => {
                let before = peer.output.pending().len();
                peer.flush();
                if peer.output.is_empty() && before == 0 {
                    // Can't be: every record is smaller than the buffer. If it is, say so instead
                    // of hanging.
                    peer.cut_off(view.now, Code::Failed.word(), "a record is too long");
                }
                if peer.output.pending().len() == before {
                    return;
                }
            }
            Step::Later | Step::Done => return peer.flush(),
        }
    }
    peer.flush();
}

/// One step of a client's work.
fn advance(peer: &mut Peer, view: &View) -> Step {
    let output = &mut peer.output;
    match &mut peer.work {
        Work::Idle | Work::Ordered => Step::Done,
        Work::Ending => {
            if !output.record().word("ok").finish() {
                return Step::Full;
            }
            peer.work = Work::Ended;
            Step::Done
        }
        Work::Ended => Step::Done,
        Work::Refused(code, message) => {
            let record = output.record().word("error").field("code", *code);
            finish(record.field("message", reply::cut_message(message)).finish(), &mut peer.work)
        }
        Work::Reply(source, verdict) => match reply::step(source, view, output) {
            Step::Done => {
                let record = output.record();
                let record = match verdict {
                    Verdict::Ok => record.word("ok"),
                    Verdict::Never => return Step::Later,
                    Verdict::Error(code, message) => {
                        let message = reply::cut_message(message);
                        record.word("error").field("code", code.word()).field("message", message)
                    }
                };
                finish(record.finish(), &mut peer.work)
            }
            step => step,
        },
        Work::Events(subscription) => match reply::event(subscription, view, output) {
            Ok(step) => step,
            Err(lost) => {
                let message = format!("too slow; {lost} events lost");
                peer.cut_off(view.now, Code::Failed.word(), &message);
                Step::Done
            }
        },
        Work::Wait(waiter) => {
            if let Some(step) = progress(waiter, view, output) {
                return step;
            }
            let Some(outcome) = waiter.outcome(view) else { return Step::Later };
            let verdict = outcome.map_or_else(Verdict::from, |()| Verdict::Ok);
            let output = matches!(verdict, Verdict::Error(Code::StartFailed, _));
            let targets = waiter.targets.clone();
            let source = Source::Status { targets, done: 0, line: None, output };
            peer.work = Work::Reply(source, verdict);
            Step::Wrote
        }
    }
}

/// Passes on a change that somebody who waits may want to see, if there is one.
fn progress(waiter: &mut Waiter, view: &View, output: &mut Buffer) -> Option<Step> {
    let progress = waiter.progress.as_mut()?;
    match reply::event(progress, view, output) {
        Ok(Step::Wrote) => return Some(Step::Wrote),
        // Progress is a courtesy: what is not read in time is left out.
        Err(lost) => progress.next += lost,
        Ok(Step::Full | Step::Later | Step::Done) => {}
    }
    None
}

fn finish(fit: bool, work: &mut Work) -> Step {
    if !fit {
        return Step::Full;
    }
    *work = Work::Idle;
    Step::Done
}
