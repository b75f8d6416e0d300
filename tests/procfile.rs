//! `lar run -f Procfile` and `lar config --from-procfile`, in front of real shells.

#[path = "support/lar.rs"]
mod lar;
#[path = "support/pty.rs"]
mod pty;

use std::process::Command;

use lar::{LAR, Lar, Scratch, answer};
use pty::Session;

/// A directory with a Procfile and an .env.
fn app() -> Scratch {
    let dir = Scratch::new();
    dir.write(
        "Procfile",
        "# both say where they are\n\
         web: echo \"web $PORT $COLOUR $LAR_INSTANCE $(pwd)\"; exec sleep 1000\n\
         this is no line of it\n\
         worker: sh -c 'echo \"worker $PORT $SHAPE\"; exec sleep 1000'\n",
    );
    dir.write(".env", "# the app's\nCOLOUR=\"dark red\"\nexport SHAPE=round\n");
    dir.write("more.env", "SHAPE=square\nPORT=6000\n");
    dir
}

fn run(dir: Scratch, words: &[&str]) -> Lar {
    let mut command = Command::new(LAR);
    command.args(["run", "-s", "s"]).args(words).current_dir(&dir.path);
    Lar::spawn(dir, command)
}

/// The first `count` lines of standard output that hold this, sorted.
fn heard(lar: &mut Lar, count: usize) -> Vec<String> {
    let mut lines: Vec<String> = (0..count).map(|_| lar.out.next().unwrap()).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn each_program_finds_its_port_its_variables_and_its_place() {
    let dir = app();
    let root = dir.path.canonicalize().unwrap();
    let mut lar = run(dir, &["-f", "Procfile", "-c", "web=2", "-e", "more.env"]);
    lar.err.until("Procfile:3: passed over, not NAME: COMMAND: this is no line of it");
    let root = root.display();
    assert_eq!(
        heard(&mut lar, 3),
        [
            format!("[web@1] web 6000 dark red 1 {root}"),
            format!("[web@2] web 6001 dark red 2 {root}"),
            "[worker] worker 6100 square".to_string(),
        ]
    );
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn some_of_it_elsewhere_and_in_a_group() {
    let dir = app();
    let file = dir.at("Procfile");
    let elsewhere = Scratch::new();
    let words = ["-f", file.to_str().unwrap(), "-p", "7000", "--app", "shop", "worker"];
    let mut lar = run(elsewhere, &words);
    assert_eq!(heard(&mut lar, 1), ["[shop:worker] worker 7100 round"]);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn the_file_that_is_written_does_the_same() {
    let dir = app();
    let mut config = Command::new(LAR);
    config.args(["config", "--from-procfile", "Procfile", "-s", "s"]).current_dir(&dir.path);
    let written = answer(&mut config).expect(0);
    dir.write("app.conf", &written.out);
    let mut command = Command::new(LAR);
    command.args(["-C", "app.conf"]).current_dir(&dir.path);
    let mut lar = Lar::spawn(dir, command);
    let lines = heard(&mut lar, 2);
    assert!(lines[0].starts_with("[web] web 5000 dark red 1 "), "{lines:?}");
    assert_eq!(lines[1], "[worker] worker 5100 round");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_program_can_be_sent_something_if_that_is_asked_for() {
    let way = |dir: &Scratch, words: &[&str]| {
        let mut command = Command::new(LAR);
        command.args(words).current_dir(&dir.path);
        let written = answer(&mut command).expect(0).out;
        written.contains("  stdin pipe\n")
    };
    let dir = app();
    let config = ["config", "--from-procfile", "Procfile"];
    assert!(!way(&dir, &config));
    assert!(way(&dir, &["config", "--from-procfile", "Procfile", "-i"]));
    let environment = dir.read(".env");
    for (value, yes) in [("true", true), ("1", true), ("no", false), ("0", false)] {
        dir.write(".env", &format!("{environment}\nGAFFER_REDIRECT_INPUT={value}\n"));
        assert_eq!(way(&dir, &config), yes, "{value}");
    }
    let mut lar = run(dir, &["-i", "echo: cat"]);
    lar.err.until("echo: starting -> running");
    lar.ask("send echo is sent").expect(0);
    lar.out.until("[echo] is sent");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn on_a_terminal_each_has_a_colour() {
    let dir = app();
    let shown = |variable: &str| {
        let mut command = Command::new("env");
        let place = dir.path.to_str().unwrap();
        command.args(["-C", place, variable, LAR, "run", "-s", "t", "-f", "Procfile"]);
        let mut session = Session::start(&command);
        let mut shown = session.until("worker 5100 round\r\n");
        if !shown.contains("web 5000") {
            shown += &session.until("web 5000");
        }
        session.press("\x03");
        session.end();
        shown
    };
    let coloured = shown("A=1");
    assert!(coloured.contains("\x1b[36m[web]\x1b[0m "), "{coloured:?}");
    assert!(coloured.contains("\x1b[33m[worker]\x1b[0m "), "{coloured:?}");
    let plain = shown("NO_COLOR=1");
    assert!(plain.contains("[web] ") && !plain.contains("\x1b[36m"), "{plain:?}");
}

#[test]
fn mistakes_are_told_in_a_procfiles_words() {
    let dir = app();
    dir.write("empty", "nothing here\n");
    let cases: [(&[&str], &str); 9] = [
        (&["run", "-f", "Procfile", "-p", "many"], "--port many: not a port"),
        (&["run", "-f", "Procfile", "-p", "65500"], "the port of 'worker' would be 65600"),
        (&["run", "-f", "Profile"], "Profile: "),
        (&["run", "-f", "empty"], "empty: there is no program to run"),
        (&["run", "-f", "Procfile", "wroker"], "did you mean 'worker'?"),
        (&["run", "-f", "Procfile", "-c", "web"], "'web' is not NAME=NUMBER"),
        (&["run", "-f", "Procfile", "-e", "no.env"], "no.env: "),
        (&["run", "-c", "web=2", "web: true"], "are for a Procfile"),
        (&["config", "Procfile"], "lar config --from-procfile"),
    ];
    for (words, text) in cases {
        let answer = answer(Command::new(LAR).args(words).current_dir(&dir.path)).expect(2);
        assert!(answer.err.contains(text), "{words:?}: {}", answer.err);
    }
}
