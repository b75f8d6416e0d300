//! What clients order that only the loop can do: to change who there is, by name or by the configuration.

use std::collections::BTreeSet;
use std::os::fd::AsRawFd;

use log::{info, warn};

use super::{Loop, hooks};
use crate::config::diff::{Difference, Needs, differences};
use crate::config::keys::Kind;
use crate::config::print;
use crate::config::print_settings::settings_lines;
use crate::ctl::server::{Done, Edit, Refusal};
use crate::exit::Code;
use crate::plan::{Hook, Order as Links, Plan, Service, ServiceId};
use crate::supervisor::Ticket;
use crate::supervisor::edit::{Fate, Revision};

/// Where the configuration comes from.
pub trait Source {
    /// Reads it again; with these sections more, if any, which are then called `add`. The error is all that is wrong.
    fn read(&self, extra: Option<&str>) -> Result<Plan, Vec<String>>;

    /// Keeps the sections of a new service where they are read the next time; the path.
    fn save(&self, name: &str, text: &str) -> Result<String, String>;

    /// Undoes that.
    fn forget(&self, path: &str);

    /// Lets a service have so many instances from the next reading on, where it is defined.
    fn save_count(&self, name: &str, count: u32) -> Result<Saved, String>;

    /// Undoes that.
    fn restore(&self, saved: &Saved);
}

/// A file that was changed.
pub struct Saved {
    /// Which.
    pub path: String,
    /// What it held before.
    pub before: String,
}

fn refused(message: impl Into<String>) -> Refusal {
    (Code::Refused, message.into())
}

impl Loop {
    /// Does what is ordered, or refuses to before anything has changed.
    pub(super) fn edit(&mut self, edit: Edit, ticket: Ticket) -> Result<Done, Refusal> {
        let mut lines = Vec::new();
        match edit {
            Edit::Scale { name, count, which, save } => {
                let gone = || refused(format!("{name} is no more"));
                let id = self.supervisor.find(&name).ok_or_else(gone)?;
                let saved = if save { Some(self.save_count(&name, count)?) } else { None };
                if let Err(why) = self.scale(id, count, which, ticket) {
                    if let (Some(saved), Some(source)) = (&saved, &self.source) {
                        source.restore(saved);
                    }
                    return Err((Code::Failed, why));
                }
                if let Some(saved) = saved {
                    self.supervisor.note_count(id, count);
                    info!("{name}: `instances {count}` is saved in {}", saved.path);
                }
            }
            Edit::Once(order) => {
                let run = Some(self.once(order, ticket)?);
                return Ok(Done { run, ..Done::default() });
            }
            Edit::Drop(instances) => {
                for (id, born) in instances {
                    if self.supervisor.has(id) && self.supervisor.born(id) == born {
                        self.drop_instance(id, ticket);
                    }
                }
            }
            Edit::Remove(names) => {
                let ids: BTreeSet<ServiceId> =
                    names.iter().filter_map(|name| self.supervisor.find(name)).collect();
                let stays = |id: &ServiceId| !ids.contains(id);
                let fates = self.supervisor.services().filter(stays).map(Fate::Keep).collect();
                let removed = ids.iter().copied().collect();
                let revision = Revision { fates, removed, settings: None };
                self.revise(revision, ticket).map_err(|why| (Code::Failed, why))?;
            }
            Edit::Add { text, save } => self.add(&text, save, ticket)?,
            Edit::Apply { dry_run } => lines = self.apply(dry_run, ticket)?,
        }
        let mut done = Done { lines, ..Done::default() };
        for id in self.supervisor.instances() {
            let instance = self.supervisor.instance(id);
            match instance.ticket == ticket {
                true if self.supervisor.is_leaving(id) => done.gone.push(id),
                true if self.supervisor.renews(id) => done.renewed.push(id),
                true if instance.wanted_up => done.up.push(id),
                _ => {}
            }
        }
        Ok(done)
    }

    /// Keeps a number of instances in the file where the service is defined.
    fn save_count(&self, name: &str, count: u32) -> Result<Saved, Refusal> {
        let failed = |why: String| (Code::Failed, format!("{why}; nothing was changed"));
        if self.edits.added.contains(&name.to_ascii_lowercase()) {
            return Err(failed(format!("{name} is in no file: `add` without --save made it")));
        }
        let none = || refused("this manager was not started from a configuration file");
        let source = self.source.as_ref().ok_or_else(none)?;
        source.save_count(name, count).map_err(failed)
    }

    /// The file was changed, somebody says (SIGHUP): as `apply`, with the outcome in the event log.
    pub(super) fn apply_by_signal(&mut self) {
        match self.apply(false, Ticket::default()) {
            Ok(lines) => lines.iter().for_each(|line| info!("apply: {line}")),
            Err((_, why)) => warn!("apply: {why}; everything goes on as it is"),
        }
    }

