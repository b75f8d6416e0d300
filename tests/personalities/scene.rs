//! Where a row is played: a directory of its own, in which the program under test is called by its name.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::lar::{self, DEADLINE, LAR, Scratch, ended};
use crate::namespace::namespace;

/// Which of the two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    Tini,
    DumbInit,
}

impl Init {
    fn name(self) -> &'static str {
        match self {
            Init::Tini => "tini",
            Init::DumbInit => "dumb-init",
        }
    }
}

/// A row.
pub struct Row {
    /// What it shows.
    pub about: &'static str,
    /// What is done.
    pub act: Act,
    /// What is better (a number of the list in `personalities.rs`), and the outcome; `None`: the real program's.
    pub better: Option<(u8, &'static str)>,
}

/// What is done in a row.
pub enum Act {
    /// A bash script. `{init}` is the program under test, `{ns}` makes it the PID 1 of a namespace.
    Script(&'static str),
    /// Something on a terminal, and what is seen there.
    Keys(Keys),
}

/// Plays at a terminal; what is seen there, or `None` if what should be seen does not come.
pub type Keys = fn(&Scene) -> Option<String>;

/// A row in which lar does the same.
pub const fn same(about: &'static str, script: &'static str) -> Row {
    Row { about, act: Act::Script(script), better: None }
}

/// A row in which lar does better.
pub const fn better(
    number: u8,
    about: &'static str,
    script: &'static str,
    outcome: &'static str,
) -> Row {
    Row { about, act: Act::Script(script), better: Some((number, outcome)) }
}

/// How long the real program has for what it does not manage.
const SHORT: Duration = Duration::from_secs(3);

/// What an outcome is if there is none.
const NO_END: &str = "no end\n";

/// Plays all rows with both programs; without the real one, those in which lar is better with lar alone. All that fail
/// are told at once.
#[track_caller]
pub fn compare(init: Init, rows: &[Row]) {
    let real = lar::program(init.name());
    if real.is_none() {
        lar::skip(&format!("{} is not installed to be compared with", init.name()));
    }
    let failed: Vec<String> =
        rows.iter().filter_map(|row| mismatch(init, real.as_ref(), row)).collect();
    assert!(failed.is_empty(), "{} of {} rows:\n\n{}", failed.len(), rows.len(), failed.join("\n"));
}

/// What is wrong about a row.
fn mismatch(init: Init, real: Option<&PathBuf>, row: &Row) -> Option<String> {
    if real.is_none() && row.better.is_none() {
        return None;
    }
    let (name, about) = (init.name(), row.about);
    let ours = Scene::new(init, LAR.into(), DEADLINE).play(row);
    let patience = if row.better.is_some() { SHORT } else { DEADLINE };
    let theirs = real.map(|real| Scene::new(init, real.clone(), patience).play(row));
    match (row.better, theirs) {
        (None, Some(theirs)) if ours != theirs => {
            Some(format!("{about}:\n--- {name}\n{theirs}--- lar\n{ours}"))
        }
        (None, _) if ours == NO_END => Some(format!("{about}: neither comes to an end")),
        (Some((number, outcome)), _) if ours != outcome => {
            Some(format!("{about} ({number}):\n--- wanted\n{outcome}--- lar\n{ours}"))
        }
        (Some((number, _)), Some(theirs)) if ours == theirs => {
            Some(format!("{about} ({number}): {name} can do it, too"))
        }
        _ => None,
    }
}

/// A place with the program under test in it.
pub struct Scene {
    init: Init,
    /// Its directory.
    pub dir: Scratch,
    /// How long a row may take.
    pub patience: Duration,
}

/// What scripts begin with. `begin` starts a program in the background and waits for its first word; `hear` shows
/// another one, `tell` sends the init a signal, `finish` shows its exit code.
const PRELUDE: &str = r#"ulimit -c 0
begin() { mkfifo said; exec 5<>said; "$@" >said 5>&- & pid=$!; hear; }
hear() { read -r line <&5; echo "$line"; }
tell() { kill -"$1" "${2-$pid}"; }
finish() { { wait "$pid"; } 2>/dev/null; echo "code $?"; }
child() { read -r child _ <"/proc/$pid/task/$pid/children"; echo "$child"; }
in_state() { until grep -q "^State:.$2" "/proc/$1/status"; do :; done; }
"#;

/// Programs that rows run, by their names.
const PROGRAMS: [(&str, &str); 5] = [
    // Says which signals it gets (those of its arguments, or all), and ends with 3 on TERM. It polls, since perl runs
    // a handler only between two steps; and it prints without a buffer, which a handler amid another one's print
    // would print again.
    (
        "reporter",
        r#"#!/usr/bin/perl
use POSIX;
for my $name (@ARGV ? @ARGV : grep { !/^(KILL|STOP|CHLD|CLD|NUM3[23])$/ } keys %SIG) {
    $SIG{$name} = sub { syswrite STDOUT, "$_[0]\n"; exit 3 if $_[0] eq "TERM" };
}
sigprocmask(SIG_SETMASK, POSIX::SigSet->new);
syswrite STDOUT, "up\n";
select(undef, undef, undef, 0.02) while 1;
"#,
    ),
    // Two processes of one group, which say which signals they get. The member's pid is in the file `member`.
    (
        "members",
        r#"#!/usr/bin/perl
pipe my $in, my $out;
my $member = fork // die;
my $who = $member ? "main" : "member";
for my $name (qw(USR1 USR2)) { $SIG{$name} = sub { syswrite STDOUT, "$who $name\n" } }
$SIG{TERM} = sub { syswrite STDOUT, "$who TERM\n"; exit 3 };
if ($member) { close $out; sysread $in, my $byte, 1; syswrite STDOUT, "up\n" }
else { open my $file, ">", "member"; print $file "$$\n"; close $file; syswrite $out, "x" }
select(undef, undef, undef, 0.02) while 1;
"#,
    ),
    // Says where its orphan ends up.
    (
        "orphan",
        r#"#!/usr/bin/perl
$| = 1;
my $init = getppid;
pipe my $in, my $out;
unless (fork) {
    my $between = $$;
    exit if fork;
    select(undef, undef, undef, 0.01) while getppid == $between;
    print $out getppid == $init ? "adopted\n" : "elsewhere\n";
    exit;
}
close $out;
wait;
print readline $in;
"#,
    ),
    // Says that it is up to whoever reads the fifo `up`, and on the signal of its argument leaves the file `bye`.
    (
        "daemon",
        r#"#!/bin/sh
trap 'echo bye >bye; exit' "$1"
echo up >up
while :; do sleep 1000 & wait; done
"#,
    ),
    // Says where it is among groups and sessions, seen from its parent.
    (
        "places",
        r#"#!/bin/bash
read -r pid _ _ parent group session terminal _ </proc/self/stat
read -r _ _ _ _ parents_group parents_session _ _ <"/proc/$parent/stat"
[ "$group" = "$pid" ] && echo own group
[ "$session" = "$pid" ] && echo own session
[ "$group" = "$parents_group" ] && echo the group of init
[ "$session" = "$parents_session" ] && echo the session of init
[ "$terminal" != 0 ] && echo a terminal
true
"#,
    ),
];

impl Scene {
    fn new(init: Init, program: PathBuf, patience: Duration) -> Scene {
        let dir = Scratch::new();
        symlink(program, dir.at(init.name())).unwrap();
        for (name, text) in PROGRAMS {
            dir.script(name, text);
        }
        Scene { init, dir, patience }
    }

