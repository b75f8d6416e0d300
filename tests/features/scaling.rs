//! How many of a service run: rows 25 to 27.

use super::lar::Lar;

fn names(lar: &Lar) -> Vec<String> {
    let out = lar.ask("--plain status").expect(0).out;
    out.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

/// Row 25.
#[test]
fn instances_are_scaled_and_each_knows_its_number() {
    let mut lar = Lar::start(
        "<service web>\nprogram sh -c 'echo I am $LAR_INSTANCE at 80%i; exec sleep 1000'\ninstances 2\n</service>\n",
    );
    let mut both = [lar.out.until("I am"), lar.out.until("I am")];
    both.sort();
    assert_eq!(both, ["[web@1] I am 1 at 801", "[web@2] I am 2 at 802"]);
    lar.ask("scale web +1").expect(0);
    lar.out.until("I am 3 at 803");
    lar.ask("scale web -2").expect(0);
    assert_eq!(names(&lar), ["web@1"]);
    lar.ask("scale web 3").expect(0);
    assert_eq!(names(&lar).len(), 3);
    // Never below nothing.
    lar.ask("scale web -10").expect(0);
    assert!(names(&lar).is_empty());
    lar.ask("scale web 1").expect(0);
    lar.wait("web=running");
    for wrong in ["scale web ten", "scale web *2", "scale web"] {
        lar.ask(wrong).expect(2);
    }
}

/// Row 26.
#[test]
fn the_oldest_go_first_if_that_is_asked_for() {
    let lar = Lar::start("<service web>\nprogram sleep 1000\ninstances 1\n</service>\n");
    lar.wait("web=running");
    let oldest = lar.pid_of("web@1");
    lar.ask("scale web 2").expect(0);
    let newer = lar.pid_of("web@2");
    lar.ask("scale web 1 --oldest").expect(0);
    assert_eq!(names(&lar), ["web@2"]);
    assert_eq!(lar.pid_of("web@2"), newer);
    assert_ne!(newer, oldest);
    lar.ask("scale web 2").expect(0);
    // Else the highest number goes.
    lar.ask("scale web 1").expect(0);
    assert_eq!(names(&lar), ["web@1"]);
}

/// Row 27.
#[test]
fn one_more_run_is_not_counted_and_not_restarted() {
    let lar = Lar::start(
        "<service web>\nprogram sh -c 'echo run $EXTRA \"$@\"; test -n \"$EXTRA\" && exit 7; exec sleep 1000' web\n\
         </service>\n",
    );
    lar.wait("web=running");
    let pid = lar.pid_of("web");
    let run = lar.ctl(&["once", "-e", "EXTRA=yes", "web", "--", "one", "two"]).expect(7);
    assert_eq!(run.out, "run yes one two\n");
    assert_eq!(names(&lar), ["web"], "it is gone, and nothing has come in its place");
    assert_eq!(lar.pid_of("web"), pid);
    // Also while the service is down.
    lar.ask("stop web").expect(0);
    lar.ctl(&["once", "-e", "EXTRA=more", "web"]).expect(7);
    lar.ask("status web").expect(3);
    let name = lar.ask("once --no-wait web").expect(0).out;
    assert!(name.contains("web+"), "{name}");
    assert_eq!(names(&lar).len(), 2);
    // It is stopped with its service.
    lar.ask("stop web").expect(0);
    assert_eq!(names(&lar), ["web"]);
}
