//! `attach`: both directions at once, on a terminal and in pipes.

use std::io::Write;
use std::process::{Child, Stdio};

use super::lar::{DEADLINE, LAR, Lar, Lines, Scratch, code, ended};
use super::pty::Session;
use super::{READER, piped};

/// A shell on a terminal, in which this is attached to.
fn attached(lar: &Lar, options: &str) -> Session {
    let mut terminal = Session::shell();
    let socket = lar.dir.at("s");
    terminal
        .type_line(&format!("{LAR} ctl -s {} attach {options}; echo left $?", socket.display()));
    terminal.until("attached to ");
    terminal
}

#[test]
fn on_a_terminal_lines_go_in_and_output_comes_out_until_ctrl_d_or_ctrl_c() {
    let lar = Lar::start(&format!("<service web>\n{READER}</service>\n"));
    lar.wait("web=running");
    for (keys, text) in [("\x04", "one"), ("\x03", "two")] {
        let mut terminal = attached(&lar, "web");
        // What was before is shown, too.
        terminal.until("ready");
        terminal.type_line(&format!("hello {text}"));
        terminal.until(&format!("1 got hello {text}"));
        terminal.press(keys);
        terminal.until("detached; web runs on");
        terminal.until("left 0");
    }
    assert!(lar.ask("status web").expect(0).out.contains("running"));
}

#[test]
fn ctrl_c_leaves_also_when_it_throws_away_what_was_typed() {
    let lar = Lar::start(&format!("<service web>\n{READER}</service>\n"));
    lar.wait("web=running");
    let mut terminal = attached(&lar, "web");
    for _ in 0..20 {
        terminal.press("a line\n\x03");
        terminal.until("left 0");
        terminal.type_line(&format!(
            "{LAR} ctl -s {} attach web; echo left $?",
            lar.dir.at("s").display()
        ));
        terminal.until("attached to ");
    }
}

#[test]
fn with_close_ctrl_d_is_the_end_of_the_programs_input() {
    let lar = Lar::start(
        "<service web>\nprogram sh -c 'cat; echo all'\nstdin pipe\nrestart never\n</service>\n\
                          <service other>\nprogram sleep 1000\n</service>\n",
    );
    lar.wait("web=running");
    let mut terminal = attached(&lar, "--close web");
    terminal.press("some text\n\x04");
    terminal.until("some text");
    terminal.until("all");
    terminal.until("left 0");
    lar.wait("web=exited");
}

#[test]
fn what_is_shown_is_the_programs_own_bytes_also_before_a_newline() {
    let lar = Lar::start(
        "<service ask>\nprogram sh -c 'printf \"name? \"; read name; printf \"hello %%s! \" $name; read more'\n\
         stdin pipe\n</service>\n",
    );
    lar.wait("ask=running");
    let mut terminal = attached(&lar, "ask");
    terminal.until("name? ");
    terminal.type_line("lar");
    terminal.until("hello lar! ");
}

#[test]
fn in_pipes_it_is_a_conversation_that_ends_with_the_program() {
    let dir = Scratch::new();
    dir.script(
        "calc.py",
        "#!/usr/bin/env python3\nimport sys\nfor line in sys.stdin: print(int(line) * 2, flush=True)\n",
    );
    let config = "<service calc>\nprogram {dir}/calc.py\nstdin pipe\nrestart never\n</service>\n";
    let mut lar = Lar::run_in(dir, "", config, |_| {});
    lar.wait("calc=running");
    let done = piped(&lar, "attach --close calc", b"21\n100\n").expect(0);
    assert_eq!(done.out, "42\n200");
    assert_eq!(lar.end(), 0);
}

/// A client that is attached to `web` by pipes.
fn by_pipes(lar: &Lar) -> Child {
    let mut attach = lar.client(&["attach", "web"]);
    attach.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    attach.spawn().unwrap()
}

#[test]
fn the_end_of_what_is_piped_is_not_the_clients_leaving() {
    let lar = Lar::start(&format!("<service web>\n{READER}</service>\n"));
    lar.wait("web=running");
    let mut attach = by_pipes(&lar);
    let mut shown = Lines::of(attach.stdout.take().unwrap());
    let mut stdin = attach.stdin.take().unwrap();
    stdin.write_all(b"from a pipe\n").unwrap();
    drop(stdin);
    shown.until("1 got from a pipe");
    lar.ask("send web from elsewhere").expect(0);
    shown.until("1 got from elsewhere");
    // Once it has nothing more to say, the process's end is its own.
    lar.ask("stop web").expect(0);
    assert_eq!(code(ended(&mut attach, DEADLINE).expect("it ends")), 0);
}

#[test]
fn whoever_can_still_type_stays_over_a_restart() {
    let lar = Lar::start(&format!("<service web>\n{READER}</service>\n"));
    lar.wait("web=running");
    let mut attach = by_pipes(&lar);
    let mut shown = Lines::of(attach.stdout.take().unwrap());
    let mut told = Lines::of(attach.stderr.take().unwrap());
    let mut stdin = attach.stdin.take().unwrap();
    stdin.write_all(b"one\n").unwrap();
    shown.until("1 got one");
    lar.ask("stop web").expect(0);
    told.until("web: stopping -> stopped");
    stdin.write_all(b"nobody hears this\n").unwrap();
    told.until("18 bytes are dropped");
    lar.ask("start web").expect(0);
    told.until("web: starting -> running");
    stdin.write_all(b"two\n").unwrap();
    shown.until("1 got two");
    assert!(!shown.seen.iter().any(|line| line.contains("nobody")), "{:?}", shown.seen);
    lar.ask("remove web").expect(0);
    assert_eq!(code(ended(&mut attach, DEADLINE).expect("it ends")), 1);
    told.until("it was removed");
}

#[test]
fn who_reads_too_slowly_misses_some_and_is_told_how_much() {
    let lar = Lar::start(
        "<service loud>\nprogram sh -c 'read go; yes 0123456789 | head -c 2000000; echo the end; read more'\n\
         stdin pipe\nring 4K\ntranscript none\n</service>\n",
    );
    lar.wait("loud=running");
    // Nobody reads what the client shows until all is written.
    let mut stream = lar.connect();
    stream.write_all(b"lar1 attach loud\ngo\n").unwrap();
    let mut logs = lar.watch("logs -f loud");
    logs.until("the end");
    let mut lines = Lines::of(stream.try_clone().unwrap());
    let lost = lines.until("lost_bytes=");
    assert!(lost.starts_with("name=loud lost_bytes="), "{lost}");
    lines.until("the end");
}
