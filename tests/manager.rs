//! A manager of services from outside: the order of starts and stops, exit policies, and its end.

#[path = "support/lar.rs"]
mod lar;

use lar::Lar;

#[test]
fn a_service_runs_and_is_gone_after_the_end() {
    let mut lar = Lar::start("<service web>\n program sleep 1000\n</service>\n");
    lar.wait("web=running");
    let pid = lar.pid_of("web");
    assert!(lar.dir.processes().iter().any(|(process, _)| *process == pid));
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_crash_is_followed_by_another_process() {
    let mut lar = Lar::start("<service web>\n program sleep 1000\n</service>\n");
    lar.wait("web=running");
    lar.crash("web");
    assert_eq!(lar.shut_down(), 0);
}
