//! lar's own log, to several files at once. One test only: a process has one log.

use std::fs;

use lar::plan::{EventLog, Level, LogFile};

#[test]
fn the_event_log_goes_to_each_file_by_its_level_and_follows_a_rename() {
    let name = format!("lar-events-{}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir(&dir).unwrap();
    let file = |name: &str, level, format: Option<&str>| LogFile {
        format: format.map(str::to_owned),
        ..LogFile::new(dir.join(name).to_str().unwrap(), level)
    };
    let files = vec![
        file("all", Level::Trace, None),
        file("bad", Level::Warn, Some("%(levelname)s\\t%(message)s")),
        file("none/such", Level::Trace, None),
    ];
    let warnings =
        lar::logger::init(&EventLog { level: Level::Info, files, ..EventLog::default() });
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].to_string().ends_with("No such file or directory; going on without it"));
    log::info!("web: running");
    log::debug!("not at this level");
    fs::rename(dir.join("all"), dir.join("old")).unwrap();
    let results = lar::logger::reopen();
    assert_eq!(results.iter().filter(|(_, result)| result.is_ok()).count(), 2);
    lar::logger::set_level(Level::Debug);
    log::debug!("now it is");
    log::error!("web: failed");
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let old = read("old");
    assert!(old.ends_with("Z info web: running\n") && old.lines().count() == 1, "{old}");
    let all = read("all");
    let words: Vec<&str> = all.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(words, ["debug now it is", "error web: failed"]);
    assert_eq!(read("bad"), "ERROR\tweb: failed\n");
    fs::remove_dir_all(&dir).unwrap();
}
