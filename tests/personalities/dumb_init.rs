//! dumb-init's rows.

use crate::scene::{Row, better, same};

/// What is given on the command line and in variables.
pub const OPTIONS: &[Row] = &[
    same(
        "the version is told on standard error",
        "{init} -V >out 2>err; echo $?; cat out; cut -c1-16 err",
    ),
    same(
        "help is told there, too",
        "{init} --help >out 2>err; echo $?; cat out
         grep -oE '^ +-[a-zA-Z], --[-a-z]+' err | tr -d ' ' | sort",
    ),
    same(
        "no program",
        "{init} >out 2>err; echo $?; [ -s out ] || [ -s err ] && echo usage on stderr",
    ),
    same("an unknown option", "{init} -z true; {init} --nothing true; {init} --nothing=x true"),
    same("an ambiguous option", "{init} --ver true"),
    same("an option without its value", "{init} -r; {init} --rewrite; {init} --verbose=yes true"),
    same(
        "options end at the first word",
        "{init} echo -v; {init} -- echo -v; {init} -c -- echo -c",
    ),
    same(
        "odd rules",
        r#"for r in 15:2 ' 15: 2x' +15:+2 '15 :2' 15 15: :2 0:1 32:1 1:32 1:-1 TERM:INT; do
               {init} -r "$r" true 2>/dev/null; echo $?
           done"#,
    ),
    same(
        "long options, whole and shortened",
        "{init} --single-child --rewrite=1:2 --rew 1:3 --verb true",
    ),
    same("-v tells what is done", "{init} -v sh -c 'exit 3'"),
    same("-cv tells less", "{init} -cv sh -c 'exit 3'"),
    same("it tells of signals", "{init} -v sh -c 'kill -USR1 $PPID; while :; do :; done'"),
    same("and of faults", "{init} -v sh -c 'kill -SEGV $PPID; while :; do :; done'"),
    same(
        "it tells what is passed on instead",
        "{init} -v -r 10:2 -r 15:12 -r 15:9 sh -c 'kill -USR1 $PPID; while :; do :; done'",
    ),
    same(
        "and what is not",
        "begin {init} -vr 10:0 ./reporter
         tell USR1; tell USR2; hear; tell TERM; hear; finish",
    ),
    same(
        "the same for the same",
        "begin {init} -vcr 10:10 ./reporter; tell USR1; hear; tell TERM; hear; finish",
    ),
    same(
        "variables say it, too",
        "DUMB_INIT_DEBUG=1 {init} true; DUMB_INIT_DEBUG=1 DUMB_INIT_SETSID=0 {init} true",
    ),
    same(
        "only with these values",
        "DUMB_INIT_DEBUG=yes {init} true
         DUMB_INIT_SETSID=no {init} -v true
         DUMB_INIT_SETSID=00 {init} ./places",
    ),
];

