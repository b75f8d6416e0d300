//! The pod of container/pod.yaml, played by podman: its probes see what lar's services do.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use super::podman::{DEADLINE, IMAGE, ready, text};

/// A pod that is there. It is gone when this is dropped.
struct Pod {
    name: String,
    file: PathBuf,
    conf: PathBuf,
}

impl Pod {
    /// Plays the file, with a name of its own and the image that has lar and busybox.
    fn play() -> Pod {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let name = format!("lar-pod-{}", std::process::id());
        let yaml = std::fs::read_to_string(root.join("container/pod.yaml")).unwrap();
        let yaml = yaml.replace("image: localhost/lar-pod", &format!("image: {IMAGE}"));
        assert!(yaml.contains(IMAGE) && yaml.contains("name: lar-pod\n"), "{yaml}");
        let file = place.join(format!("{name}.yaml"));
        std::fs::write(&file, yaml.replace("name: lar-pod\n", &format!("name: {name}\n"))).unwrap();
        // As of podman.rs: here root lacks CAP_SYS_RESOURCE, and crun does not work on every machine.
        let conf = place.join(format!("{name}.conf"));
        let limits =
            "[containers]\ndefault_ulimits = [\"nofile=4096:4096\", \"nproc=4096:4096\"]\n";
        std::fs::write(&conf, format!("{limits}[engine]\nruntime = \"runc\"\n")).unwrap();
        let pod = Pod { name, file, conf };
        let played = pod.podman(&["play", "kube", "--network=none", pod.file.to_str().unwrap()]);
        assert!(played.status.success(), "{}", text(&played.stderr));
        pod
    }

    fn podman(&self, words: &[&str]) -> Output {
        let mut command = Command::new("podman");
        command.args(words).env("CONTAINERS_CONF", &self.conf).stdin(Stdio::null());
        command.output().unwrap()
    }

    fn container(&self) -> String {
        format!("{}-services", self.name)
    }

    /// Runs the liveness probe once, as podman's timers do where there is systemd; whether it was content.
    fn probe(&self) -> bool {
        self.podman(&["healthcheck", "run", &self.container()]).status.success()
    }

    /// What podman makes of the probes so far.
    fn health(&self) -> String {
        self.inspect("{{.State.Health.Status}}")
    }

    fn inspect(&self, what: &str) -> String {
        let format = format!("--format={what}");
        text(&self.podman(&["inspect", &format, &self.container()]).stdout).trim().to_owned()
    }

    /// What lar has logged.
    fn log(&self) -> String {
        text(&self.podman(&["logs", &self.container()]).stderr)
    }

    /// Probes until that is content, and podman says so.
    fn until_healthy(&self) {
        let end = Instant::now() + DEADLINE;
        while !self.probe() || self.health() != "healthy" {
            assert!(Instant::now() < end, "it is {}: {}", self.health(), self.log());
            // It is the probe's own process that starts the container anew, and it may come to its end before that.
            if self.inspect("{{.State.Status}}") == "exited" {
                self.podman(&["start", &self.container()]);
            }
        }
    }

    /// A service accepts connections, and answers nobody; waits until lar has found that out.
    fn hang(&self) {
        assert_eq!(self.ctl(&["kill", "STOP", "web"]).0, Some(0));
        let waited = self.ctl(&["wait", "--timeout", "30s", "web=backoff"]);
        assert_eq!(waited.0, Some(0), "{}", self.log());
    }

    /// `lar ctl` in the container: its exit code and output.
    fn ctl(&self, words: &[&str]) -> (Option<i32>, String) {
        let container = self.container();
        let words = [&["exec", &container, "/sbin/lar", "ctl"], words].concat();
        let output = self.podman(&words);
        (output.status.code(), text(&output.stdout))
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.podman(&["pod", "rm", "-f", "-t", "0", &self.name]);
        self.podman(&["volume", "rm", "-f", &self.name]);
        let _ = std::fs::remove_file(&self.file);
        let _ = std::fs::remove_file(&self.conf);
    }
}

#[test]
fn a_pod_is_healthy_until_a_service_hangs_and_again_when_lar_has_restarted_it() {
    if !ready() {
        return;
    }
    let pod = Pod::play();
    pod.until_healthy();
    assert_eq!(pod.ctl(&["health"]), (Some(0), "healthy: 2 of 2 up\n".to_owned()));
    // One bad answer of the probe is no reason for podman to act: lar does.
    pod.hang();
    assert!(!pod.probe(), "{}", pod.log());
    let (code, said) = pod.ctl(&["health"]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("unhealthy: 1 of 2 up; web: backoff: 3 bad answers"), "{said}");
    assert_eq!(pod.ctl(&["wait", "--timeout", "30s", "web=running"]).0, Some(0));
    assert!(pod.probe());
    assert_eq!(pod.health(), "healthy");
    assert_eq!(pod.ctl(&["health", "web"]), (Some(0), "web: running\n".to_owned()));
    // As many as failureThreshold says are: the container is ended in order, and started anew.
    pod.hang();
    for _ in 0..3 {
        assert!(!pod.probe(), "{}", pod.log());
    }
    pod.until_healthy();
    let log = pod.log();
    assert!(log.contains("SIGTERM: the manager ends"), "{log}");
    assert_eq!(pod.ctl(&["health"]), (Some(0), "healthy: 2 of 2 up\n".to_owned()));
}
