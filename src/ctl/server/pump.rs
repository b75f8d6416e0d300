//! Going on with a client's reply: from its work, record by record, into its buffer and its socket.

use super::peer::Peer;
use super::reply::{self, Step};
use super::view::View;
use super::work::{Output, Reply, Verdict, What, Work};
use super::{events, feed};
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
        Work::Idle | Work::Held | Work::Ordered(_) => Step::Done,
        Work::Reply(reply) => match reply::step(reply, view, output) {
            Step::Done => match end(&reply.verdict, output) {
                Ok(next) => {
                    peer.work = next;
                    Step::Done
                }
                Err(step) => step,
            },
            step => step,
        },
        Work::Text(text) => {
            if !text.step(output) {
                return Step::Full;
            }
            peer.hang_up(view.now);
            Step::Done
        }
        Work::Run(run) => match run.step(view, output) {
            Step::Done => {
                peer.work = Work::Reply(Reply::end(run.verdict()));
                Step::Wrote
            }
            step => step,
        },
        Work::Send(_) => feed::step(peer, view),
        Work::Wait(waiter) => {
            if let Some(next) = &mut waiter.progress
                && events::progress(&waiter.targets, next, view, output) == Step::Wrote
            {
                return Step::Wrote;
            }
            let Some(outcome) = waiter.outcome(view) else { return Step::Later };
            let output = match outcome {
                Err((Code::StartFailed | Code::StartTimeout, _)) => Output::Failed,
                Err((Code::Failed | Code::Forced, _)) => Output::Command(waiter.ticket),
                _ => Output::None,
            };
            if !waiter.lines.is_empty() {
                peer.work = Work::Reply(Reply::lines(&waiter.lines, outcome.into()));
                return Step::Wrote;
            }
            let targets = waiter.targets.clone();
            let reply = match waiter.tail.take() {
                Some(tail) => {
                    let what = What::Aftermath(tail);
                    Reply { own: true, ..Reply::of(what, targets, outcome.into()) }
                }
                None => Reply::of(What::Status { output }, targets, outcome.into()),
            };
            peer.work = Work::Reply(reply);
            Step::Wrote
        }
    }
}

/// Writes the last line and returns what comes after it, or why it is not written.
fn end(verdict: &Verdict, output: &mut Buffer) -> Result<Work, Step> {
    let record = output.record();
    let record = match verdict {
        Verdict::Ok | Verdict::Ending => record.word("ok"),
        Verdict::Never => return Err(Step::Later),
        Verdict::Error(code, message) => {
            let message = reply::cut_message(message);
            record.word("error").field("code", code).field("message", message)
        }
    };
    match record.finish() {
        true if *verdict == Verdict::Ending => Ok(Work::Held),
        true => Ok(Work::Idle),
        false => Err(Step::Full),
    }
}
