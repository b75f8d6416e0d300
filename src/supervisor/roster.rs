//! Who there is: services and their instances, in tables whose places are used again.
//!
//! An id is an index. The place of what was removed is kept until its last action is done ([`Roster::sweep`]), then
//! somebody new may have it; [`Slot::born`] tells the two apart. Nothing here allocates but when an operator, or a
//! new plan, changes who there is.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::exit::ExitStatus;
use crate::plan::{InstanceId, Plan, Process, Service, ServiceId, Standing};
use crate::supervisor::aides::{Aides, Attempt, Errands};
use crate::supervisor::event::{Cause, Outcome, Parting, Ticket};
use crate::supervisor::order::Links;
use crate::supervisor::policy::History;
use crate::supervisor::state::State;
use crate::supervisor::tally::Tally;
use crate::supervisor::timer::Runs;
use crate::time::{Duration, Instant};

/// Whether an instance is to be exchanged for a successor, and how far that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// It is not.
    No,
    /// When it is its turn.
    Due,
    /// A successor was asked for.
    Asked,
    /// This one.
    By(InstanceId),
}

/// One instance.
pub(super) struct Slot {
    pub(super) service: ServiceId,
    pub(super) number: u32,
    pub(super) standing: Standing,
    /// Whether it is nobody's place.
    pub(super) vacant: bool,
    /// Of a successor: whom it is to take over from; of who had one: who did.
    pub(super) peer: Option<InstanceId>,
    pub(super) renewal: Renewal,
    /// How long a run may take.
    pub(super) limit: Option<Duration>,
    /// Tells it from others that had this place.
    pub(super) born: u64,
    /// Whether it is to be forgotten once it is at rest.
    pub(super) leaving: bool,
    /// What it runs, if the plan did not ask for it.
    pub(super) process: Option<Rc<Process>>,
    pub(super) wanted_up: bool,
    /// Whether the manager ends without it: it counts for nobody any more.
    pub(super) left: bool,
    pub(super) state: State,
    /// Since when it is in this phase.
    pub(super) since: Instant,
    pub(super) history: History,
    pub(super) runs: Runs,
    /// Its other processes, by their roles. Not yet reaped.
    pub(super) aides: Aides,
    /// What is known of the start that led to this.
    pub(super) attempt: Attempt,
    /// A command that an operator has asked for.
    pub(super) errands: Errands,
    /// Up to which order `ensure` was answered, and how.
    pub(super) ensured: Option<(Ticket, bool)>,
    /// The latest order of that kind.
    pub(super) ensure: Ticket,
    /// How its stop command has failed, since it was last stopped.
    pub(super) stop_failed: Option<Outcome>,
    pub(super) last_spawn: Option<Instant>,
    pub(super) last_exit: Option<ExitStatus>,
    pub(super) restarts: u64,
    pub(super) ticket: Ticket,
    pub(super) forced: bool,
    pub(super) cause: Cause,
    /// Its main process, from its end until that is told.
    pub(super) parting: Option<Parting>,
}

/// One service: its instances, and what they add up to.
pub(super) struct Group {
    pub(super) service: Service,
    /// Its instances by their numbers.
    pub(super) members: Rc<[InstanceId]>,
    /// Who runs beside them, in the order of their coming.
    pub(super) extras: Rc<[InstanceId]>,
    /// How many runs there were.
    pub(super) runs: u32,
    pub(super) links: Links,
    pub(super) tally: Tally,
    /// How many of its dependents are on their way down: it stays up until there are none.
    pub(super) blockers: u32,
    pub(super) touched: bool,
    pub(super) released: bool,
    pub(super) pulled: bool,
    /// When it is expected to run next, if that is reckoned outside.
    pub(super) expected: Option<Instant>,
    /// Whether it is to be forgotten once none of its instances is left.
    pub(super) leaving: bool,
    /// Whether somebody new may have its place.
    pub(super) vacant: bool,
    /// Whether it ever had several instances: then their numbers belong to their names.
    pub(super) several: bool,
}

/// Ids, one after another; of a list that may be replaced meanwhile.
#[derive(Clone, Debug)]
pub struct Ids<T> {
    list: Rc<[T]>,
    from: usize,
    to: usize,
}

