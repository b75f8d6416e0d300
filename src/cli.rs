//! cli

/// The program.
pub fn main() -> u8 {
    0
}