    /// The program under test.
    pub fn init(&self) -> String {
        self.dir.at(self.init.name()).to_str().unwrap().to_owned()
    }

    fn play(&self, row: &Row) -> String {
        match row.act {
            Act::Script(script) => self.script(script),
            Act::Keys(keys) => keys(self).map_or(NO_END.into(), |seen| self.plain(&seen)),
        }
    }

    /// Fills a script in.
    pub fn fill(&self, script: &str) -> String {
        let words = if script.contains("{ns}") { namespace() } else { None };
        let script = script.replace("{ns}", &words.unwrap_or_default().join(" "));
        self.dir.fill(&script.replace("{init}", &self.init()))
    }

    /// Runs a script; what it says on both outputs, and its exit code. Through files: whoever is left behind may hold
    /// them open.
    fn script(&self, script: &str) -> String {
        let mut command = Command::new("bash");
        let script = self.fill(&(PRELUDE.to_owned() + script));
        let file = |name: &str| File::create(self.dir.at(name)).unwrap();
        command.args(["-c", &script, "bash"]).current_dir(&self.dir.path);
        command.stdin(Stdio::null()).stdout(file("out.log")).stderr(file("err.log"));
        let mut child = command.spawn().unwrap();
        let Some(status) = ended(&mut child, self.patience) else {
            let _ = child.kill();
            let _ = child.wait();
            return NO_END.into();
        };
        let out = self.dir.read("out.log");
        let err = self.plain(&self.dir.read("err.log"));
        let mut err: Vec<&str> = err.lines().collect();
        if self.init == Init::DumbInit {
            // Its two processes speak at the same time.
            err.sort_unstable();
        }
        let err: String = err.iter().map(|line| format!("! {line}\n")).collect();
        format!("{}{err}= {}\n", self.plain(&out), lar::code(status))
    }

    /// A text without what differs from run to run: the directory and pids.
    fn plain(&self, text: &str) -> String {
        let mut text = text.replace(self.dir.path.to_str().unwrap(), "DIR");
        for mark in ["tini (", "pid '", "pid: '", "pid=", "PID "] {
            let mut parts = text.split(mark);
            let first = parts.next().unwrap_or_default().to_owned();
            text = parts.fold(first, |all, part| {
                let rest = part.trim_start_matches(|digit: char| digit.is_ascii_digit());
                let number = if rest.len() < part.len() { "N" } else { "" };
                all + mark + number + rest
            });
        }
        text
    }
}
