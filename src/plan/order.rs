//! What services have to do with each other.

use super::ServiceId;

/// The services a service has to do with. `group:*` is resolved; no duplicates; no cycles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Started along; must be ready first; if one fails for good, so does this.
    pub requires: Vec<ServiceId>,
    /// Started along; waited for until ready or settled.
    pub wants: Vec<ServiceId>,
    /// Not started along; waited for if it is wanted up.
    pub after: Vec<ServiceId>,
    /// When it dies or is restarted, this is restarted too. Ordered like `after`.
    pub restart_with: Vec<ServiceId>,
}

impl Order {
    /// Drops a service that is no more.
    pub fn forget(&mut self, id: ServiceId) {
        let lists = [&mut self.requires, &mut self.wants, &mut self.after, &mut self.restart_with];
        lists.into_iter().for_each(|list| list.retain(|&other| other != id));
    }

    /// Puts the id `ids[n]` wherever the number n stands.
    pub fn renumber(&mut self, ids: &[ServiceId]) {
        for list in [&mut self.requires, &mut self.wants, &mut self.after, &mut self.restart_with] {
            list.iter_mut().for_each(|id| *id = ids.get(id.index()).copied().unwrap_or(*id));
        }
    }

    /// All that must come before, each once or more.
    pub fn all(&self) -> impl Iterator<Item = ServiceId> + '_ {
        let soft = self.after.iter().chain(&self.restart_with);
        self.requires.iter().chain(&self.wants).chain(soft).copied()
    }
}
