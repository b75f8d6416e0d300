//! tini's rows.

use crate::scene::{Row, better, same};

/// What is given on the command line and in variables.
pub const OPTIONS: &[Row] = &[
    same("it says that it reaps nothing", "{init} true"),
    same(
        "and not if it does",
        "{init} -s true; TINI_SUBREAPER= {init} true; TINI_SUBREAPER=no {init} true",
    ),
    same(
        "the version is one only alone",
        "{init} --version | cut -c1-19; {init} --version x 2>/dev/null; echo $?",
    ),
    same(
        "no program",
        "{init} >out 2>err; echo $?; [ -s out ] || [ -s err ] && echo usage on stderr",
    ),
    same("an unknown option", "{init} -z true >out 2>err; echo $?; cat out; head -n 1 err"),
    same("an option without its value", "{init} -e >out 2>err; echo $?; cat out; head -n 1 err"),
    same(
        "help",
        "{init} -h 2>err >out; echo $?; cat err
         grep -oE '^  -[-a-z]+' out; grep -o '^  TINI[A-Z_]*' out | sort",
    ),
    same("the licence", "{init} -l >out; echo $?; grep -c MIT out"),
    same(
        "options are found behind words",
        "{init} sh -c 'exit 5' 2>&1 | head -n 1; {init} echo -s -- -s; {init} echo -s x",
    ),
    same("unless POSIX says otherwise", "POSIXLY_CORRECT=1 {init} -s sh -c 'exit 5'"),
    same("bundled options", "{init} -sge5 sh -- -c 'exit 5'; {init} -swe 6 sh -- -c 'exit 6'"),
    same("two dashes are a program", "{init} -s -- -- x"),
    same("a dash is a program", "{init} -s - x"),
    same("an exit code becomes 0", "{init} -s -e 42 sh -- -c 'exit 42'"),
    same(
        "several do",
        "{init} -s -e 1 -e 2 sh -- -c 'exit 2'; echo $?; {init} -s -e 1 -e 2 sh -- -c 'exit 3'",
    ),
    same("a signal's does", "{init} -s -e 143 sh -- -c 'kill $$'"),
    same("that of a missing program does", "{init} -s -e 127 no-such-program"),
    same(
        "odd exit codes",
        "for e in '' ' 7' +7 -1 7x 300 abc; do {init} -s -e \"$e\" sh -- -c 'exit 7'; echo $?; done",
    ),
    same(
        "death signals by their names",
        "for p in SIGTERM SIGKILL SIGSYS; do {init} -s -p $p true; echo $?; done",
    ),
    same(
        "and by nothing else",
        "for p in TERM 15 SIGIO SIGPWR SIGCLD SIGRTMIN sigterm; do {init} -p $p true; echo $?; done",
    ),
    same(
        "it is quiet if told",
        "TINI_VERBOSITY=0 {init} true
         TINI_VERBOSITY=x {init} -vvv true
         TINI_VERBOSITY=1 {init} -s -vv true",
    ),
    better(
        12,
        "-v goes to standard error",
        "{init} -s -v sh -- -c 'echo hi; exit 3'",
        "hi\n\
         ! [INFO  tini (N)] Spawned child process 'sh' with pid 'N'\n\
         ! [INFO  tini (N)] Main child exited normally (with status '3')\n\
         = 3\n",
    ),
    better(
        12,
        "-vv tells of signals",
        "{init} -s -vv sh -- -c 'kill -USR1 $PPID; while :; do :; done'",
        "! [INFO  tini (N)] Spawned child process 'sh' with pid 'N'\n\
         ! [DEBUG tini (N)] Passing signal: 'User defined signal 1'\n\
         ! [DEBUG tini (N)] Received SIGCHLD\n\
         ! [DEBUG tini (N)] Reaped child with pid: 'N'\n\
         ! [INFO  tini (N)] Main child exited with signal (with signal 'User defined signal 1')\n\
         = 138\n",
    ),
    better(
        12,
        "-vvv tells everything, and so does the variable",
        "{init} -s -vvv true; echo; TINI_VERBOSITY=-1 {init} -s true 2>/dev/null",
        "\n\
         ! [TRACE tini (N)] Registered as child subreaper\n\
         ! [INFO  tini (N)] Spawned child process 'true' with pid 'N'\n\
         ! [DEBUG tini (N)] Received SIGCHLD\n\
         ! [DEBUG tini (N)] Reaped child with pid: 'N'\n\
         ! [INFO  tini (N)] Main child exited normally (with status '0')\n\
         ! [TRACE tini (N)] No child to wait\n\
         ! [TRACE tini (N)] Exiting: child has exited\n\
         = 0\n",
    ),
    same(
        "an orphan's end is told with -w",
        r#"{init} -s -w sh -- -c '
               (sh -c "echo \$\$ >pid; mv pid gone" &)
               until [ -e gone ] && ! [ -e /proc/$(cat gone) ]; do :; done'"#,
    ),
];

