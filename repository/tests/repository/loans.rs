//! Loans: a writer's key that reads what one restore needs, and nothing else.

use std::sync::Arc;

use crate::common::{Fixture, back_up, file_content, manifest, read_everything, write_only};
use strongroom_repository::store::Recording;
use strongroom_repository::{
    BadLoan, Credential, Error, ErrorKind, KeyFile, Lending, Loan, ObjectId, Repository, Snapshot, Tree,
    WriterIdentity, chain,
};

struct Scene {
    fixture: Fixture,
    repository: Arc<Repository>,
    writer: KeyFile,
}

impl Scene {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let repository = fixture.open().await;
        let writer = repository.add_writer(&WriterIdentity { holder: "web1".into() }).await.unwrap();
        Self { fixture, repository, writer }
    }

    /// A snapshot of a large file and of so many small ones.
    async fn snapshot(&self, count: usize) -> Snapshot {
        let made = back_up(&self.repository, count).await;
        self.repository.refresh().await.unwrap();
        self.repository.snapshot(made.snapshot).await.unwrap()
    }

    async fn lend(&self, snapshot: &Snapshot, paths: &[&str]) -> Lending {
        let paths: Vec<Vec<u8>> = paths.iter().map(|path| path.as_bytes().to_vec()).collect();
        self.repository.lend(snapshot, &paths).await.unwrap()
    }

    /// The host that got the loan, with a cache of its own, and what it reads from the store.
    async fn borrower(&self, loan: &Loan) -> (Arc<Repository>, Arc<Recording>, tempfile::TempDir) {
        // As it travels.
        let loan = Loan::from_bytes(&loan.to_bytes()).unwrap();
        let KeyFile::Writer(writer) = self.writer.clone() else { panic!("not a writer's key") };
        let store = Arc::new(Recording::new(self.fixture.store.clone()));
        let cache = tempfile::tempdir().unwrap();
        let opened =
            Repository::open(Arc::clone(&store) as _, &Credential::Lent(writer, loan.into()), cache.path()).await;
        (opened.unwrap(), store, cache)
    }
}

async fn read(repository: &Repository, tree: &Tree, path: &str) -> Result<Vec<u8>, Error> {
    let entry = tree.lookup(path.as_bytes()).await?.expect(path);
    let mut content = Vec::new();
    for chunk in tree.chunks(&entry).await? {
        content.extend_from_slice(&repository.read_chunk(&chunk).await?);
    }
    Ok(content)
}

fn check_not_lent<T: std::fmt::Debug>(result: Result<T, Error>) {
    let error = result.expect_err("must not be readable");
    assert!(matches!(error, Error::NotLent(_)) && error.kind() == ErrorKind::Key, "{}", chain(&error));
}

