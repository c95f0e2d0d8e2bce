//! What befalls a store, as one table: for each fault a clear sentence and the documented exit code, no half restore point, nothing lost; and when it is mended the same command succeeds.
//!
//! A disk that is full at every single page is in `full_disk`, damage in `damage`, servers and their faults in the suite of stores.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use strongroom_tests::client::restored;
use strongroom_tests::disk::Disk;
use strongroom_tests::program::{self, Outcome, tool};
use strongroom_tests::random::{noise, seeded};
use strongroom_tests::{Client, Sandbox, compare, sandbox, skip, tree};

const MIB: u64 = 1 << 20;

/// A repository on a disk of its own with one snapshot, and a source that has changed since.
struct Scene {
    sandbox: Sandbox,
    client: Client,
    source: PathBuf,
    before: PathBuf,
    first: String,
    disk: Option<Disk>,
}

/// One fault.
struct Fault {
    name: &'static str,
    disk: fn(&Path) -> Result<Disk>,
    /// Returns what mends it.
    strike: fn(&mut Scene) -> Result<Mend>,
    /// Of these one, at every attempt.
    codes: &'static [i32],
    /// One of these is said.
    says: &'static [&'static str],
}

type Mend = Box<dyn FnOnce(&mut Scene) -> Result<()>>;

const FAULTS: [Fault; 6] = [
    Fault { name: "no room", disk: ext4, strike: fill, codes: &[5], says: &["no space at file://"] },
    Fault {
        name: "a disk with less behind it than it says",
        disk: thin,
        strike: starve,
        // Once the file system has noticed, it takes no writes at all.
        codes: &[5, 6],
        says: &["Input/output error", "Read-only file system", "No space left"],
    },
    Fault { name: "a disk that takes no writes", disk: ext4, strike: write_protect, codes: &[6], says: &["ead-only"] },
    Fault {
        name: "a quota of the file system",
        disk: with_quota,
        strike: limit,
        codes: &[5],
        says: &["no space", "quota"],
    },
    Fault {
        name: "a disk that is not mounted",
        disk: ext4,
        strike: unmount,
        codes: &[5],
        says: &["there is nothing, where repository"],
    },
    Fault {
        name: "the disk of another repository",
        disk: ext4,
        strike: swap,
        codes: &[5],
        says: &["another repository lies there"],
    },
];

#[test]
fn whatever_befalls_the_store_is_told_and_nothing_is_lost() -> Result<()> {
    let name = "whatever_befalls_the_store_is_told_and_nothing_is_lost";
    if !skip::is_root() {
        return skip::test(name, "needs root to mount");
    }
    for fault in FAULTS {
        let mut scene = match Scene::set(&fault) {
            Ok(scene) => scene,
            Err(error) if fault.name.contains("quota") => {
                skip::part(name, &format!("{}: this kernel has none ({error:#})", fault.name))?;
                continue;
            }
            Err(error) => return Err(error),
        };
        scene.suffer(&fault).context(fault.name)?;
    }
    Ok(())
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.disk = None;
        let below = below(&self.sandbox.path("disk"));
        if below.exists() {
            drop(tool(Command::new("umount").arg("--lazy").arg(&below)));
        }
    }
}

impl Scene {
    fn set(fault: &Fault) -> Result<Self> {
        let sandbox = Sandbox::new("fault")?;
        let disk = (fault.disk)(&sandbox.path("disk"))?;
        let client = sandbox.client("client").at(&disk.path().join("repository"));
        client.init()?;
        let (source, before) = (sandbox.folder("source")?, sandbox.path("before"));
        tree::ordinary(&source, &mut seeded(51), 40)?;
        let first = client.backup(&source)?;
        sandbox::copy(&source, &before)?;
        for number in 0..4 {
            tree::write(&source, &format!("new {number}"), noise(&mut seeded(52 + number), MIB as usize))?;
        }
        Ok(Self { sandbox, client, source, before, first, disk: Some(disk) })
    }

