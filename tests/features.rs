//! What lar's ancestors procmon and gaffer can do, lar can: one table of features, and for each a test that shows it
//! through a configuration and `lar ctl`. And what they were known to do wrong, lar does right.

#[path = "support/lar.rs"]
mod lar;
#[path = "support/pty.rs"]
mod pty;

#[path = "features/bugs.rs"]
mod bugs;
#[path = "features/definitions.rs"]
mod definitions;
#[path = "features/looking.rs"]
mod looking;
#[path = "features/manager.rs"]
mod manager;
#[path = "features/operating.rs"]
mod operating;
#[path = "features/output.rs"]
mod output;
#[path = "features/restarting.rs"]
mod restarting;
#[path = "features/scaling.rs"]
mod scaling;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use lar::{Answer, LAR, Lar, Scratch, answer};

/// The rows of the table, and the test of each: here (`definitions::…`), or in another file.
const ROWS: &[(u32, &str, &str)] = &[
    (
        1,
        "a named service, whose name is its own",
        "definitions::a_name_is_used_once_and_services_come_and_go_while_lar_runs",
    ),
    (
        2,
        "words, without a shell",
        "definitions::a_program_gets_its_words_its_directory_and_its_variables",
    ),
    (
        3,
        "a shell's command line",
        "definitions::a_program_gets_its_words_its_directory_and_its_variables",
    ),
    (
        4,
        "$VAR in its words",
        "definitions::variables_in_its_words_are_put_in_from_its_own_environment",
    ),
    (
        5,
        "users and groups by name or number",
        "definitions::it_runs_as_another_user_by_name_or_by_number",
    ),
    (
        6,
        "working directory",
        "definitions::a_program_gets_its_words_its_directory_and_its_variables",
    ),
    (7, "variables", "definitions::a_program_gets_its_words_its_directory_and_its_variables"),
    (
        8,
        "inherited variables: all, none, some",
        "definitions::a_program_gets_its_words_its_directory_and_its_variables",
    ),
    (
        9,
        "files of variables",
        "definitions::a_program_gets_its_words_its_directory_and_its_variables",
    ),
    (
        10,
        "add at run time",
        "definitions::a_name_is_used_once_and_services_come_and_go_while_lar_runs",
    ),
    (
        11,
        "remove at run time",
        "definitions::a_name_is_used_once_and_services_come_and_go_while_lar_runs",
    ),
    (
        12,
        "update in place",
        "definitions::what_has_changed_in_the_file_is_applied_and_a_bad_file_changes_nothing",
    ),
    (
        13,
        "start, stop, restart one",
        "operating::one_is_started_stopped_and_restarted_and_a_stop_sticks",
    ),
    (14, "a stop sticks", "operating::one_is_started_stopped_and_restarted_and_a_stop_sticks"),
    (
        15,
        "restart all",
        "operating::all_start_in_their_order_restart_together_and_end_the_other_way_round",
    ),
    (
        16,
        "all start and end with the manager",
        "operating::all_start_in_their_order_restart_together_and_end_the_other_way_round",
    ),
    (
        17,
        "TERM, a grace time, KILL",
        "operating::who_does_not_end_by_term_is_killed_after_its_grace_time",
    ),
    (
        20,
        "a reload signal",
        "operating::any_signal_reaches_one_or_all_instances_and_reload_has_its_own",
    ),
    (
        21,
        "any signal to one or all",
        "operating::any_signal_reaches_one_or_all_instances_and_reload_has_its_own",
    ),
    (22, "doubling delays, healthy lives", "restarting::delays_double_until_a_life_was_healthy"),
    (
        23,
        "flapping, cool-down, giving up",
        "restarting::too_many_deaths_are_followed_by_a_rest_and_then_by_giving_up",
    ),
    (
        24,
        "a failed spawn is a death",
        "restarting::a_program_that_can_not_be_started_is_a_death_and_says_why",
    ),
    (
        25,
        "instances, scaled by + and - and to",
        "scaling::instances_are_scaled_and_each_knows_its_number",
    ),
    (26, "the oldest go first, if asked to", "scaling::the_oldest_go_first_if_that_is_asked_for"),
    (
        27,
        "a run of its own from a definition",
        "scaling::one_more_run_is_not_counted_and_not_restarted",
    ),
    (28, "groups", "operating::a_group_is_one_name_for_all_that_verbs_do"),
    (
        29,
        "order",
        "operating::all_start_in_their_order_restart_together_and_end_the_other_way_round",
    ),
    (
        30,
        "not started at boot",
        "manager::what_does_not_start_with_the_manager_starts_when_it_is_asked_for",
    ),
    (
        37,
        "pids, and whether it runs",
        "operating::one_is_started_stopped_and_restarted_and_a_stop_sticks",
    ),
    (39, "already started", "operating::one_is_started_stopped_and_restarted_and_a_stop_sticks"),
    (
        41,
        "operators at once",
        "operating::many_operators_at_once_leave_it_as_the_last_one_said_and_a_slow_one_holds_up_nobody",
    ),
    (42, "open fds are passed on", "manager::a_socket_is_opened_once_and_passed_on"),
    (43, "all other fds are closed, input is empty", "output::it_has_its_own_fds_and_no_others"),
    (
        44,
        "output by line, with its name",
        "output::lines_are_told_apart_by_name_whatever_their_length",
    ),
    (45, "standard error with the output, or apart", "output::standard_error_goes_along_or_apart"),
    (46, "output as it comes", "output::output_can_be_followed"),
    (47, "writing to its input", "output::its_input_and_its_streams_can_be_written_to"),
    (48, "two-way streams", "output::its_input_and_its_streams_can_be_written_to"),
    (49, "a console", "output::one_can_attach_to_it"),
    (50, "events, and a choice of them", "looking::events_tell_what_happens_and_can_be_chosen"),
    (51, "an event runs a command (and so reaches a URL)", "looking::an_event_runs_a_command"),
    (52, "figures, once and again", "looking::figures_are_shown_once_and_again_and_again"),
    (53, "what is known of one", "looking::everything_that_is_known_of_one_is_shown"),
    (
        54,
        "lists of processes, services, groups",
        "looking::everything_that_is_known_of_one_is_shown",
    ),
    (
        55,
        "Procfile, .env, concurrency",
        "manager::a_procfile_is_run_with_its_variables_and_as_many_of_each_as_asked_for",
    ),
    (
        56,
        "export to a file",
        "definitions::what_runs_can_be_written_as_a_file_and_files_include_others",
    ),
    (57, "include", "definitions::what_runs_can_be_written_as_a_file_and_files_include_others"),
    (
        58,
        "HUP; a bad file keeps the old",
        "definitions::what_has_changed_in_the_file_is_applied_and_a_bad_file_changes_nothing",
    ),
    (59, "HTTP, websockets, TLS", README),
    (60, "keys with scopes", README),
    (61, "a lookup service for a cluster", README),
    (62, "plugins", README),
    (63, "one command, with options", "manager::one_command_is_run_with_its_options"),
    (64, "left running at the end", "manager::what_is_to_be_left_runs_on_when_the_manager_ends"),
    (
        65,
        "a daemon with a pid file and levels",
        "manager::it_is_a_daemon_with_a_pid_file_and_says_as_much_as_asked_for",
    ),
    (66, "an injectable clock", "tests/simulation/world.rs: virtual clock"),
    (
        67,
        "definitions that are kept",
        "definitions::what_was_added_and_saved_is_there_in_the_next_manager",
    ),
];

