//! What they write and what they read: rows 43 to 49.

use super::lar::{LAR, Lar, Scratch};
use super::pty::Session;

/// Row 43.
#[test]
fn it_has_its_own_fds_and_no_others() {
    let dir = Scratch::new();
    let config = "<service web>\nprogram sleep 1000\n</service>\n";
    // lar itself is given some more.
    let lar = Lar::run_in(dir, "", config, |command| {
        let program = command.get_program().to_owned();
        let words: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        *command = std::process::Command::new("bash");
        command
            .args(["-c", "exec 7</etc/passwd 9>/dev/null; exec \"$0\" \"$@\""])
            .arg(program)
            .args(words);
    });
    lar.wait("web=running");
    let fds = format!("/proc/{}/fd", lar.pid_of("web"));
    let mut numbers: Vec<String> = std::fs::read_dir(&fds)
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    numbers.sort();
    assert_eq!(numbers, ["0", "1", "2"]);
    assert_eq!(std::fs::read_link(fds + "/0").unwrap().to_str(), Some("/dev/null"));
}

/// Row 44.
#[test]
fn lines_are_told_apart_by_name_whatever_their_length() {
    let mut lar = Lar::with(
        "exit-policy never",
        "<defaults>\nrestart never\n</defaults>\n\
         <service shop:web>\ninstances 2\nprogram sh -c 'echo out of %i; printf \"no newline of %i\"'\n</service>\n\
         <service long>\nprogram sh -c 'head -c 100000 /dev/zero | tr \"\\\\0\" x; echo; echo after'\n</service>\n\
         <service log>\nprogram sh -c 'echo one; echo two >&2'\nformat json\ntranscript {dir}/log\nstderr {dir}/log\n\
         </service>\n",
    );
    lar.wait("shop:web=exited long=exited log=exited");
    for line in [
        "[shop:web@1] out of 1",
        "[shop:web@2] out of 2",
        "[shop:web@1] no newline of 1",
        "[long] after",
    ] {
        if !lar.out.now().iter().any(|seen| seen == line) {
            lar.out.until(line);
        }
    }
    let long: usize = lar.out.seen.iter().map(|line| line.matches('x').count()).sum();
    assert_eq!(long, 100_000, "a long line is split, and nothing of it dropped");
    let json = lar.dir.read("log");
    assert!(
        json.contains("\"stream\":\"stdout\"") && json.contains("\"stream\":\"stderr\""),
        "{json}"
    );
}

/// Row 45.
#[test]
fn standard_error_goes_along_or_apart() {
    let say = "program sh -c 'echo out; echo err >&2'\nrestart never\nprefix no\n";
    let lar = Lar::with(
        "exit-policy never",
        &format!(
            "<service merged>\n{say}transcript {{dir}}/merged\n</service>\n\
             <service apart>\n{say}transcript {{dir}}/out\nstderr {{dir}}/err\n</service>\n\
             <service half>\n{say}transcript none\nstderr {{dir}}/half\n</service>\n"
        ),
    );
    lar.wait("merged=exited apart=exited half=exited");
    assert_eq!(lar.dir.read("merged"), "out\nerr\n");
    assert_eq!((lar.dir.read("out"), lar.dir.read("err")), ("out\n".into(), "err\n".into()));
    assert_eq!(lar.dir.read("half"), "err\n");
}

/// Row 46.
#[test]
fn output_can_be_followed() {
    let lar = Lar::start(
        "<service web>\nprogram sh -c 'echo before; read x <{dir}/gate; echo after'\n</service>\n\
         <service sleeps>\nprogram sleep 1000\n</service>\n"
            .replace("<service web>", "<service web>\nhealthy-after 0s")
            .as_str(),
    );
    nix::unistd::mkfifo(&lar.dir.at("gate"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut logs = lar.watch("logs -f web");
    logs.until("before");
    lar.ask("restart web").expect(0);
    logs.until("before");
    std::fs::write(lar.dir.at("gate"), "go\n").unwrap();
    logs.until("after");
    let last = lar.ask("logs -n 1 web").expect(0).out;
    assert_eq!(last.lines().count(), 1);
}

/// Rows 47 and 48.
#[test]
fn its_input_and_its_streams_can_be_written_to() {
    let mut lar = Lar::start(
        "<service in>\nprogram sh -c 'while read line; do echo heard $line; done'\nstdin pipe\n</service>\n\
         <service two>\nprogram bash -c 'while read -u $LAR_STREAM_CTRL line; do \
         echo re: $line >&$LAR_STREAM_CTRL; done'\n\
         streams ctrl\n</service>\n",
    );
    lar.wait("in=running two=running");
    lar.ask("send in hello").expect(0);
    lar.out.until("heard hello");
    lar.ask("send --stream ctrl two ping").expect(0);
    lar.watch("logs -f --stream ctrl two").until("re: ping");
    lar.ask("send two x").expect(1);
    lar.ask("send --stream none two x").expect(1);
    lar.ask("send nobody x").expect(5);
}

/// Row 49.
#[test]
fn one_can_attach_to_it() {
    let lar = Lar::start(
        "<service echo>\nprogram sh -c 'while read line; do echo heard $line; done'\nstdin pipe\n</service>\n",
    );
    lar.wait("echo=running");
    let mut terminal = Session::shell();
    terminal.type_line(&format!(
        "{LAR} ctl -s {} attach echo; echo left $?",
        lar.dir.at("s").display()
    ));
    terminal.until("attached to echo");
    terminal.type_line("me");
    terminal.until("heard me");
    terminal.press("\x04");
    terminal.until("left 0");
    lar.ask("status echo").expect(0);
}
