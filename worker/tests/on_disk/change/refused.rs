//! What is refused before anything is written, all of it at once.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use strongroom_worker::change::{ChangeError, Changes, Content, OnDisk};

use super::{NOW, directory, file, id, set};

#[test]
fn everything_that_speaks_against_a_change_is_said_at_once() {
    let top = tempfile::tempdir().unwrap();
    let at = |name: &str| top.path().join(name);
    let home = at("changes");
    fs::create_dir_all(at("full/sub")).unwrap();
    fs::write(at("full/a"), "").unwrap();
    fs::write(at("plain"), "").unwrap();
    fs::write(at("large"), vec![0; (16 << 20) + 1]).unwrap();
    symlink("full", at("way")).unwrap();
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    let disk = OnDisk::of_host().unwrap();
    let changes = Changes::new(&disk, &home, &NOW);
    let wanted = [
        (at("full"), Content::Absent, "is not empty: it holds 'a' and 1 more"),
        (at("full/a/b"), file(""), "full/a', which is a file"),
        (at("large"), file(""), "is no configuration: it has 16777217 bytes"),
        (at("none/file"), file(""), "has no directory: name '"),
        (at("pipe"), file(""), "is a device, fifo or socket"),
        (at("plain"), directory(), "is a file, and is to be a directory"),
        (at("way/a"), file("new"), "way', which is a symbolic link"),
        (home.join("one"), file(""), "is where changes are recorded"),
        ("relative".into(), file(""), "is not a whole path"),
        ("/etc/../etc/passwd".into(), file(""), "is not a whole path"),
        ("/etc//passwd".into(), file(""), "is not a whole path"),
        ("/etc/x/".into(), directory(), "is not a whole path"),
        ("/".into(), directory(), "is the root directory"),
        ("/proc".into(), Content::Absent, ""),
    ];
    let asked = set(wanted.iter().map(|(path, content, _)| (path.clone(), content.clone())));
    let Err(ChangeError::Refused(refusals)) = changes.prepare(id("one"), &asked) else { panic!("it was accepted") };
    for (path, _, why) in &wanted {
        let refusal = refusals.iter().find(|refusal| refusal.path == *path).unwrap_or_else(|| panic!("{path:?}"));
        assert!(refusal.why.contains(why), "{refusal}");
    }
    assert_eq!(refusals.len(), wanted.len());
    assert!(!home.exists());
    let twice = set([(at("plain"), file("1")), (at("plain"), file("2"))]);
    let Err(ChangeError::Refused(refusals)) = changes.plan(&id("one"), &twice) else { panic!("it was accepted") };
    assert!(refusals[0].why.contains("is named twice"), "{refusals:?}");
}

#[test]
fn what_is_mounted_is_not_replaced() {
    let disk = OnDisk::of_host().unwrap();
    let changes = Changes::new(&disk, Path::new("/nowhere/changes"), &NOW);
    let asked = set([("/dev".into(), directory())]);
    let Err(ChangeError::Refused(refusals)) = changes.plan(&id("one"), &asked) else { panic!("it was accepted") };
    assert!(refusals[0].why.contains("is mounted there"), "{refusals:?}");
}
