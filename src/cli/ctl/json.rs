//! Records as JSON. Every key of a kind of record is always there, `null` if it has no value;
//! numbers and yes/no become numbers and booleans, lists of names become arrays.

use std::fmt::Write;

use crate::ctl::protocol::record::Fields;

/// Keys whose values stay text, even if they look like a number.
const TEXT: &[&str] = &[
    "name",
    "group",
    "text",
    "data",
    "error",
    "line",
    "cause",
    "doing",
    "last_exit",
    "version",
    "level",
    "config",
];

const LISTS: &[&str] = &["event", "requires", "wants", "after", "restart_with"];

/// One record as an object: `keys` first, then whatever else a newer manager has sent.
pub fn object(record: &Fields, keys: &[&str]) -> String {
    let mut out = String::from("{");
    let others = record.iter().map(|(key, _)| key).filter(|key| !keys.contains(key));
    for key in keys.iter().copied().chain(others) {
        if out.len() > 1 {
            out.push(',');
        }
        string(&mut out, key);
        out.push(':');
        value(&mut out, key, record.bytes(key));
    }
    let lossy = record.iter().any(|(_, value)| std::str::from_utf8(value).is_err());
    out.push_str(if lossy { ",\"lossy\":true}" } else { "}" });
    out
}

/// `"error":{…}`.
pub fn error(code: &str, message: &str) -> String {
    let mut out = String::from("\"error\":{\"code\":");
    string(&mut out, code);
    out.push_str(",\"message\":");
    string(&mut out, message);
    out.push('}');
    out
}

fn value(out: &mut String, key: &str, value: Option<&[u8]>) {
    let text = value.map(String::from_utf8_lossy);
    if LISTS.contains(&key) {
        out.push('[');
        for (at, name) in text
            .as_deref()
            .unwrap_or("")
            .split([' ', ','])
            .filter(|name| !name.is_empty())
            .enumerate()
        {
            out.push_str(if at == 0 { "" } else { "," });
            string(out, name);
        }
        return out.push(']');
    }
    match text.as_deref() {
        None => out.push_str("null"),
        Some(text) if TEXT.contains(&key) => string(out, text),
        Some("yes") => out.push_str("true"),
        Some("no") => out.push_str("false"),
        Some(text) => match text.parse::<u64>() {
            Ok(number) => {
                let _ = write!(out, "{number}");
            }
            Err(_) => string(out, text),
        },
    }
}

pub fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_there_and_has_its_type() {
        let line = r#"name=7 pid=12 up=yes cause="a \"b\"\n\x1b" new=x"#;
        let record = Fields::parse(line).unwrap();
        let json = object(&record, &["name", "pid", "up", "next_ms", "requires", "cause"]);
        let wanted = r#"{"name":"7","pid":12,"up":true,"next_ms":null,"requires":[],"#.to_owned()
            + r#""cause":"a \"b\"\n\u001b","new":"x"}"#;
        assert_eq!(json, wanted);
        let bytes = Fields::parse(r#"text="\xff""#).unwrap();
        assert_eq!(object(&bytes, &["text"]), "{\"text\":\"\u{fffd}\",\"lossy\":true}");
    }
}
