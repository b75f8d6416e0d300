//! The rules of the house, looked at file by file: one package has no crate walls, so these are the walls.
//!
//! `src/lib.rs` says why each rule is there. A broken rule is told as `file:line: what`. `LAR_BLESS=1` writes
//! the README's generated tables anew instead of comparing them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use lar::config::keys;
use lar::exit::Code;
use lar::plan::EventKind;

#[path = "tidy/source.rs"]
mod source;

use source::Source;

/// The layer of each module. One may use those below it, and what is in the same part.
const LAYERS: &[(&str, u8)] = &[
    ("plan", 0),
    ("time", 0),
    ("signal", 0),
    ("exit", 0),
    ("nearest", 0),
    ("python", 0),
    ("supervisor", 1),
    ("config", 1),
    ("transcript", 1),
    ("ctl::protocol", 1),
    ("sys", 2),
    ("check", 3),
    ("ctl", 3),
    ("input", 3),
    ("output", 3),
    ("logger", 3),
    ("run", 4),
    ("cli", 5),
];

/// The kernel's layer knows the words, but not the pure layer: they meet in the loop.
const SYSTEM: u8 = 2;

/// What the pure layers must not name, and every module of std that reaches outside of the process.
const IMPURE: &[&str] = &["mio", "nix", "libc", "log", "env_logger", "lexopt"];
const IMPURE_STD: &[&str] = &["fs", "io", "net", "os", "process", "thread", "env", "time"];

/// What runs once the loop does; nothing in there may panic.
const IN_THE_LOOP: &[&str] =
    &["run", "supervisor", "sys", "input", "output", "check", "ctl/server"];

const LONGEST_FILE: usize = 500;
const LONGEST_FUNCTION: usize = 70;
const WIDEST_LINE: usize = 120;

