//! What was restored is put where it is used: as people agreed, as it was verified, once, and told in the record.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use rustix::fs::{XattrFlags, setxattr};
use strongroom_tests::client::restored;
use strongroom_tests::program;
use strongroom_tests::{compare, skip};

use crate::people::{PEOPLE, Scene};

fn directory_below(directory: &Path) -> Result<PathBuf> {
    let mut entries = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?.into_iter();
    Ok(entries.find(|entry| entry.path().is_dir()).context("a directory below")?.path())
}

#[test]
fn what_was_restored_is_put_where_it_was_agreed_to() -> Result<()> {
    if !skip::is_root() {
        return skip::test("what_was_restored_is_put_where_it_was_agreed_to", "it acts as other users");
    }
    let scene = Scene::set()?;
    scene.write_site(PEOPLE)?;
    let controller = scene.serve()?;
    let (target, used) = (scene.sandbox.path("back"), scene.sandbox.folder("used")?);
    fs::write(used.join("old"), "old")?;
    let to = used.to_str().context("text")?;
    let more = ["--reason", "INC-8841", "--promote-to", to, "--json"];
    let number = scene.number(&scene.request("daemon", &target, &more)?.expect(0)?)?;
    let promote = |user: &str, to: &str| scene.by(user, &["restore", "promote", &number, "--to", to]);
    scene.refused(&promote("daemon", to)?, 2, "did not end as restored and verified")?;
    scene.approve("bin", &number)?.expect(0)?;
    scene.approve("man", &number)?.expect(0)?;
    scene.by("daemon", &["restore", "run", &number])?.expect(0)?;
    let shown = scene.by("sync", &["restore", "show", &number])?.expect(0)?;
    ensure!(shown.stdout.contains(&format!("strongroom restore promote {number} --to {to}")), "{shown}");

    // Not elsewhere, not by just anybody, and not what somebody has touched since.
    scene.refused(&promote("daemon", "/etc")?, 2, "nobody agreed")?;
    scene.refused(&promote("sync", to)?, 6, "operator or on-call")?;
    let back = restored(&target, &scene.source);
    fs::write(back.join("added"), "")?;
    scene.refused(&promote("daemon", to)?, 2, "not what was verified any more")?;
    fs::remove_file(back.join("added"))?;
    ensure!(used.join("old").exists());
    // Directories change by what runs in them: they are given their metadata again, and those above what was asked for keep theirs.
    let below = directory_below(&back)?;
    for directory in [&back, &below] {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o711))?;
        chown(directory, Some(4242), Some(4243))?;
        fs::File::open(directory)?.set_modified(SystemTime::UNIX_EPOCH)?;
        setxattr(directory, "user.stray", b"x", XattrFlags::empty())?;
    }
    let above = back.parent().context("a directory above")?;
    fs::set_permissions(above, fs::Permissions::from_mode(0o711))?;
    // Nor under a process that would write on into what nobody sees any more.
    let log = fs::File::options().append(true).open(used.join("old"))?;
    let mut writer = Command::new("sleep").arg("600").stdout(log).spawn()?;
    let refused = promote("daemon", to);
    writer.kill()?;
    writer.wait()?;
    scene.refused(&refused?, 2, &format!("sleep (process {}) writes to '{to}/old'", writer.id()))?;

    promote("daemon", to)?.expect(0)?;
    // By rsync, with owners, modes, times, ACLs and attributes.
    compare::same(&scene.source, &used)?;
    ensure!(fs::metadata(above)?.permissions().mode() & 0o7777 == 0o711, "a directory above it was changed");
    ensure!(back.join("old").exists(), "what was there is not where it should be");
    scene.refused(&promote("daemon", to)?, 2, "once is enough")?;
    let shown = scene.by("sync", &["restore", "show", &number])?.expect(0)?;
    let aside = back.to_str().context("text")?;
    for words in
        ["restore-promoting by wang", "not what was verified any more", &format!("what was there lies in {aside}")]
    {
        ensure!(shown.stdout.contains(words), "it does not show {words:?}:\n{shown}");
    }
    // The record was made anew, signed again, and holds together with the journal.
    let listed = scene.operator.run(["record", "list", "--json"])?.expect(0)?.json()?;
    let restore = listed[0]["restore"].as_str().context("a name")?;
    let page = scene.operator.run(["record", "show", restore])?.expect(0)?;
    ensure!(page.stdout.contains(&format!("Put in place at: {to}")) && page.stdout.contains(aside), "{page}");
    scene.operator.run(["record", "verify"])?.expect(0)?;
    scene.operator.run(["journal", "verify"])?.expect(0)?;
    ensure!(controller.stop()?.success());
    // The verdict of others.
    program::tool(Command::new("diff").arg("-r").arg("--no-dereference").arg(&scene.source).arg(&used)).map(drop)
}
