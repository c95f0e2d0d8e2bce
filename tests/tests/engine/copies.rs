//! `copies:` of a plan: each run brings them up to date; one that is not there fails the run, costs nothing else, and is made up for.

use std::fs;

use anyhow::{Result, ensure};
use strongroom_tests::client::restored;
use strongroom_tests::random::seeded;
use strongroom_tests::{Outcome, Sandbox, compare, program, tree};

#[test]
fn a_plan_fills_its_copies_and_makes_up_for_one_that_was_away() -> Result<()> {
    let (sandbox, client) = Sandbox::with_repository("plan-copies")?;
    let source = sandbox.folder("source")?;
    tree::ordinary(&source, &mut seeded(71), 60)?;
    let (near, far) = (sandbox.path("near"), sandbox.path("far"));
    let plan = sandbox.path("plan.yaml");
    let text = format!(
        "kind: backup\nname: copied\nsources:\n  - files: [{:?}]\nrepository: {:?}\ncopies: [{near:?}, {far:?}]\nretain: {{ daily: 3 }}\n",
        source.display().to_string(),
        client.repository.display().to_string(),
    );
    fs::write(&plan, text)?;
    let run = || -> Result<Outcome> {
        let mut command = client.program()?;
        command.args(["run", "--json"]).arg(&plan).arg("--key").arg(&client.key);
        program::run(&mut command)
    };
    run()?.expect(0)?;
    // Its disk is not mounted: an empty folder is there. The other copy is filled, the backup stands, and nothing is written into the folder.
    let away = sandbox.path("away");
    fs::rename(&far, &away)?;
    fs::create_dir(&far)?;
    tree::change(&source, &mut seeded(72), 1)?;
    let missed = run()?.expect(1)?;
    ensure!(missed.stdout.contains("may not be mounted"), "{missed}");
    ensure!(fs::read_dir(&far)?.next().is_none(), "something was written into the empty folder");
    ensure!(client.at(&near).with_cache(&sandbox.path("cache 1")).snapshots()?.len() == 2);
    fs::remove_dir(&far)?;
    fs::rename(&away, &far)?;
    run()?.expect(0)?;
    for (number, copy) in [&near, &far].into_iter().enumerate() {
        let alone = client.at(copy).with_cache(&sandbox.path(&format!("cache of {number}")));
        ensure!(alone.snapshots()?.len() == 3, "copy {number} lacks a run");
        alone.check_data()?.expect(0)?;
        let target = sandbox.path(&format!("target {number}"));
        alone.restore("latest", &target)?.expect(0)?;
        compare::same(&source, &restored(&target, &source))?;
    }
    Ok(())
}
