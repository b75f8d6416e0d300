//! The number of instances in the text of a file: the one line that says it is changed, or made; nothing else.

/// The text with `instances COUNT` in the section of the service `name`; `None` if that is not there.
pub(super) fn with(text: &str, name: &str, count: u32) -> Option<String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let head = lines.iter().position(|line| begins(line, name))?;
    let mut depth = 0;
    for (at, line) in lines.iter().enumerate().skip(head + 1) {
        let words = line.trim();
        match words {
            _ if words.starts_with("</") && depth == 0 => {
                let key = indented(lines.get(head + 1).copied(), line);
                return Some(spliced(&lines, head + 1, head + 1, &key, count));
            }
            _ if words.starts_with("</") => depth -= 1,
            _ if words.starts_with('<') && !words.ends_with("/>") => depth += 1,
            _ if depth == 0 && says(words) => {
                return Some(spliced(&lines, at, at + 1, &indented(Some(line), line), count));
            }
            _ => {}
        }
    }
    None
}

/// Whether this line is `<service NAME>`.
fn begins(line: &str, name: &str) -> bool {
    let inner = line.trim().strip_prefix('<').and_then(|line| line.strip_suffix('>'));
    let Some((kind, called)) = inner.and_then(|inner| inner.split_once(char::is_whitespace)) else {
        return false;
    };
    kind.eq_ignore_ascii_case("service") && called.trim().eq_ignore_ascii_case(name)
}

fn says(words: &str) -> bool {
    let key = words.split_whitespace().next();
    key.is_some_and(|key| key.eq_ignore_ascii_case("instances"))
}

/// What stands before the first word of a line; two blanks if there is none, or it ends the section.
fn indented(line: Option<&str>, last: &str) -> String {
    let line = line.filter(|line| !line.trim().starts_with("</") && !line.trim().is_empty());
    let blanks = |line: &str| line[..line.len() - line.trim_start().len()].to_owned();
    line.map_or_else(|| blanks(last) + "  ", blanks)
}

fn spliced(lines: &[&str], from: usize, to: usize, indent: &str, count: u32) -> String {
    let (before, after) = (&lines[..from], &lines[to..]);
    let end = if before.iter().any(|line| line.ends_with("\r\n")) { "\r\n" } else { "\n" };
    format!("{}{indent}instances {count}{end}{}", before.concat(), after.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_changed_or_made_and_nothing_else() {
        let text = "# two\n<service a>\n program x\n</service>\n<Service  Web >\n\tprogram y\n\t<environment>\n\t\t\
                    instances 9\n\t</environment>\n\tINSTANCES   2\n</service>\n";
        let changed = text.replace("INSTANCES   2", "instances 5");
        assert_eq!(with(text, "web", 5).as_deref(), Some(&*changed));
        let made = text.replace(" program x", " instances 3\n program x");
        assert_eq!(with(text, "a", 3).as_deref(), Some(&*made));
        assert_eq!(with(text, "b", 3), None);
        let empty = "<service e>\r\n</service>";
        assert_eq!(
            with(empty, "e", 1).as_deref(),
            Some("<service e>\r\n  instances 1\r\n</service>")
        );
        assert_eq!(with("<service e>\n", "e", 1), None);
    }
}
