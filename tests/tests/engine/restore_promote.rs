//! What was restored is put where it is used: as people agreed, as it was verified, once, and told in the record.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use strongroom_tests::client::restored;
use strongroom_tests::program;
use strongroom_tests::{compare, skip};

use crate::people::{PEOPLE, Scene};

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
    // The directory's own time is not what is compared, but here it is to be as it was.
    fs::File::open(&back)?.set_modified(fs::metadata(&scene.source)?.modified()?)?;
    ensure!(used.join("old").exists());
    // Nor under a process that would write on into what nobody sees any more.
    let log = fs::File::options().append(true).open(used.join("old"))?;
    let mut writer = Command::new("sleep").arg("600").stdout(log).spawn()?;
    let refused = promote("daemon", to);
    writer.kill()?;
    writer.wait()?;
    scene.refused(&refused?, 2, &format!("sleep (process {}) writes to '{to}/old'", writer.id()))?;

    promote("daemon", to)?.expect(0)?;
    compare::same(&scene.source, &used)?;
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
