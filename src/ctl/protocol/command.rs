//! The verbs of the control socket in one table: the server's access check, the client's arguments
//! and its help all read it.

use crate::plan::Access;

/// What a verb takes besides options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// Names, or none: then all.
    Names,
    /// One name or more.
    SomeNames,
    /// A signal if the first word is one, then one name or more.
    Signal,
    /// `NAME=STATE`, once or more.
    States,
    /// A log level, or nothing.
    Level,
    /// One name and a number: `3`, `+1`, `-1`.
    Count,
    /// A service: its name and what it is, or its lines.
    Definition,
    /// One name; after `--`, words for its program.
    Run,
    /// One name, then text.
    Text,
    /// One name.
    OneName,
}

macro_rules! flags {
    ($($(#[doc = $doc:literal])+ $flag:ident $name:literal $letter:expr, $value:expr; $about:literal)*) => {
        /// An option of some verbs, as on the command line so on the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Flag { $($(#[doc = $doc])+ $flag,)* }

        impl Flag {
            /// Every option.
            pub const ALL: &[Flag] = &[$(Flag::$flag,)*];

            /// Its long name, without dashes.
            pub const fn name(self) -> &'static str {
                match self { $(Flag::$flag => $name,)* }
            }

            /// Its letter, if it has one.
            pub const fn letter(self) -> Option<char> {
                match self { $(Flag::$flag => $letter,)* }
            }

            /// What the help calls its value, if one follows.
            pub const fn value(self) -> Option<&'static str> {
                match self { $(Flag::$flag => $value,)* }
            }

            /// One line about it, for `lar ctl help`.
            pub const fn about(self) -> &'static str {
                match self { $(Flag::$flag => $about,)* }
            }
        }
    };
}

flags! {
    /// Answer when the order is given, not when it is done.
    NoWait "no-wait" None, None; "answer when the order is given, not when it is done"
    /// How long to wait.
    Timeout "timeout" None, Some("TIME");
        "how long to wait (default 30s; for a stop, what its ladder may take)"
    /// What is already as asked, or needed KILL, is an error.
    Strict "strict" None, None; "`already so` and `stopped only by KILL` are errors"
    /// Stop what requires it, too.
    WithDependents "with-dependents" None, None; "stop what requires it, too"
    /// Stop it whatever requires it.
    Force "force" None, None; "stop it whatever requires it"
    /// Go on with what comes.
    Follow "follow" Some('f'), None; "go on with what comes"
    /// How many of the latest.
    Lines "lines" Some('n'), Some("N"); "the latest N lines, or events"
    /// From this event on.
    Since "since" None, Some("SEQ"); "from event number SEQ on, as far as it is remembered"
    /// Only events of these kinds.
    Kind "kind" None, Some("KIND,…"); "only events of these kinds"
    /// Let those go that run longest.
    Oldest "oldest" None, None; "let those go that run longest, not the highest numbers"
    /// One instance fewer.
    ScaleDown "scale-down" None, None; "the service has one instance fewer from then on"
    /// Only look.
    DryRun "dry-run" None, None; "show what would change, and change nothing"
    /// Keep it in a file.
    Save "save" None, None; "write it to the directory that the configuration includes"
    /// Exchange each process for one that is ready first.
    Rolling "rolling" None, None; "exchange each process for one that is ready first"
    /// A variable for the run.
    Variable "env" Some('e'), Some("NAME=VALUE"); "a variable for the run; may be repeated"
    /// How long a run may take.
    Limit "timeout" None, Some("TIME"); "how long the run may take; then it is stopped"
    /// Not standard input and output, but this stream.
    Stream "stream" None, Some("NAME"); "not standard input and output, but this stream"
    /// Then end its input.
    Close "close" None, None; "when all is sent, end its input: it reads to the end"
    /// Send the changes of the named instances while the reply is waited for. Clients with a terminal
    /// ask.
    Progress "progress" None, None; "send changes while waiting"
}

/// One verb.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Which.
    pub command: Command,
    /// Its word.
    pub name: &'static str,
    /// Its arguments, as the help shows them.
    pub usage: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// What it takes besides options.
    pub takes: Takes,
    /// Its options.
    pub flags: &'static [Flag],
    /// What a client must be allowed. `loglevel LEVEL` needs [`Access::Admin`].
    pub access: Access,
}

macro_rules! commands {
    ($(
        $command:ident $name:literal $usage:literal $takes:ident $access:ident $flags:expr;
        $about:literal
    )*) => {
        /// A verb of the control socket.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Command { $(#[doc = $about] $command,)* }

        /// Every verb, in the order of the help.
        pub const COMMANDS: &[Spec] = &[$(Spec {
            command: Command::$command,
            name: $name,
            usage: $usage,
            about: $about,
            takes: Takes::$takes,
            flags: $flags,
            access: Access::$access,
        },)*];
    };
}

const NONE: &[Flag] = &[];
const ACT: &[Flag] = &[Flag::NoWait, Flag::Timeout, Flag::Strict, Flag::Progress];
const ENSURE: &[Flag] = &[Flag::NoWait, Flag::Timeout, Flag::Progress];
const STOP: &[Flag] = &[
    Flag::NoWait,
    Flag::Timeout,
    Flag::Strict,
    Flag::WithDependents,
    Flag::Force,
    Flag::ScaleDown,
    Flag::Progress,
];
const RESTART: &[Flag] =
    &[Flag::NoWait, Flag::Timeout, Flag::Strict, Flag::Rolling, Flag::Progress];
