//! What instances are called, and what they are to their services.

use core::fmt;

/// What an instance is to its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// One of its N.
    Regular,
    /// One more run of its program; it counts for nothing, and is over when it ends.
    Run,
    /// It is to take over from one of the N when it is ready, and has that one's number.
    Next,
    /// One of the N until its successor took over; it is being stopped.
    Old,
}

/// How an instance is called: `web`, or `web@2` when its service has several; `web+3` is the third run beside them;
/// `web@2/next` is to take over from `web@2`, which is `web@2/old` from then on.
#[derive(Clone, Copy)]
pub struct Label<'a> {
    /// The service's name.
    pub service: &'a str,
    /// The instance's number, from 1; of a run, its own.
    pub number: u32,
    /// Whether the service has more than one.
    pub several: bool,
    /// What it is to the service.
    pub standing: Standing,
}

impl Label<'_> {
    /// What follows the name of a successor.
    pub const NEXT: &'static str = "/next";
    /// What follows the name of who has one that took over.
    pub const OLD: &'static str = "/old";
}

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.service)?;
        match (self.standing, self.several) {
            (Standing::Run, _) => return write!(f, "+{}", self.number),
            (_, true) => write!(f, "@{}", self.number)?,
            (_, false) => {}
        }
        match self.standing {
            Standing::Regular | Standing::Run => Ok(()),
            Standing::Next => f.write_str(Label::NEXT),
            Standing::Old => f.write_str(Label::OLD),
        }
    }
}
