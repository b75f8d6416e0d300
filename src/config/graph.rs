//! Who needs whom: names and `group:*` to numbers, and no circles.

use std::collections::BTreeMap;

use super::diagnostic::Report;
use super::lines::Spot;
use super::section::{Token, Values};
use crate::nearest;
use crate::plan::{Plan, ServiceId};

/// Services by their names in small letters: ten thousand are looked up too.
pub(super) type Names = BTreeMap<String, ServiceId>;

/// The keys that name other services.
const KEYS: [&str; 4] = ["requires", "wants", "after", "restart-with"];

/// What a service says about others, not looked up yet: one list for each of [`KEYS`].
pub(super) struct Wishes([Vec<Token>; 4]);

impl Wishes {
    /// What the current service says.
    pub(super) fn read(v: &mut Values) -> Wishes {
        Wishes(KEYS.map(|key| {
            let tokens = v.tokens(key);
            if tokens.as_ref().is_some_and(Vec::is_empty) {
                v.wrong(key, "the names are missing");
            }
            tokens.unwrap_or_default()
        }))
    }
}

/// Something one service says about another, and where.
struct Edge {
    to: ServiceId,
    spot: Spot,
}

/// Looks up every name, fills each service's order, and reports circles.
pub(super) fn resolve(wishes: &[Wishes], names: &Names, plan: &mut Plan, report: &mut Report) {
    let mut edges: Vec<Vec<Edge>> = Vec::with_capacity(wishes.len());
    for (index, wishes) in wishes.iter().enumerate() {
        let own = ServiceId(index as u32);
        let mut all = Vec::new();
        for (key, tokens) in KEYS.iter().zip(&wishes.0) {
            let mut ids: Vec<ServiceId> = Vec::new();
            for token in tokens {
                for to in lookup(token, own, names, plan, report) {
                    if !ids.contains(&to) {
                        ids.push(to);
                        all.push(Edge { to, spot: token.spot.clone() });
                    }
                }
            }
            if let Some(service) = plan.services.get_mut(index) {
                match *key {
                    "requires" => service.order.requires = ids,
                    "wants" => service.order.wants = ids,
                    "after" => service.order.after = ids,
                    _ => service.order.restart_with = ids,
                }
            }
        }
        edges.push(all);
    }
    circles(&edges, plan, report);
}

fn lookup(
    token: &Token,
    own: ServiceId,
    known: &Names,
    plan: &Plan,
    report: &mut Report,
) -> Vec<ServiceId> {
    let word = token.text.as_str();
    if let Some(group) = word.strip_suffix(":*") {
        let mut members: Vec<ServiceId> = plan.ids().collect();
        let inside = |id: &ServiceId| {
            let group_of = plan.service(*id).group();
            group_of.is_some_and(|own| own.eq_ignore_ascii_case(group))
        };
        members.retain(inside);
        if members.is_empty() {
            report.error(&token.spot, format!("there is no service in a group `{group}`"));
            let groups = plan.services.iter().filter_map(|service| service.group());
            if let Some(near) = nearest::nearest(group, groups) {
                report.hint(format!("did you mean `{near}:*`?"));
            }
        }
        members.retain(|id| *id != own);
        return members;
    }
    match known.get(&word.to_ascii_lowercase()).copied() {
        Some(id) if id == own => {
            report.error(&token.spot, format!("`{word}` can't come before itself"));
            Vec::new()
        }
        Some(id) => vec![id],
        None => {
            report.error(&token.spot, format!("there is no service `{word}`"));
            let names = || plan.services.iter().map(|service| service.name.as_str());
            let member = |name: &&str| name.rsplit_once(':').is_some_and(|(_, last)| last == word);
            if word.starts_with('#') {
                report.hint("a comment stands on a line of its own");
            } else if let Some(near) =
                names().find(member).or_else(|| nearest::nearest(word, names()))
            {
                report.hint(format!("did you mean `{near}`?"));
            } else if word.contains(',') {
                report.hint("blanks part the names, not commas");
            }
            Vec::new()
        }
    }
}

/// Where the walk is with a service.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Not,
    OnPath,
    Done,
}

/// Walks the graph depth first and reports the edges that lead back to where the walk came from. With its own
/// stack: ten thousand services in a row must not overflow ours.
fn circles(edges: &[Vec<Edge>], plan: &Plan, report: &mut Report) {
    let mut seen = vec![Seen::Not; edges.len()];
    for start in 0..edges.len() {
        // The services on the path, each with how many of its edges have been followed.
        let mut path: Vec<(usize, usize)> = Vec::new();
        if seen.get(start) == Some(&Seen::Not) {
            seen[start] = Seen::OnPath;
            path.push((start, 0));
        }
        while let Some((at, followed)) = path.last_mut() {
            let Some(edge) = edges.get(*at).and_then(|edges| edges.get(*followed)) else {
                seen[*at] = Seen::Done;
                path.pop();
                continue;
            };
            *followed += 1;
            let to = edge.to.index();
            match seen.get(to) {
                Some(Seen::Not) => {
                    seen[to] = Seen::OnPath;
                    path.push((to, 0));
                }
                Some(Seen::OnPath) => {
                    let from = path.iter().position(|(at, _)| *at == to).unwrap_or(0);
                    let circle = path.get(from..).unwrap_or_default().iter().map(|(at, _)| *at);
                    let names = circle.chain([to]).filter_map(|at| plan.services.get(at));
                    let names: Vec<&str> = names.map(|service| service.name.as_str()).collect();
                    let message = format!("services wait for each other: {}", names.join(" -> "));
                    report.error(&edge.spot, message);
                }
                Some(Seen::Done) | None => {}
            }
        }
    }
}
