//! Launchers and the daemons they leave behind, the commands around a program, and what services say of themselves;
//! with all that can go wrong there.

use lar::exit::{ExitStatus, Pid};
use lar::plan::{InstanceId, Kind, Probe, Standing};
use lar::supervisor::{Event, Found, Role, Told};
use lar::time::Duration;

use crate::counts::Fault;
use crate::world::{Happening, World};

/// What stands in the PID file of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PidFile {
    #[default]
    Missing,
    Names(Pid, u64),
    /// A process that is no child of lar's.
    Foreign,
}

/// No child ever has this number.
const FOREIGN: Pid = Pid(30_000);

impl World<'_> {
    /// A launcher: it forks, or does not, and exits.
    pub fn begin_launch(&mut self, instance: InstanceId, serial: u64) {
        self.pid_files[instance.index()] = PidFile::Missing;
        let fork = self.free.len() > 40;
        if self.faults && self.random.chance(7) {
            return self.counts.fault(Fault::NeverForks);
        }
        if !fork || self.faults && self.random.chance(10) {
            self.counts.fault(Fault::LauncherFails);
            if fork && self.random.chance(50) {
                self.counts.fault(Fault::FailsAfterFork);
                self.birth_of_daemon(instance);
            }
            let status = self.random.pick(&[1, 2, 111]);
            return self.soon(400, Happening::Death { serial, status: ExitStatus::Code(status) });
        }
        self.birth_of_daemon(instance);
        let most = if self.faults && self.random.chance(15) { 5000 } else { 200 };
        self.soon(most, Happening::Death { serial, status: ExitStatus::SUCCESS });
    }

    /// Its child, which nobody has told lar of.
    pub fn birth_of_daemon(&mut self, instance: InstanceId) {
        let pid = self.birth_of(instance, Role::Main, true);
        let serial = self.children.last().map_or(0, |child| child.serial);
        self.live_on(instance, serial);
        match self.random.below(100) {
            0..8 if self.faults => self.counts.fault(Fault::NoPidFile),
            8..14 if self.faults => {
                self.counts.fault(Fault::ForeignPidFile);
                self.pid_files[instance.index()] = PidFile::Foreign;
            }
            14..24 if self.faults => {
                self.counts.fault(Fault::LatePidFile);
                self.soon(4000, Happening::PidFile { instance, pid, serial });
            }
            24..32 if self.faults => {
                self.counts.fault(Fault::DaemonDiesEarly);
                self.pid_files[instance.index()] = PidFile::Names(pid, serial);
                self.soon(5, Happening::Death { serial, status: ExitStatus::Code(3) });
            }
            _ => self.soon(100, Happening::PidFile { instance, pid, serial }),
        }
    }

    /// A look at its PID file; or for anything that is its.
    pub fn find(&mut self, instance: InstanceId, anyhow: bool) {
        let there = |serial| self.children.iter().any(|child| child.serial == serial);
        let mut what = match self.pid_files[instance.index()] {
            PidFile::Missing => Found::Nothing,
            PidFile::Foreign => Found::Foreign(FOREIGN),
            // What the loop knows to be somebody's it does not offer; the core must not rely on that.
            PidFile::Names(pid, _) if self.books.core.owner(pid).is_some() => {
                self.counts.fault(Fault::OwnedPidFile);
                if self.random.chance(50) { Found::Foreign(pid) } else { Found::Main(pid) }
            }
            PidFile::Names(pid, serial) if there(serial) => Found::Main(pid),
            PidFile::Names(pid, _) => {
                let status = self.random.chance(60).then_some(ExitStatus::Code(3));
                Found::Gone(pid, status)
            }
        };
        if anyhow && !matches!(what, Found::Main(_)) {
            let core = &self.books.core;
            let stray = self.children.iter().find(|child| {
                let its = child.daemon && child.instance == instance && !child.lost;
                its && child.ended.is_none() && core.owner(child.pid).is_none()
            });
            if let Some(stray) = stray {
                what = Found::Main(stray.pid);
                self.counts.fault(Fault::StrayFound);
            }
        }
        self.looks.push_back(Event::Found { instance, what });
    }

    /// Whether its log has grown.
    pub fn look(&mut self, instance: InstanceId) {
        let active = !self.faults || self.random.chance(70);
        if !active {
            self.counts.fault(Fault::SilentLog);
        }
        self.looks.push_back(Event::Looked { instance, active });
    }

    /// One of its other commands.
    pub fn begin_task(&mut self, instance: InstanceId, role: Role, serial: u64) {
        let main = self.books.process(instance, Role::Main);
        if role == Role::Stop
            && let Some(child) = self.children.iter().position(|child| Some(child.pid) == main)
            && !self.children[child].deaf
        {
            self.children[child].told_to_end = true;
            let serial = self.children[child].serial;
            self.soon(1500, Happening::Death { serial, status: ExitStatus::SUCCESS });
        }
        if role == Role::Restart
            && self.books.service(instance).kind == Kind::Forking
            && let Some(child) = self.children.iter().position(|child| Some(child.pid) == main)
            && self.free.len() > 40
        {
            self.counts.fault(Fault::ExchangedByCommand);
            let serial = self.children[child].serial;
            self.soon(50, Happening::Death { serial, status: ExitStatus::SUCCESS });
            self.birth_of_daemon(instance);
        }
        if self.faults && self.random.chance(8) {
            return self.counts.fault(Fault::CommandHangs);
        }
        let fails = self.faults && self.random.chance(15);
        if fails {
            self.counts.fault(Fault::CommandFails);
        }
        let status = ExitStatus::Code(if fails { 1 } else { 0 });
        self.soon(400, Happening::Death { serial, status });
    }

    /// What a process that runs on says of its health.
    pub fn begin_beating(&mut self, instance: InstanceId, serial: u64) {
        let process = self.books.core.process(instance);
        let beats = process.is_some_and(|process| process.health == Some(Probe::Notify));
        let run = self.books.core.instance(instance).standing == Standing::Run;
        if beats && !run {
            self.soon(20, Happening::Beat { serial });
        }
    }

    /// WATCHDOG=1, and when the next one comes.
    pub fn beat(&mut self, serial: u64) {
        let child = self.children.iter().find(|child| child.serial == serial);
        let Some(child) = child.filter(|child| child.ended.is_none() && !child.lost) else {
            return;
        };
        let instance = child.instance;
        let Some(health) = self.books.service(instance).health else { return };
        let what = match self.random.below(100) {
            0..4 if self.faults => {
                self.counts.fault(Fault::BeatsStop);
                return;
            }
            4..7 if self.faults => Told::Trigger,
            7..10 if self.faults => Told::Every(health.every),
            10..12 if self.faults => Told::Stopping,
            _ => Told::Beat,
        };
        self.tell(Event::Told { instance, what });
        let pause = health.every / 2;
        self.coming.push((
            self.books.now + pause.max(Duration::from_millis(1)),
            Happening::Beat { serial },
        ));
    }

    /// MAINPID=, of a child that is nobody's, or somebody's.
    pub fn claim_main(&mut self, instance: InstanceId) {
        let own = self.books.core.instance(instance).pid.filter(|_| self.random.chance(30));
        let pid = own.unwrap_or_else(|| self.child_of_nobody(instance));
        self.counts.fault(Fault::MainPid);
        self.tell(Event::Told { instance, what: Told::Main(pid) });
    }
}
