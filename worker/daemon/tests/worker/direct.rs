//! Jobs that store by themselves, in a directory of their host: no gateway is ever served here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strongroom_proto::worker::{BackupJob, DirectStore, FailureKind, Limits, direct_store::Place};
use strongroom_repository::store::LocalStore;
use strongroom_repository::{InitOptions, NewHolder, Parameters, Repository};
use tonic::Code;

use crate::host::{Host, failure, noise, refused, report};

fn by_itself(host: &Host, directory: &Path) -> BackupJob {
    let place = Place::Directory(directory.display().to_string());
    BackupJob { direct: Some(DirectStore { place: Some(place) }), ..host.files() }
}

fn repository(host: &Host) -> PathBuf {
    host.folder.path().join("repository")
}

/// Every file below a directory, with its content.
fn content(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(content(&path)),
            false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_goes_straight_into_a_directory_and_restores() {
    let host = Host::new().await;
    host.write("small", "content");
    host.write("large", noise(1, 3 << 20));
    let daemon = host.start_without_gateway().await;
    host.enroll().await;
    let job = || by_itself(&host, &repository(&host));
    let made = host.backed_up("j1", job()).await;
    let [snapshot] = &host.snapshots("j1").await[..] else { panic!("not one snapshot") };
    assert_eq!(
        (made["snapshot"].as_str(), made["outcome"].as_str()),
        (Some(&*snapshot.id.to_string()), Some("complete"))
    );
    assert_eq!(&*snapshot.signer, "web1", "with the key that it has for the gateway as well");
    host.check_restores(snapshot).await;

    // The next one builds on it, also where the upload is limited; and so does one through the gateway.
    host.write("more", "more");
    let limits = Some(Limits { upload_bytes_per_second: 1 << 30, ..Limits::default() });
    let made = host.backed_up("j2", BackupJob { limits, ..job() }).await;
    assert_eq!(made["parent"], snapshot.id.to_string());
    let snapshots = host.snapshots("j2").await;
    host.check_restores(&snapshots[0]).await;
    let controller = host.link();
    let made = host.backed_up("j3", host.files()).await;
    assert_eq!(made["parent"], snapshots[0].id.to_string());
    controller.abort();
    daemon.stop().await;
    assert_eq!(fs::read_dir(repository(&host).join("tmp")).unwrap().count(), 0, "nothing half is left");
}

/// A mount that is missing costs a run and fills nobody's disk; when it is back, the next attempt succeeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_is_not_the_repository_is_left_as_it_is() {
    let host = Host::new().await;
    host.write("file", "content");
    let _daemon = host.start_without_gateway().await;
    host.enroll().await;
    let at = |name: &str| host.folder.path().join(name);
    fs::create_dir(at("empty")).unwrap();
    fs::write(at("file"), "content").unwrap();
    another_repository(&at("other")).await;
    for (number, (place, part)) in [
        ("absent", "cannot open"),
        ("file", "is not a folder"),
        ("empty", "holds no repository"),
        ("other", "holds another repository"),
    ]
    .into_iter()
    .enumerate()
    {
        let before = at(place).is_dir().then(|| content(&at(place)));
        let job = format!("j{number}");
        host.begin(&job, 1, by_itself(&host, &at(place))).await.unwrap();
        let (kind, reason) = failure(&host.end(&job).await);
        assert_eq!(kind, i32::from(FailureKind::Store), "{reason}");
        let says = [part, &at(place).display().to_string(), "mount", "on-hosts"];
        assert!(says.iter().all(|part| reason.contains(part)), "{reason}");
        assert_eq!(at(place).is_dir().then(|| content(&at(place))), before, "{place}");
    }
    assert!(!at("absent").exists());

    fs::rename(repository(&host), at("absent")).unwrap();
    host.begin("j0", 2, by_itself(&host, &at("absent"))).await.unwrap();
    report(&host.end("j0").await);
    fs::rename(at("absent"), repository(&host)).unwrap();
    host.check_restores(&host.snapshots("j0").await[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_not_known_is_refused() {
    let host = Host::new().await;
    let _daemon = host.start().await;
    host.enroll().await;
    let newer = BackupJob { direct: Some(DirectStore::default()), ..host.files() };
    let message = refused(host.begin("j1", 1, newer).await, Code::InvalidArgument);
    assert!(message.contains("older than the controller"), "{message}");
    refused(host.begin("j1", 1, by_itself(&host, Path::new("mnt/backup"))).await, Code::InvalidArgument);
    assert!(host.snapshots("j1").await.is_empty());
}

async fn another_repository(directory: &Path) {
    let options = InitOptions {
        parameters: Parameters::small(),
        created: jiff::Timestamp::UNIX_EPOCH,
        holder: "owner".into(),
        how: NewHolder::KeyFile,
    };
    Repository::init(Arc::new(LocalStore::open(directory).unwrap()), options).await.unwrap();
}
