use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use clap::{CommandFactory, Parser};
use jiff::Timestamp;

use super::{Finding, ReadyCheck};

#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct Line {
    #[command(subcommand)]
    check: ReadyCheck,
}

const NOW: &str = "2026-11-20T12:00:00Z";

fn look(words: &[&str]) -> Finding {
    let line = Line::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"));
    line.check.look(NOW.parse().unwrap())
}

/// What it says has this in it, and it agrees or not.
#[track_caller]
fn check(words: &[&str], agrees: bool, said: &str) {
    let found = look(words);
    assert!(found.agrees == agrees && found.to_string().contains(said), "{words:?}: {found:?}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn command_lines_are_sound_and_say_what_is_expected() {
    Line::command().debug_assert();
    for words in [
        &["files", "x"][..],
        &["newest", "x"],
        &["sqlite", "x", "--query", "q"],
        &["sqlite", "x", "--at-least", "1"],
        &["sqlite", "x", "--query", "q", "--prints", "1", "--at-least", "1"],
        &["postgresql", "x", "--query", "q", "--within", "1d", "--at-most", "1"],
        &["sqlite", "x", "--query", "q", "--within", "1d", "--at-least", "1"],
        &["newest", "x", "--within", "1 day"],
        &["port", "http"],
        &["http", "x", "--status", "many"],
    ] {
        assert!(Line::try_parse_from(words).is_err(), "{words:?}");
    }
}

#[test]
fn files_are_counted_and_links_lead_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("a/b")).unwrap();
    for name in ["a/1", "a/2", "a/b/3"] {
        File::create(at(name)).unwrap();
    }
    symlink(at("a"), at("a/b/round")).unwrap();
    symlink(at("a/1"), at("a/b/4")).unwrap();
    symlink(at("a"), at("led-astray")).unwrap();
    let whole = at("a");
    let files = |more: &[&str], agrees, said: &str| check(&[&["files", text(&whole)], more].concat(), agrees, said);
    files(&["--at-least", "3"], true, "found 3 files below");
    files(&["--at-least", "4"], false, "; expected at least 4");
    files(&["--at-most", "2"], false, "; expected at most 2");
    files(&["--at-least", "1", "--at-most", "3"], true, "at least 1 and at most 3");
    check(&["files", text(&at("a/1")), "--at-least", "1"], true, "found 1 files");
    check(&["files", text(&at("led-astray")), "--at-least", "1"], false, "is a link, which is not followed");
    check(&["files", text(&at("gone")), "--at-least", "1"], false, "cannot look at");
    // On the way to what was restored, too.
    assert!(super::files::reached(Path::new("src/ready_check")).is_ok());
    assert!(super::files::reached(Path::new("./src/../no")).is_err());
}