/// How it ends.
pub const ENDS: &[Row] = &[
    same("exit code 0", "{init} true"),
    same("exit code 1", "{init} false"),
    same("exit code 42", "{init} sh -c 'exit 42'"),
    same("exit code 255", "{init} -c sh -c 'exit 255'"),
    same("killed by TERM", "{init} sh -c 'kill $$'"),
    same("killed by KILL", "{init} sh -c 'kill -KILL $$'"),
    same("killed by a fault", "{init} sh -c 'kill -SEGV $$'"),
    same(
        "killed by real-time signals",
        "{init} bash -c 'kill -34 $$'; echo $?; {init} bash -c 'kill -64 $$'",
    ),
    same("SIGCHLD is ignored", "env --ignore-signal=CHLD {init} sh -c 'exit 7'"),
    better(
        9,
        "no such program",
        "{init} no-such-program; echo $?; {init} -c {dir}/missing",
        "127\n\
         ! [dumb-init] DIR/missing: No such file or directory\n\
         ! [dumb-init] no-such-program: No such file or directory\n\
         = 127\n",
    ),
    better(9, "no name", "{init} ''", "! [dumb-init] : No such file or directory\n= 127\n"),
    better(9, "a directory", "{init} {dir}", "! [dumb-init] DIR: Permission denied\n= 126\n"),
    better(
        9,
        "a file that is no program",
        "echo text >plain; {init} ./plain",
        "! [dumb-init] ./plain: Permission denied\n= 126\n",
    ),
    better(
        9,
        "below a file",
        "echo text >plain; {init} ./plain/x",
        "! [dumb-init] ./plain/x: Not a directory\n= 126\n",
    ),
    better(
        9,
        "a script without its interpreter",
        "echo '#!/no/such' >script; chmod +x script; {init} ./script",
        "! [dumb-init] ./script: No such file or directory\n= 127\n",
    ),
    better(
        9,
        "a program of no known format",
        "printf 'x\\0y' >odd; chmod +x odd; {init} ./odd",
        "! [dumb-init] ./odd: Exec format error\n= 126\n",
    ),
    same(
        "a script of no known format",
        "echo 'echo \"$1\"; exit 9' >script; chmod +x script; {init} ./script word",
    ),
    same(
        "what is left of the group gets TERM",
        "begin {init} ./members; tell KILL $(child); finish; hear",
    ),
    same(
        "or what that is rewritten to",
        "begin {init} -r 15:10 ./members; tell KILL $(child); finish; hear
         tell KILL $(cat member)",
    ),
    same(
        "or nothing",
        "begin {init} -r 15:0 ./members; tell KILL $(child); finish
         tell USR2 $(cat member); hear; tell KILL $(cat member)",
    ),
    same(
        "with -c it is left alone",
        "begin {init} -c ./members; tell KILL $(child); finish
         tell USR1 $(cat member); hear; tell KILL $(cat member)",
    ),
];

/// What its program finds.
pub const SURROUNDINGS: &[Row] = &[
    same("a session of its own", "{init} ./places; DUMB_INIT_SETSID=1 {init} ./places"),
    same(
        "or a place beside init",
        "{init} -c ./places; {init} --single-child ./places; DUMB_INIT_SETSID=0 {init} ./places",
    ),
    same("nobody adopts its orphans", "{init} ./orphan; {init} -c ./orphan"),
    better(
        2,
        "the signal state that init was given",
        r#"with() { env --block-signal=USR1,TSTP,TTIN --ignore-signal=HUP,PIPE,TTOU,URG "$@"; }
           look() { with "$@" grep ^Sig[BIC] /proc/self/status; }
           diff <(look) <(look {init}) && echo all"#,
        "all\n= 0\n",
    ),
    same("its environment", "env -i A=1 NOTIFY_SOCKET=x DUMB_INIT_DEBUG=0 {init} /usr/bin/env"),
    same("its arguments", "{init} printf '<%s>' $'a\\xffb' '' ' '"),
    same("its directory", "mkdir sub; cd sub; {init} pwd; {init} -c pwd"),
    same("its umask and limits", "umask 0; ulimit -n 77; {init} sh -c 'umask; ulimit -n'"),
    same("its standard input", "echo hello | {init} cat"),
    same("its files", "exec 7<<<hello; {init} cat /dev/fd/7; {init} cat <(echo one)"),
    same("no standard files at all", "{init} sh -c 'exit 3' <&- >&- 2>&-"),
    same("the files are its own", "exec 7<<<hello; {init} ls /proc/self/fd"),
    better(
        7,
        "init does not hold its files",
        "exec 7<>held
         {init} sh -c 'while ls -l /proc/$PPID/fd | grep -q held; do :; done; echo free'",
        "free\n= 0\n",
    ),
    same(
        "init leaves its directory",
        "mkdir sub; cd sub
         {init} sh -c 'until [ $(readlink /proc/$PPID/cwd) = / ]; do :; done; pwd'",
    ),
    same(
        "init sleeps while nothing happens",
        r#"wakes() { grep ^voluntary /proc/$pid/status; }
           begin {init} ./reporter; in_state $pid S
           before=$(wakes); sleep 2; [ "$before" = "$(wakes)" ] && echo quiet
           tell TERM; hear; finish"#,
    ),
];