    fn suffer(&mut self, fault: &Fault) -> Result<()> {
        let mend = (fault.strike)(self)?;
        for outcome in [self.backup()?, self.backup()?] {
            let outcome = outcome.expect_one_of(fault.codes)?;
            ensure!(fault.says.iter().any(|words| outcome.stderr.contains(words)), "it does not say why:\n{outcome}");
            ensure!(outcome.stderr.contains("next:"), "it does not say what to do:\n{outcome}");
            ensure!(!outcome.stderr.contains("new 0"), "it blames the source:\n{outcome}");
        }
        mend(self)?;
        let fresh = self.client.with_cache(&self.sandbox.path("fresh cache"));
        ensure!(fresh.snapshots()? == std::slice::from_ref(&self.first), "half a snapshot is visible");
        self.restores(&fresh, &self.first, &self.before)?;
        self.backup()?.expect(0)?;
        ensure!(fresh.snapshots()?.len() == 2, "the backup is not there");
        self.restores(&fresh, "latest", &self.source)?;
        self.restores(&fresh, &self.first, &self.before)?;
        fresh.check_data()?.expect(0).map(|_| ())
    }

    fn backup(&self) -> Result<Outcome> {
        self.client.run("backup", [self.source.as_os_str()])
    }

    /// The verdict is rsync's.
    fn restores(&self, client: &Client, snapshot: &str, expect: &Path) -> Result<()> {
        let target = self.sandbox.path("restored");
        client.restore(snapshot, &target)?.expect(0)?;
        compare::same(expect, &restored(&target, &self.source))?;
        sandbox::remove(&target)
    }

    fn disk(&self) -> Result<&Disk> {
        self.disk.as_ref().context("a disk")
    }
}

fn ext4(at: &Path) -> Result<Disk> {
    Disk::ext4(at, 64 * MIB)
}

/// 64 MiB on a memory file system that will have less.
fn thin(at: &Path) -> Result<Disk> {
    let below = below(at);
    // It stays mounted as long as the scene lasts, whose end unmounts it.
    std::mem::forget(Disk::memory(&below, 160 * MIB)?);
    Disk::ext4(&below.join("disk"), 64 * MIB)
}

fn below(disk: &Path) -> PathBuf {
    disk.with_extension("below")
}

/// XFS counts what lies below a folder.
fn with_quota(at: &Path) -> Result<Disk> {
    Disk::xfs_with_quota(at, 320 * MIB, "repository")
}

fn fill(scene: &mut Scene) -> Result<Mend> {
    let filler = scene.disk()?.fill(0)?;
    Ok(Box::new(move |_| Ok(fs::remove_file(filler)?)))
}

/// The file system believes in room that is not there: what it has taken cannot be flushed.
fn starve(scene: &mut Scene) -> Result<Mend> {
    let below = below(&scene.sandbox.path("disk"));
    tool(Command::new("sync").arg("-f").arg(scene.disk()?.path()))?;
    let used = rustix::fs::statvfs(&below)?;
    let used = (used.f_blocks - used.f_bfree) * used.f_frsize;
    let resize = move |bytes: u64, below: &Path| {
        tool(Command::new("mount").args(["-o", &format!("remount,size={bytes}")]).arg(below)).map(|_| ())
    };
    resize(used + (64 << 10), &below)?;
    Ok(Box::new(move |scene| {
        resize(160 * MIB, &below)?;
        let disk = scene.disk.take().context("a disk")?;
        let at = disk.path().to_owned();
        let image = disk.unmount()?;
        // Exit code 1: it was mended.
        let mended = Command::new("e2fsck").args(["-fy"]).arg(&image).output()?;
        ensure!(mended.status.code().is_some_and(|code| code <= 1), "{}", String::from_utf8_lossy(&mended.stdout));
        scene.disk = Some(Disk::of_image(&image, &at)?);
        Ok(())
    }))
}

fn write_protect(scene: &mut Scene) -> Result<Mend> {
    let at = scene.disk()?.path().to_owned();
    tool(Command::new("mount").args(["-o", "remount,ro"]).arg(&at))?;
    Ok(Box::new(move |_| tool(Command::new("mount").args(["-o", "remount,rw"]).arg(&at)).map(|_| ())))
}

