//! A container to test in: podman with runc, the image of `container/Containerfile`, and busybox for programs.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long anything may take that is waited for: a busy machine's worst, not what is expected.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The image with lar and nothing else, and the one with busybox and the files of `tests/container/etc`.
const BARE: &str = "localhost/lar-test-bare";
pub const IMAGE: &str = "localhost/lar-test";

/// What works on a machine where root lacks CAP_SYS_RESOURCE, and is harmless elsewhere.
const RUN: &[&str] = &[
    "--runtime=runc",
    "run",
    "--rm",
    "--network=none",
    "--ulimit=nofile=1024:4096",
    "--ulimit=nproc=4096:4096",
];

const APPLETS: [&str; 9] = ["sh", "sleep", "cat", "ps", "id", "echo", "touch", "setsid", "kill"];

/// Says why a test can't run here; where none may be left out, that fails it.
pub fn skip(why: &str) {
    assert!(std::env::var_os("LAR_NO_SKIP").is_none(), "can't run here: {why}");
    println!("skipped: {why}");
}

/// The static binary, as `make build` makes it.
pub fn binary() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        // Cargo's own variables would make the inner cargo build everything anew, and an outer make's would
        // make the inner one say more than it does by itself.
        let foreign = |name: &str| name.starts_with("CARGO_") || name.starts_with("MAKE");
        let variables = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(foreign));
        let mut make = Command::new("make");
        for (name, _) in variables {
            if name != "CARGO_HOME" && name != "CARGO_TARGET_DIR" && name != "CARGO_BUILD_JOBS" {
                make.env_remove(name);
            }
        }
        let output = make
            .args(["--no-print-directory", "build"])
            .current_dir(root)
            .output()
            .expect("make is installed");
        assert!(output.status.success(), "make build: {}", text(&output.stderr));
        let said = text(&output.stdout);
        let (path, _) = said.lines().last().and_then(|line| line.split_once(": ")).unwrap();
        root.join(path)
    })
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn is_there(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|directory| directory.join(program).is_file())
}

/// Whether containers can be run here, with the images built; else says why not.
pub fn ready() -> bool {
    static READY: OnceLock<Option<&str>> = OnceLock::new();
    let missing = READY.get_or_init(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        if !status.lines().any(|line| line.starts_with("Uid:\t0\t")) {
            return Some("containers are tested as root");
        }
        for (program, why) in [
            ("podman", "podman is not installed"),
            ("runc", "runc is not installed"),
            ("busybox", "busybox-static is not installed"),
        ] {
            if !is_there(program) {
                return Some(why);
            }
        }
        build();
        None
    });
    missing.inspect(|why| skip(why)).is_none()
}

fn build() {
    let context = Path::new(env!("CARGO_TARGET_TMPDIR")).join("container");
    let _ = std::fs::remove_dir_all(&context);
    std::fs::create_dir_all(context.join("bin")).unwrap();
    std::fs::copy(binary(), context.join("lar")).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    image(BARE, &root.join("container/Containerfile"), &context);

    std::fs::copy("/bin/busybox", context.join("bin/busybox")).unwrap();
    for applet in APPLETS {
        std::os::unix::fs::symlink("busybox", context.join("bin").join(applet)).unwrap();
    }
    std::fs::create_dir_all(context.join("etc")).unwrap();
    for entry in std::fs::read_dir(root.join("tests/container/etc")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), context.join("etc").join(entry.file_name())).unwrap();
    }
    let file = context.join("Containerfile");
    let lines = format!("FROM {BARE}\nCOPY bin /bin\nCOPY etc /etc\nENV PATH=/bin:/sbin\n");
    std::fs::write(&file, lines).unwrap();
    image(IMAGE, &file, &context);
}

/// Builds an image under a name, and removes what had that name before.
fn image(name: &str, file: &Path, context: &Path) {
    let id = || text(&podman(&["images", "-q", name]).stdout);
    let before = id();
    let (file, context) = (file.to_str().unwrap(), context.to_str().unwrap());
    let output = podman(&["build", "-t", name, "-f", file, context]);
    assert!(output.status.success(), "podman build: {}", text(&output.stderr));
    if !before.is_empty() && before != id() {
        podman(&["rmi", before.trim()]);
    }
}

/// Runs podman to its end.
pub fn podman(words: &[&str]) -> Output {
    Command::new("podman").args(words).stdin(Stdio::null()).output().unwrap()
}

/// What a container did.
#[derive(Debug)]
pub struct End {
    pub code: Option<i32>,
    /// What it had on standard output and was not read yet.
    pub stdout: String,
    pub stderr: String,
}

/// A container that runs. It is gone when this is dropped.
pub struct Container {
    name: String,
    child: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

/// The image with lar alone, as `make image` makes it.
pub fn bare() -> End {
    start_image(BARE, &[], &[]).end()
}

/// Starts a container with these options and, after the image's name, these words.
pub fn start(options: &[&str], words: &[&str]) -> Container {
    start_image(IMAGE, options, words)
}

/// Runs `lar -- WORDS` in a container to its end.
pub fn run(options: &[&str], words: &[&str]) -> End {
    start(options, words).end()
}

/// Starts the services of a file of `tests/container/etc`.
pub fn start_file(options: &[&str], file: &str) -> Container {
    let options: Vec<&str> = ["--entrypoint=/sbin/lar"].iter().chain(options).copied().collect();
    start(&options, &["-C", &format!("/etc/{file}")])
}

fn start_image(image: &str, options: &[&str], words: &[&str]) -> Container {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("lar-test-{}-{number}", std::process::id());
    let mut child = Command::new("podman")
        .args(RUN)
        .args(["--name", &name])
        .args(options)
        .arg(image)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = read(child.stdout.take().unwrap());
    let errors = read(child.stderr.take().unwrap());
    Container { name, child, lines, errors }
}

/// Lines, as they come; the channel ends with the pipe.
fn read(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let _ = sender.send(text(&line));
        }
    });
    receiver
}

impl Container {
    /// Waits for a line that contains this.
    pub fn wait_for(&self, what: &str) {
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) if line.contains(what) => return,
                Ok(_) => {}
                Err(error) => {
                    let said: Vec<String> = self.errors.try_iter().collect();
                    panic!("no {what:?} came: {error}; standard error: {said:#?}");
                }
            }
        }
    }

    /// Sends lar a signal.
    pub fn signal(&self, name: &str) {
        let output = podman(&["--runtime=runc", "kill", "--signal", name, &self.name]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    /// Runs something in it, and returns its exit code and output.
    pub fn exec(&self, words: &[&str]) -> (Option<i32>, String) {
        let words: Vec<&str> =
            ["--runtime=runc", "exec", &self.name].iter().chain(words).copied().collect();
        let output = podman(&words);
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    }

    /// Waits for its end.
    pub fn end(mut self) -> End {
        let collect = |from: &Receiver<String>| {
            let mut all = String::new();
            loop {
                match from.recv_timeout(DEADLINE) {
                    Ok(line) => all += &(line + "\n"),
                    Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return all,
                    Err(error) => panic!("the container does not end ({error}); so far:\n{all}"),
                }
            }
        };
        let stdout = collect(&self.lines);
        let stderr = collect(&self.errors);
        End { code: self.child.wait().unwrap().code(), stdout, stderr }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            podman(&["--runtime=runc", "rm", "-f", "-t", "0", &self.name]);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
