//! cli
pub mod ctl;
