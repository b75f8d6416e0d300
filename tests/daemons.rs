//! Real daemons under one lar: postgresql, redis and nginx depend on each other in this order, each with another kind
//! of readiness; they survive the death of each main process, and nothing of them is left in the end.

#[path = "support/lar.rs"]
mod lar;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use lar::{Lar, Scratch, answer, program, root, skip};
use nix::unistd::Pid;

/// Where everything is.
struct World {
    dir: Scratch,
    web: u16,
    database: u16,
    bin: String,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The newest postgresql's programs.
fn postgres() -> Option<String> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let bins = versions.map(|version| version.path().join("bin"));
    let bin = bins.filter(|bin| bin.join("postgres").is_file()).max()?;
    bin.to_str().map(str::to_owned)
}

/// Everything the daemons need: directories, a database cluster, nginx' configuration.
fn prepare() -> Option<World> {
    for name in ["nginx", "redis-server"] {
        if program(name).is_none() {
            skip(&format!("{name} is not installed"));
            return None;
        }
    }
    let Some(bin) = postgres() else {
        skip("postgresql is not installed");
        return None;
    };
    let world = World { dir: Scratch::new(), web: free_port(), database: free_port(), bin };
    // The server refuses to be root, so as root it is the user that its package has made.
    let mut command = match root() {
        true => {
            let mut command = Command::new("setpriv");
            let user = ["--reuid", "postgres", "--regid", "postgres", "--init-groups"];
            command.args(user).arg(format!("{}/initdb", world.bin));
            command
        }
        false => Command::new(format!("{}/initdb", world.bin)),
    };
    command.args(["--no-sync", "-A", "trust", "-U", "postgres", "-D"]);
    answer(command.arg(world.dir.at("pg")).current_dir(&world.dir.path)).expect(0);
    let user = if root() { "user nobody nogroup;\n" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {{dir}}/{name};\n"))
        .concat();
    let nginx = format!(
        "{user}daemon off;\nworker_processes 2;\npid {{dir}}/nginx.pid;\n\
         error_log {{dir}}/nginx-error.log notice;\nevents {{}}\n\
         http {{\naccess_log off;\n{temporary}\
         server {{ listen 127.0.0.1:{}; location / {{ return 200 'here'; }} }}\n}}\n",
        world.web
    );
    world.dir.write("nginx.conf", &nginx);
    Some(world)
}

impl World {
    fn config(&self) -> String {
        let World { web, database, bin, .. } = self;
        let user = if root() { " user postgres\n" } else { "" };
        let nginx = program("nginx").unwrap();
        format!(
            "<service web>\n program {nginx} -e {{dir}}/nginx-error.log -p {{dir}} -c {{dir}}/nginx.conf\n \
             requires cache db\n ready tcp 127.0.0.1:{web}\n stop QUIT 20s TERM 5s KILL\n</service>\n\
             <service cache>\n program redis-server --port 0 --unixsocket {{dir}}/redis --dir {{dir}} \
             --save ''\n requires db\n ready unix {{dir}}/redis\n</service>\n\
             <service db>\n program {bin}/postgres -D {{dir}}/pg -k {{dir}} -p {database} -c fsync=off \
             -c listen_addresses=127.0.0.1\n{user} ready command {bin}/pg_isready -q -h {{dir}} \
             -p {database}\n start-timeout 60s\n stop INT 30s QUIT 5s KILL\n</service>\n",
            nginx = nginx.display()
        )
    }
}

/// The children of a process.
fn children(pid: Pid) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn exists(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[track_caller]
fn in_this_order(lines: &[String], texts: &[&str]) {
    let mut rest = lines.iter();
    for text in texts {
        assert!(rest.any(|line| line.contains(text)), "{text:?} is missing or late: {lines:#?}");
    }
}

/// Kills a main process; its children are gone when its replacement is.
fn crash(lar: &Lar, name: &str) {
    let old = lar.pid_of(name);
    let workers = children(old);
    let new = lar.crash(name);
    assert_ne!(old, new);
    let left: Vec<_> = workers.into_iter().filter(|&pid| exists(pid)).collect();
    assert_eq!(left, [], "{name}'s old workers run beside the new {new}");
}

#[test]
fn nginx_redis_and_postgresql_live_and_die_together() {
    let Some(world) = prepare() else { return };
    let (config, web) = (world.config(), world.web);
    let psql = format!("{}/psql", world.bin);
    let port = world.database.to_string();
    let mut lar = Lar::run_in(world.dir, "", &config, |_| {});
    lar.wait("db=running cache=running web=running");
    in_this_order(
        lar.err.now(),
        &["db: starting -> running", "cache: starting -> running", "web: starting -> running"],
    );
    let select = |lar: &Lar| {
        let mut command = Command::new(&psql);
        command.args(["-U", "postgres", "-p", &port, "-Atc", "select 6*7", "-h"]);
        answer(command.arg(&lar.dir.path)).expect(0).out
    };
    assert_eq!(select(&lar), "42\n");
    assert_eq!(children(lar.pid_of("web")).len(), 2, "nginx has its workers");
    let started = |lar: &Lar| lar.dir.read("nginx-error.log").matches("start worker pro").count();
    assert!(started(&lar) >= 1);
    for _ in 0..3 {
        crash(&lar, "web");
        crash(&lar, "cache");
        crash(&lar, "db");
        assert_eq!(select(&lar), "42\n");
    }
    lar.wait("db=running cache=running web=running");
    let mut page = std::net::TcpStream::connect(("127.0.0.1", web)).unwrap();
    std::io::Write::write_all(&mut page, b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let page = std::io::read_to_string(page).unwrap();
    assert!(page.contains("here"), "{page}");
    let log = lar.dir.read("nginx-error.log");
    assert!(!log.contains("Address already in use"), "{log}");
    assert!(started(&lar) >= 4, "{log}");
    // A client that holds on, so that the end needs more than TERM's patience.
    let mut client = Command::new(&psql);
    client.args(["-U", "postgres", "-p", &port, "-c", "select pg_sleep(1000)", "-h"]);
    client.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut client = client.arg(&lar.dir.path).spawn().unwrap();
    assert_eq!(lar.shut_down(), 0);
    let _ = client.kill();
    let _ = client.wait();
    let lines = lar.err.rest();
    in_this_order(
        &lines[lines.iter().position(|line| line.contains("the manager ends")).unwrap()..],
        &[
            "web: stopping -> stopped: exit status 0",
            "cache: running -> stopping",
            "cache: stopping -> stopped: exit status 0",
            "db: running -> stopping",
            "db: stopping -> stopped: exit status 0",
        ],
    );
    assert!(!lines.iter().any(|line| line.contains("SIGKILL after") && line.contains("stopped:")));
}
