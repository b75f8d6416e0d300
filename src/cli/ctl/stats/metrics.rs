//! `metrics`: the instances as OpenMetrics text, for Prometheus and the like.

use std::fmt::Write;

use super::Row;
use crate::supervisor::Phase;

/// A metric: its name, type and unit, what it means, and its samples for an instance, each as what follows the name
/// and the labels, and the value.
struct Family {
    name: &'static str,
    kind: &'static str,
    unit: &'static str,
    help: &'static str,
    /// What the name of a sample has behind the family's.
    suffix: &'static str,
    value: fn(&Row) -> Option<String>,
}

const FAMILIES: [Family; 8] = [
    Family {
        name: "lar_up",
        kind: "gauge",
        unit: "",
        help: "Whether the instance is up.",
        suffix: "",
        value: |row| flag(row, "up"),
    },
    Family {
        name: "lar_wanted",
        kind: "gauge",
        unit: "",
        help: "Whether the instance is wanted up.",
        suffix: "",
        value: |row| flag(row, "wanted"),
    },
    Family {
        name: "lar_restarts",
        kind: "counter",
        unit: "",
        help: "How often it was started again by itself.",
        suffix: "_total",
        value: |row| row.record.number("restarts").map(|count| count.to_string()),
    },
    Family {
        name: "lar_uptime_seconds",
        kind: "gauge",
        unit: "seconds",
        help: "How long its process has lived.",
        suffix: "",
        value: |row| row.record.number("uptime_ms").map(seconds),
    },
    Family {
        name: "lar_cpu_seconds",
        kind: "counter",
        unit: "seconds",
        help: "CPU time of its processes that live, and of their children that have ended.",
        suffix: "_total",
        value: |row| row.usage.map(|usage| seconds(usage.cpu.as_millis() as u64)),
    },
    Family {
        name: "lar_resident_memory_bytes",
        kind: "gauge",
        unit: "bytes",
        help: "Resident memory of its processes.",
        suffix: "",
        value: |row| row.usage.map(|usage| usage.resident.to_string()),
    },
    Family {
        name: "lar_virtual_memory_bytes",
        kind: "gauge",
        unit: "bytes",
        help: "Virtual memory of its processes.",
        suffix: "",
        value: |row| row.usage.map(|usage| usage.size.to_string()),
    },
    Family {
        name: "lar_processes",
        kind: "gauge",
        unit: "",
        help: "How many processes it has.",
        suffix: "",
        value: |row| Some(row.usage.map_or(0, |usage| usage.processes).to_string()),
    },
];

/// The whole text, `# EOF` included.
pub fn text(rows: &[Row]) -> String {
    let mut text = String::new();
    for family in &FAMILIES {
        let Family { name, kind, unit, help, suffix, value } = family;
        let _ = writeln!(text, "# TYPE {name} {kind}");
        if !unit.is_empty() {
            let _ = writeln!(text, "# UNIT {name} {unit}");
        }
        let _ = writeln!(text, "# HELP {name} {help}");
        for row in rows {
            if let Some(value) = value(row) {
                let _ = writeln!(text, "{name}{suffix}{{{}}} {value}", labels(row));
            }
        }
    }
    text.push_str("# TYPE lar_state stateset\n# HELP lar_state What it does.\n");
    for row in rows {
        let now = row.text("state");
        for state in Phase::ALL.iter().map(|phase| phase.word()) {
            let value = u8::from(state == now);
            let _ = writeln!(text, "lar_state{{{},lar_state=\"{state}\"}} {value}", labels(row));
        }
    }
    text.push_str("# EOF\n");
    text
}

/// Names hold no sign that would have to be escaped.
fn labels(row: &Row) -> String {
    let instance = row.record.number("instance").unwrap_or(1);
    format!("service=\"{}\",instance=\"{instance}\"", row.service)
}

fn flag(row: &Row, key: &str) -> Option<String> {
    row.record.text(key).map(|value| u8::from(value == "yes").to_string())
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}
