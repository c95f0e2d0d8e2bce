//! Repositories that earlier releases wrote, kept as they were: the current release reads every byte of each. One folder a format version; the first is of the first release.
//!
//! `STRONGROOM_WRITE_GOLDEN=v2 cargo test -p strongroom-repository --test golden` adds one when the format changes; an existing one is never rewritten.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::common::{Fixture, back_up, open_fresh, read_everything};
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt};
use strongroom_repository::store::InMemory;
use strongroom_repository::{KeyFile, WriterIdentity, check};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// A copy in memory: reading must not need to write, and a test must not be able to.
async fn load(folder: &Path) -> Arc<InMemory> {
    let store = Arc::new(InMemory::new());
    for file in files(folder) {
        let name = file.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
        store.put(&name.into(), fs::read(&file).unwrap().into()).await.unwrap();
    }
    store
}

async fn write(folder: &Path) {
    assert!(!folder.exists(), "{} exists: golden repositories are never rewritten", folder.display());
    let fixture = Fixture::new().await;
    let owner = fixture.open().await;
    let writer = owner.add_writer(&WriterIdentity { holder: "golden-writer".into() }).await.unwrap();
    back_up(&owner, 60).await;
    back_up(&fixture.open_as(&writer).await, 80).await;
    let owner = fixture.open().await;
    owner.rotate().await.unwrap();
    back_up(&fixture.open().await, 100).await;
    let objects: Vec<_> = fixture.store.list(None).try_collect().await.unwrap();
    for object in objects {
        let path = folder.join("repository").join(object.location.as_ref());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, fixture.store.get(&object.location).await.unwrap().bytes().await.unwrap()).unwrap();
    }
    fs::write(folder.join("key.json"), fixture.key.to_text()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_golden_repository_is_read() {
    if let Ok(version) = std::env::var("STRONGROOM_WRITE_GOLDEN") {
        write(&golden().join(version)).await;
    }
    let versions: Vec<PathBuf> = fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(versions.iter().any(|path| path.ends_with("v1")), "the golden repository of version 1 is gone");
    for version in versions {
        let key = KeyFile::parse(&fs::read_to_string(version.join("key.json")).unwrap()).unwrap();
        let (repository, _cache) = open_fresh(load(&version.join("repository")).await, &key).await.unwrap();
        assert_eq!(read_everything(&repository).await.unwrap(), 3, "{}", version.display());
        let report = check::run(&repository, check::Depth::ReadData, Arc::default()).await.unwrap();
        assert!(report.is_sound() && report.chunks_verified > 400, "{}: {report:?}", version.display());
        let signers: Vec<String> =
            repository.snapshots().await.unwrap().readable.into_iter().map(|snapshot| snapshot.signer).collect();
        assert!(signers.contains(&"golden-writer".to_owned()), "{signers:?}");
    }
}
