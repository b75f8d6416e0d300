//! Real daemons that go into the background by themselves: nginx, redis, postgresql.

use std::net::{TcpListener, TcpStream};
use std::process::Command;

use crate::lar::{Answer, LAR, Scratch, answer, program, root, skip};
use crate::postgres::{Cluster, cluster};

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn lar(dir: &Scratch, verb: &str) -> Answer {
    let mut command = Command::new(LAR);
    answer(command.args(["daemon", "-C"]).arg(dir.at("lar.conf")).args([verb, "it"]))
}

/// Its whole life; `connects` asks it whether it serves.
#[track_caller]
fn live(dir: &Scratch, connects: impl Fn() -> bool) {
    assert_eq!(lar(dir, "status").expect(3).out, "it: not running\n");
    let started = lar(dir, "start").expect(0);
    assert!(connects(), "the start has returned too soon");
    assert_eq!(lar(dir, "status").expect(0).out, started.out);
    assert_eq!(lar(dir, "ensure").expect(0).out, started.out);
    let pid = lar(dir, "pid").expect(0).out;
    lar(dir, "restart").expect(0);
    assert_ne!(lar(dir, "pid").expect(0).out, pid);
    assert!(connects());
    let stopped = lar(dir, "stop").expect(0);
    assert_eq!((stopped.out.as_str(), stopped.err.as_str()), ("it: stopped\n", ""));
    assert!(!connects());
    lar(dir, "status").expect(3);
    lar(dir, "stop").expect(0);
}

#[test]
fn nginx() {
    let Some(nginx) = program("nginx") else { return skip("nginx is not installed") };
    let (dir, port) = (Scratch::new(), free_port());
    let user = if root() { "user nobody nogroup;\n" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {{dir}}/{name};\n"))
        .concat();
    let text = format!(
        "{user}worker_processes 2;\npid {{dir}}/nginx.pid;\nerror_log {{dir}}/error.log notice;\n\
         events {{}}\nhttp {{\naccess_log off;\n{temporary}\
         server {{ listen 127.0.0.1:{port}; location / {{ return 200 'here'; }} }}\n}}\n"
    );
    dir.write("nginx.conf", &text);
    let nginx =
        format!("{} -e {{dir}}/error.log -p {{dir}} -c {{dir}}/nginx.conf", nginx.display());
    let config = format!(
        "<service it>\n type forking\n program {nginx}\n pid-file {{dir}}/nginx.pid\n \
         ready http http://127.0.0.1:{port}/\n log-file {{dir}}/error.log\n \
         stop-command {nginx} -s quit\n start-timeout 30s\n stop-timeout 30s\n</service>\n"
    );
    dir.write("lar.conf", &config);
    live(&dir, || TcpStream::connect(("127.0.0.1", port)).is_ok());
    // Its own words, when it can't start: somebody has its port.
    let _squatter = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let failed = lar(&dir, "start").expect(11);
    assert!(failed.err.contains("Address already in use"), "{failed:#?}");
    assert!(failed.err.contains("exit status 1"), "{failed:#?}");
}

#[test]
fn redis() {
    let Some(redis) = program("redis-server") else { return skip("redis is not installed") };
    let dir = Scratch::new();
    let config = format!(
        "<service it>\n type forking\n program {} --daemonize yes --port 0 --unixsocket {{dir}}/redis \
         --pidfile {{dir}}/redis.pid --dir {{dir}} --logfile {{dir}}/log --save ''\n \
         pid-file {{dir}}/redis.pid\n ready unix {{dir}}/redis\n log-file {{dir}}/log\n \
         log-activity-timeout 30s\n start-timeout 30s\n stop TERM 30s KILL\n</service>\n",
        redis.display()
    );
    dir.write("lar.conf", &config);
    live(&dir, || std::os::unix::net::UnixStream::connect(dir.at("redis")).is_ok());
}

#[test]
fn postgresql_by_pg_ctl() {
    let Some(Cluster { dir, bin, user }) = cluster() else { return };
    let port = free_port();
    let options = dir.fill(&format!("-k {{dir}} -p {port} -c fsync=off"));
    let config = format!(
        "<service it>\n type forking\n{user} program {bin}/pg_ctl start -W -D {{dir}}/pg -l {{dir}}/log \
         -o '{options} -c listen_addresses=127.0.0.1'\n pid-file {{dir}}/pg/postmaster.pid\n \
         log-file {{dir}}/log\n ready command {bin}/pg_isready -q -h {{dir}} -p {port}\n \
         stop-command {bin}/pg_ctl stop -D {{dir}}/pg -m fast -w\n start-timeout 60s\n \
         stop-timeout 60s\n</service>\n"
    );
    dir.write("lar.conf", &config);
    live(&dir, || TcpStream::connect(("127.0.0.1", port)).is_ok());
}
