//! What services may be called.

use super::value::Wrong;

/// The longest name; a label with its instance number still fits a line of `ctl status`.
const LONGEST: usize = 63;

/// Names that mean something else to `lar ctl`.
const RESERVED: [&str; 2] = ["all", "lar"];

/// `[A-Za-z0-9_.-]{1,63}`, with at most one `:` in it that parts a group from a member.
pub(super) fn check(name: &str) -> Result<(), Wrong> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ':');
    if let Some((at, bad)) = name.char_indices().find(|(_, c)| !allowed(*c)) {
        let wrong = Wrong::new(format!("a name can't hold `{bad}`"));
        let wrong = wrong.hint("letters, digits, `_`, `.`, `-`, and one `:` after a group's name");
        return Err(wrong.at(at));
    }
    let (group, member) = name.split_once(':').unwrap_or(("group", name));
    if group.is_empty() || member.is_empty() || member.contains(':') {
        let wrong = Wrong::new(format!("`{name}` is not a name"));
        return Err(
            wrong.hint("as in `web`, or `shop:web` for the member `web` of the group `shop`")
        );
    }
    if name.len() > LONGEST {
        return Err(Wrong::new(format!("a name has at most {LONGEST} letters")));
    }
    match RESERVED.iter().find(|word| word.eq_ignore_ascii_case(name)) {
        Some(word) => Err(Wrong::new(format!("`{word}` means something else to `lar ctl`"))),
        None => Ok(()),
    }
}