fn aged(path: &Path, seconds: u64) {
    let now: Timestamp = NOW.parse().unwrap();
    let time = SystemTime::from(now) - Duration::from_secs(seconds);
    File::create(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn the_newest_file_is_compared_with_the_time_of_the_restore_point() {
    let folder = tempfile::tempdir().unwrap();
    let newest = |more: &[&str], agrees, said: &str| {
        check(&[&["newest", text(folder.path()), "--within", "1d"], more].concat(), agrees, said);
    };
    newest(&[], false, "found no file below");
    aged(&folder.path().join("old"), 90 * 86400);
    aged(&folder.path().join("young"), 86401);
    newest(&[], false, "/young, of 2026-11-19T11:59:59Z; expected no more than 1d before 2026-11-20T12:00:00Z");
    newest(&["--time", "2026-11-20T11:59:59Z"], true, "before 2026-11-20T11:59:59Z");
    // Later than the restore point is not too old.
    newest(&["--time", "2026-01-01T00:00:00Z"], true, "young");
}

fn sqlite(file: &Path, statements: &str) {
    assert!(Command::new("sqlite3").arg(file).arg(statements).output().unwrap().status.success());
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_database_answers_and_nothing_is_left_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a%41 ?#.db");
    sqlite(
        &file,
        "pragma journal_mode = wal; create table t (n, day); insert into t values (1, '2026-11-19'), (2, '')",
    );
    let ask = |query: &str, more: &[&str], agrees, said: &str| {
        check(&[&["sqlite", text(&file), "--query", query], more].concat(), agrees, said);
    };
    let rows = "select count(*) from t";
    ask(rows, &["--prints", "2"], true, "the query gives \"2\"; expected \"2\"");
    ask(rows, &["--prints", "3"], false, "the query gives \"2\"; expected \"3\"");
    ask(rows, &["--at-least", "3"], false, "the query gives \"2\"; expected at least 3");
    ask(rows, &["--at-least", "1", "--at-most", "2"], true, "\"2\"");
    ask("select max(day) from t", &["--within", "2d"], true, "\"2026-11-19\"; expected a time no more than 2d before");
    ask("select max(day) from t", &["--within", "1h"], false, "\"2026-11-19\"");
    ask("select null", &["--at-least", "1"], false, "the query gives nothing");
    ask("select * from other", &["--prints", ""], false, "no such table: other");
    ask("delete from t", &["--prints", ""], false, "readonly");
    ask("select hex(zeroblob(5000))", &["--prints", "0"], false, "more than 4096 bytes");
    check(&["sqlite", "gone.db", "--query", rows, "--at-least", "1"], false, "cannot look at gone.db");
    fs::write(folder.path().join("none.db"), "x".repeat(5000)).unwrap();
    check(
        &["sqlite", text(&folder.path().join("none.db")), "--query", rows, "--at-least", "1"],
        false,
        "file is not a database",
    );
    assert_eq!(names(folder.path()), ["a%41 ?#.db", "none.db"]);
}

#[test]
fn what_stands_in_a_journal_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (live, copy) = (folder.path().join("live.db"), folder.path().join("copy.db"));
    let copied = format!("cp '{0}' '{1}'; cp '{0}-wal' '{1}-wal'", live.display(), copy.display());
    // While somebody has it open, the log is not moved into the file.
    let script = format!("create table t (n); insert into t values (1), (2);\n.shell {copied}\n");
    let mut shell = Command::new("sqlite3");
    let shell = shell.arg(&live).args(["-cmd", "pragma journal_mode = wal; pragma wal_autocheckpoint = 0"]);
    let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let before = names(folder.path());
    check(&["sqlite", text(&copy), "--query", "select count(*) from t", "--prints", "2"], true, "\"2\"");
    // Reading leaves it as it was restored.
    assert_eq!(names(folder.path()), before);
    assert!(before.contains(&"copy.db-wal".to_owned()) && !before.contains(&"copy.db-shm".to_owned()), "{before:?}");
}

#[test]
fn a_database_that_cannot_be_asked_does_not_agree() {
    let nowhere = "host=/no/such/folder dbname=billing";
    check(&["postgresql", nowhere, "--query", "select 1", "--prints", "1"], false, "psql");
    let nobody = ["postgresql", "billing", "--as", "no-such-user", "--query", "select 1", "--at-least", "1"];
    check(&nobody, false, "no-such-user");
}

#[test]
fn a_port_takes_connections_or_says_why_not() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    check(&["port", &port], true, "localhost takes connections at port");
    check(&["port", &format!("127.0.0.1:{port}")], true, "127.0.0.1 takes connections");
    drop(listener);
    check(&["port", &port], false, "refused");
    check(&["port", "no-such-host.invalid:1"], false, "no-such-host.invalid takes none");
}

/// Answers one call.
fn serve(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
    });
    format!("http://{address}/health")
}

#[test]
fn a_web_server_answers_as_expected_or_not() {
    let well = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"db\":\"up\"}\r\n";
    check(&["http", &serve(well)], true, "answers 200; expected 200");
    check(&["http", &serve(well), "--contains", "\"db\":\"up\""], true, "answers 200");
    check(&["http", &serve(well), "--contains", "down"], false, "without that text; expected 200 with \"down\" in it");
    let busy = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    check(&["http", &serve(busy)], false, "answers 503; expected 200");
    let moved = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    check(&["http", &serve(moved), "--status", "302"], true, "answers 302");
    check(&["http", "http://127.0.0.1:1/"], false, "does not answer");
}

#[test]
fn a_unit_that_is_not_active_says_how_it_is() {
    // Where systemd does not run, that is what is said.
    check(&["unit", "no-such-unit.service"], false, "; expected active");
}
