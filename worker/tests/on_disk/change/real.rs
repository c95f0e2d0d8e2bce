//! Changes of real files, looked at by `stat`, `cat` and `getfacl` where that says more than we do.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use strongroom_worker::change::{Attributes, Change, ChangeError, ChangeSet, Changes, Content, OnDisk, Record};
use tempfile::TempDir;

use super::{NOW, directory, file, id, later, link, moment, set};

struct Host {
    top: TempDir,
    disk: OnDisk,
    home: PathBuf,
}

impl Host {
    fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        let home = top.path().join("state/changes");
        for folder in ["state", "etc"] {
            fs::create_dir(top.path().join(folder)).unwrap();
        }
        Self { disk: OnDisk::of_host().unwrap(), home, top }
    }

    fn changes(&self) -> Changes<'_> {
        Changes::new(&self.disk, &self.home, &NOW)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.top.path().join("etc").join(name)
    }

    /// What `find` and `cat` say of everything that a change can touch.
    fn seen(&self) -> String {
        let script = "cd \"$1\" && find . -printf '%p %y %m %U %G %l\\n' | sort && find . -type f | sort | xargs -r tail -n +1 && getfacl -R -p .";
        let shown = Command::new("sh").args(["-c", script, "sh"]).arg(self.top.path().join("etc")).output().unwrap();
        assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
        String::from_utf8(shown.stdout).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).unwrap();
    }

    /// Some of each kind: replaced, made, removed, and given another mode and an ACL.
    fn release(&self) -> ChangeSet {
        self.write("site.conf", "old\n");
        self.write("gone.conf", "gone\n");
        self.write("as-it-is.conf", "same\n");
        symlink("site.conf", self.at("enabled")).unwrap();
        fs::set_permissions(self.at("gone.conf"), fs::Permissions::from_mode(0o604)).unwrap();
        let attributes = Attributes { mode: 0o644, ..Attributes::private(0) };
        fs::set_permissions(self.at("as-it-is.conf"), fs::Permissions::from_mode(0o644)).unwrap();
        let same = Content::File { bytes: b"same\n".to_vec(), attributes };
        set([
            (self.at("site.conf"), file("new\n")),
            (self.at("gone.conf"), Content::Absent),
            (self.at("as-it-is.conf"), same),
            (self.at("enabled"), link("conf.d/more.conf")),
            (self.at("conf.d"), directory()),
            (self.at("conf.d/more.conf"), file("more\n")),
        ])
    }

    fn last(&self, change: &str) -> Record {
        self.changes().change(id(change)).unwrap().unwrap().records().last().unwrap().record.clone()
    }

    fn switched(&self, set: &ChangeSet) -> Change<'_> {
        let mut change = self.changes().prepare(id("one"), set).unwrap();
        change.switch(moment(1000)).unwrap();
        change
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

