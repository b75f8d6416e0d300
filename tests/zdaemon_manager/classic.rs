//! The zdaemon of 2002.

use super::*;

fn classic(arguments: &[&str]) -> Command {
    let mut command = Command::new(LAR);
    command.args(["zdaemon", "--classic"]).args(arguments);
    command
}

#[test]
fn status_2_ends_it_and_0_does_not() {
    answer(&mut classic(&["-b", "1", "sh", "-c", "exit 2"])).expect(2);
    let answer = answer(&mut classic(&["-b", "1.5", "sh", "-c", "echo run; exit 0"])).expect(1);
    assert_eq!(
        (answer.out.as_str(), answer.err.as_str()),
        ("run\nrun\n", "restarting too often; quit\n")
    );
}

#[test]
fn its_limit_may_be_a_fraction() {
    let began = Instant::now();
    let answer = answer(&mut classic(&["-b1.5", "sh", "-c", "kill -9 $$"])).expect(1);
    // One second, and then two would be more than the limit.
    assert!(began.elapsed() >= Duration::from_secs(1), "{answer:?}");
    assert_eq!(answer.err, "restarting too often; quit\n");
}

#[test]
fn signals_stop_the_program_and_end_it_with_1() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let mut lar = Lar::spawn(Scratch::new(), classic(&["sh", "-c", "echo up; exec sleep 100"]));
        lar.out.until("up");
        lar.signal(signal);
        assert_eq!(lar.end(), 1);
        lar.nothing_left();
    }
}

#[test]
fn in_the_background_it_has_nothing_to_say() {
    let dir = Scratch::new();
    nix::unistd::mkfifo(&dir.at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let words = "x=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2); echo \"$x\" >fifo; exec sleep 100";
    let mut command = classic(&["-d", "sh", "-c", words]);
    command.current_dir(&dir.path);
    let mut lar = Lar::spawn(dir, command);
    assert_eq!(lar.end(), 0);
    let text = std::fs::read_to_string(lar.dir.at("fifo")).unwrap();
    assert_eq!(text, "/dev/null\n/dev/null\n/dev/null\n");
    assert_eq!(std::fs::read_dir(&lar.dir.path).unwrap().count(), 1, "no socket");
}

#[test]
fn its_mistakes_and_its_help() {
    let name = format!("{LAR} zdaemon");
    let said = answer(&mut classic(&[])).expect(2);
    assert_eq!(said.err, format!("Error: no program specified\nFor help, use {name} -h\n"));
    let said = answer(&mut classic(&["./none"])).expect(2);
    assert!(said.err.starts_with("Error: can't stat program './none'\n"), "{said:?}");
    let said = answer(&mut classic(&["-h"])).expect(0);
    assert!(said.out.starts_with(&format!("usage: {name} [-b SECONDS]")), "{said:?}");
}