fn limit(scene: &mut Scene) -> Result<Mend> {
    let disk = scene.disk()?;
    disk.limit_folder(MIB)?;
    Ok(Box::new(|scene| scene.disk()?.limit_folder(300 * MIB)))
}

fn unmount(scene: &mut Scene) -> Result<Mend> {
    let disk = scene.disk.take().context("a disk")?;
    let at = disk.path().to_owned();
    let image = disk.unmount()?;
    run_makes_no_new_one(scene, &at)?;
    Ok(Box::new(move |scene| {
        ensure!(fs::read_dir(&at)?.next().is_none(), "something was written into the empty mount point");
        scene.disk = Some(Disk::of_image(&image, &at)?);
        Ok(())
    }))
}

/// A plan makes its repository when it is run for the first time, and never again.
fn run_makes_no_new_one(scene: &Scene, at: &Path) -> Result<()> {
    let plan = scene.sandbox.path("plan.yaml");
    let text = format!(
        "kind: backup\nname: fault\nsources:\n  - files: [{}]\nrepository: {}\nretain: {{ daily: 3 }}\n",
        scene.source.display(),
        scene.client.repository.display()
    );
    fs::write(&plan, text)?;
    let mut command = scene.client.program()?;
    command.arg("run").arg(&plan).arg("--key").arg(&scene.client.key);
    let outcome = program::run(&mut command)?.expect(5)?;
    ensure!(outcome.stderr.contains("its disk may not be mounted"), "{outcome}");
    let health = scene.client.program().and_then(|mut command| {
        command.args(["repo", "health", "--json"]).arg(&scene.client.repository);
        program::run(&mut command)?.expect(5)
    })?;
    ensure!(health.stdout.contains("its disk may not be mounted"), "{health}");
    ensure!(fs::read_dir(at)?.next().is_none(), "something was written into the empty mount point");
    Ok(())
}

fn swap(scene: &mut Scene) -> Result<Mend> {
    let disk = scene.disk.take().context("a disk")?;
    let at = disk.path().to_owned();
    let image = disk.unmount()?;
    scene.disk = Some(Disk::memory(&at, 16 * MIB)?);
    let key = scene.sandbox.path("another key");
    let other = scene.sandbox.client("another machine").at(&scene.client.repository).with_key(&key);
    other.init()?;
    let there = listed(&at)?;
    // Also with the key that fits it.
    let outcome = scene.client.with_key(&key).run("backup", [scene.source.as_os_str()])?.expect(5)?;
    ensure!(outcome.stderr.contains("another repository lies there"), "{outcome}");
    Ok(Box::new(move |scene| {
        ensure!(listed(&at)? == there, "something was written into another repository");
        // Its end unmounts it.
        scene.disk = None;
        scene.disk = Some(Disk::of_image(&image, &at)?);
        Ok(())
    }))
}

fn listed(folder: &Path) -> Result<Vec<u8>> {
    tool(Command::new("find").arg(folder).args(["-type", "f", "-printf", "%P %s %T@\n"]))
}

/// A store that is as it should be says so, line by line.
#[test]
fn a_healthy_store_says_so() -> Result<()> {
    let (_sandbox, client) = Sandbox::with_repository("health")?;
    let mut command = client.program()?;
    command.args(["repo", "health", "--json", "--alarm-at", "100"]).arg(&client.repository);
    let before = listed(&client.repository)?;
    let health = program::run(&mut command)?.expect(0)?.json()?;
    let checks = health["checks"].as_array().context("checks")?;
    let told: Vec<&str> = checks.iter().filter_map(|check| check["what"].as_str()).collect();
    ensure!(told == ["reachable", "repository", "write", "delete", "latency", "room"], "{health}");
    ensure!(checks.iter().all(|check| check["state"] == "ok"), "{health}");
    ensure!(listed(&client.repository)? == before, "something stays");
    Ok(())
}
