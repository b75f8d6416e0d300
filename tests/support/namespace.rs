//! A pid namespace, for the tests in which lar is PID 1 or elsewhere.

use std::process::Command;
use std::sync::OnceLock;

use crate::lar;

/// The words that make one here, with its own /proc; `None` (and said so) if that can't be done.
pub fn namespace() -> Option<&'static [String]> {
    static WORDS: OnceLock<Option<Vec<String>>> = OnceLock::new();
    let words = WORDS.get_or_init(|| {
        let user = if lar::root() { "--mount" } else { "-Ur" };
        let words = ["unshare", user, "--pid", "--fork", "--mount-proc", "--kill-child"];
        let works = Command::new(words[0]).args(&words[1..]).arg("true").output();
        works.is_ok_and(|output| output.status.success()).then(|| words.map(str::to_owned).to_vec())
    });
    if words.is_none() {
        lar::skip("no pid namespaces");
    }
    words.as_deref()
}
