//! What comes up with a service.

use lar::plan::ServiceId;
use lar::supervisor::Supervisor;

/// What starting `root` starts as well.
pub fn pulled_by(core: &Supervisor, root: ServiceId) -> Vec<ServiceId> {
    let mut list = vec![root];
    let mut at = 0;
    while at < list.len() {
        let order = &core.service(list[at]).order;
        for &next in order.requires.iter().chain(&order.wants) {
            if !list.contains(&next) {
                list.push(next);
            }
        }
        at += 1;
    }
    list
}
