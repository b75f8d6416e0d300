//! Paths on zdaemon's command line: `~`, and which directories must be there.

use std::path::Path;

use crate::python;
use crate::sys::users::Users;

/// `~` and `~user` as a shell has them; left alone if there is no such home.
pub(super) fn home(path: &str) -> String {
    let Some(rest) = path.strip_prefix('~') else { return path.to_owned() };
    let (name, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let own = std::env::var("HOME").ok().filter(|_| name.is_empty());
    let home = own.or_else(|| {
        let users = Users::load().ok()?;
        let entry = match name {
            "" => users.by_uid(nix::unistd::getuid().as_raw()),
            name => users.by_name(name),
        };
        entry.map(|entry| entry.account.home.clone())
    });
    match home {
        Some(home) => format!("{}{rest}", home.trim_end_matches('/')),
        None => path.to_owned(),
    }
}

/// The directory part as Python has it: nothing for a name without a slash.
pub(super) fn parent(path: &str) -> &str {
    let head = &path[..path.rfind('/').map_or(0, |at| at + 1)];
    match head.trim_end_matches('/') {
        "" => head,
        bare => bare,
    }
}

fn is_directory(path: &str) -> bool {
    Path::new(path).is_dir()
}

/// A directory that is there, or could be made where it is wanted.
pub(super) fn directory(typed: &str) -> Result<String, String> {
    let path = home(typed);
    match is_directory(&path) || is_directory(parent(&path)) {
        true => Ok(path),
        false => Err(format!("{typed} is not an existing directory")),
    }
}

/// A socket's path. The directory that it is in may still have to be made.
pub(super) fn socket(typed: &str) -> Result<String, String> {
    let path = home(typed);
    let above = parent(parent(&path));
    if above.is_empty() || is_directory(above) {
        return Ok(path);
    }
    Err(format!("The directory named as part of the path {typed} does not exist."))
}

/// From the root, without `.`, `..` and doubled slashes; nothing is looked up.
pub(super) fn absolute(path: &str) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let whole = format!(
        "{}/{path}",
        if path.starts_with('/') { "".into() } else { here.to_string_lossy() }
    );
    python::normal_path(&whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cut_where_python_cuts_it() {
        let cases =
            [("a", ""), ("a/b", "a"), ("/a", "/"), ("/a/b/", "/a/b"), ("//a", "//"), ("a//b", "a")];
        for (path, expected) in cases {
            assert_eq!(parent(path), expected, "{path}");
        }
    }

    #[test]
    fn an_absolute_path_has_no_detours() {
        assert_eq!(absolute("/a/./b//../c"), "/a/c");
        assert_eq!(absolute("/../.."), "/");
        assert!(absolute("x").ends_with("/x") && absolute("x").starts_with('/'));
    }

    #[test]
    fn what_must_be_there_is_looked_for() {
        assert_eq!(socket("/nowhere/run/x").unwrap_err().split(' ').next(), Some("The"));
        assert_eq!(socket("/nowhere/x"), Ok("/nowhere/x".into()));
        assert_eq!(socket("run/x"), Ok("run/x".into()));
        assert_eq!(directory("/nowhere"), Ok("/nowhere".into()));
        assert_eq!(directory("nowhere"), Err("nowhere is not an existing directory".into()));
        assert!(directory("/nowhere/x").is_err());
    }
}