/// Fails with all complaints at once.
fn expect_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn package(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// The part that a module path belongs to, and its layer.
fn part(path: &str) -> Option<(&'static str, u8)> {
    let within = |name: &str| path == name || path.starts_with(&format!("{name}::"));
    let longest = LAYERS.iter().filter(|(name, _)| within(name)).max_by_key(|(name, _)| name.len());
    longest.copied()
}

/// `config::keys` of `src/config/keys.rs`.
fn module(source: &Source) -> String {
    source.name.trim_start_matches("src/").trim_end_matches(".rs").replace('/', "::")
}

fn layer(source: &Source) -> Option<u8> {
    part(&module(source)).map(|(_, layer)| layer)
}

#[test]
fn modules_use_only_what_is_below_them() {
    let mut complaints = Vec::new();
    for source in Source::all("src") {
        let Some((own, layer)) = part(&module(&source)) else {
            if !["src/lib.rs", "src/main.rs"].contains(&source.name.as_str()) {
                complaints.push(format!("{}:1: this module has no layer", source.name));
            }
            continue;
        };
        for (at, path) in source.paths("crate") {
            // What is not a module is a macro.
            let Some((other, below)) = part(&path) else { continue };
            let allowed = match layer {
                _ if other == own => true,
                // The words are one vocabulary.
                0 | SYSTEM => below == 0,
                layer => below < layer,
            };
            if !allowed {
                let what = format!("{own} (layer {layer}) uses {path} (layer {below})");
                complaints.push(source.complaint(at, &what));
            }
        }
    }
    expect_none(complaints);
}

/// The rule before this one looks at `crate::` only, so nobody may leave a part by `super::`.
#[test]
fn super_does_not_lead_out_of_a_part() {
    let mut complaints = Vec::new();
    for source in Source::all("src") {
        let module = module(&source);
        let Some((own, _)) = part(&module) else { continue };
        let inside = module.matches("::").count() - own.matches("::").count();
        for at in source.places("super::super").chain(source.places("super")) {
            let supers = source.code[at..].split("::").take_while(|word| *word == "super").count();
            // A test module is one deeper than its file.
            if supers > inside + usize::from(source.is_test(at)) {
                complaints.push(source.complaint(at, &format!("this leaves {own}; say crate::")));
            }
        }
    }
    expect_none(complaints);
}

#[test]
fn the_pure_layers_name_nothing_of_the_outside() {
    let mut complaints = Vec::new();
    for source in Source::all("src") {
        if layer(&source).is_none_or(|layer| layer >= SYSTEM) {
            continue;
        }
        for name in IMPURE {
            for (at, path) in source.paths(name) {
                complaints.push(source.complaint(at, &format!("{name}::{path} in a pure layer")));
            }
        }
        for (at, path) in source.paths("std") {
            if IMPURE_STD.contains(&path.split("::").next().unwrap()) {
                complaints.push(source.complaint(at, &format!("std::{path} in a pure layer")));
            }
        }
    }
    expect_none(complaints);
}

#[test]
fn files_functions_and_lines_stay_short() {
    let mut complaints = Vec::new();
    for source in Source::all("src").into_iter().chain(Source::all("tests")) {
        let lines = source.text.lines().count();
        if lines > LONGEST_FILE {
            complaints.push(format!("{}:1: {lines} lines, over {LONGEST_FILE}", source.name));
        }
        for (at, lines) in source.functions() {
            if lines > LONGEST_FUNCTION {
                let what = format!("a function of {lines} lines, over {LONGEST_FUNCTION}");
                complaints.push(source.complaint(at, &what));
            }
        }
        for (number, line) in source.text.lines().enumerate() {
            let width = line.chars().count();
            if width > WIDEST_LINE {
                complaints.push(format!("{}:{}: {width} columns", source.name, number + 1));
            }
        }
        if source.name.ends_with("/mod.rs") {
            complaints.push(format!("{}:1: foo.rs stands beside foo/", source.name));
        }
    }
    expect_none(complaints);
}

#[test]
fn unsafe_stands_only_in_sys_and_says_why_it_is_sound() {
    let mut complaints = Vec::new();
    for source in Source::all("src") {
        for at in source.places("unsafe") {
            let line = source.line(at);
            if layer(&source) != Some(SYSTEM) {
                complaints.push(source.complaint(at, "unsafe outside of src/sys"));
            } else if source.code[at + 6..].trim_start().starts_with('{')
                && !is_explained(&source, line)
            {
                complaints.push(source.complaint(at, "an unsafe block without `// SAFETY:`"));
            }
        }
    }
    expect_none(complaints);
}

/// Whether the statement that this line belongs to has a safety comment right above it.
fn is_explained(source: &Source, line: usize) -> bool {
    let texts: Vec<&str> = source.text.lines().collect();
    let codes: Vec<&str> = source.code.lines().collect();
    if texts[line - 1].contains("// SAFETY:") {
        return true;
    }
    let above = texts[..line - 1].iter().zip(&codes[..line - 1]).rev();
    for (text, code) in above {
        if text.trim_start().starts_with("// SAFETY:") {
            return true;
        }
        let code = code.trim_end();
        let ended = code.ends_with([';', '{', '}']) || text.trim().is_empty();
        if ended {
            return false;
        }
    }
    false
}

#[test]
fn nothing_in_the_loop_panics_on_purpose() {
    let mut complaints = Vec::new();
    for source in Source::all("src") {
        let module = source.name.trim_start_matches("src/").trim_end_matches(".rs");
        let within = |name: &&str| module == *name || module.starts_with(&format!("{name}/"));
        if !IN_THE_LOOP.iter().any(within) {
            continue;
        }
        for call in [".unwrap()", ".expect(", "panic!", "unreachable!", "unimplemented!"] {
            for at in source.places(call).filter(|&at| !source.is_test(at)) {
                complaints.push(source.complaint(at, &format!("{call} in the loop")));
            }
        }
    }
    expect_none(complaints);
}

#[test]
fn nothing_prints_but_the_command_line() {
    let mut complaints = Vec::new();
    for source in Source::all("src") {
        for call in ["print!", "println!", "eprint!", "eprintln!", "dbg!"] {
            for at in source.places(call).filter(|&at| !source.is_test(at)) {
                complaints.push(source.complaint(at, &format!("{call} panics on a closed pipe")));
            }
        }
    }
    expect_none(complaints);
}

#[test]
fn every_state_and_event_pair_is_written_out() {
    let sources = Source::all("src");
    let service = sources.iter().find(|source| source.name == "src/supervisor/service.rs").unwrap();
    let places = service.places("_ =>").map(|at| service.complaint(at, "write the pairs out"));
    expect_none(places.collect());
}

#[test]
fn nothing_is_left_for_later_and_no_test_sleeps() {
    let mut complaints = Vec::new();
    // Not spelled whole, so that this file passes.
    let marks = ["TO", "FIX", "X"].iter().zip(["DO", "ME", "XX"]).map(|(a, b)| format!("{a}{b}"));
    let marks: Vec<String> = marks.collect();
    for source in Source::all("src").into_iter().chain(Source::all("tests")) {
        for at in source.places("todo!").chain(source.places("unimplemented!")) {
            complaints.push(source.complaint(at, "left for later"));
        }
        for (number, line) in source.text.lines().enumerate() {
            if marks
                .iter()
                .any(|mark| line.split(|c: char| !c.is_alphanumeric()).any(|word| word == mark))
            {
                complaints.push(format!("{}:{}: left for later", source.name, number + 1));
            }
        }
        for at in source.places("thread::sleep").chain(source.places("sleep_ms")) {
            complaints.push(source.complaint(at, "wait for the event instead"));
        }
    }
    expect_none(complaints);
}

#[test]
fn there_are_exactly_the_six_dependencies() {
    let manifest = package("Cargo.toml");
    let mut section = "";
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
            assert!(!line.starts_with("[features"), "no features");
        } else if section == "[dependencies]"
            && let Some((name, _)) = line.split_once(" = ")
        {
            found.insert(name);
        }
    }
    let wanted = ["env_logger", "lexopt", "libc", "log", "mio", "nix"];
    assert_eq!(found, BTreeSet::from(wanted));
}

