//! Where the manager's log goes besides to files, and what becomes of it when that fails.

use std::os::unix::net::UnixDatagram;

use super::background::start;
use super::*;

/// A manager in the background with these handlers; all is in its directory.
#[track_caller]
fn logging(dir: Scratch, handlers: &str) -> Lar {
    dir.write(
        "zdaemon.conf",
        &format!(
            "<runner>\n program sleep 100\n socket-name {{dir}}/s\n transcript {{dir}}/log\n</runner>\n\
             <eventlog>\n{handlers}\n</eventlog>\n"
        ),
    );
    start(dir, ".", &["-C", "zdaemon.conf", "sleep", "100"])
}

/// Stops the program, and waits for the end of the manager.
#[track_caller]
fn stop(lar: &Lar) {
    lar.wait("main=running");
    assert_eq!(lar.raw(b"stop\n"), "Sent SIGTERM\n");
    zdrun::gone(&lar.dir);
}

#[test]
fn a_syslog_hears_of_a_whole_life() {
    let dir = Scratch::new();
    let syslog = UnixDatagram::bind(dir.at("syslog")).unwrap();
    syslog.set_read_timeout(Some(lar::DEADLINE)).unwrap();
    let lar = logging(dir, "<syslog>\n facility daemon\n address {dir}/syslog\n</syslog>");
    stop(&lar);
    let next = || {
        let mut bytes = [0; 1000];
        let length = syslog.recv(&mut bytes).expect("a datagram in time");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    assert_eq!(next(), "<30>root daemonizing the process\0");
    assert_eq!(next(), "<30>root daemon manager started\0");
    assert!(next().starts_with("<30>root spawned process pid="));
    assert!(next().ends_with(": terminated by SIGTERM\0"));
    assert_eq!(next(), "<30>root Exiting\0");
}

#[test]
fn standard_error_is_the_transcript_in_the_background() {
    let handlers =
        "<logfile>\n path STDERR\n style format\n format {levelname}: {message}\n</logfile>";
    let lar = logging(Scratch::new(), handlers);
    stop(&lar);
    let text = lar.dir.read("log");
    assert!(text.starts_with("INFO: daemonizing the process\n"), "{text}");
    assert!(text.ends_with("\nINFO: Exiting\n"), "{text}");
}

#[test]
fn what_fails_is_told_on_the_terminal_and_stops_nobody() {
    let handlers = "<logfile>\n path /dev/full\n</logfile>\n<logfile>\n path {dir}/none/such\n</logfile>\n\
                    <syslog>\n address {dir}/nobody\n</syslog>";
    let mut lar = logging(Scratch::new(), handlers);
    stop(&lar);
    let said = lar.err.rest().join("\n");
    let dir = lar.dir.path.display();
    for line in [
        format!("lar: event log {dir}/none/such: can't be opened: No such file or directory; going on without it"),
        format!("lar: event log {dir}/nobody: can't be opened: No such file or directory; going on without it"),
        "lar: event log /dev/full: No space left on device; lines are lost until one can be written".into(),
    ] {
        assert_eq!(said.matches(&line).count(), 1, "{line}\n{said}");
    }
}

#[test]
fn handlers_that_do_nothing_are_told_of_in_the_log_or_where_there_is_none_on_the_terminal() {
    let mail = "<email-notifier>\n from a\n to b\n</email-notifier>";
    let mut lar = logging(Scratch::new(), mail);
    stop(&lar);
    let warning = "`<email-notifier>` does nothing: lar sends no mail";
    assert!(lar.err.rest().join("\n").contains(warning));
    let file = "<logfile>\n path {dir}/events\n max-size 1kb\n old-files 2\n</logfile>";
    let mut lar = logging(Scratch::new(), &format!("{mail}\n{file}"));
    stop(&lar);
    assert_eq!(lar.err.rest(), [""; 0]);
    assert!(lar.dir.read("events").contains(warning));
}
