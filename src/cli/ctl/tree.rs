//! `lar ctl tree`: every service under those that need it.

use std::io::{self, Write};

use crate::ctl::protocol::record::Fields;

/// One service, and what it depends on.
struct Node {
    name: String,
    state: String,
    needs: Vec<(String, &'static str)>,
}

/// Draws the services of these records. A service that several need is drawn in full only once.
pub fn draw(
    records: &[Fields],
    out: &mut impl Write,
    paint: &dyn Fn(&str) -> String,
) -> io::Result<()> {
    let nodes: Vec<Node> = records.iter().map(node).collect();
    let needed = |name: &str| nodes.iter().any(|n| n.needs.iter().any(|(need, _)| need == name));
    let mut drawn = vec![false; nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        if !needed(&node.name) {
            branch(&nodes, index, "", None, &mut drawn, out, paint)?;
        }
    }
    Ok(())
}

fn node(record: &Fields) -> Node {
    let mut needs = Vec::new();
    for key in ["requires", "wants", "after", "restart_with"] {
        for name in record.text(key).unwrap_or_default().split_whitespace() {
            if !needs.iter().any(|(known, _)| known == name) {
                needs.push((name.to_owned(), key));
            }
        }
    }
    let text = |key| record.text(key).unwrap_or_default();
    Node { name: text("name"), state: text("state"), needs }
}

fn branch(
    nodes: &[Node],
    index: usize,
    indent: &str,
    edge: Option<(&str, bool)>,
    drawn: &mut [bool],
    out: &mut impl Write,
    paint: &dyn Fn(&str) -> String,
) -> io::Result<()> {
    let node = &nodes[index];
    let (corner, below, how) = match edge {
        None => ("", "", ""),
        Some((how, true)) => ("└─ ", "   ", how),
        Some((how, false)) => ("├─ ", "│  ", how),
    };
    let how = if how.is_empty() || how == "requires" { String::new() } else { format!(" ({how})") };
    let again = std::mem::replace(&mut drawn[index], true) && !node.needs.is_empty();
    let more = if again { " …" } else { "" };
    writeln!(out, "{indent}{corner}{} {}{how}{more}", node.name, paint(&node.state))?;
    if again {
        return Ok(());
    }
    let indent = format!("{indent}{below}");
    for (at, (need, how)) in node.needs.iter().enumerate() {
        let last = at + 1 == node.needs.len();
        match nodes.iter().position(|other| other.name == *need) {
            Some(next) => branch(nodes, next, &indent, Some((how, last)), drawn, out, paint)?,
            // Not among those that were asked for.
            None => {
                let corner = if last { "└─ " } else { "├─ " };
                writeln!(out, "{indent}{corner}{need}")?;
            }
        }
    }
    Ok(())
}