    /// Everything in the configuration as it is now; an error if any of it is wrong.
    fn read_source(&self, extra: Option<&str>) -> Result<Plan, Refusal> {
        let none = || refused("this manager was not started from a configuration file");
        let source = self.source.as_ref().ok_or_else(none)?;
        source.read(extra).map_err(|errors| {
            errors.iter().for_each(|error| warn!("{error}"));
            let more = errors.len().saturating_sub(1);
            let first = errors.first().map_or("it can't be read", String::as_str);
            let first = first.lines().next().unwrap_or_default();
            let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
            (Code::BadConfig, format!("{first}{more}; nothing was changed"))
        })
    }

    /// Reads the configuration, and follows it; what has changed, one line each.
    fn apply(&mut self, dry_run: bool, ticket: Ticket) -> Result<Vec<String>, Refusal> {
        if self.supervisor.settings().runner.is_some() {
            return Err(refused("a <runner> is what it was started as"));
        }
        let mut plan = self.read_source(None)?;
        let mut lines = Vec::new();
        let mut revision = Revision::default();
        for service in &plan.services {
            revision.fates.push(self.fate(service, &plan, &mut lines)?);
        }
        for id in self.supervisor.services() {
            let name = self.supervisor.service(id).name.to_ascii_lowercase();
            let leaving = self.supervisor.is_service_leaving(id);
            if plan.find(&name).is_some() || leaving {
                continue;
            }
            match self.edits.added.contains(&name) {
                true => revision.fates.push(Fate::Keep(id)),
                false => {
                    lines.push(format!("{name}: removed"));
                    revision.removed.push(id);
                }
            }
        }
        self.compare_settings(&plan, &mut lines);
        let hooks = self.compare_hooks(&plan, &mut lines);
        self.sockets.compare(&plan, &mut lines);
        if lines.is_empty() {
            lines.push("nothing has changed".into());
        }
        if dry_run {
            return Ok(lines);
        }
        let rules = std::mem::take(&mut plan.hooks);
        let images = hooks.then(|| hooks::images(&self.given, rules, self.null.as_raw_fd()));
        let images = images.transpose().map_err(|(hook, errno)| {
            (Code::Failed, format!("{hook}: can't be prepared: {errno}; nothing was changed"))
        })?;
        let level = plan.event_log.level;
        let in_file: BTreeSet<String> =
            plan.services.iter().map(|service| service.name.to_ascii_lowercase()).collect();
        let added = |name: &str| {
            let its =
                |id: ServiceId| self.supervisor.service(id).sockets.iter().any(|it| it == name);
            self.supervisor.services().any(its)
        };
        let needed: BTreeSet<String> =
            self.sockets.plans().map(|it| it.name.clone()).filter(|name| added(name)).collect();
        let former = self.change_sockets(&plan, &|name| needed.contains(name));
        let former = former.map_err(|why| (Code::Failed, why))?;
        revision.settings = Some(Box::new(plan.settings));
        match self.revise(revision, ticket) {
            Ok(()) => self.keep_sockets(former),
            Err(why) => {
                self.restore_sockets(former);
                return Err((Code::Failed, why));
            }
        }
        if let Some(images) = images {
            self.hooks.replace(images);
        }
        // What the file knows is the file's from now on.
        self.edits.added.retain(|name| !in_file.contains(name));
        if level != self.file_level {
            (self.level, self.file_level) = (level, level);
            crate::logger::set_level(level);
        }
        Ok(lines)
    }

    /// What becomes of a service that the configuration has.
    fn fate(
        &self,
        service: &Service,
        plan: &Plan,
        lines: &mut Vec<String>,
    ) -> Result<Fate, Refusal> {
        let name_of = |id: ServiceId| plan.service(id).name.clone();
        let name = &service.name;
        let Some(id) = self.supervisor.find(name) else {
            lines.push(format!("{name}: added"));
            return Ok(Fate::New(Box::new(service.clone())));
        };
        if self.supervisor.is_service_leaving(id) {
            return Err(refused(format!("{name} is still being removed; try again then")));
        }
        let named = |id| self.supervisor.service(id).name.clone();
        let old = print::lines(self.supervisor.service(id), &named);
        let changes = differences(Kind::Service, &old, &print::lines(service, &name_of));
        lines.extend(changes.iter().map(|change| format!("{name}: {change}")));
        let mut restart = changes.iter().any(|change| change.needs == Needs::Restart);
        if let Some(socket) = self.sockets.moved(service, plan).filter(|_| !restart) {
            lines.push(format!("{name}: socket {socket} is another one (restart)"));
            restart = true;
        }
        // What `%i` stands in may be the same for the first instance and not for the others.
        for instance in self.supervisor.instances_of(id).filter(|_| !restart) {
            let number = self.supervisor.instance(instance).number;
            if self.supervisor.process(instance) != service.process(number).as_ref() {
                let label = self.supervisor.label(instance);
                lines.push(format!("{label}: its program, environment or output (restart)"));
                restart = true;
                break;
            }
        }
        Ok(match changes.is_empty() && !restart {
            true => Fate::Keep(id),
            false => Fate::Change { id, service: Box::new(service.clone()), restart },
        })
    }

