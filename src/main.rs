//! The binary: a C `main` (`sys::entry` says why) that calls [`lar::cli::main`].
#![no_main]

lar::c_main!(lar::cli::main);
