//! A repository of many hosts, each with two snapshots of many small files: their names, sizes and times, without contents.

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use strongroom_benches::dice::Dice;
use strongroom_benches::vocabulary::Vocabulary;
use strongroom_repository::{
    Begin, Credential, Entry, InitOptions, Kind, Manifest, NewHolder, Origin, Parameters, Repository, SnapshotKind,
    Time, Totals, TreeWriter, UnplacedTree, store,
};

pub(super) const HOSTS: u64 = 20;
/// One name in so many is another one in the second snapshot.
pub(super) const CHANGED_EVERY: usize = 1000;
const FILES_PER_DIRECTORY: u64 = 100;
/// Every host has it.
pub(super) const A_PATH: &str = "/srv/data/d00042/ledger.db";
/// One host has it.
pub(super) const A_NAME: &str = "only-here.bin";

const DIRECTORY: &str = "srv/data";
const ENDS: [&str; 8] = ["conf", "log", "json", "pdf", "xml", "jpg", "c", "db"];

/// Makes it below `folder`: in `repository`, with the key in `owner.json`. How many bytes it has.
pub(super) fn repository(folder: &Path, names: u64) -> Result<u64> {
    let at = folder.join("repository");
    let runtime = tokio::runtime::Runtime::new()?;
    let store = store::open(at.to_str().context("a path of text")?)?;
    let options = InitOptions {
        parameters: Parameters::default(),
        created: Timestamp::now(),
        holder: "owner".into(),
        how: NewHolder::KeyFile,
    };
    let created = runtime.block_on(Repository::init(Arc::clone(&store), options))?;
    let key = created.key_file.context("a key file")?;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join("owner.json"))?;
    file.write_all(key.to_text().as_bytes())?;
    let cache = tempfile::tempdir_in(folder)?;
    let repository = runtime.block_on(Repository::open(store, &Credential::File(key), cache.path()))?;
    let vocabulary = Vocabulary::seeded(1);
    for host in 0..HOSTS {
        for day in 0..2 {
            let begin = Begin { parent: None, started: Timestamp::now(), notes: None, uploads: NonZeroUsize::MIN };
            let session = runtime.block_on(repository.begin(begin))?;
            let writer = TreeWriter::new(Arc::clone(&session), HashSet::new(), |_, _| {});
            let tree = tree(writer, &vocabulary, (host, day), names / HOSTS)?;
            runtime.block_on(session.commit(tree, manifest(host)))?;
        }
    }
    bytes(&at)
}

fn tree(mut writer: TreeWriter, vocabulary: &Vocabulary, (host, day): (u64, u64), files: u64) -> Result<UnplacedTree> {
    let directory = |name: &str| Entry::new(name.as_bytes().to_vec(), Kind::Directory);
    writer.push(b"", &directory("srv"), Origin::Fresh)?;
    writer.push(b"srv", &directory("data"), Origin::Fresh)?;
    let directories: Vec<String> =
        (0..files.div_ceil(FILES_PER_DIRECTORY)).map(|number| format!("d{number:05}")).collect();
    for name in &directories {
        writer.push(DIRECTORY.as_bytes(), &directory(name), Origin::Fresh)?;
    }
    for (number, name) in (0..).zip(&directories) {
        let within = format!("{DIRECTORY}/{name}");
        for name in names(vocabulary, host, day, number) {
            let mut dice = Dice::named(host, name.as_bytes());
            let mut entry = Entry::new(name.into_bytes(), Kind::File);
            entry.size = dice.roll() % 100_000;
            entry.mtime = Time { seconds: 1_700_000_000 + (dice.roll() % 90_000_000) as i64, nanoseconds: 0 };
            entry.mode = 0o644;
            entry.hash = Some(*blake3::hash(&entry.name).as_bytes());
            writer.push(within.as_bytes(), &entry, Origin::Fresh)?;
        }
    }
    Ok(writer.finish()?)
}

/// The names in a directory, sorted.
fn names(vocabulary: &Vocabulary, host: u64, day: u64, directory: u64) -> Vec<String> {
    let mut dice = Dice::seeded(&[host, directory]);
    let mut names: Vec<String> = (0..FILES_PER_DIRECTORY)
        .map(|number| {
            let (word, end) = (vocabulary.word(&mut dice), ENDS[dice.below(ENDS.len())]);
            let changed = if dice.once_in(CHANGED_EVERY) { day } else { 0 };
            format!("{word}-{:04}.{end}", number * 2 + changed)
        })
        .collect();
    if directory == 42 {
        names[0] = "ledger.db".into();
    }
    if (host, directory) == (7, 777) {
        names[0] = A_NAME.into();
    }
    names.sort_unstable();
    names.dedup();
    names
}

fn manifest(host: u64) -> Manifest {
    Manifest {
        host: format!("host{host:02}"),
        time: Timestamp::now(),
        finished: Timestamp::now(),
        kind: SnapshotKind::Full,
        sources: vec![format!("/{DIRECTORY}")],
        tags: Default::default(),
        root: None,
        parent: None,
        program: "storage".into(),
        totals: Totals::default(),
        problems: Vec::new(),
    }
}

/// How large a folder's files are, in bytes.
pub(super) fn bytes(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        sum += if entry.file_type()?.is_dir() { bytes(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(sum)
}
