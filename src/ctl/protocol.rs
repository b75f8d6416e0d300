//! The language of the control socket. Pure: text in, text out.
//!
//! A request is [`GREETING`] and one line of shell-like words ([`words`], [`request`]), at most
//! [`MAX_REQUEST`] bytes. Its reply is any number of records, one a line ([`record`]), and then a
//! last line, `ok` or `error code=WORD message="…"` ([`reply`]). Requests on one connection are
//! answered in order. So a person with `socat` is a client, and the manager holds no parser beyond
//! words. The manager of a `<runner>` understands zdaemon's own commands besides ([`zdaemon`]).

pub mod command;
pub mod record;
pub mod reply;
pub mod request;
pub mod words;
pub mod zdaemon;

/// How every request starts. The number changes when an old client could misunderstand a new
/// manager; a manager answers what it does not know with an error record, which every client can
/// show.
pub const GREETING: &str = "lar1 ";

/// The longest request in bytes, its newline included. It bounds what one client can make the
/// manager hold (32 times this, for all). A request names services: 64 KiB are 500 of the longest
/// names.
pub const MAX_REQUEST: usize = 64 * 1024;
