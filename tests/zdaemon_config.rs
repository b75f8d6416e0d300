//! zdaemon's configuration files: lar's values and messages beside those of the real zdaemon and its ZConfig.
//!
//! `tests/zdaemon_config/NAME.out` is what the real one makes of `NAME.conf`, in which a line `# -X path/key=value`
//! is an override of the command line. `LAR_BLESS=1` writes them anew from the real one, never from lar.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lar::cli::machine::Machine;
use lar::config::{self, Zdaemon};
use lar::plan::Runner;
use lar::python::repr;

#[path = "support/lar.rs"]
mod support;
#[path = "support/zdaemon.rs"]
mod zdaemon;
use support::{Scratch, skip};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A file and what `-X` says beside it.
struct Case {
    path: PathBuf,
    overrides: Vec<String>,
}

impl Case {
    fn new(path: PathBuf) -> Case {
        let bytes = fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let overrides = text.lines().filter_map(|line| line.strip_prefix("# -X "));
        Case { path, overrides: overrides.map(str::to_string).collect() }
    }

    fn name(&self) -> String {
        self.path.file_stem().unwrap().to_string_lossy().into_owned()
    }

    /// What lar makes of it, in the form of `real.py`.
    fn lars(&self) -> String {
        let (path, bytes) = (self.path.to_str().unwrap(), fs::read(&self.path).unwrap());
        match config::zdaemon(path, &bytes, &self.overrides, &Machine::new()) {
            Ok(said) => shown(&said),
            Err(message) => format!("Error: {message}"),
        }
    }
}

/// The files in `tests/zdaemon_config`, by name.
fn cases() -> Vec<Case> {
    let entries = fs::read_dir(Path::new(ROOT).join("tests/zdaemon_config")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "conf"));
    paths.sort();
    paths.into_iter().map(Case::new).collect()
}

