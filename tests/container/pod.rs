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
        let format = "--format={{.State.Health.Status}}";
        text(&self.podman(&["inspect", format, &self.container()]).stdout).trim().to_owned()
    }

    /// Probes until podman says this.
    fn until(&self, health: &str) {
        let end = Instant::now() + DEADLINE;
        loop {
            let content = self.probe();
            let is = self.health();
            if is == health && content == (health == "healthy") {
                return;
            }
            let logs = self.podman(&["logs", &self.container()]);
            assert!(Instant::now() < end, "it is {is}: {}", text(&logs.stderr));
        }
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
    pod.until("healthy");
    assert_eq!(pod.ctl(&["health"]), (Some(0), "healthy: 2 of 2 up\n".to_owned()));
    let (_, before) = pod.ctl(&["pid", "web"]);
    assert_eq!(pod.ctl(&["kill", "STOP", "web"]).0, Some(0));
    pod.until("unhealthy");
    pod.until("healthy");
    let (_, after) = pod.ctl(&["pid", "web"]);
    assert_ne!(before, after, "another process");
    let (_, why) = pod.ctl(&["why", "web"]);
    assert!(why.contains("running -> unhealthy: 3 bad answers in a row"), "{why}");
    assert_eq!(pod.ctl(&["health", "web"]), (Some(0), "web: running\n".to_owned()));
}
