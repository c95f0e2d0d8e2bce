//! Times backups into a local repository: `measure_backup FOLDER full|incremental RUNS SOURCE…`. The repository is made in FOLDER if it is not there.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use strongroom_repository::{Credential, InitOptions, KeyFile, NewHolder, Parameters, Repository, SnapshotKind, store};
use strongroom_worker::backup::{self, BackupOptions, Input};
use strongroom_worker::exclude::Excludes;
use strongroom_worker::progress::Progress;

#[expect(clippy::print_stdout, reason = "it is a program")]
fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let folder = PathBuf::from(&arguments[1]);
    let kind = if arguments[2] == "full" { SnapshotKind::Full } else { SnapshotKind::Incremental };
    let runs: usize = arguments[3].parse().unwrap();
    let threads = std::env::var("THREADS").map_or(2, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for _ in 0..runs {
        let start = Instant::now();
        let store = store::open(folder.join("repository").to_str().unwrap()).unwrap();
        let key_path = folder.join("key");
        if !key_path.exists() {
            let options = InitOptions {
                parameters: Parameters::default(),
                created: Timestamp::UNIX_EPOCH,
                holder: "owner".into(),
                how: NewHolder::KeyFile,
            };
            let created = runtime.block_on(Repository::init(store.clone(), options)).unwrap();
            std::fs::write(&key_path, created.key_file.unwrap().to_text()).unwrap();
        }
        let key = KeyFile::parse(&std::fs::read_to_string(&key_path).unwrap()).unwrap();
        let repository =
            runtime.block_on(Repository::open(store, &Credential::File(key), &folder.join("cache"))).unwrap();
        let opened = start.elapsed();
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        let options = BackupOptions {
            input: Input::Files {
                root: "/".into(),
                sources: arguments[4..].iter().map(PathBuf::from).collect(),
                excludes: Excludes::default(),
            },
            kind,
            host: "host".into(),
            tags: BTreeMap::new(),
            state_folder: folder.join("state"),
            uploads: NonZeroUsize::MIN,
            threads: NonZeroUsize::new(threads).unwrap(),
            room: Default::default(),
            pace: Default::default(),
            now: Timestamp::new(now.tv_sec, now.tv_nsec as i32).unwrap(),
            program: "measure".into(),
        };
        let report = runtime
            .block_on(backup::run(repository, options, Arc::new(Progress::default()), Box::new(|_| {})))
            .unwrap();
        println!(
            "total {:?}, open {opened:?}, read {} ms, committed {} ms, {:?}",
            start.elapsed(),
            report.read_ms,
            report.total_ms,
            report.totals
        );
    }
    let usage = rusage();
    println!("{usage}");
}

fn rusage() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let wanted = |line: &&str| {
        line.starts_with("VmHWM")
            || line.starts_with("voluntary")
            || line.starts_with("RssAnon")
            || line.starts_with("RssFile")
    };
    status.lines().filter(wanted).collect::<Vec<_>>().join("; ")
}
