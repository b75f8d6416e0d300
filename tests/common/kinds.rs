//! What a change says of its own kinds.

use lar::plan::{EventKind, Kinds};
use lar::supervisor::{Change, Event, Found};

/// Looks at the kinds of a change that `event` has led to. Edits are told as `Tick`.
pub fn audit(change: &Change, event: Event, label: &str) {
    let Change { from, to, kinds, parting, .. } = *change;
    let exited = kinds.has(EventKind::Exited);
    assert_eq!(exited, parting.is_some(), "{label}: {kinds}");
    let gone = matches!(event, Event::Found { what: Found::Gone(..), .. });
    let ends = gone || matches!(event, Event::Exited { .. } | Event::ExecFailed { .. });
    assert!(ends || !exited, "{label}: {kinds}");
    let begins = matches!(event, Event::Spawned { .. });
    assert!(begins || !kinds.has(EventKind::Spawned), "{label}: {kinds}");
    assert!(kinds != Kinds::NONE, "{label}: {from:?} -> {to:?} is of no kind");
}
