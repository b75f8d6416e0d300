//! `lar daemon`: a daemon without a manager, against one that misbehaves in every known way, and against real ones.

#[path = "support/lar.rs"]
mod lar;
#[path = "support/misbehaving.rs"]
mod misbehaving;
#[path = "support/postgres.rs"]
mod postgres;
#[path = "daemon_command/real.rs"]
mod real;
#[path = "daemon_command/scene.rs"]
mod scene;
#[path = "daemon_command/starting.rs"]
mod starting;
#[path = "daemon_command/stopping.rs"]
mod stopping;
#[path = "daemon_command/together.rs"]
mod together;
