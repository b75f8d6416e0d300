//! A client that waits for a run (`once`): its output is passed on line by line, then how it ended.
//!
//! A run is forgotten as soon as it has ended. What is told then is what its [`Departure`] says.

use super::output;
use super::reply::{Full, Step, Told, told};
use super::view::View;
use super::work::Verdict;
use crate::ctl::protocol::record::Buffer;
use crate::exit::{Code, ExitStatus};
use crate::plan::{InstanceId, Standing};
use crate::supervisor::Phase;
use crate::transcript::Ring;

/// What is told of somebody who is no more.
#[derive(Clone, Debug)]
pub struct Departure {
    /// Who that was.
    pub id: InstanceId,
    /// What it was called.
    pub label: String,
    /// What it was to its service.
    pub standing: Standing,
    /// Of a successor: whom it was to take over from; of who had one: who did.
    pub peer: Option<InstanceId>,
    /// What it was at last.
    pub phase: Phase,
    /// That in a word, and why.
    pub why: String,
    /// How its process ended, if there was one.
    pub exit: Option<ExitStatus>,
    /// Whether its time limit was over.
    pub limit: bool,
    /// Its latest output, if it was beside the instances.
    pub ring: Option<Ring>,
}

/// A run that a client waits for.
#[derive(Debug)]
pub struct Run {
    id: InstanceId,
    /// How much of its output is told.
    position: u64,
    over: Option<Departure>,
    /// Whether its record is told.
    told: bool,
}

impl Run {
    /// One that runs, or is over already.
    pub fn new(id: InstanceId, over: Option<Departure>) -> Run {
        Run { id, position: 0, over, told: false }
    }

    /// Somebody is no more.
    pub fn forget(&mut self, gone: &Departure) {
        if gone.id == self.id && self.over.is_none() {
            self.over = Some(gone.clone());
        }
    }

    /// Writes the next line, or how it ended.
    pub fn step(&mut self, view: &View, out: &mut Buffer) -> Step {
        let told = match &self.over {
            Some(over) => match &over.ring {
                Some(ring) => output::line(&over.label, ring, self.position, true, out),
                None => Ok(None),
            },
            None => match (view.output)(self.id) {
                Some(ring) => {
                    let label = view.supervisor.label(self.id);
                    output::line(&label, ring, self.position, false, out)
                }
                None => Ok(None),
            },
        };
        match (told, &self.over) {
            (Err(Full), _) => return Step::Full,
            (Ok(Some(next)), _) => self.position = next,
            (Ok(None), None) => return Step::Later,
            (Ok(None), Some(_)) if self.told => return Step::Done,
            (Ok(None), Some(over)) => {
                let record = out.record().field("name", &over.label);
                let record = record.field("state", over.phase.word()).maybe("last_exit", over.exit);
                let record = record.maybe("exit", over.exit.map(|exit| exit.shell_code()));
                if !record.field("cause", &over.why).finish() {
                    return Step::Full;
                }
                self.told = true;
            }
        }
        Step::Wrote
    }

    /// The last line of the reply.
    pub fn verdict(&self) -> Verdict {
        let Some(over) = &self.over else { return Verdict::Ok };
        let error =
            |code: Code, why: &str| Verdict::Error(code.word(), format!("{}: {why}", over.label));
        match (over.exit, over.phase) {
            _ if over.limit => error(Code::TimedOut, "its time limit was over, and it was stopped"),
            (Some(_), _) => Verdict::Ok,
            (None, Phase::Stopped) => error(Code::Superseded, "it was stopped before it began"),
            (None, _) => error(Code::StartFailed, &over.why),
        }
    }
}

/// The last lines of somebody who is no more.
#[derive(Debug)]
pub struct Tail {
    label: String,
    ring: Ring,
    position: u64,
}

impl Tail {
    /// Those that are worth telling; `None` if there are none.
    pub fn of(gone: &Departure) -> Option<Tail> {
        let ring = gone.ring.clone()?;
        let position = output::tail(&ring, output::LAST_LINES);
        Some(Tail { label: gone.label.clone(), ring, position })
    }

    /// Writes the next one.
    pub fn line(&mut self, out: &mut Buffer) -> Told {
        let next = output::line(&self.label, &self.ring, self.position, true, out)?;
        self.position = next.unwrap_or(self.position);
        told(true, next)
    }
}
