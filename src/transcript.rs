//! What happens to a service's output on its way: pure, bytes in and bytes out. The pipes and files
//! are in `output`.

pub mod frame;
pub mod ring;
pub mod scan;
pub mod time;

pub use frame::{Frame, Framer, Page, Style};
pub use ring::Ring;
pub use time::{Stamp, Wall};