/// What happens with signals.
pub const SIGNALS: &[Row] = &[
    same(
        "all that can be are passed on",
        "begin {init} ./reporter
         for n in 1 2 3 4 5 6 7 8 10 11 12 13 14 16 18 23 24 25 26 27 28 29 30 31 34 35 50 64 15; do
             tell $n; hear
         done; finish",
    ),
    same(
        "with -c as well",
        "begin {init} -c ./reporter; for n in 1 2 3 6 11 18 28 64 15; do tell $n; hear; done; finish",
    ),
    same("KILL ends init", "begin {init} ./reporter; tell KILL; finish"),
    same(
        "the group is told",
        "begin {init} ./members; tell USR1; { hear; hear; } | sort
         tell TERM; { hear; hear; } | sort; finish",
    ),
    same(
        "with -c only the program",
        "begin {init} -c ./members; tell USR1; hear; tell USR2 $(cat member); hear
         tell TERM; hear; finish; tell TERM $(cat member); hear",
    ),
    same(
        "others are passed on instead",
        "begin {init} -r 1:10 -r 28:12 -r 15:1 -r 15:15 ./reporter
         tell 1; hear; tell 28; hear; tell 15; hear; finish",
    ),
    same(
        "or none",
        "begin {init} -r 1:0 -r 15:0 ./reporter
         tell 1; tell 15; tell 10; hear; tell KILL $(child); finish",
    ),
    same("a death instead", "begin {init} -r 1:9 ./reporter; tell 1; finish"),
    same(
        "a stop stops the program and init, and CONT wakes both",
        "begin {init} sh -c 'echo up; exec sleep 1000'; child=$(child)
         for signal in TSTP TTIN TTOU; do
             tell $signal; in_state $child T; in_state $pid T
             tell CONT; in_state $child S; in_state $pid S
         done; tell TERM; finish",
    ),
    same(
        "with -c it reaches the program as it is",
        "begin {init} -c ./reporter
         for signal in TSTP TTIN TTOU; do
             tell $signal; hear; in_state $pid T; tell CONT; hear; in_state $pid S
         done; tell TERM; hear; finish",
    ),
    same(
        "a stop that is rewritten stops init all the same",
        "begin {init} -r 20:10 -r 21:0 ./reporter
         tell TSTP; hear; in_state $pid T; tell CONT; hear
         tell TTIN; in_state $pid T; tell CONT; hear; tell TERM; hear; finish",
    ),
    same(
        "it says so",
        "begin {init} -v ./reporter 2>log; tell TSTP; in_state $pid T; tell CONT; hear
         tell TERM; hear; finish; sort -u log >&2",
    ),
];

/// As PID 1.
pub const PID_1: &[Row] = &[
    same(
        "exit codes",
        "{ns} {init} sh -c 'echo $PPID; exit 7'; echo $?; {ns} {init} sh -c 'kill -KILL $$'",
    ),
    same("orphans come by themselves", "{ns} {init} {dir}/orphan; {ns} {init} -c {dir}/orphan"),
    same(
        "signals are passed on",
        r#"{ns} {init} sh -c 'trap "exit 9" TERM; kill -TERM 1; while :; do :; done'"#,
    ),
    same(
        "faults, too",
        r#"{ns} {init} sh -c 'trap "exit 9" SEGV; kill -SEGV 1; while :; do :; done'"#,
    ),
    same(
        "a stop does not stop it",
        r#"{ns} {init} -r 20:10 sh -c 'trap : USR1; trap "exit 9" TERM
               kill -TSTP 1; kill -TERM 1; while :; do :; done'"#,
    ),
    better(
        10,
        "what is left is asked to go",
        "mkfifo up
         {ns} {init} sh -c '(setsid ./daemon TERM >/dev/null 2>&1 &); read -r x <up; exit 3'
         echo $?; cat bye",
        "3\nbye\n= 0\n",
    ),
    better(
        10,
        "by what its user has put for TERM",
        "mkfifo up
         {ns} {init} -r 15:10 sh -c '(setsid ./daemon USR1 >/dev/null 2>&1 &); read -r x <up; exit 3'
         echo $?; cat bye",
        "3\nbye\n= 0\n",
    ),
];
