//! Who comes before whom. Built once from a plan whose graph has no cycles (`config::graph` sees to that).

use crate::plan::{Plan, ServiceId};

/// The order of a plan's services.
#[derive(Debug)]
pub struct Graph {
    services: Box<[Links]>,
}

/// What the graph knows of one service, each list without duplicates.
#[derive(Debug, Default)]
struct Links {
    /// Who comes after it: requires, wants, follows, or is restarted with it.
    dependents: Vec<ServiceId>,
    /// Who requires it.
    requirers: Vec<ServiceId>,
    /// Who is restarted with it.
    companions: Vec<ServiceId>,
    /// What it requires or wants: started along with it.
    pulled: Vec<ServiceId>,
    /// All that come before it.
    dependencies: Vec<ServiceId>,
    /// Its place in an order in which each comes after all it depends on.
    rank: u32,
}

impl Graph {
    /// The graph of this plan.
    pub fn new(plan: &Plan) -> Graph {
        let mut links: Vec<Links> = plan.services.iter().map(|_| Links::default()).collect();
        for (id, service) in plan.ids().zip(&plan.services) {
            for dependency in service.order.all() {
                add(&mut links[dependency.index()].dependents, id);
                add(&mut links[id.index()].dependencies, dependency);
            }
            for &dependency in service.order.requires.iter().chain(&service.order.wants) {
                add(&mut links[id.index()].pulled, dependency);
            }
            for dependency in &service.order.requires {
                add(&mut links[dependency.index()].requirers, id);
            }
            for dependency in &service.order.restart_with {
                add(&mut links[dependency.index()].companions, id);
            }
        }
        let mut graph = Graph { services: links.into_boxed_slice() };
        graph.rank(plan);
        graph
    }

    /// Kahn's algorithm; among equals the order of the file.
    fn rank(&mut self, plan: &Plan) {
        let mut missing: Vec<usize> =
            self.services.iter().map(|links| links.dependencies.len()).collect();
        let mut ready: Vec<ServiceId> = plan.ids().filter(|id| missing[id.index()] == 0).collect();
        let mut next = 0;
        while next < ready.len() {
            let id = ready[next];
            self.services[id.index()].rank = next as u32;
            next += 1;
            for dependent in &self.services[id.index()].dependents {
                missing[dependent.index()] -= 1;
                if missing[dependent.index()] == 0 {
                    ready.push(*dependent);
                }
            }
        }
    }

    /// Who comes after `id` because it requires, wants or follows it.
    pub fn dependents(&self, id: ServiceId) -> &[ServiceId] {
        &self.services[id.index()].dependents
    }

    /// Who requires `id`.
    pub fn requirers(&self, id: ServiceId) -> &[ServiceId] {
        &self.services[id.index()].requirers
    }

    /// Who is restarted with `id`.
    pub fn companions(&self, id: ServiceId) -> &[ServiceId] {
        &self.services[id.index()].companions
    }

    /// What `id` requires or wants.
    pub fn pulled(&self, id: ServiceId) -> &[ServiceId] {
        &self.services[id.index()].pulled
    }

    /// All that `id` comes after.
    pub fn dependencies(&self, id: ServiceId) -> &[ServiceId] {
        &self.services[id.index()].dependencies
    }

    /// Its place in an order in which each comes after all it depends on.
    pub fn rank_of(&self, id: ServiceId) -> u32 {
        self.services[id.index()].rank
    }
}

/// Adds `id` once.
fn add(list: &mut Vec<ServiceId>, id: ServiceId) {
    if !list.contains(&id) {
        list.push(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Order, Service};

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
        let plan = Plan {
            services: vec![
                service("web", &[2], &[1]),
                service("cache", &[], &[]),
                service("db", &[], &[1]),
            ],
            ..Plan::default()
        };
        let graph = Graph::new(&plan);
        let ranks: Vec<u32> = plan.ids().map(|id| graph.rank_of(id)).collect();
        assert_eq!(ranks, [2, 0, 1]);
        assert_eq!(graph.dependents(ServiceId(1)), [ServiceId(0), ServiceId(2)]);
        assert_eq!(graph.requirers(ServiceId(1)), []);
        assert_eq!(graph.dependencies(ServiceId(0)), [ServiceId(2), ServiceId(1)]);
    }
}
