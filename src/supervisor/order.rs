//! Who comes before whom. There are no cycles (`config::graph` sees to that).

use crate::plan::ServiceId;
use crate::supervisor::roster::Roster;

/// What is known of one service's neighbours, each list without duplicates.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Links {
    /// Who comes after it: requires, wants, follows, or is restarted with it.
    pub(super) dependents: Vec<ServiceId>,
    /// Who requires it.
    pub(super) requirers: Vec<ServiceId>,
    /// Who is restarted with it.
    pub(super) companions: Vec<ServiceId>,
    /// What it requires or wants: started along with it.
    pub(super) pulled: Vec<ServiceId>,
    /// All that come before it.
    pub(super) dependencies: Vec<ServiceId>,
    /// Its place in an order in which each comes after all it depends on.
    pub(super) rank: u32,
}

impl Roster {
    /// Lets a service and its dependencies know of each other.
    pub(super) fn link(&mut self, id: ServiceId) {
        let order = self.groups[id.index()].service.order.clone();
        for dependency in order.all() {
            // One service's links are made together, so if it is there already, it is the last one.
            add_last(&mut self.groups[dependency.index()].links.dependents, id);
            add(&mut self.groups[id.index()].links.dependencies, dependency);
        }
        for &dependency in order.requires.iter().chain(&order.wants) {
            add(&mut self.groups[id.index()].links.pulled, dependency);
        }
        for dependency in &order.requires {
            add_last(&mut self.groups[dependency.index()].links.requirers, id);
        }
        for dependency in &order.restart_with {
            add_last(&mut self.groups[dependency.index()].links.companions, id);
        }
    }

    /// Makes all links and ranks anew.
    pub(super) fn relink(&mut self) {
        for group in &mut self.groups {
            let links = &mut group.links;
            let Links { dependents, requirers, companions, pulled, dependencies, .. } = links;
            for list in [dependents, requirers, companions, pulled, dependencies] {
                list.clear();
            }
        }
        self.services().for_each(|id| self.link(id));
        self.rank();
    }

    /// Ranks all services anew: Kahn's algorithm; among equals their own order.
    pub(super) fn rank(&mut self) {
        let services = self.services();
        let mut missing = vec![0; self.groups.len()];
        let mut ready = Vec::with_capacity(services.len());
        for id in services {
            missing[id.index()] = self.groups[id.index()].links.dependencies.len();
            if missing[id.index()] == 0 {
                ready.push(id);
            }
        }
        let mut next = 0;
        while let Some(&id) = ready.get(next) {
            let links = &mut self.groups[id.index()].links;
            links.rank = next as u32;
            next += 1;
            for &dependent in &links.dependents {
                missing[dependent.index()] -= 1;
                if missing[dependent.index()] == 0 {
                    ready.push(dependent);
                }
            }
        }
    }
}

/// Adds `id` once.
fn add(list: &mut Vec<ServiceId>, id: ServiceId) {
    if !list.contains(&id) {
        list.push(id);
    }
}

/// The same, where it could only be the last.
fn add_last(list: &mut Vec<ServiceId>, id: ServiceId) {
    if list.last() != Some(&id) {
        list.push(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Order, Plan, Service};

    #[test]
    fn ranks_follow_dependencies_and_then_the_file() {
        let service = |name: &str, requires: &[u32], after: &[u32]| Service {
            name: name.into(),
            order: Order {
                requires: requires.iter().copied().map(ServiceId).collect(),
                after: after.iter().copied().map(ServiceId).collect(),
                ..Order::default()
            },
            ..Service::default()
        };
        let mut plan = Plan {
            services: vec![
                service("web", &[2], &[1]),
                service("cache", &[], &[]),
                service("db", &[], &[1]),
            ],
            ..Plan::default()
        };
        let roster = Roster::new(&mut plan);
        let links = |id: u32| &roster.groups[id as usize].links;
        assert_eq!([0, 1, 2].map(|id| links(id).rank), [2, 0, 1]);
        assert_eq!(links(1).dependents, [ServiceId(0), ServiceId(2)]);
        assert_eq!(links(1).requirers, []);
        assert_eq!(links(0).dependencies, [ServiceId(2), ServiceId(1)]);
    }
}
