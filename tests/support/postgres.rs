//! A PostgreSQL cluster of its own, for tests that start it with `pg_ctl`.

use std::process::Command;

use crate::lar::{Scratch, answer, root, skip};

/// A cluster in `pg` of a directory of its own, not started.
pub struct Cluster {
    /// The directory.
    pub dir: Scratch,
    /// Where its programs are.
    pub bin: String,
    /// The key of a service that says whom it runs as: it refuses to run as root.
    pub user: &'static str,
}

/// A new one; none, which is told, where PostgreSQL is not installed.
pub fn cluster() -> Option<Cluster> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let bins = versions.map(|version| version.path().join("bin"));
    let Some(bin) = bins.filter(|bin| bin.join("pg_ctl").is_file()).max() else {
        skip("postgresql is not installed");
        return None;
    };
    let (dir, bin) = (Scratch::new(), bin.display().to_string());
    let mut command = Command::new(if root() { "setpriv" } else { "env" });
    if root() {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups"]);
    }
    command.args([&format!("{bin}/initdb"), "--no-sync", "-A", "trust", "-U", "postgres", "-D"]);
    answer(command.arg(dir.at("pg")).current_dir(&dir.path)).expect(0);
    let user = if root() { " user postgres\n" } else { "" };
    Some(Cluster { dir, bin, user })
}
