//! The rows of the key table: name, form, default, example, what a change needs, one line about it.

use super::{Change, Key, Kind};

macro_rules! keys {
    ($($kind:ident / $about:literal {
        $($name:literal $form:literal [$default:literal] $example:literal $change:ident $($list:ident)?
          : $doc:literal;)*
    })*) => {
        /// Every key, in the order of the tables.
        pub const KEYS: &[Key] = &[$($(Key {
            kind: Kind::$kind,
            about: $about,
            name: $name,
            form: $form,
            default: $default,
            doc: $doc,
            example: $example,
            change: Change::$change,
            list: false $(|| stringify!($list).len() == 4)?,
        },)*)*];
    };
}

keys! {
    Service / "what runs" {
        "program" "WORD…" [""] "/usr/sbin/nginx -g 'daemon off;'" Restart
            : "the program and its arguments; searched on PATH if it has no slash";
        "shell" "yes|no" ["no"] "yes" Restart
            : "hand the whole line of `program` to /bin/sh -c";
        "expand" "yes|no" ["no"] "yes" Restart
            : "put in $NAME, ${NAME} and ${NAME:-default} from its environment, at load; $$ is a $";
        "type" "simple|forking|oneshot" ["simple"] "oneshot" Restart
            : "runs until it is stopped, leaves a daemon behind and exits, or does its work and exits";
        "pid-file" "PATH" [""] "/web.pid" Restart
            : "where a forking daemon writes its process id; removed before each start";
        "directory" "PATH" ["lar's own"] "/" Restart
            : "its working directory";
        "user" "NAME|UID" ["lar's own"] "nobody" Restart
            : "whom it runs as; sets USER, LOGNAME, HOME and SHELL too";
        "group" "NAME|GID" ["the user's"] "0" Restart
            : "its primary group";
        "groups" "NAME|GID… or none" ["the user's"] "none" Restart list
            : "its supplementary groups";
        "umask" "OCTAL|inherit" ["022"] "077" Restart
            : "file mode creation mask";
        "instances" "N" ["1"] "2" Restart
            : "how many processes of it run; each has its number as %i";
        "start" "boot|manual|on-demand" ["boot"] "manual" Live
            : "with the manager, when somebody says so, or with the first connection to one of its sockets";
        "spawn" "vfork|fork" ["vfork"] "fork" Live
            : "fork is slower; for programs on a file system that may hang";
        "stdin" "null|pipe" ["null"] "pipe" Restart
            : "its standard input; pipe: what `lar ctl send` and `attach` write, a new one for each process";
        "streams" "NAME…" [""] "ctrl data" Restart list
            : "two-way fds from 3 on (after its sockets), each told by LAR_STREAM_<NAME>; for `send --stream`";
    }
    Service / "timers" {
        "every" "TIME" [""] "15m" Live
            : "a one-shot runs when it is wanted up, and again this long after each start";
        "at" "HH:MM…" [""] "03:30" Live list
            : "a one-shot runs at these times of the day, by local time, and not when lar starts";
        "overlap" "skip|queue" ["skip"] "queue" Live
            : "a run that is due during another one is left out, or comes right after it";
    }
    Service / "sockets" {
        "sockets" "NAME…" [""] "web" Restart list
            : "the `<socket>`s that it is given, as fds from 3 up, with LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES";
        "pass-fds" "N…" [""] "9" Restart list
            : "fds that lar itself was started with, left open under the same numbers";
    }
    Service / "environment" {
        "environment-file" "[-]PATH" [""] "-/etc/default/web" Restart list
            : "a file of NAME=value lines, read at load; a leading - makes it optional";
        "inherit-environment" "yes|no|NAME…" ["yes"] "PATH HOME" Restart list
            : "which of lar's own variables it gets; explicit ones beat these";
    }
    Service / "limits" {
        "nice" "-20…19" ["lar's own"] "5" Restart
            : "its CPU priority";
        "ionice" "realtime|best-effort [0…7], or idle" ["lar's own"] "best-effort 7" Restart
            : "its I/O priority";
        "oom-score-adj" "-1000…1000" ["lar's own"] "500" Restart
            : "how gladly the kernel ends it when memory runs out";
        "no-new-privileges" "yes|no" ["no"] "yes" Restart
            : "no setuid program can raise its rights";
        "capabilities" "NAME… or none" ["left alone"] "net_bind_service" Restart list
            : "the only capabilities it may have";
    }
    Service / "order" {
        "requires" "NAME…" [""] "other" Live list
            : "started along and ready before it; if one fails for good, so does this; shop:* is a group";
        "wants" "NAME…" [""] "other" Live list
            : "started along; waited for until ready or settled";
        "after" "NAME…" [""] "other" Live list
            : "not started along; waited for if it is wanted up";
        "restart-with" "NAME…" [""] "other" Live list
            : "restarted when one of these dies or is restarted";
    }
    Service / "start" {
        "pre-start" "WORD…" [""] "/bin/true" Restart
            : "a command before its program, within start-timeout; if it fails, so does the start";
        "ready"
            "[timeout TIME] tcp HOST:PORT | unix PATH | http URL | file PATH | log TEXT | command WORD… | notify | fd N"
            ["none"] "tcp 127.0.0.1:80" Restart
            : "how lar learns that it may be depended on; none: spawned is ready";
        "ready-interval" "TIME" ["100ms"] "1s" Live
            : "time between two questions, and two looks at a PID file or a log";
        "start-timeout" "TIME|none" ["none; 15s with `ready`, `pre-start` or `type forking`"] "30s" Live
            : "from the start to ready (a one-shot: to its end); later is a death";
        "start-abort-timeout" "TIME" ["10s"] "5s" Live
            : "how long what was not ready in time may take to end, before KILL";
        "log-activity-timeout" "TIME|none" ["none"] "7s" Live
            : "while it is not ready: a silence this long is a start timeout";
        "log-file" "PATH" ["its transcript"] "/web.log" Restart
            : "the log it writes itself: log-activity-timeout watches it, a failed start shows what is new";
    }
    Service / "health" {
        "health" "[every TIME] [timeout TIME] [failures N] KIND… as of `ready`, but log and fd; or none" ["none"]
            "every 30s timeout 2s failures 3 tcp 127.0.0.1:80" Restart
            : "asked while it runs; so many bad answers make it unhealthy, and it is restarted as `restart` says";
    }
    Service / "stop" {
        "stop" "[DELAY] SIGNAL TIME [SIGNAL TIME]… [KILL|never]" ["TERM 10s KILL"]
            "5s INT 30s TERM 5s KILL" Live
            : "the signals that end it and how long each may take; a leading time is a drain delay";
        "kill-mode" "mixed|group|process" ["mixed"] "group" Live
            : "mixed: the signals go to the main process, the last KILL to its group";
        "stop-command" "WORD…" [""] "/usr/sbin/nginx -s quit" Restart
            : "a command that stops it, before any signal; the signals follow if it fails or takes too long";
        "stop-timeout" "TIME" ["15s"] "1m" Live
            : "how long stop-command and post-stop may take each";
        "post-stop" "WORD…" [""] "/bin/true" Restart
            : "a command when its program has ended; LAR_EXIT_CODE or LAR_SIGNAL tells it how";
        "rolling" "no|yes|N" ["no"] "2" Live
            : "so many at a time are exchanged by a restart, each once another is ready (notify, fd, log, command)";
        "restart-command" "WORD…" [""] "/usr/sbin/nginx -s reload" Restart
            : "what `lar ctl restart` runs in place of a stop and a start";
        "reload" "SIGNAL | command WORD…" [""] "HUP" Live
            : "what `lar ctl reload` sends or runs";
        "on-shutdown" "stop|leave" ["stop"] "leave" Live
            : "leave: it runs on when the manager ends; its output must go past lar, and lar must not be PID 1";
    }
    Service / "restart" {
        "preset" "lar|zdaemon|procmon|gaffer|daemon-controller" ["lar"] "gaffer" Live
            : "the restart rules of one of lar's ancestors; the keys below override it";
        "restart" "always|on-failure|never" ["always; on-failure for one-shots and on demand"] "never" Live
            : "which deaths are followed by a restart";
        "exit-codes" "N… or none" ["none"] "0,2" Live list
            : "exit codes that end it for good, whatever `restart` says";
        "backoff"
            "none | linear FIRST [+STEP] [max TIME] [jitter N%] | double FIRST [max TIME] [jitter N%]"
            ["double 200ms max 60s jitter 10%"] "linear 1s max 10s" Live
            : "the wait before the next try";
        "backoff-limit" "TIME|SECONDS" [""] "20" Live
            : "no wait is longer (beats `max`); with preset zdaemon also healthy-after";
        "forever" "yes|no" ["no"] "yes" Live
            : "never give up, whatever the preset says; give-up beats it";
        "healthy-after" "TIME" ["10s"] "1m" Live
            : "a life this long clears the history of deaths";
        "give-up" "never | after N | at-max" ["never"] "after 5" Live
            : "when to stop trying: after N deaths in a row, or when the wait reaches its maximum";
        "flapping" "D in TIME cooldown TIME [rounds N], or no" ["no"]
            "5 in 60s cooldown 5m rounds 3" Live
            : "D deaths in a window start a rest; after N rests it gives up";
        "critical" "yes|no" ["no"] "yes" Live
            : "its failure ends the manager (exit-policy critical)";
        "main" "yes|no" ["no"] "yes" Live
            : "its end is the manager's end (exit-policy main)";
    }
    Service / "output" {
        "transcript" "PATH|stdout|inherit|none|default" ["stdout in the foreground, else none"]
            "/web.log" Restart
            : "where its output goes; inherit gives it lar's own stdout";
        "stderr" "PATH|transcript|stdout|inherit|none" ["transcript"] "/web.err" Restart
            : "where its standard error goes";
        "prefix" "yes|no|color" ["yes on stdout, no in files"] "yes" Live
            : "`[web@2] ` before each line; in colours on a terminal";
        "timestamp" "no|yes|FORMAT" ["no"] "%Y-%m-%d %H:%M:%S" Live
            : "the time (UTC) before each line, in strftime's words; nothing is put in for % here";
        "format" "text|json" ["text"] "json" Live
            : "lines as they are, or one JSON object each";
        "rotate" "SIZE keep N, or no" ["no"] "10M keep 5" Live
            : "put a file aside when it has this size";
        "ring" "SIZE" ["16K"] "64K" Restart
            : "how much of the latest output is kept for `lar ctl logs`; 0 keeps none";
        "on-full" "drop|block" ["drop"] "block" Live
            : "when nothing can be written: drop and count, or hold the service back";
    }
    Limits / "setrlimit(2)" {
        "as" "SIZE" [""] "1G" Restart : "address space";
        "core" "SIZE" [""] "0" Restart : "core files";
        "cpu" "SECONDS" [""] "3600" Restart : "CPU time";
        "data" "SIZE" [""] "1G" Restart : "data segment";
        "fsize" "SIZE" [""] "1G" Restart : "size of files it writes";
        "locks" "N" [""] "100" Restart : "file locks";
        "memlock" "SIZE" [""] "64K" Restart : "locked memory";
        "msgqueue" "SIZE" [""] "800K" Restart : "POSIX message queues";
        "nice" "N" [""] "20" Restart : "ceiling of its nice value, as 20 - nice";
        "nofile" "N" [""] "4096:65536" Restart : "open files";
        "nproc" "N" [""] "100" Restart : "processes of its user";
        "rss" "SIZE" [""] "1G" Restart : "resident memory; Linux ignores it";
        "rtprio" "N" [""] "10" Restart : "real-time priority";
        "rttime" "MICROSECONDS" [""] "100000" Restart : "real-time CPU time without a blocking call";
        "sigpending" "N" [""] "1000" Restart : "queued signals";
        "stack" "SIZE" [""] "8M" Restart : "stack";
    }
    Socket / "listening" {
        "listen" "tcp HOST:PORT | udp HOST:PORT | unix PATH" [""] "tcp *:8080" Restart
            : "where: a numeric address, *:PORT for all of them, a path, or @NAME for an abstract one";
        "backlog" "N" ["4096"] "16" Live
            : "how many connections may wait; the kernel's net.core.somaxconn is a limit, too";
        "mode" "OCTAL" ["0666"] "0600" Live
            : "the mode of a `unix` socket: who can write to it can connect";
        "user" "NAME|UID" ["lar's own"] "nobody" Live
            : "who owns a `unix` socket";
        "group" "NAME|GID" ["the user's"] "adm" Live
            : "and its group";
    }
    Lar / "control socket" {
        "socket-name" "PATH|@NAME" ["/run/lar.sock; else $XDG_RUNTIME_DIR; else an abstract one"]
            "/run/lar/web.sock" Restart
            : "where `lar ctl` reaches the manager";
        "socket-mode" "OCTAL" ["0600"] "0660" Restart
            : "the control socket's mode";
        "allow" "view|operate|admin user|group NAME…" [""] "operate user 0" Restart list
            : "who else may use it, and how far";
    }
    Lar / "life" {
        "exit-policy" "main|critical|all|never"
            ["main if a service says `main yes`, else critical"] "all" Live
            : "when the manager ends by itself";
        "shutdown-timeout" "TIME" ["9s as PID 1 of a container, else 60s"] "30s" Live
            : "how long an orderly end may take; then everything gets KILL";
        "pid-file" "PATH" [""] "/run/lar.pid" Restart
            : "where the manager's pid is written";
        "daemon" "yes|no" ["no"] "yes" Restart
            : "go into the background";
        "spawn-rate" "N[/s]|none" ["1000/s"] "100/s" Live
            : "spawns of one instance in a second at most";
    }
    On / "what runs, and for whom" {
        "command" "WORD…" [""] "/bin/told web" Live
            : "the command and its arguments; searched on PATH if it has no slash";
        "services" "NAME…" ["all"] "other" Live list
            : "whom it is run for: services, instances (web@2), groups (shop:*)";
        "timeout" "TIME" ["30s"] "5s" Live
            : "how long it may take; then it gets KILL, with its process group";
        "directory" "PATH" ["lar's own"] "/" Live
            : "its working directory";
        "user" "NAME|UID" ["lar's own"] "nobody" Live
            : "whom it runs as; sets USER, LOGNAME, HOME and SHELL too";
        "group" "NAME|GID" ["the user's"] "0" Live
            : "its primary group";
        "groups" "NAME|GID… or none" ["the user's"] "none" Live list
            : "its supplementary groups";
    }
    Runner / "as zdaemon has them" {
        "program" "WORD…" [""] "sleep 100" Restart : "the program; blanks part its words, no quotes";
        "backoff-limit" "N" ["10"] "3" Live : "the longest wait in seconds, and what a healthy life is";
        "daemon" "boolean" ["on"] "off" Restart : "go into the background";
        "forever" "boolean" ["off"] "on" Live : "never give up";
        "exit-codes" "N,N…" ["0,2"] "0,3" Live : "exit codes that end it for good";
        "umask" "OCTAL" ["022"] "077" Restart : "file mode creation mask";
        "user" "NAME|UID" [""] "nobody" Restart : "whom it runs as";
        "directory" "PATH" [""] "/" Restart : "the working directory in the background";
        "socket-name" "PATH" ["zdsock"] "/zdsock" Restart : "the control socket";
        "transcript" "PATH" ["/dev/null"] "/t.log" Restart : "where output goes in the background";
        "logfile" "PATH" [""] "/l.log" Live : "what `zdaemon logtail` shows if nothing else is said";
        "start-test-program" "WORD…" [""] "true" Live : "exits with 0 once the program is ready";
        "start-timeout" "N" ["300"] "10" Live : "seconds that `zdaemon start` waits for the program";
        "stop-timeout" "N" ["300"] "10" Live : "seconds from TERM to KILL";
        "prompt" "TEXT" [""] "zd>" Live : "the prompt of `zdaemon -i`";
        "default-to-interactive" "boolean" ["true"] "no" Live
            : "on a terminal, `zdaemon` without a command is a shell";
        "hang-around" "boolean" ["false"] "yes" Live : "taken and not used, as in zdaemon since 3.0";
        "python" "PATH" [""] "/bin/python3" Live : "must be there, and is not used: lar needs no Python";
        "zdrun" "PATH" [""] "/bin/zdrun" Live : "must be there, and is not used: lar is the manager too";
    }
    EventLog / "as zdaemon has them" {
        "level" "LEVEL" ["info"] "debug" Live : "critical, error, warn, info, debug, trace, or 0 to 50";
    }
    LogFile / "as zdaemon has them" {
        "path" "PATH|STDOUT|STDERR" [""] "/lar.log" Live : "where lines go";
        "level" "LEVEL" ["the event log's"] "error" Live : "less is not written here";
        "format" "TEXT" ["lar's own; in a zdaemon file, zdaemon's"] "%(message)s" Live
            : "%(asctime)s, %(levelname)s, %(name)s, %(message)s; \\n and \\t are understood";
        "dateformat" "FORMAT" ["%Y-%m-%dT%H:%M:%S"] "%H:%M" Live : "strftime's words for %(asctime)s";
        "style" "classic|format|template" ["classic"] "format" Live : "how `format` names its fields";
        "max-size" "SIZE" [""] "10MB" Live : "before it would be this large, the file is put aside: PATH.1, PATH.2…";
        "old-files" "N" ["1"] "5" Live : "how many files are kept aside";
        "delay" "boolean" ["no"] "yes" Live : "open the file for its first line, and not before";
    }
    Syslog / "as zdaemon has them" {
        "address" "PATH|HOST:PORT" ["localhost:514"] "/dev/log" Live
            : "who gets it; a host is a number or localhost, as lar looks up no names";
        "facility" "NAME" ["user"] "daemon" Live : "syslog(3)'s word for who speaks";
        "level" "LEVEL" ["the event log's"] "error" Live : "less is not sent";
        "format" "TEXT" ["%(name)s %(message)s"] "%(message)s" Live
            : "%(asctime)s, %(levelname)s, %(name)s, %(message)s";
        "dateformat" "FORMAT" ["%Y-%m-%dT%H:%M:%S"] "%H:%M" Live : "strftime's words for %(asctime)s";
        "style" "classic|format|template" ["classic"] "format" Live : "how `format` names its fields";
    }
}