impl<T> Ids<T> {
    fn new(list: &Rc<[T]>) -> Ids<T> {
        Ids { list: Rc::clone(list), from: 0, to: list.len() }
    }
}

impl<T: Copy> Ids<T> {
    /// The one at this place.
    pub fn get(&self, at: usize) -> Option<T> {
        self.list.get(self.from..self.to)?.get(at).copied()
    }
}

impl<T: PartialEq> PartialEq for Ids<T> {
    fn eq(&self, other: &Ids<T>) -> bool {
        self.list.get(self.from..self.to) == other.list.get(other.from..other.to)
    }
}

impl<T: Eq> Eq for Ids<T> {}

impl<T: Copy> Iterator for Ids<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let next = self.list.get(self.from..self.to)?.first().copied()?;
        self.from += 1;
        Some(next)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.to - self.from;
        (left, Some(left))
    }
}

impl<T: Copy> DoubleEndedIterator for Ids<T> {
    fn next_back(&mut self) -> Option<T> {
        let last = self.list.get(self.from..self.to)?.last().copied()?;
        self.to -= 1;
        Some(last)
    }
}

impl<T: Copy> ExactSizeIterator for Ids<T> {}

/// The two tables.
pub(super) struct Roster {
    pub(super) groups: Vec<Group>,
    pub(super) slots: Vec<Slot>,
    /// Places that somebody new may have.
    free_groups: Vec<ServiceId>,
    free_slots: Vec<InstanceId>,
    /// The places of those who have just gone: free from the next event on.
    leaving_groups: Vec<ServiceId>,
    leaving_slots: Vec<InstanceId>,
    /// Services that are there, in the order of the file and then of their coming.
    services: Rc<[ServiceId]>,
    /// Their instances in that order.
    instances: Rc<[InstanceId]>,
    by_name: BTreeMap<String, ServiceId>,
    born: u64,
}

impl Roster {
    /// Everybody in `plan`, with its ids.
    pub(super) fn new(plan: &mut Plan) -> Roster {
        let services = std::mem::take(&mut plan.services);
        let mut roster = Roster {
            groups: Vec::with_capacity(services.len()),
            slots: Vec::new(),
            free_groups: Vec::new(),
            free_slots: Vec::new(),
            leaving_groups: Vec::new(),
            leaving_slots: Vec::new(),
            services: Rc::new([]),
            instances: Rc::new([]),
            by_name: BTreeMap::new(),
            born: 0,
        };
        let ids: Vec<ServiceId> = services.into_iter().map(|it| roster.enlist(it)).collect();
        roster.services = ids.into();
        for at in 0..roster.groups.len() {
            let id = ServiceId(at as u32);
            let count = roster.groups[at].service.processes.len() as u32;
            let members: Vec<InstanceId> =
                (1..=count).map(|number| roster.place(id, number, None)).collect();
            roster.set_members(id, members.into());
            roster.link(id);
        }
        roster.relist();
        roster.rank();
        roster
    }

    /// A new service, without instances or links yet.
    fn enlist(&mut self, service: Service) -> ServiceId {
        let name = service.name.to_ascii_lowercase();
        let group = Group {
            service,
            members: Rc::new([]),
            extras: Rc::new([]),
            runs: 0,
            links: Links::default(),
            tally: Tally::default(),
            blockers: 0,
            touched: false,
            released: false,
            pulled: false,
            expected: None,
            leaving: false,
            vacant: false,
            several: false,
        };
        let id = match self.free_groups.pop() {
            Some(id) => {
                self.groups[id.index()] = group;
                id
            }
            None => {
                self.groups.push(group);
                ServiceId(self.groups.len() as u32 - 1)
            }
        };
        self.by_name.insert(name, id);
        id
    }