/// What the real zdaemon makes of these files.
fn real(place: &Path, cases: &[Case]) -> Vec<String> {
    let mut child = Command::new(zdaemon::PYTHON)
        .arg(Path::new(ROOT).join("tests/zdaemon_config/real.py"))
        .env("PYTHONPATH", place)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(ROOT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines: String = cases
        .iter()
        .map(|case| {
            let words: Vec<&str> = case.overrides.iter().map(String::as_str).collect();
            format!("{}\t{}", case.path.display(), words.join("\t")).trim_end().to_string() + "\n"
        })
        .collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let texts: Vec<String> = text.split_terminator("\n\x0c\n").map(str::to_string).collect();
    assert_eq!(texts.len(), cases.len());
    texts
}

/// The values, as Python shows them.
fn shown(said: &Zdaemon) -> String {
    let Zdaemon { runner, environment, event_log, .. } = said;
    let text = |value: Option<&str>| value.map_or("None".into(), repr);
    let words = |value: Option<&[String]>| match value {
        Some(words) => {
            format!("[{}]", words.iter().map(|it| repr(it)).collect::<Vec<_>>().join(", "))
        }
        None => "None".into(),
    };
    let boolean = |value: bool| if value { "True" } else { "False" }.to_string();
    let stop = runner.stop_timeout.map_or("None".into(), |seconds| seconds.to_string());
    let mut lines: Vec<String> = [
        ("program", words(runner.program.as_deref())),
        ("backoff_limit", runner.backoff_limit().to_string()),
        ("daemon", boolean(runner.daemon())),
        ("forever", boolean(runner.forever())),
        ("socket_name", repr(runner.socket_name())),
        ("exit_codes", format!("{:?}", runner.exit_codes())),
        ("user", text(runner.user.as_deref())),
        ("umask", runner.umask().to_string()),
        ("directory", text(runner.directory.as_deref())),
        ("logfile", text(runner.logfile.as_deref())),
        ("transcript", text(runner.transcript.as_deref())),
        ("start_timeout", runner.start_timeout().to_string()),
        ("stop_timeout", stop),
        ("start_test_program", words(runner.start_test_program.as_deref())),
        ("prompt", text(runner.prompt.as_deref())),
        ("default_to_interactive", boolean(runner.default_to_interactive.unwrap_or(true))),
        ("hang_around", boolean(runner.hang_around.unwrap_or(false))),
        ("python", text(runner.python.as_deref())),
        ("zdrun", text(runner.zdrun.as_deref())),
    ]
    .map(|(key, value)| format!("{key} {value}"))
    .to_vec();
    let sorted: BTreeMap<&String, &String> = environment.iter().map(|(n, v)| (n, v)).collect();
    lines.extend(sorted.iter().map(|(n, v)| format!("environment {} {}", repr(n), repr(v))));
    lines.extend(event_log.files.iter().map(|file| format!("logfile {}", repr(&file.path))));
    lines.join("\n")
}

/// Without the place of the repository.
fn portable(text: &str) -> String {
    text.replace(ROOT, "/lar")
}

#[test]
fn files_give_the_values_and_messages_that_stand_beside_them() {
    let cases = cases();
    assert!(cases.len() > 100);
    let mut complaints = String::new();
    for case in cases {
        let (name, lars) = (case.name(), portable(&case.lars()));
        let beside = fs::read_to_string(case.path.with_extension("out")).unwrap_or_default();
        if lars != beside.trim_end_matches('\n') {
            complaints.push_str(&format!("--- {name}: lar\n{lars}\n--- zdaemon\n{beside}\n"));
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

#[test]
fn what_stands_beside_the_files_is_the_real_zdaemons() {
    let place = match zdaemon::installed() {
        Ok(place) => place,
        Err(why) => return skip(&why),
    };
    let cases = cases();
    for (case, text) in cases.iter().zip(real(&place, &cases)) {
        let (beside, text) = (case.path.with_extension("out"), portable(&text) + "\n");
        assert!(!text.starts_with("Traceback"), "{}: {text}", case.name());
        if std::env::var_os("LAR_BLESS").is_some() {
            fs::write(&beside, &text).unwrap();
        }
        assert_eq!(fs::read_to_string(&beside).unwrap_or_default(), text, "{}", case.name());
    }
}

/// The lines of `show` that a file decides alone.
fn show(runner: &Runner) -> [String; 10] {
    let text = |value: Option<&str>| value.map_or("None".into(), repr);
    let words: Vec<String> = runner.program.iter().flatten().map(|word| repr(word)).collect();
    let boolean = |value: bool| if value { "True" } else { "False" }.to_string();
    [
        ("program", format!("[{}]", words.join(", "))),
        ("backofflimit", runner.backoff_limit().to_string()),
        ("daemon", boolean(runner.daemon())),
        ("forever", boolean(runner.forever())),
        ("sockname", repr(runner.socket_name())),
        ("exitcodes", format!("{:?}", runner.exit_codes())),
        ("umask", format!("0o{:o}", runner.umask())),
        ("directory", text(runner.directory.as_deref())),
        ("logfile", text(runner.logfile.as_deref())),
        ("transcript", repr(runner.transcript())),
    ]
    .map(|(name, value)| format!("{:14}{value}", format!("{name}:")))
}

#[test]
fn show_of_the_real_zdaemon_prints_the_values_that_lar_reads() {
    let place = match zdaemon::installed() {
        Ok(place) => place,
        Err(why) => return skip(&why),
    };
    let mut shows = 0;
    for case in cases() {
        let (path, bytes) = (case.path.to_str().unwrap(), fs::read(&case.path).unwrap());
        let said = config::zdaemon(path, &bytes, &case.overrides, &Machine::new());
        let Some(runner) = said.ok().map(|said| said.runner) else { continue };
        // Without a program `show` refuses to work.
        if runner.program.as_ref().is_none_or(|words| words.is_empty()) {
            continue;
        }
        let options = case.overrides.iter().flat_map(|it| ["-X", it.as_str()]);
        let output = Command::new(zdaemon::real(&place))
            .args(["-C", path])
            .args(options)
            .arg("show")
            .current_dir(ROOT)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        for line in show(&runner) {
            assert!(text.lines().any(|it| it == line), "{}: {line}\n{text}", case.name());
        }
        shows += 1;
    }
    assert!(shows >= 12, "{shows}");
}

/// The real zdaemon fails with a traceback on these.
#[test]
fn a_wrong_value_of_the_command_line_is_told_as_its_other_mistakes_are() {
    let file = "<runner>\n  program sleep\n</runner>\n";
    let said = |spec: &str| {
        let overrides = [spec.to_string()];
        config::zdaemon("/etc/z.conf", file.as_bytes(), &overrides, &Machine::new()).unwrap_err()
    };
    let place = "\n(line -1, column -1 in <command-line option>)";
    assert_eq!(said("runner/daemon=maybe"), format!("not a valid boolean value: 'maybe'{place}"));
    let regex = "value did not match regular expression: '9'";
    assert_eq!(said("runner/9=x"), format!("{regex}{place}"));
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % n.max(1) as u64) as usize
    }
}

/// What parsers trip over; `~` is a blank.
const SPICE: &str = "$ $$ ${ $( $a ${a} ( ) < > </ /> <a> <runner> </runner> <eventlog/> <x~y~z> # % %define~a~b \
                     %define~a~$b %include~ 0 -1 9 _ ' \" \\ é yes maybe daemon~on level~7 program~x / // ~ =";

fn mutated(seeds: &[String], random: &mut Random) -> String {
    let spice: Vec<String> = SPICE.split(' ').map(|it| it.replace('~', " ")).collect();
    let seed = &seeds[random.below(seeds.len())];
    let mut lines: Vec<String> = seed.lines().map(str::to_string).collect();
    for _ in 0..=random.below(3) {
        let at = random.below(lines.len());
        match random.below(6) {
            0 if lines.len() > 1 => drop(lines.remove(at)),
            1 => {
                let other = seeds[random.below(seeds.len())].lines().map(str::to_string);
                let other: Vec<String> = other.collect();
                lines.insert(at, other[random.below(other.len())].clone());
            }
            2 => {
                let to = random.below(lines.len());
                lines.swap(at, to);
            }
            3 => lines.insert(at, spice[random.below(spice.len())].clone()),
            _ => {
                let mut chars: Vec<char> = lines[at].chars().collect();
                let from = random.below(chars.len() + 1);
                let to = (from + random.below(4)).min(chars.len());
                chars.splice(from..to, spice[random.below(spice.len())].chars());
                lines[at] = chars.into_iter().collect();
            }
        }
    }
    lines.join("\n") + if random.below(4) == 0 { "" } else { "\n" }
}

/// Whether a file says what lar takes on purpose and ZConfig does not, or the other way round.
fn beyond(text: &str) -> bool {
    text.lines().map(str::trim).any(|line| {
        let directive = line.split_whitespace().next().unwrap_or_default();
        let capitals = line.starts_with('%') && directive != directive.to_lowercase();
        let pattern = line.starts_with("%include") && line.contains(['*', '?', '[', '#', '%', ':']);
        let blanks = line.starts_with("< ") || line.starts_with("</ ");
        let extra = line.starts_with("x-") || line.starts_with("<x-");
        capitals || pattern || blanks || extra || directive.contains('=')
    })
}

#[test]
fn mutants_of_the_files_mean_the_same_to_lar_and_to_the_real_zdaemon() {
    let place = match zdaemon::installed() {
        Ok(place) => place,
        Err(why) => return skip(&why),
    };
    let mut seeds: Vec<String> = Vec::new();
    for case in cases() {
        // What is wrong already hardly gets right.
        let times = if case.name().starts_with("good") { 20 } else { 1 };
        (0..times).for_each(|_| seeds.push(fs::read_to_string(&case.path).unwrap()));
    }
    let seed = std::env::var("LAR_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0x2d);
    println!("seed {seed}");
    let mut random = Random(seed);
    let scratch = Scratch::new();
    let copies = fs::read_dir(Path::new(ROOT).join("tests/zdaemon_config/parts")).unwrap();
    fs::create_dir(scratch.at("parts")).unwrap();
    for entry in copies {
        let entry = entry.unwrap();
        fs::copy(entry.path(), scratch.at("parts").join(entry.file_name())).unwrap();
    }
    let mut mutants = Vec::new();
    while mutants.len() < MUTANTS {
        let text = mutated(&seeds, &mut random);
        if !beyond(&text) {
            let path = scratch.at(&format!("{}.conf", mutants.len()));
            fs::write(&path, &text).unwrap();
            mutants.push(Case::new(path));
        }
    }
    let (mut good, mut bad, mut crashes, mut complaints) = (0, 0, 0, Vec::new());
    for (case, real) in mutants.iter().zip(real(&place, &mutants)) {
        match real.split_once(':') {
            Some(("Traceback", _)) => crashes += 1,
            Some(("Error", _)) => bad += 1,
            _ => good += 1,
        }
        let lars = case.lars();
        if !real.starts_with("Traceback") && lars != real {
            let text = fs::read_to_string(&case.path).unwrap();
            complaints.push(format!("--- file\n{text}\n--- lar\n{lars}\n--- zdaemon\n{real}\n"));
        }
    }
    println!("{good} good, {bad} bad, {crashes} that the real one has no message for");
    assert!(complaints.is_empty(), "{} of them\n{}", complaints.len(), complaints.concat());
    assert!(good > MUTANTS / 20 && bad > MUTANTS / 4, "{good} good, {bad} bad");
}

const MUTANTS: usize = 1500;