/// How it ends.
pub const ENDS: &[Row] = &[
    same("exit code 0", "{init} true"),
    same("exit code 1", "{init} false"),
    same("exit code 42", "{init} -- sh -c 'exit 42'"),
    same("exit code 255", "{init} -- sh -c 'exit 255'"),
    same("killed by TERM", "{init} -- sh -c 'kill $$'"),
    same("killed by KILL", "{init} -- sh -c 'kill -KILL $$'"),
    same("killed by a fault", "{init} -- sh -c 'kill -SEGV $$'"),
    same(
        "killed by real-time signals",
        "{init} -- bash -c 'kill -34 $$'; echo $?; {init} -- bash -c 'kill -64 $$'",
    ),
    same("no such program", "{init} -s no-such-program; echo $?; {init} -s {dir}/missing"),
    same("a program without a name", "{init} -s ''"),
    same("a directory", "{init} -s {dir}"),
    same("a file that is no program", "echo text >plain; {init} -s ./plain"),
    same("below a file", "echo text >plain; {init} -s ./plain/x"),
    same("a name that is too long", "{init} -s $(printf %0300d 1)"),
    same(
        "a script without its interpreter",
        "echo '#!/no/such' >script; chmod +x script; {init} -s ./script",
    ),
    same(
        "a script of no known format",
        "echo 'echo \"$1\"; exit 9' >script; chmod +x script; {init} -s ./script word",
    ),
    better(
        9,
        "a program of no known format",
        "printf 'x\\0y' >odd; chmod +x odd; {init} -s ./odd",
        "! [FATAL tini (N)] exec ./odd failed: Exec format error\n= 126\n",
    ),
    better(
        1,
        "SIGCHLD is ignored",
        "env --ignore-signal=CHLD {init} -s -- sh -c 'exit 7'",
        "= 7\n",
    ),
    same(
        "what is left of the group is left alone",
        "begin {init} -s ./members; kill -KILL $(child); finish
         tell USR1 $(cat member); hear; tell KILL $(cat member)",
    ),
];

/// What its program finds.
pub const SURROUNDINGS: &[Row] = &[
    same("a group of its own", "{init} -s ./places"),
    same("in a session of init's own, too", "setsid --wait {init} -s ./places"),
    same("nobody adopts its orphans", "{init} ./orphan"),
    same("init adopts them", "{init} -s ./orphan; TINI_SUBREAPER= {init} ./orphan"),
    same(
        "the signal state that init was given",
        "env --block-signal=USR1,TSTP,TTIN --ignore-signal=HUP,PIPE,TTOU,URG \
             {init} -s grep ^Sig[BIC] /proc/self/status",
    ),
    same("its environment", "env -i A=1 NOTIFY_SOCKET=x TINI_SUBREAPER=x {init} /usr/bin/env"),
    same("its arguments", "{init} -s printf '<%s>' $'a\\xffb' '' ' '"),
    same("its directory", "mkdir sub; cd sub; {init} -s pwd"),
    same("its umask and limits", "umask 0; ulimit -n 77; {init} -s -- sh -c 'umask; ulimit -n'"),
    same("its standard input", "echo hello | {init} -s cat"),
    same("its files", "exec 7<<<hello; {init} -s cat /dev/fd/7; {init} -s cat <(echo one)"),
    same("no standard output at all", "{init} -s -- sh -c 'exit 3' >&- 2>&-"),
    // tini asks its standard input for the terminal, and gives up if there is none.
    better(3, "no standard input, either", "{init} -s -- sh -c 'exit 3' <&- >&- 2>&-", "= 3\n"),
    same("the files are its own", "exec 7<<<hello; {init} -s ls /proc/self/fd"),
    better(
        7,
        "init does not hold its files",
        "exec 7<>held
         {init} -s -- sh -c 'while ls -l /proc/$PPID/fd | grep -q held; do :; done; echo free'",
        "free\n= 0\n",
    ),
    better(
        7,
        "init does not stay in its directory",
        "mkdir sub; cd sub; {init} -s -- sh -c 'pwd; readlink /proc/$PPID/cwd'",
        "DIR/sub\n/\n= 0\n",
    ),
    better(
        8,
        "init sleeps while nothing happens",
        r#"wakes() { grep ^voluntary /proc/$pid/status; }
           begin {init} -s ./reporter; in_state $pid S
           before=$(wakes); sleep 2; [ "$before" = "$(wakes)" ] && echo quiet
           tell TERM; hear; finish"#,
        "up\nquiet\nTERM\ncode 3\n= 0\n",
    ),
];

