//! lar's own environment, copied once and pointed into by every image that inherits it.
//!
//! A service that inherits fifty variables thus costs fifty pointers, not fifty strings.

use std::ffi::{OsString, c_char};
use std::os::unix::ffi::OsStrExt;

/// Variables that can be inherited.
pub struct Environment {
    /// `NAME=value` and a zero byte each. Never changed, so pointers into it stay good.
    bytes: Vec<u8>,
    /// Where each starts.
    starts: Vec<u32>,
}

impl Environment {
    /// That of this process.
    pub fn own() -> Environment {
        Environment::new(std::env::vars_os())
    }

    /// These variables, for tests.
    pub fn new(variables: impl Iterator<Item = (OsString, OsString)>) -> Environment {
        let mut environment = Environment { bytes: Vec::new(), starts: Vec::new() };
        for (name, value) in variables {
            let Ok(start) = u32::try_from(environment.bytes.len()) else { break };
            environment.starts.push(start);
            for part in [name.as_bytes(), b"=", value.as_bytes(), b"\0"] {
                environment.bytes.extend_from_slice(part);
            }
        }
        environment
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.iter().find(|variable| variable.name == name.as_bytes())?;
        Some(found.value)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = Variable<'_>> {
        self.starts.iter().filter_map(|&start| {
            let rest = self.bytes.get(start as usize..)?;
            let line = rest.split(|&byte| byte == 0).next()?;
            let equals = line.iter().skip(1).position(|&byte| byte == b'=')? + 1;
            let (name, value) = (line.get(..equals)?, line.get(equals + 1..)?);
            Some(Variable { name, value, pointer: rest.as_ptr().cast() })
        })
    }
}

/// One variable, and where it stands as a C string `NAME=value`.
pub(super) struct Variable<'a> {
    pub name: &'a [u8],
    pub value: &'a [u8],
    pub pointer: *const c_char,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_by_their_whole_name() {
        let pairs = [("PATH", "/bin"), ("PAT", "x=y"), ("EMPTY", "")];
        let environment = Environment::new(pairs.map(|(k, v)| (k.into(), v.into())).into_iter());
        assert_eq!(environment.get("PATH"), Some(&b"/bin"[..]));
        assert_eq!(environment.get("PAT"), Some(&b"x=y"[..]));
        assert_eq!(environment.get("EMPTY"), Some(&b""[..]));
        assert_eq!(environment.get("PA"), None);
    }
}
