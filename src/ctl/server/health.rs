//! `health`: whether all is as it should be, in one line and by the exit code, for the probes of containers.

use super::names::Targets;
use super::verbs::regular;
use super::view::View;
use super::wait::failure;
use super::work::{Reply, What};
use crate::ctl::protocol::request::Request;
use crate::exit::Code;
use crate::plan::InstanceId;
use crate::supervisor::Phase;

/// Of all, those count that are wanted up; of named ones each.
pub fn reply(request: &Request, targets: Targets, view: &View) -> Reply {
    let supervisor = view.supervisor;
    let named = !request.names.is_empty();
    let counts =
        |id: &InstanceId| regular(supervisor, *id) && (named || supervisor.instance(*id).wanted_up);
    let asked = || targets.iter().filter(counts);
    // What waits for its time is as it should be.
    let waits = |id| {
        let instance = supervisor.instance(id);
        instance.phase == Phase::Stopped && instance.wanted_up
    };
    let well = |id: &InstanceId| supervisor.is_up(*id) || waits(*id);
    let (up, wanted) = (asked().filter(well).count() as u32, asked().count() as u32);
    // The first one says why.
    let down = asked().find(|id| !well(id)).map(|id| failure(view, id));
    let one = asked().next().filter(|_| named && wanted == 1);
    let text = down.clone().or_else(|| one.map(|id| fine(view, id)));
    let verdict = down.map_or(Ok(()), |why| Err((Code::Failed, why)));
    Reply::own(What::Health { up, wanted, text }, verdict.into())
}

/// `web: running`
fn fine(view: &View, id: InstanceId) -> String {
    let supervisor = view.supervisor;
    let (label, phase) = (supervisor.label(id), supervisor.instance(id).phase.word());
    match supervisor.doing(id) {
        Some(doing) => format!("{label}: {phase}; {doing}"),
        None => format!("{label}: {phase}"),
    }
}