    /// What is new about the manager itself.
    fn compare_settings(&self, plan: &Plan, lines: &mut Vec<String>) {
        let is_main = |id| self.supervisor.service(id).main;
        let main = self.supervisor.services().any(is_main);
        let old = settings_lines(self.supervisor.settings(), self.file_level, main);
        let main = plan.services.iter().any(|service| service.main);
        let new = settings_lines(&plan.settings, plan.event_log.level, main);
        let changes: Vec<Difference> = differences(Kind::Lar, &old, &new);
        lines.extend(changes.iter().map(|change| format!("lar: {change}")));
    }

    /// What is new about hooks; whether anything is.
    fn compare_hooks(&self, plan: &Plan, lines: &mut Vec<String>) -> bool {
        let old: Vec<&Hook> = self.hooks.rules().collect();
        let new: Vec<&Hook> = plan.hooks.iter().collect();
        if old == new {
            return false;
        }
        let count = |hooks: &[&Hook], hook: &Hook| hooks.iter().filter(|it| **it == hook).count();
        let gone = old.iter().filter(|hook| count(&new, hook) < count(&old, hook));
        lines.extend(gone.map(|hook| format!("{hook}: removed (live)")));
        let come = new.iter().filter(|hook| count(&old, hook) < count(&new, hook));
        lines.extend(come.map(|hook| format!("{hook}: added (live)")));
        true
    }

    /// Adds the services of a text.
    fn add(&mut self, text: &str, save: bool, ticket: Ticket) -> Result<(), Refusal> {
        let names = names_in(text);
        let [name] = &names[..] else {
            return Err((Code::Usage, "there is to be one <service NAME> in it".into()));
        };
        if self.supervisor.find(name).is_some() {
            return Err(refused(format!("{name} is there already")));
        }
        // Whoever else is there may be named in it.
        let mut extra = text.to_owned();
        let in_file = self.read_source(None).ok();
        if in_file.as_ref().is_some_and(|plan| plan.find(name).is_some()) {
            return Err(refused(format!("{name} is in the configuration file: `apply` starts it")));
        }
        for id in self.supervisor.services() {
            let other = &self.supervisor.service(id).name;
            if in_file.as_ref().is_none_or(|plan| plan.find(other).is_none()) {
                extra += &format!("<service {other}>\n  program /bin/true\n</service>\n");
            }
        }
        let plan = self.read_source(Some(&extra))?;
        let none = || refused(format!("{name}: no such service came of it"));
        let mut service = plan.find(name).map(|id| plan.service(id)).ok_or_else(none)?.clone();
        let ids: Vec<ServiceId> = self.supervisor.services().collect();
        service.order = self.translated(&service.order, &plan, &ids)?;
        self.add_sockets(&service, &plan).map_err(refused)?;
        let source = self.source.as_ref().filter(|_| save);
        let saved = source.map(|source| source.save(name, text)).transpose();
        let saved = saved.map_err(|why| (Code::Failed, why))?;
        let mut fates: Vec<Fate> = ids.into_iter().map(Fate::Keep).collect();
        let lowercase = name.to_ascii_lowercase();
        fates.push(Fate::New(Box::new(service)));
        let revised = self.revise(Revision { fates, removed: Vec::new(), settings: None }, ticket);
        if let (Err(_), Some(path), Some(source)) = (&revised, &saved, &self.source) {
            source.forget(path);
        }
        revised.map_err(|why| (Code::Failed, why))?;
        match saved {
            Some(path) => info!("{name}: saved in {path}"),
            None => {
                self.edits.added.insert(lowercase);
            }
        }
        Ok(())
    }

    /// An order of another plan, with the numbers that these services have in a list.
    fn translated(&self, order: &Links, plan: &Plan, ids: &[ServiceId]) -> Result<Links, Refusal> {
        let one = |other: &ServiceId| {
            let name = &plan.service(*other).name;
            let at = ids.iter().position(|id| {
                let service = self.supervisor.service(*id);
                service.name.eq_ignore_ascii_case(name) && !self.supervisor.is_service_leaving(*id)
            });
            let missing =
                || refused(format!("{name} is in the file, but does not run: apply first"));
            at.map(|at| ServiceId(at as u32)).ok_or_else(missing)
        };
        let all = |list: &[ServiceId]| list.iter().map(one).collect::<Result<Vec<_>, _>>();
        Ok(Links {
            requires: all(&order.requires)?,
            wants: all(&order.wants)?,
            after: all(&order.after)?,
            restart_with: all(&order.restart_with)?,
        })
    }
}

/// The names of the services in a text.
fn names_in(text: &str) -> Vec<String> {
    let name = |line: &str| {
        let line = line.trim();
        let rest = line.get(..9).filter(|head| head.eq_ignore_ascii_case("<service "))?;
        let name = line[rest.len()..].trim().strip_suffix('>')?;
        Some(name.trim().to_owned())
    };
    text.lines().filter_map(name).collect()
}
