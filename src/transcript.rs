//! What happens to a service's output on its way: pure, bytes in and bytes out. The pipes and files are in
//! `output`.

pub mod ring;