    /// A new instance of `service`, not in its list of members yet.
    fn place(
        &mut self,
        service: ServiceId,
        number: u32,
        process: Option<Rc<Process>>,
    ) -> InstanceId {
        self.born += 1;
        let slot = Slot {
            service,
            number,
            standing: Standing::Regular,
            vacant: false,
            peer: None,
            renewal: Renewal::No,
            limit: None,
            born: self.born,
            leaving: false,
            process,
            wanted_up: false,
            left: false,
            state: State::Stopped,
            since: Instant::ZERO,
            history: History::new(&self.groups[service.index()].service.rules),
            runs: Runs::default(),
            aides: Aides::default(),
            attempt: Attempt::default(),
            errands: Errands::default(),
            ensured: None,
            ensure: Ticket::default(),
            stop_failed: None,
            last_spawn: None,
            last_exit: None,
            restarts: 0,
            ticket: Ticket::default(),
            forced: false,
            cause: Cause::Boot,
            parting: None,
        };
        match self.free_slots.pop() {
            Some(id) => {
                self.slots[id.index()] = slot;
                id
            }
            None => {
                self.slots.push(slot);
                InstanceId(self.slots.len() as u32 - 1)
            }
        }
    }

    /// Makes the list of all instances anew.
    fn relist(&mut self) {
        let all = |id: &ServiceId| {
            let group = &self.groups[id.index()];
            group.members.iter().chain(group.extras.iter()).copied()
        };
        self.instances = self.services.iter().flat_map(all).collect();
    }

    /// Every service.
    pub(super) fn services(&self) -> Ids<ServiceId> {
        Ids::new(&self.services)
    }

    /// Every instance.
    pub(super) fn instances(&self) -> Ids<InstanceId> {
        Ids::new(&self.instances)
    }

    /// The instances of one service.
    pub(super) fn members(&self, id: ServiceId) -> Ids<InstanceId> {
        Ids::new(&self.groups[id.index()].members)
    }

    /// Who runs beside them.
    pub(super) fn extras(&self, id: ServiceId) -> Ids<InstanceId> {
        Ids::new(&self.groups[id.index()].extras)
    }

    /// The service called `name`; case does not matter.
    pub(super) fn find(&self, name: &str) -> Option<ServiceId> {
        self.by_name.get(&name.to_ascii_lowercase()).copied()
    }

    /// Whether somebody has this place.
    pub(super) fn has(&self, id: InstanceId) -> bool {
        self.slots.get(id.index()).is_some_and(|slot| !slot.vacant)
    }

    /// A new service without instances, and without links. Its name is free.
    pub(super) fn add(&mut self, service: Service) -> ServiceId {
        let id = self.enlist(service);
        self.services = self.services.iter().copied().chain([id]).collect();
        id
    }

    /// The lowest numbers that no instance of `id` has.
    pub(super) fn free_numbers(&self, id: ServiceId, more: usize) -> Vec<u32> {
        let taken: Vec<u32> = self.members(id).map(|id| self.slots[id.index()].number).collect();
        (1..).filter(|number| taken.binary_search(number).is_err()).take(more).collect()
    }

    /// So many more instances of `id`, with the lowest numbers that are free.
    pub(super) fn grow(&mut self, id: ServiceId, more: usize) -> Vec<InstanceId> {
        let numbers = self.free_numbers(id, more).into_iter();
        let fresh: Vec<InstanceId> = numbers
            .map(|number| {
                let process = self.unplanned(id, number);
                self.place(id, number, process)
            })
            .collect();
        let mut members: Vec<InstanceId> = self.members(id).chain(fresh.iter().copied()).collect();
        members.sort_by_key(|id| self.slots[id.index()].number);
        self.set_members(id, members.into());
        self.relist();
        fresh
    }

    /// Somebody beside the members of `id`.
    pub(super) fn place_beside(
        &mut self,
        id: ServiceId,
        number: u32,
        standing: Standing,
        process: Option<Rc<Process>>,
    ) -> InstanceId {
        let extra = self.place(id, number, process);
        self.slots[extra.index()].standing = standing;
        self.groups[id.index()].extras = self.extras(id).chain([extra]).collect();
        self.relist();
        extra
    }

    /// Puts `next` in the place of `old`, and `old` beside the members.
    pub(super) fn exchange(&mut self, old: InstanceId, next: InstanceId) {
        let id = self.slots[old.index()].service;
        let swap = |list: Ids<InstanceId>, from: InstanceId, to: InstanceId| -> Rc<[InstanceId]> {
            list.map(|id| if id == from { to } else { id }).collect()
        };
        self.groups[id.index()].members = swap(self.members(id), old, next);
        self.groups[id.index()].extras = swap(self.extras(id), next, old);
        self.relist();
    }

