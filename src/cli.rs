//! cli
pub mod check;
pub mod help;
pub mod machine;
