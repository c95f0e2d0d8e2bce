//! What a client remembers (cache, state of the last run) lies on a disk too: lost, cut off or with bits turned over it may cost time, never a wrong backup,
//! a wrong restore or a failed one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use strongroom_tests::client::restored;
use strongroom_tests::random::{Dice, first_seed, noise, seeded, words};
use strongroom_tests::{Client, Sandbox, compare, sandbox, skip, stored, tree};

struct Scene {
    sandbox: Sandbox,
    client: Client,
    source: PathBuf,
}

impl Scene {
    /// Two backups and a restore, so that there is a cache and a state; then a small change, so that the next run has something to do.
    fn set(name: &str) -> Result<Self> {
        let (sandbox, client) = Sandbox::with_repository(name)?;
        let source = sandbox.folder("source")?;
        let mut dice = seeded(14);
        for number in 0..1200 {
            tree::write(&source, &format!("folder {}/{number}", number % 11), words(&mut dice, number % 400))?;
        }
        tree::write(&source, "large", noise(&mut dice, 2 << 20))?;
        client.backup(&source)?;
        tree::write(&source, "folder 3/new", "new")?;
        client.backup(&source)?;
        let target = sandbox.path("target");
        client.restore("latest", &target)?.expect(0)?;
        sandbox::remove(&target)?;
        tree::write(&source, "folder 4/newer", "newer")?;
        Ok(Self { sandbox, client, source })
    }

    fn files(&self, folder: &Path) -> Result<Vec<String>> {
        Ok(stored::objects(folder)?.into_keys().collect())
    }

    /// The next backup and a restore, by a client whose memory is a damaged copy.
    fn judge(&self, damage: impl FnOnce(&Client) -> Result<()>) -> Result<()> {
        let home = self.sandbox.path("damaged");
        sandbox::remove(&home)?;
        sandbox::copy(&self.client.home, &home)?;
        let repository = self.sandbox.path("copy of the repository");
        sandbox::remove(&repository)?;
        sandbox::copy(&self.client.repository, &repository)?;
        let client = Client::new(&home, &repository, &self.client.key);
        damage(&client)?;
        let snapshot = client.backup(&self.source)?;
        let far = client.with_cache(&home.join("cache of another machine"));
        for client in [&client, &far] {
            let target = home.join("target");
            client.restore(&snapshot, &target)?.expect(0)?;
            compare::same(&self.source, &restored(&target, &self.source))?;
            sandbox::remove(&target)?;
        }
        far.check()?.expect(0).map(|_| ())
    }

    /// Every file below a folder of the client's, harmed in every way.
    fn matrix(&self, folder: impl Fn(&Client) -> PathBuf, flips: usize) -> Result<()> {
        let files = self.files(&folder(&self.client))?;
        ensure!(!files.is_empty(), "the client remembers nothing: this shows nothing");
        for file in files {
            self.judge(|client| Ok(fs::remove_file(folder(client).join(&file))?))
                .with_context(|| format!("{file} is gone"))?;
            self.judge(|client| cut(&folder(client).join(&file))).with_context(|| format!("{file} is cut off"))?;
            for round in 0..flips {
                let seed = first_seed() + round as u64;
                let flip = |client: &Client| flip(&folder(client), &file, &mut seeded(seed));
                self.judge(flip)
                    .with_context(|| format!("STRONGROOM_TESTS_SEED={seed}: a bit of {file} is turned over"))?;
            }
        }
        Ok(())
    }
}

fn cut(path: &Path) -> Result<()> {
    let length = path.metadata()?.len();
    Ok(fs::File::options().write(true).open(path)?.set_len(length / 2)?)
}

fn flip(folder: &Path, file: &str, dice: &mut Dice) -> Result<()> {
    let length = folder.join(file).metadata()?.len();
    if length == 0 { Ok(()) } else { stored::flip_bit(folder, file, dice.random_range(0..length * 8)) }
}

#[test]
fn of_the_cache() -> Result<()> {
    Scene::set("damaged-cache")?.matrix(|client| client.cache.clone(), skip::rounds(2, 20))
}

#[test]
fn of_the_state() -> Result<()> {
    Scene::set("damaged-state")?.matrix(|client| client.state.clone(), skip::rounds(6, 60))
}
