//! Real daemons as they are shipped, going into the background by themselves: nginx, redis, postgresql.

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use crate::lar::{Lar, Scratch, program, root, skip};
use crate::postgres::{Cluster, cluster};
use crate::scene::{children, exists};

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Its whole life under a manager; `connects` asks it whether it serves, `log` is where it complains.
#[track_caller]
fn live(dir: Scratch, config: &str, pid_file: &str, log: &str, connects: &dyn Fn(&Lar) -> bool) {
    let keys =
        " type forking\n start manual\n backoff none\n ready-interval 20ms\n start-timeout 60s\n";
    let config = format!("<service it>\n{keys} pid-file {{dir}}/{pid_file}\n{config}</service>\n");
    let mut lar = Lar::run_in(dir, " exit-policy never", &config, |_| {});
    lar.ask("start it").expect(0);
    assert!(connects(&lar), "the start has returned too soon");
    let its_own = |lar: &Lar| {
        let (text, log) = (lar.dir.read(pid_file), lar.dir.read(log));
        let pid = lar.pid_of("it").to_string();
        assert_eq!(text.lines().next().map(str::trim), Some(&*pid), "{log}");
    };
    its_own(&lar);
    let first = lar.pid_of("it");
    lar.ask("restart it").expect(0);
    assert!(!exists(first) && connects(&lar));
    its_own(&lar);
    for _ in 0..3 {
        let workers = children(lar.pid_of("it"));
        lar.crash("it");
        its_own(&lar);
        assert!(connects(&lar));
        let left: Vec<_> = workers.into_iter().filter(|&pid| exists(pid)).collect();
        assert_eq!(left, [], "beside its successor");
    }
    let told = lar.dir.read(log).to_lowercase();
    assert!(!told.contains("address already in use") && !told.contains("still in use"), "{told}");
    lar.ask("stop it").expect(0);
    assert!(!connects(&lar));
    let left = lar.dir.processes().into_iter().filter(|&(pid, _)| pid != lar.pid());
    let clients = |(_, words): &(_, String)| !words.contains(" ctl ");
    assert_eq!(left.filter(clients).collect::<Vec<_>>(), []);
    // And the end of lar is an end of it, too.
    lar.ask("start it").expect(0);
    its_own(&lar);
    assert_eq!(lar.shut_down(), 0);
    let told = lar.err.rest();
    let failed = |line: &&String| line.contains("stop-command") || line.contains("SIGKILL was");
    assert_eq!(told.iter().find(failed), None);
}

#[test]
fn nginx() {
    let Some(nginx) = program("nginx") else { return skip("nginx is not installed") };
    let port = free_port();
    let user = if root() { "user nobody nogroup;\n" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {{dir}}/{name};\n"))
        .concat();
    let text = format!(
        "{user}daemon on;\nworker_processes 2;\npid {{dir}}/nginx.pid;\n\
         error_log {{dir}}/error.log notice;\n\
         events {{}}\nhttp {{\naccess_log off;\n{temporary}\
         server {{ listen 127.0.0.1:{port}; location / {{ return 200 'here'; }} }}\n}}\n"
    );
    let nginx =
        format!("{} -e {{dir}}/error.log -p {{dir}} -c {{dir}}/nginx.conf", nginx.display());
    for stop in [&*format!(" stop-command {nginx} -s quit\n"), " stop QUIT 20s KILL\n"] {
        let config = format!(" program {nginx}\n ready tcp 127.0.0.1:{port}\n{stop}");
        let dir = Scratch::new();
        dir.write("nginx.conf", &text);
        live(dir, &config, "nginx.pid", "error.log", &|_| {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
    }
}

#[test]
fn redis() {
    let Some(redis) = program("redis-server") else { return skip("redis is not installed") };
    let config = format!(
        " program {} --daemonize yes --port 0 --unixsocket {{dir}}/redis \
         --pidfile {{dir}}/redis.pid --dir {{dir}} --logfile {{dir}}/log --save ''\n \
         ready unix {{dir}}/redis\n log-file {{dir}}/log\n log-activity-timeout 30s\n \
         stop TERM 30s KILL\n",
        redis.display()
    );
    live(Scratch::new(), &config, "redis.pid", "log", &|lar| {
        UnixStream::connect(lar.dir.at("redis")).is_ok()
    });
}

#[test]
fn postgresql_by_pg_ctl() {
    let Some(Cluster { dir, bin, user }) = cluster() else { return };
    let port = free_port();
    let config = format!(
        "{user} program {bin}/pg_ctl start -W -D {{dir}}/pg -l {{dir}}/log \
         -o '-k {{dir}} -p {port} -c fsync=off -c listen_addresses=127.0.0.1'\n \
         ready command {bin}/pg_isready -q -h {{dir}} -p {port}\n \
         stop-command {bin}/pg_ctl stop -D {{dir}}/pg -m fast -w\n stop-timeout 60s\n"
    );
    live(dir, &config, "pg/postmaster.pid", "log", &|_| {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
}