/// A row that is a sentence in the README under this heading.
const README: &str = "## Not here, and why";

/// The rows that procmon or gaffer have; the others are daemon_controller's alone.
fn required() -> Vec<u32> {
    let others = [18, 19, 31, 32, 33, 34, 35, 36, 38, 40];
    (1..=67).filter(|row| !others.contains(row)).collect()
}

/// The text of a file of the package.
fn package(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether this test exists: `topic::name` of this program.
fn exists(test: &str) -> bool {
    let (topic, name) = test.split_once("::").expect("a topic and a name");
    package(&format!("tests/features/{topic}.rs")).contains(&format!("#[test]\nfn {name}() {{"))
}

#[test]
fn every_row_is_shown_by_a_test_that_exists() {
    let rows: Vec<u32> = ROWS.iter().map(|(row, ..)| *row).collect();
    assert_eq!(rows, required());
    let (_, after) =
        package("README.md").split_once(README).map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let section = after.split("\n## ").next().unwrap().to_owned();
    for (row, what, test) in ROWS {
        match *test {
            README => {
                // Each has its own item, by its first word.
                let word = what.split([' ', ',']).next().unwrap();
                let word = if word == "a" { "cluster" } else { word };
                assert!(section.to_lowercase().contains(&word.to_lowercase()), "{row}: {word}");
            }
            test if test.starts_with("tests/") => {
                let (file, text) = test.split_once(": ").unwrap();
                assert!(package(file).contains(text), "{row}: {test}");
            }
            test => assert!(exists(test), "{row}: there is no {test}"),
        }
    }
}

#[test]
fn every_bug_has_a_test_that_exists() {
    let mut tests = BTreeMap::new();
    for (bug, test) in bugs::BUGS {
        assert!(exists(test), "{bug}: there is no {test}");
        assert_eq!(tests.insert(*bug, *test), None, "{bug} twice");
    }
    assert_eq!(tests.len(), 16);
}

/// `lar check` of a configuration.
fn check(config: &str) -> Answer {
    let dir = Scratch::new();
    let file = dir.write("lar.conf", config);
    answer(Command::new(LAR).arg("check").arg(file))
}

/// Another configuration in place of the one it was started with.
fn rewrite(lar: &Lar, config: &str) {
    let path = lar.dir.at("lar.conf");
    let old = std::fs::read_to_string(&path).unwrap();
    // The manager's own section stays.
    let end = old.find("</lar>").map_or(0, |at| at + "</lar>\n".len());
    std::fs::write(&path, format!("{}{config}", &old[..end])).unwrap();
}