/// What happens with signals.
pub const SIGNALS: &[Row] = &[
    same(
        "all but the special ones are passed on",
        "begin {init} -s ./reporter
         for n in 1 2 3 10 12 13 14 16 18 20 23 24 25 26 27 28 29 30 34 35 50 64 15; do
             tell $n; hear
         done; finish",
    ),
    same(
        "those of terminals are not",
        "begin {init} -s ./reporter; tell TTIN; tell TTOU; tell USR1; hear; tell TERM; hear; finish",
    ),
    same(
        "those of faults end init",
        "for n in 4 5 6 7 8 11 31; do begin {init} -s ./reporter; tell $n; finish; rm said; done",
    ),
    same("KILL ends init", "begin {init} -s ./reporter; tell KILL; finish"),
    same(
        "only the program is told",
        "begin {init} -s ./members; tell USR1; hear; tell USR2 $(cat member); hear
         tell TERM; hear; finish; tell TERM $(cat member); hear",
    ),
    same(
        "the group is told",
        "begin {init} -sg ./members; tell USR1; { hear; hear; } | sort
         tell TERM; { hear; hear; } | sort; finish",
    ),
    same(
        "the group is told by a variable",
        "TINI_KILL_PROCESS_GROUP= begin {init} -s ./members; tell USR1; { hear; hear; } | sort
         tell TERM; { hear; hear; } | sort; finish",
    ),
    same(
        "a stop stops the program and not init",
        "begin {init} -s -- sh -c 'echo up; exec sleep 1000'; child=$(child)
         tell TSTP; in_state $child T; in_state $pid S; tell TERM; tell CONT; finish",
    ),
    same(
        "the parent's death is a signal",
        "mkfifo said; exec 5<>said
         sh -c '{init} -s -p SIGUSR1 ./reporter >said 5>&- & echo $! >init; exec sleep 1000' 5>&- &
         sh=$!; disown; hear; until [ -s init ]; do :; done
         tell KILL $sh; hear; tell TERM $(cat init); hear",
    ),
];

/// As PID 1.
pub const PID_1: &[Row] = &[
    same(
        "exit codes",
        "{ns} {init} -- sh -c 'echo $PPID; exit 7'; echo $?
         {ns} {init} -- sh -c 'kill -KILL $$'; echo $?
         {ns} {init} nothing",
    ),
    same("orphans come by themselves", "{ns} {init} {dir}/orphan"),
    same(
        "signals are passed on",
        r#"{ns} {init} -- sh -c 'trap "exit 9" TERM; kill -TERM 1; while :; do :; done'"#,
    ),
    same(
        "faults are not",
        "{ns} {init} -- sh -c 'kill -SEGV 1; kill -FPE 1; kill -TTIN 1; exit 4'",
    ),
    better(
        10,
        "what is left is asked to go",
        "mkfifo up
         {ns} {init} -- sh -c '(setsid ./daemon TERM >/dev/null 2>&1 &); read -r x <up; exit 3'
         echo $?; cat bye",
        "3\nbye\n= 0\n",
    ),
];
