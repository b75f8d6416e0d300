//! sys
pub mod users;
