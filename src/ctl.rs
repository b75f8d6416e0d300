//! The control socket: how operators talk with a running manager.
//!
//! [`protocol`] is the language, pure; [`server`] speaks it inside the manager's loop, [`client`] outside of
//! it. What people type and see is not here but in `cli::ctl`.

pub mod client;
pub mod place;
pub mod protocol;
pub mod server;
