//! Four copies in four places, three of them destroyed in turn: whichever is left restores byte for byte, by a machine that knows nothing of the others.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use strongroom_tests::client::restored;
use strongroom_tests::random::{noise, seeded};
use strongroom_tests::s3::S3Server;
use strongroom_tests::{Client, Sandbox, compare, hostile, sandbox, skip, tree};

use crate::program::{client_at, client_on};
use crate::sshd::Sshd;

/// A folder, another folder, a bucket, and a folder of another machine: the first is filled by backups, the others by the same backups or afterwards.
struct Four {
    sandbox: Sandbox,
    sshd: Sshd,
    server: &'static S3Server,
    source: PathBuf,
}

/// Two packs of what does not compress.
const NOISE: usize = 80 << 20;
const NAME: &str = "whichever_of_four_copies_is_left_restores_everything";

impl Four {
    fn clients(&self) -> Result<[Client; 4]> {
        let (over_ssh, in_bucket) =
            (client_at(&self.sshd, &self.sandbox)?, client_on(self.server, &self.sandbox, NAME));
        // What each needs to be reached is in the environment of all.
        let main = over_ssh.with_environment(self.server.environment());
        let places =
            [self.sandbox.path("first"), self.sandbox.path("second"), in_bucket.repository, over_ssh.repository];
        Ok(places.map(|place| main.at(&place)))
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn whichever_of_four_copies_is_left_restores_everything() -> Result<()> {
    let server = match S3Server::garage() {
        Ok(server) => server,
        Err(reason) => return skip::test(NAME, &reason),
    };
    let sandbox = Sandbox::new(NAME)?;
    let four = Four { sshd: Sshd::start()?, server, source: sandbox.folder("source")?, sandbox };
    let [first, second, bucket, other] = four.clients()?;
    first.init()?;
    tree::ordinary(&four.source, &mut seeded(61), 80)?;
    tree::write(&four.source, "noise", noise(&mut seeded(62), NOISE))?;
    let old = first.backup(&four.source)?;
    let before = four.sandbox.path("as it was");
    sandbox::copy(&four.source, &before)?;
    tree::change(&four.source, &mut seeded(63), 1)?;
    if skip::is_root() {
        plant_hostile(&four.source)?;
    }
    // One read of the source fills two of them; the others follow later, one from the first and one from a copy.
    let arguments = ["--json", "--copy", &text(&second.repository), &text(&four.source)].map(str::to_owned);
    let made = first.run("backup", arguments)?.expect(0)?.json()?;
    let new = made["snapshot"].as_str().unwrap_or_default().to_owned();
    ensure!(made["copied"][0]["report"]["snapshots"].as_array().is_some_and(|brought| brought.len() == 2), "{made}");
    first.run_repo("copy", [&text(&bucket.repository)])?.expect(0)?;
    second.run_repo("copy", [&text(&other.repository)])?.expect(0)?;
    for (number, left) in [&first, &second, &bucket, &other].into_iter().enumerate() {
        let alone = left.with_cache(&four.sandbox.path(&format!("cache {number}")));
        alone.check_data()?.expect(0)?;
        for (snapshot, expected) in [(&old, &before), (&new, &four.source)] {
            let target = four.sandbox.path("target");
            alone.restore(snapshot, &target)?.expect(0)?;
            compare::same(expected, &restored(&target, &four.source))?;
            if skip::is_root() {
                hostile::unlock(&target)?;
            }
            sandbox::remove(&target)?;
        }
    }
    one_after_the_other_is_lost(&four, [&first, &second, &bucket, &other], &new)?;
    if skip::is_root() {
        hostile::unlock(&four.source)?;
    }
    Ok(())
}

/// Restores that were told of all four, while ever more of them is gone.
fn one_after_the_other_is_lost(four: &Four, [first, second, bucket, other]: [&Client; 4], new: &str) -> Result<()> {
    let lose: [&dyn Fn() -> Result<()>; 3] = [
        &|| Ok(fs::remove_dir_all(first.repository.join("packs"))?),
        &|| Ok(fs::remove_dir_all(&second.repository)?),
        &|| Ok(fs::remove_dir_all(&first.repository)?),
    ];
    for (number, lose) in lose.iter().enumerate() {
        lose()?;
        let target = four.sandbox.path(&format!("target of loss {number}"));
        let copies = [second, bucket, other].map(|copy| ["--copy".to_owned(), text(&copy.repository)]);
        let mut arguments: Vec<String> = copies.into_iter().flatten().collect();
        arguments.extend(["--target".to_owned(), text(&target), new.to_owned(), "--json".to_owned()]);
        let outcome = first.run("restore", arguments)?.expect(0)?;
        compare::same(&four.source, &restored(&target, &four.source))?;
        if skip::is_root() {
            hostile::unlock(&target)?;
        }
        let served = outcome.json()?["served"].clone();
        let bytes: u64 = served.as_array().into_iter().flatten().filter_map(|copy| copy["bytes"].as_u64()).sum();
        ensure!(bytes > NOISE as u64, "{served}");
    }
    Ok(())
}

fn plant_hostile(source: &Path) -> Result<()> {
    use std::os::unix::ffi::OsStrExt;
    fs::create_dir(source.join("hostile"))?;
    let hostile = source.join("hostile");
    hostile::plant(&hostile)?;
    hostile::SOCKETS.iter().try_for_each(|name| fs::remove_file(hostile.join(std::ffi::OsStr::from_bytes(name))))?;
    Ok(())
}
