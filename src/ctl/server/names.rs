//! From the names in a request to instances.

use crate::ctl::protocol::words::Quoted;
use crate::nearest::nearest;
use crate::plan::{InstanceId, ServiceId, Standing};
use crate::supervisor::{Ids, Supervisor};

/// The instances that a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// All there are, and for what goes on: all that come, too.
    All(Ids<InstanceId>),
    /// These; service by service, each once.
    Some(Vec<InstanceId>),
}

impl Targets {
    /// Every instance.
    pub fn all(supervisor: &Supervisor) -> Targets {
        Targets::All(supervisor.instances())
    }

    /// The one with this index, if there are so many.
    pub fn get(&self, index: usize) -> Option<InstanceId> {
        match self {
            Targets::All(ids) => ids.get(index),
            Targets::Some(ids) => ids.get(index).copied(),
        }
    }

    /// Puts somebody in another's place.
    pub fn exchange(&mut self, gone: InstanceId, heir: InstanceId) {
        if let Targets::Some(ids) = self {
            ids.iter_mut().filter(|id| **id == gone).for_each(|id| *id = heir);
        }
    }

    /// Adds somebody who has come, if all of these are meant.
    pub fn join(&mut self, come: InstanceId, others: &[InstanceId]) -> bool {
        let Targets::Some(ids) = self else { return true };
        let joins = !others.is_empty() && others.iter().all(|other| ids.contains(other));
        if joins {
            ids.push(come);
        }
        joins
    }

    /// Leaves out whoever is no more; at which place that one was.
    pub fn forget(&mut self, gone: InstanceId) -> Option<usize> {
        let Targets::Some(ids) = self else { return None };
        let at = ids.iter().position(|id| *id == gone)?;
        ids.remove(at);
        Some(at)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = InstanceId> + '_ {
        (0..).map_while(|index| self.get(index))
    }

    /// Whether `id` is one of them.
    pub fn contains(&self, id: InstanceId) -> bool {
        match self {
            Targets::All(_) => true,
            Targets::Some(ids) => ids.contains(&id),
        }
    }
}

/// Whom the name of a service means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Its instances.
    Instances,
    /// Them, and whoever runs beside them.
    Everybody,
}

/// The instances that `names` mean together, or the text of the error. No name means all.
pub fn resolve(supervisor: &Supervisor, names: &[String], whom: Whom) -> Result<Targets, String> {
    if names.is_empty() {
        return Ok(Targets::all(supervisor));
    }
    let mut ids = Vec::new();
    for name in names {
        add(supervisor, name, whom, &mut ids)?;
    }
    let place = |id: InstanceId| {
        let instance = supervisor.instance(id);
        (instance.service, instance.standing != Standing::Regular, instance.number)
    };
    ids.sort_unstable_by_key(|&id| (place(id), id));
    ids.dedup();
    Ok(Targets::Some(ids))
}

fn add(
    supervisor: &Supervisor,
    name: &str,
    whom: Whom,
    ids: &mut Vec<InstanceId>,
) -> Result<(), String> {
    let meant = |id: ServiceId| {
        let regular = |id: &InstanceId| supervisor.instance(*id).standing == Standing::Regular;
        supervisor.all_of(id).filter(move |id| whom == Whom::Everybody || regular(id))
    };
    if name.eq_ignore_ascii_case("all") {
        ids.extend(supervisor.services().flat_map(meant));
        return Ok(());
    }
    // No service's name holds one of these.
    if name.contains(['+', '/']) {
        let called =
            |id: &InstanceId| name.eq_ignore_ascii_case(&supervisor.label(*id).to_string());
        let found = supervisor.instances().find(called);
        ids.push(found.ok_or_else(|| format!("{} does not run", Quoted(name)))?);
        return Ok(());
    }
    if let Some(group) = name.strip_suffix(":*") {
        let before = ids.len();
        for id in supervisor.services() {
            let found = supervisor.service(id).group();
            if found.is_some_and(|found| found.eq_ignore_ascii_case(group)) {
                ids.extend(meant(id));
            }
        }
        let groups = supervisor.services().filter_map(|id| supervisor.service(id).group());
        return match ids.len() > before {
            true => Ok(()),
            false => Err(unknown("group", group, nearest(group, groups))),
        };
    }
    let (service, number) = match name.rsplit_once('@') {
        Some((service, number)) => (service, Some(number)),
        None => (name, None),
    };
    let Some(id) = supervisor.find(service) else {
        let known = supervisor.services().map(|id| supervisor.service(id).name.as_str());
        return Err(unknown("service", service, nearest(service, known)));
    };
    let Some(number) = number else {
        ids.extend(meant(id));
        return Ok(());
    };
    ids.push(numbered(supervisor, id, number)?);
    Ok(())
}

fn numbered(
    supervisor: &Supervisor,
    service: ServiceId,
    number: &str,
) -> Result<InstanceId, String> {
    let wanted: Option<u32> = number.parse().ok();
    let mut instances = supervisor.instances_of(service);
    let found = instances.find(|&id| Some(supervisor.instance(id).number) == wanted);
    found.ok_or_else(|| {
        let service = supervisor.service(service);
        let count = service.processes.len();
        format!("{} has no instance {}; it has 1 to {count}", service.name, Quoted(number))
    })
}

fn unknown(what: &str, name: &str, near: Option<&str>) -> String {
    match near {
        Some(near) => format!("no {what} is called {}; did you mean {near}?", Quoted(name)),
        None => format!("no {what} is called {}", Quoted(name)),
    }
}