/// What stands in the README between two marks, or is written there.
fn compare(part: &str, generated: &str) {
    let readme = package("README.md");
    let (from, to) = (format!("<!-- {part} -->\n"), format!("<!-- end of {part} -->"));
    let (before, rest) = readme.split_once(&from).expect("the README has this mark");
    let (there, after) = rest.split_once(&to).expect("the README has this mark");
    if there.trim() == generated.trim() {
        return;
    }
    if std::env::var_os("LAR_BLESS").is_some() {
        let text = format!("{before}{from}\n{}\n\n{to}{after}", generated.trim());
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"), text).unwrap();
        return;
    }
    panic!("the README's {part} are old; `LAR_BLESS=1 cargo test --test tidy` writes them anew");
}

/// One test for all of them: each may write the file.
#[test]
fn the_tables_of_the_readme_are_the_programs_own() {
    compare("keys", &keys::markdown());

    let mut options = String::from("| option | variable | what it does |\n|---|---|---|\n");
    for option in &lar::cli::single::OPTIONS {
        let call = format!("--{} {}", option.name, option.value);
        let call = call.trim().replace('|', "\\|");
        let _ = writeln!(options, "| `{call}` | `{}` | {} |", option.variable, option.doc);
    }
    compare("options", &options);

    let mut codes = String::from("| code | on the wire | means |\n|---|---|---|\n");
    let mut all = Code::ALL.to_vec();
    all.sort_by_key(|code| code.exit());
    for code in all {
        let _ = writeln!(codes, "| {} | `{}` | {} |", code.exit(), code.word(), code.meaning());
    }
    compare("exit codes", &codes);

    let mut verbs = String::from("| verb | what it does |\n|---|---|\n");
    for spec in lar::ctl::protocol::command::COMMANDS {
        let call = format!("{} {}", spec.name, spec.usage);
        let call = call.trim().replace('|', "\\|");
        let _ = writeln!(verbs, "| `{call}` | {} |", spec.about);
    }
    compare("verbs", &verbs);

    let mut events = String::from("| kind | when | its own fields |\n|---|---|---|\n");
    for kind in EventKind::ALL {
        let fields: Vec<String> = kind.fields().iter().map(|field| format!("`{field}`")).collect();
        let (word, about) = (kind.word(), kind.about());
        let _ = writeln!(events, "| `{word}` | {about} | {} |", fields.join(", "));
    }
    compare("events", &events);
}

/// What `lar` prints and how it ends.
fn lar(words: &[&str]) -> (String, bool) {
    let output = Command::new(env!("CARGO_BIN_EXE_lar")).args(words).output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.success())
}

#[test]
fn every_topic_of_the_help_exists() {
    let (usage, _) = lar(&["help"]);
    let topics = usage.lines().find_map(|line| line.split_once("topics: "));
    let (_, topics) = topics.unwrap_or_else(|| panic!("no topics in the help:\n{usage}"));
    for topic in topics.split(", ") {
        let words: Vec<&str> = ["help"].into_iter().chain(topic.split(' ')).collect();
        let words: Vec<&str> =
            words.iter().map(|&word| if word == "KEY" { "backoff" } else { word }).collect();
        let (text, success) = lar(&words);
        assert!(success && text.lines().count() > 2, "lar {}: {text:?}", words.join(" "));
    }
}

#[test]
fn every_target_that_the_readme_names_exists() {
    let (makefile, readme) = (package("Makefile"), package("README.md"));
    let named = readme.split(['`', '\n']).filter_map(|text| text.strip_prefix("make "));
    let mut count = 0;
    for target in named.filter_map(|rest| rest.split(' ').next()) {
        assert!(makefile.contains(&format!("\n{target}: ")), "no make {target}");
        count += 1;
    }
    assert!(count >= 4, "the README has the commands");
}

#[test]
fn the_lexer_sees_code_and_nothing_else() {
    let text = "use crate::{ctl::{place, protocol::words::W}, run}; // crate::not\n\
                fn f<'a>(c: char) { let _ = (\"crate::no \\\" {\", '{', '\\'', r#\"crate::no\"#); }\n\
                /* /* crate::no */ */\n#[cfg(test)]\nmod tests { fn g() { panic!() } }\n";
    let source = Source::new("x.rs", text);
    let paths: Vec<String> = source.paths("crate").into_iter().map(|(_, path)| path).collect();
    assert_eq!(paths, ["ctl::place", "ctl::protocol::words::W", "run"]);
    let functions: Vec<usize> = source.functions().into_iter().map(|(_, lines)| lines).collect();
    assert_eq!(functions, [1, 1]);
    let panics: Vec<usize> = source.places("panic!").collect();
    assert!(panics.len() == 1 && source.is_test(panics[0]));
    assert!(!source.is_test(0));
}
