//! Changes to lar's own environment, which its children inherit.

/// Sets a variable. A name with a `=` or a zero byte, or a value with a zero byte, can't be one, and is left out.
pub fn set(name: &str, value: &str) {
    if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
        return;
    }
    // SAFETY: nobody may read the environment meanwhile, and lar has one thread.
    unsafe { std::env::set_var(name, value) }
}

/// Takes a variable out; what it was.
pub fn take(name: &str) -> Option<std::ffi::OsString> {
    let value = std::env::var_os(name)?;
    // SAFETY: as above.
    unsafe { std::env::remove_var(name) }
    Some(value)
}
