//! sys

pub mod pipe;