/// The packs and pages that were read.
fn touched(store: &Recording) -> std::collections::BTreeSet<String> {
    store.snapshot().get.names.into_iter().filter(|name| name.starts_with('p')).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loan_opens_the_paths_that_it_was_made_for() {
    let scene = Scene::new().await;
    let snapshot = scene.snapshot(40).await;
    let lending = scene.lend(&snapshot, &["/d/f000007"]).await;
    let (borrower, store, _cache) = scene.borrower(&lending.loan).await;
    let opened = borrower.snapshot(snapshot.id).await.unwrap();
    assert_eq!((opened.manifest.clone(), &*opened.signer), (snapshot.manifest.clone(), &*snapshot.signer));
    let tree = borrower.tree(&opened);
    assert!(read(&borrower, &tree, "d/f000007").await.unwrap() == file_content(7));
    assert_eq!(touched(&store), lending.objects, "the gateway would refuse others, and serves no more than it must");
    check_not_lent(read(&borrower, &tree, "d/a-large").await);
    let all = scene.lend(&snapshot, &[]).await;
    assert!(all.loan.segments() > lending.loan.segments() && all.objects.is_superset(&lending.objects));
    let (borrower, store, _cache) = scene.borrower(&all.loan).await;
    let tree = borrower.tree(&borrower.snapshot(snapshot.id).await.unwrap());
    assert!(read(&borrower, &tree, "d/a-large").await.is_ok());
    assert!(touched(&store).is_subset(&all.objects));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loan_of_one_snapshot_opens_no_other() {
    let scene = Scene::new().await;
    let (first, second) = (scene.snapshot(40).await, scene.snapshot(80).await);
    let (borrower, ..) = scene.borrower(&scene.lend(&first, &[]).await.loan).await;
    check_not_lent(borrower.snapshot(second.id).await);
    assert_eq!(borrower.snapshots().await.unwrap_err().kind(), ErrorKind::Key);
    // A host that knew the other's tree would not get into it either.
    borrower.open_index().await.unwrap();
    check_not_lent(read(&borrower, &borrower.tree(&second), "d/f000060").await);
    let whole = scene.repository.tree(&second);
    let fresh = whole.lookup(b"d/f000060").await.unwrap().unwrap();
    let chunk = scene.repository.whole_chunk(&fresh).unwrap();
    check_not_lent(borrower.read_chunk(&chunk).await);
    let place = borrower.locate(&chunk.id).unwrap();
    let sealed = borrower.fetch_frames(&[place.frame]).await.unwrap();
    check_not_lent(borrower.open_frame(place.frame, &sealed[0]));
    // And it is no reader's key for anything else.
    check_not_allowed(borrower.add_writer(&WriterIdentity { holder: "web2".into() }).await);
    check_not_allowed(borrower.rotate().await);
    check_not_allowed(borrower.lend(&first, &[]).await);
    assert!(!borrower.key().can_read());
}

fn check_not_allowed<T: std::fmt::Debug>(result: Result<T, Error>) {
    let error = result.expect_err("must be refused");
    assert!(matches!(error, Error::WriterOnly(_)), "{}", chain(&error));
}

/// Two hosts back up the same at the same time: each chunk is there twice, and the borrower sees the newer one, which was not lent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_once_more_meanwhile_is_read_where_it_was_lent() {
    let scene = Scene::new().await;
    let (one, one_tree) = write_only(&scene.repository, 40, None).await.unwrap();
    let (two, two_tree) = write_only(&scene.repository, 40, None).await.unwrap();
    let first = one.commit(one_tree, manifest()).await.unwrap();
    scene.repository.refresh().await.unwrap();
    let first = scene.repository.snapshot(first.snapshot).await.unwrap();
    let lending = scene.lend(&first, &[]).await;
    two.commit(two_tree, manifest()).await.unwrap();
    let (borrower, store, _cache) = scene.borrower(&lending.loan).await;
    let tree = borrower.tree(&borrower.snapshot(first.id).await.unwrap());
    assert!(read(&borrower, &tree, "d/f000007").await.unwrap() == file_content(7));
    let chunk = borrower.whole_chunk(&tree.lookup(b"d/f000007").await.unwrap().unwrap()).unwrap();
    assert_eq!(borrower.open_index().await.unwrap().places(&chunk.id).len(), 2, "it is not there twice");
    let sealed = borrower.fetch_frames(&[borrower.locate(&chunk.id).unwrap().frame]).await.unwrap();
    borrower.open_frame(borrower.locate(&chunk.id).unwrap().frame, &sealed[0]).unwrap();
    assert!(touched(&store).is_subset(&lending.objects));
    read_everything(&scene.repository).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_holds_lent_frames_or_it_does_not() {
    let scene = Scene::new().await;
    let snapshot = scene.snapshot(40).await;
    let (some, all) = (scene.lend(&snapshot, &["d/f000007"]).await, scene.lend(&snapshot, &[]).await);
    for name in &all.objects {
        let holds = scene.repository.holds_any(name, &some.frames).await.unwrap();
        assert_eq!(holds, some.objects.contains(name), "{name}");
    }
    let other = format!("packs/ab/{}", ObjectId([0xab; 32]));
    assert!(!scene.repository.holds_any(&other, &all.frames).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_loan_is_refused_and_none_is_printed() {
    let scene = Scene::new().await;
    let snapshot = scene.snapshot(4).await;
    let loan = scene.lend(&snapshot, &[]).await.loan;
    let bytes = loan.to_bytes();
    for at in 0..bytes.len() {
        let mut wrong = bytes.to_vec();
        wrong[at] ^= 1;
        assert!(Loan::from_bytes(&wrong).is_err(), "byte {at}");
        assert_eq!(Loan::from_bytes(&bytes[..at]).unwrap_err(), BadLoan::Altered, "cut at {at}");
    }
    let mut newer = bytes.to_vec();
    newer[4] = 2;
    assert_eq!(Loan::from_bytes(&newer).unwrap_err(), BadLoan::TooNew(2));
    let shown = format!("{loan:?} {:?}", scene.borrower(&loan).await.0.key());
    let key = data_encoding::HEXLOWER.encode(&bytes[bytes.len() - 64..bytes.len() - 32]);
    assert!(!shown.contains(&key) && !shown.contains("sources"), "{shown}");
}
