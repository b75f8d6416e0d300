//! What the books know of stop ladders: who is sent what, and when.

use lar::plan::{InstanceId, KillMode};
use lar::signal::Signal;
use lar::supervisor::SignalTarget;
use lar::time::Duration;

use super::{Books, CLIMB, Climb};

impl Books {
    pub(super) fn audit_rung(&mut self, id: InstanceId, target: SignalTarget, signal: Signal) {
        let (SignalTarget::Process(pid) | SignalTarget::Group(pid)) = target;
        let (process, group) = (SignalTarget::Process(pid), SignalTarget::Group(pid));
        let service = self.service(id);
        let all = self.core.settings().single.as_ref().is_some_and(|single| single.group);
        let (soft, hard) = match service.kill_mode {
            _ if all => (group, group),
            KillMode::Mixed => (process, group),
            KillMode::Group => (group, group),
            KillMode::Process => (process, process),
        };
        let (ladder, now, instead) = (service.stop.clone(), self.now, self.end_signal);
        let (again, abort) = (self.kill_again(), self.service(id).start_abort_timeout);
        let shadow = &mut self.shadows[id.index()];
        if shadow.overdue {
            shadow.overdue = false;
            assert_eq!((target, signal), (hard, Signal::KILL), "the manager's last word");
            shadow.climb = Some(Climb { rung: ladder.rungs.len() + 1, ..CLIMB });
            return;
        }
        let climb = shadow.climb.as_mut().unwrap_or_else(|| panic!("{signal} that nobody wants"));
        if climb.cont {
            climb.cont = false;
            let soft = if climb.abort { hard } else { soft };
            return assert_eq!((target, signal), (soft, Signal::CONT), "CONT follows");
        }
        if climb.other {
            climb.cont = ![Signal::KILL, Signal::CONT].contains(&signal);
            return;
        }
        assert!(climb.due.is_some_and(|due| due <= now), "{signal} before its time");
        match ladder.rungs.get(climb.rung).filter(|_| !climb.abort || climb.rung == 0) {
            Some(rung) if climb.abort => {
                assert_eq!((target, signal), (hard, rung.signal));
                climb.due = Some(now + abort);
                climb.cont = signal != Signal::KILL && signal != Signal::CONT;
            }
            Some(rung) => {
                let first = instead.filter(|_| climb.rung == 0);
                assert_eq!(signal, first.unwrap_or(rung.signal));
                assert_eq!(target, soft);
                climb.due = Some(now + rung.wait);
                climb.cont = signal != Signal::KILL && signal != Signal::CONT;
            }
            None => {
                let rungs = if climb.abort { 1 } else { ladder.rungs.len() };
                let last = climb.rung == rungs || again.is_some();
                let last = last && (ladder.kill || climb.abort);
                assert!(last && signal == Signal::KILL, "{signal} past the last rung");
                assert_eq!(target, hard);
                climb.due = again.map(|again| now + again);
            }
        }
        climb.rung += 1;
    }

    /// How soon KILL is repeated: only zdaemon's manager does that.
    pub(super) fn kill_again(&self) -> Option<Duration> {
        let runner = self.core.settings().runner.as_ref()?;
        Some(Duration::from_secs(u64::from(runner.backoff_limit().max(1))))
    }
}