const ONCE: &[Flag] = &[Flag::Variable, Flag::Limit, Flag::NoWait];
const EVENTS: &[Flag] = &[Flag::Lines, Flag::Since, Flag::Kind];
const SCALE: &[Flag] =
    &[Flag::NoWait, Flag::Timeout, Flag::Oldest, Flag::Force, Flag::Save, Flag::Progress];
const ADD: &[Flag] = &[Flag::NoWait, Flag::Timeout, Flag::Save, Flag::Progress];
const REMOVE: &[Flag] =
    &[Flag::NoWait, Flag::Timeout, Flag::WithDependents, Flag::Force, Flag::Progress];
const LOGS: &[Flag] = &[Flag::Follow, Flag::Lines, Flag::Stream];
const SEND: &[Flag] = &[Flag::Stream, Flag::Close, Flag::NoWait, Flag::Timeout];
const ATTACH: &[Flag] = &[Flag::Lines, Flag::Stream, Flag::Close];
const APPLY: &[Flag] = &[Flag::DryRun, Flag::NoWait, Flag::Timeout, Flag::Progress];

commands! {
    Status "status" "[NAME…]" Names View NONE;
        "what each instance is; of named ones also by the exit code: 0 up, 3 not"
    List "list" "[NAME…]" Names View NONE; "the names of services"
    Pid "pid" "[NAME…]" Names View NONE; "main process ids; without a name, the manager's"
    Why "why" "NAME…" SomeNames View NONE;
        "the latest transitions with their causes, and the next try"
    Tree "tree" "[NAME…]" Names View NONE; "what depends on what"
    Events "events" "[-n N | --since SEQ] [--kind KIND,…] [NAME…]" Names View EVENTS;
        "what happens to services, as it happens"
    Logs "logs" "[-f] [-n N] [--stream S] [NAME…]" Names View LOGS; "the latest output"
    Config "config" "[NAME…]" Names Admin NONE; "the configuration as lar has understood it"
    Start "start" "NAME…" SomeNames Operate ACT; "be up, and what it requires with it"
    Stop "stop" "NAME…" SomeNames Operate STOP; "be down, and stay so; one instance of several is replaced"
    Restart "restart" "NAME…" SomeNames Operate RESTART;
        "stop if up, then start; or the other way round: --rolling"
    Once "once" "[-e NAME=VALUE]… [--timeout TIME] NAME [-- ARG…]" Run Operate ONCE;
        "run its program once more, beside its instances, and end as that does"
    Ensure "ensure" "NAME…" SomeNames Operate ENSURE;
        "start it unless it is up, ask it again if it is; done when it can be connected to"
    Reload "reload" "NAME…" SomeNames Operate ENSURE;
        "send the service its reload signal, or run its reload command"
    Kill "kill" "[SIGNAL] NAME…" Signal Operate NONE; "send main processes a signal (default TERM)"
    Send "send" "[--stream S] [--close] NAME [TEXT…|-]" Text Operate SEND;
        "write a line, or what comes from standard input, to its input (`stdin pipe`) or a stream"
    Attach "attach" "[--stream S] [--close] NAME" OneName Operate ATTACH;
        "its output as it comes, and lines to its input; Ctrl-D or Ctrl-C leaves, and it runs on"
    Clear "clear" "NAME…" SomeNames Operate NONE;
        "forget deaths: waits end now, what failed is tried again"
    Scale "scale" "NAME N|+N|-N" Count Operate SCALE; "have so many instances of a service"
    Add "add" "NAME [KEY VALUE]… -- PROGRAM ARG… (or: add - <FILE)" Definition Admin ADD;
        "a new service, until the manager ends (or for good: --save)"
    Remove "remove" "NAME…" SomeNames Admin REMOVE; "stop services, and forget them"
    Apply "apply" "" Nothing Admin APPLY; "read the configuration anew, and touch only what changed"
    Reopen "reopen" "" Nothing Operate NONE; "open all transcripts and logs anew"
    Wait "wait" "NAME=STATE…" States View &[Flag::Timeout, Flag::Progress];
        "until it is in this state; `up`, `down` and `ready` are understood, too"
    Ping "ping" "" Nothing View NONE; "whether a manager answers"
    Version "version" "" Nothing View NONE; "which manager this is"
    Health "health" "[NAME…]" Names View NONE;
        "exit code 0 if all that is wanted up (or is named) is up and healthy; one line about it"
    LogLevel "loglevel" "[LEVEL]" Level View NONE; "show or set what the event log says"
    Shutdown "shutdown" "" Nothing Admin &[Flag::NoWait]; "stop everything in order, and end"
}

impl Command {
    /// Its row of the table.
    pub fn spec(self) -> &'static Spec {
        &COMMANDS[self as usize]
    }

    /// The verb with this name.
    pub fn find(name: &str) -> Option<Command> {
        COMMANDS.iter().find(|spec| spec.name == name).map(|spec| spec.command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_indexed_by_its_commands() {
        for spec in COMMANDS {
            assert_eq!(spec.command.spec().name, spec.name);
            assert_eq!(Command::find(spec.name), Some(spec.command));
        }
    }
}