    fn set_members(&mut self, id: ServiceId, members: Rc<[InstanceId]>) {
        let group = &mut self.groups[id.index()];
        group.several |= members.len() > 1;
        group.members = members;
    }

    /// What an instance runs that the plan did not ask for.
    fn unplanned(&self, id: ServiceId, number: u32) -> Option<Rc<Process>> {
        let service = &self.groups[id.index()].service;
        let planned = number as usize <= service.processes.len();
        if planned { None } else { service.process(number).map(Rc::new) }
    }

    /// Lets the instances of a service run what its new definition says.
    pub(super) fn recast(&mut self, id: ServiceId) {
        for instance in self.members(id) {
            let number = self.slots[instance.index()].number;
            self.slots[instance.index()].process = self.unplanned(id, number);
        }
    }

    /// Takes an instance out of its service.
    pub(super) fn dismiss(&mut self, instance: InstanceId) {
        let id = self.slots[instance.index()].service;
        self.slots[instance.index()].vacant = true;
        self.leaving_slots.push(instance);
        let others = |list: Ids<InstanceId>| list.filter(|&id| id != instance).collect();
        match self.slots[instance.index()].standing {
            Standing::Regular => self.set_members(id, others(self.members(id))),
            _ => self.groups[id.index()].extras = others(self.extras(id)),
        }
        self.relist();
    }

    /// Forgets a service that is to be forgotten and has no instance any more; who came after it.
    pub(super) fn abandon_if_empty(&mut self, id: ServiceId) -> Vec<ServiceId> {
        let group = &mut self.groups[id.index()];
        let empty = group.members.is_empty() && group.extras.is_empty();
        if !group.leaving || !empty || group.vacant {
            return Vec::new();
        }
        group.vacant = true;
        let name = group.service.name.to_ascii_lowercase();
        self.by_name.remove(&name);
        let dependents = std::mem::take(&mut self.groups[id.index()].links.dependents);
        for dependent in &dependents {
            self.groups[dependent.index()].service.order.forget(id);
        }
        self.services = self.services.iter().copied().filter(|&other| other != id).collect();
        self.leaving_groups.push(id);
        self.relink();
        dependents
    }

    /// Lets somebody new have the places of those who are gone.
    pub(super) fn sweep(&mut self) {
        self.free_slots.append(&mut self.leaving_slots);
        for id in self.leaving_groups.drain(..) {
            // What was because of it stays so; but its id may soon be somebody else's.
            for slot in &mut self.slots {
                slot.cause.forget(id);
            }
            self.free_groups.push(id);
        }
    }

    /// Panics unless the tables agree.
    pub(super) fn check_invariants(&self) {
        let mut seen = 0;
        for id in self.services() {
            let group = &self.groups[id.index()];
            assert_eq!(self.find(&group.service.name), Some(id));
            let mut last = 0;
            for instance in self.members(id) {
                let slot = &self.slots[instance.index()];
                assert_eq!((slot.service, slot.standing), (id, Standing::Regular));
                assert!(!slot.vacant);
                assert!(slot.number > last, "members are in the order of their numbers");
                last = slot.number;
                seen += 1;
            }
            for extra in self.extras(id) {
                let slot = &self.slots[extra.index()];
                assert!(slot.service == id && slot.standing != Standing::Regular && !slot.vacant);
                seen += 1;
            }
            for dependency in group.service.order.all() {
                assert!(!self.groups[dependency.index()].vacant, "nobody depends on nobody");
                assert!(self.groups[dependency.index()].links.dependents.contains(&id));
                assert!(self.groups[dependency.index()].links.rank < group.links.rank);
            }
        }
        assert_eq!(self.instances().count(), seen);
        assert_eq!(self.by_name.len(), self.services.len());
        let vacant = self.slots.iter().filter(|slot| slot.vacant);
        assert_eq!(vacant.count(), self.free_slots.len() + self.leaving_slots.len());
    }
}
