//! `type forking` under a real manager: a daemon that misbehaves in every known way, and those that are found, waited
//! for, looked after and ended all the same.

#[path = "support/lar.rs"]
mod lar;
#[path = "support/misbehaving.rs"]
mod misbehaving;
#[path = "support/postgres.rs"]
mod postgres;

#[path = "forking/failing.rs"]
mod failing;
#[path = "forking/life.rs"]
mod life;
#[path = "forking/pid_files.rs"]
mod pid_files;
#[path = "forking/real.rs"]
mod real;
#[path = "forking/scene.rs"]
mod scene;
#[path = "forking/silence.rs"]
mod silence;
#[path = "forking/starting.rs"]
mod starting;
