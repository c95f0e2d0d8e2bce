//! What goes in comes out, whoever holds the right key, and nothing else does.

use crate::common::{Fixture, back_up, file_content, try_back_up};
use strongroom_repository::keys::public_key;
use strongroom_repository::{Content, Credential, ErrorKind, Kind, NewHolder, Repository, WriterIdentity};

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_back_and_a_second_time_costs_nothing() {
    let fixture = Fixture::new().await;
    let first = back_up(&fixture.open().await, 5000).await;
    assert!(first.tree.leaves.len() >= 3, "the tree has {} leaves", first.tree.leaves.len());

    let repository = fixture.open().await;
    let snapshots = repository.snapshots().await.unwrap().readable;
    assert_eq!(snapshots.iter().map(|snapshot| snapshot.id).collect::<Vec<_>>(), [first.snapshot]);
    let tree = repository.tree(&snapshots[0]);
    let mut walk = tree.walk(b"d");
    let mut seen = 0;
    while let Some((directory, entry)) = walk.next().await.unwrap() {
        if entry.kind == Kind::Directory || entry.name == b"a-large" {
            continue;
        }
        assert_eq!((&*directory, entry.name.as_slice()), (&b"d"[..], format!("f{seen:06}").as_bytes()));
        assert_eq!((entry.mtime.seconds, entry.consistency.torn), (-5, seen == 3));
        let chunks = tree.chunks(&entry).await.unwrap();
        assert_eq!(*repository.read_chunk(&chunks[0]).await.unwrap(), file_content(seen));
        seen += 1;
    }
    assert_eq!(seen, 5000);
    let large = tree.lookup(b"d/a-large").await.unwrap().unwrap();
    assert!(matches!(large.content, Content::Pages(_)));
    assert_eq!(tree.chunks(&large).await.unwrap().len(), 300);
    assert_eq!(tree.list(b"d").await.unwrap().len(), 5001);
    assert_eq!(tree.lookup(b"d/missing").await.unwrap(), None);

    let second = back_up(&repository, 5000).await;
    assert_eq!((second.manifest.totals.bytes_new, second.manifest.totals.bytes_stored), (0, 0));
    assert_eq!((second.tree.root, &second.tree.live), (first.tree.root, &first.tree.live));
    assert_eq!(second.commit, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_adds_and_reads_nothing() {
    let fixture = Fixture::new().await;
    let owner = fixture.open().await;
    let writer = owner.add_writer(&WriterIdentity { holder: "web1".into() }).await.unwrap();
    let writing = fixture.open_as(&writer).await;
    let committed = back_up(&writing, 10).await;
    let refused = writing.snapshots().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Key, "{refused}");
    let chunk = match &writing.snapshot(committed.snapshot).await {
        Err(error) => error.kind(),
        Ok(_) => panic!("a writer opened a snapshot"),
    };
    assert_eq!(chunk, ErrorKind::Key);
    assert_eq!(writing.snapshot_inventory(committed.snapshot).await.unwrap().live, committed.tree.live);

    owner.refresh().await.unwrap();
    assert_eq!(owner.snapshots().await.unwrap().readable[0].signer, "web1");

    assert_eq!(owner.remove_holder("web1").await.unwrap(), 1);
    let refused = try_back_up(&fixture.open_as(&writer).await, 12).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Key, "{refused}");
    assert_eq!(fixture.open().await.snapshots().await.unwrap().readable.len(), 1, "what it added before stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn holders_come_and_go_and_epochs_turn() {
    let fixture = Fixture::new().await;
    let owner = fixture.open().await;
    let secret = strongroom_repository::keys::Secret::random();
    let public = public_key(&secret).unwrap();
    owner.add_holder("card", NewHolder::PublicKey(public)).await.unwrap();
    owner.add_holder("phrase", NewHolder::Passphrase("correct horse".to_owned().into())).await.unwrap();
    back_up(&owner, 5).await;
    assert_eq!(owner.rotate().await.unwrap(), 2);
    back_up(&fixture.open().await, 400).await;

    let phrase = |text: &str| Credential::Passphrase(text.to_owned().into());
    let cache = tempfile::tempdir().unwrap();
    let reader = Repository::open(fixture.store.clone(), &phrase("correct horse"), cache.path()).await.unwrap();
    let snapshots = reader.snapshots().await.unwrap().readable;
    for snapshot in &snapshots {
        let tree = reader.tree(snapshot);
        let entry = tree.lookup(b"d/f000004").await.unwrap().unwrap();
        let chunk = tree.chunks(&entry).await.unwrap()[0];
        assert_eq!(*reader.read_chunk(&chunk).await.unwrap(), file_content(4));
    }
    assert_eq!(snapshots.len(), 2);
    let wrong = Repository::open(fixture.store.clone(), &phrase("wrong"), cache.path()).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Key);
    reader.remove_holder("owner").await.unwrap();
    let removed = Repository::open(fixture.store.clone(), &Credential::File(fixture.key.clone()), cache.path()).await;
    assert_eq!(removed.unwrap_err().kind(), ErrorKind::Key);
    reader.remove_holder("card").await.unwrap();
    assert!(reader.remove_holder("phrase").await.is_err(), "the last holder was removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_commit_side_by_side() {
    let fixture = Fixture::new().await;
    let mut backups = Vec::new();
    for number in 0..8 {
        let repository = fixture.open().await;
        backups.push(tokio::spawn(async move { back_up(&repository, 20 + number).await }));
    }
    for backup in backups {
        backup.await.unwrap();
    }
    let repository = fixture.open().await;
    assert_eq!(repository.history().newest, 8);
    assert_eq!(repository.snapshots().await.unwrap().readable.len(), 8);
}