#[test]
fn what_is_confirmed_stays_and_what_is_reverted_is_as_it_was() {
    let host = Host::new();
    let set = host.release();
    let before = host.seen();
    let mut change = host.switched(&set);
    let after = host.seen();
    assert_eq!(fs::read_to_string(host.at("enabled")).unwrap(), "more\n");
    assert_eq!(fs::metadata(host.at("site.conf")).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(change.steps().len(), 5, "{:?}", change.steps());
    change.revert("because").unwrap();
    assert_eq!(host.seen(), before);
    assert_eq!(host.last("one"), Record::Reverted);
    // Of what was kept nothing is left, and the name is not used again.
    assert_eq!(host.names(&host.home.join("one")), ["journal"]);
    assert!(matches!(host.changes().prepare(id("one"), &set), Err(ChangeError::Known(_))));
    let mut again = host.changes().prepare(id("two"), &set).unwrap();
    again.switch(moment(1000)).unwrap();
    again.confirm("jo", &moment(999)).unwrap();
    assert_eq!(host.seen(), after);
    assert!(matches!(again.revert("too late"), Err(ChangeError::Confirmed(_))));
    assert!(host.changes().recover("a start", &later()).unwrap().is_empty());
    assert_eq!(host.seen(), after);
    // A release that is in place is no change.
    assert_eq!(host.changes().plan(&id("three"), &set).unwrap().steps, []);
}

#[test]
fn acls_owners_and_attributes_come_back() {
    let host = Host::new();
    host.write("secret", "old\n");
    let script = "setfacl -m u:daemon:r \"$1\" && setfattr -n user.note -v kept \"$1\"";
    let done = Command::new("sh").args(["-c", script, "sh"]).arg(host.at("secret")).status().unwrap();
    assert!(done.success());
    let before = host.seen();
    assert!(before.contains("user:daemon:r--"), "{before}");
    let mut change = host.switched(&set([(host.at("secret"), file("new\n"))]));
    assert!(!host.seen().contains("user:daemon"));
    change.revert("because").unwrap();
    assert_eq!(host.seen(), before);
    let note = Command::new("getfattr").args(["--only-values", "-n", "user.note"]).arg(host.at("secret")).output();
    assert_eq!(note.unwrap().stdout, b"kept");
}

#[test]
fn a_confirmation_comes_in_time_or_not_at_all() {
    let host = Host::new();
    let set = host.release();
    let before = host.seen();
    let mut change = host.switched(&set);
    for late in [moment(1000), moment(5000), later()] {
        assert!(matches!(change.confirm("jo", &late), Err(ChangeError::TooLate(_))));
    }
    // A daemon that was killed finds it again, and so does the start of the host.
    drop(change);
    assert_eq!(host.changes().under_way().unwrap().unwrap().id(), &id("one"));
    assert!(matches!(host.changes().prepare(id("two"), &set), Err(ChangeError::UnderWay(_))));
    assert!(host.changes().recover("the daemon was started", &moment(999)).unwrap().is_empty());
    let recovered = host.changes().recover("the host was started", &later()).unwrap();
    assert!(recovered.len() == 1 && recovered[0].ended.is_ok(), "{recovered:?}");
    assert_eq!(host.seen(), before);
    assert!(host.changes().under_way().unwrap().is_none());
}

#[test]
fn what_somebody_else_does_meanwhile_is_seen_and_kept() {
    let host = Host::new();
    let set = host.release();
    let before = host.seen();
    let mut change = host.changes().prepare(id("one"), &set).unwrap();
    host.write("site.conf", "by hand\n");
    assert!(matches!(change.switch(moment(1000)), Err(ChangeError::Moved(path)) if path == host.at("site.conf")));
    assert!(matches!(host.last("one"), Record::Aborted { .. }));
    assert_eq!(host.seen(), before.replace("old\n", "by hand\n"));

    host.write("site.conf", "old\n");
    let mut change = host.changes().prepare(id("two"), &set).unwrap();
    change.switch(moment(1000)).unwrap();
    host.write("site.conf", "by hand after all\n");
    change.revert("because").unwrap();
    assert_eq!(host.seen(), before);
    let kept = host.home.join("two");
    let found = host.names(&kept).into_iter().find(|name| name.starts_with("found-")).unwrap();
    assert_eq!(fs::read_to_string(kept.join(found)).unwrap(), "by hand after all\n");
}

#[test]
fn what_cannot_be_undone_is_said_and_blocks_what_comes_next() {
    let host = Host::new();
    let made = set([(host.at("conf.d"), directory()), (host.at("conf.d/one"), file("1"))]);
    let mut change = host.switched(&made);
    // Somebody has put a file where a directory is to be removed.
    host.write("conf.d/theirs", "2");
    let Err(ChangeError::Inconsistent { left, .. }) = change.revert("because") else { panic!("it was undone") };
    assert_eq!(left, [host.at("conf.d")]);
    assert_eq!(host.names(&host.at("conf.d")), ["theirs"]);
    let other = set([(host.at("other"), file("3"))]);
    assert!(matches!(host.changes().prepare(id("two"), &other), Err(ChangeError::UnderWay(_))));
    // Once it is gone, it can be.
    fs::remove_file(host.at("conf.d/theirs")).unwrap();
    host.changes().under_way().unwrap().unwrap().revert("again").unwrap();
    assert!(host.changes().prepare(id("two"), &other).is_ok());
}

#[test]
fn a_journal_that_was_changed_is_not_believed() {
    let host = Host::new();
    drop(host.switched(&host.release()));
    let record = host.home.join("one/journal/0003");
    let text = fs::read_to_string(&record).unwrap();
    for damaged in [text.replace("1000", "9999"), text[..text.len() / 2].to_owned(), String::new()] {
        fs::write(&record, damaged).unwrap();
        let recovered = host.changes().recover("a start", &later()).unwrap();
        let Err(ChangeError::Journal(error)) = &recovered[0].ended else { panic!("it was believed") };
        assert!(error.to_string().contains("journal/0003"), "{error}");
    }
    fs::remove_file(&record).unwrap();
    assert!(host.changes().recover("a start", &later()).unwrap()[0].ended.is_err());
    fs::write(&record, text).unwrap();
    assert!(host.changes().recover("a start", &later()).unwrap()[0].ended.is_ok());
}
