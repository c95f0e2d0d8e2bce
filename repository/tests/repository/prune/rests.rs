//! Sessions that ended early and left word of it: nothing waits for them but what they stored.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use strongroom_repository::prune::{PruneOptions, SessionFate};
use strongroom_repository::{Begin, Error, ObjectId, Session, SessionId};

use super::scene::{Files, assert_sound, back_up, commit, files, names, options, prune, prune_with, write};
use crate::common::Fixture;

/// A repository with a snapshot that will be forgotten, and a session that rests with some full packs.
struct Scene {
    fixture: Fixture,
    going: ObjectId,
    resting: SessionId,
    /// What it stored.
    packs: Vec<String>,
}

/// Of these most packs are full and away before the end.
fn large() -> Files {
    files(200..600, 0)
}

impl Scene {
    async fn set() -> Self {
        let fixture = Fixture::new().await;
        let going = back_up(&fixture.open().await, &files(0..60, 0)).await.unwrap().snapshot;
        let before = names(&fixture, "packs").await;
        let mut scene = Self { fixture, going, resting: SessionId([0; 16]), packs: Vec::new() };
        let session = scene.session().await;
        write(&session, &large()).await.unwrap();
        session.rest().await;
        scene.resting = session.id();
        scene.packs = names(&scene.fixture, "packs").await;
        scene.packs.retain(|pack| !before.contains(pack));
        assert!(scene.packs.len() >= 2, "{:?}", scene.packs);
        assert_eq!(names(&scene.fixture, "rests").await, [word(scene.resting)]);
        scene
    }

    fn notes(&self) -> PathBuf {
        self.fixture.cache.path().join("notes")
    }

    /// The source's next session.
    async fn session(&self) -> Arc<Session> {
        let (parent, started, notes) = (None, Timestamp::UNIX_EPOCH, self.notes());
        let begin = Begin { parent, started, notes: Some(&notes), uploads: NonZeroUsize::MIN };
        self.fixture.open().await.begin(begin).await.unwrap()
    }

    async fn stored(&self, name: &str) -> bool {
        self.fixture.store.head(&Path::from(name)).await.is_ok()
    }
}

fn word(session: SessionId) -> String {
    format!("rests/{session}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_at_rest_holds_nothing_up_and_loses_nothing() {
    let scene = Scene::set().await;
    let repository = scene.fixture.open().await;
    repository.forget(&[scene.going]).await.unwrap();
    let (plan, report) = prune(&repository).await;
    assert_eq!(plan.sessions.iter().map(|open| open.fate).collect::<Vec<_>>(), [SessionFate::Rests]);
    assert!(report.swept > 0, "{report:?}");
    assert_eq!((report.waiting, report.fenced, report.strays), (0, 0, 0), "{report:?}");
    // A second one knows no more.
    prune(&repository).await;
    for pack in &scene.packs {
        assert!(scene.stored(pack).await, "{pack} is gone");
    }

    let session = scene.session().await;
    assert_eq!(session.id(), scene.resting, "it is not taken up");
    assert!(names(&scene.fixture, "rests").await.is_empty(), "it is at work");
    let tree = write(&session, &large()).await.unwrap();
    commit(&session, tree, &large()).await.unwrap();
    let again = names(&scene.fixture, "packs").await;
    assert!(again.len() <= scene.packs.len() + 2, "more is sent again than was on its way: {again:?}");
    assert_sound(&scene.fixture, 1).await;
    prune(&repository).await;
    assert!(names(&scene.fixture, "sessions").await.is_empty());
    assert_sound(&scene.fixture, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_rests_for_too_long_is_fenced_and_its_word_goes_with_it() {
    let scene = Scene::set().await;
    let repository = scene.fixture.open().await;
    repository.forget(&[scene.going]).await.unwrap();
    let impatient = PruneOptions { fence_after: Duration::ZERO, ..options() };
    let (_, report) = prune_with(&repository, &impatient).await.unwrap();
    assert_eq!(report.fenced, 1);
    prune(&repository).await;
    assert!(names(&scene.fixture, "packs").await.is_empty());
    assert!(names(&scene.fixture, "sessions").await.is_empty() && names(&scene.fixture, "rests").await.is_empty());
    assert_ne!(scene.session().await.id(), scene.resting);
}

/// A host behind the gateway deletes nothing, so its word stays while it works again. What it builds on is swept, and it is told so; what it had stored is still there.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_could_not_take_its_word_back_is_refused_and_done_again() {
    let scene = Scene::set().await;
    let said = scene.fixture.store.get(&Path::from(word(scene.resting))).await.unwrap().bytes().await.unwrap();
    let session = scene.session().await;
    scene.fixture.store.put(&Path::from(word(scene.resting)), said.into()).await.unwrap();
    let mut wanted = large();
    wanted.extend(files(0..20, 0));
    let tree = write(&session, &wanted).await.unwrap();
    let repository = scene.fixture.open().await;
    repository.forget(&[scene.going]).await.unwrap();
    assert!(prune(&repository).await.1.swept > 0, "it is waited for");
    let refused = commit(&session, tree, &wanted).await.unwrap_err();
    assert!(matches!(&refused, Error::Fenced(why) if why.contains("were removed")), "{refused}");
    drop(session);

    let session = scene.session().await;
    assert_eq!(session.id(), scene.resting, "it is not taken up");
    let tree = write(&session, &wanted).await.unwrap();
    commit(&session, tree, &wanted).await.unwrap();
    let packs = names(&scene.fixture, "packs").await;
    assert!(scene.packs.iter().all(|pack| packs.contains(pack)), "what was stored before is not used");
    assert_sound(&scene.fixture, 1).await;
}

/// Words of others, of other sessions, and damaged ones say nothing; they go when the session has ended.
#[tokio::test(flavor = "multi_thread")]
async fn only_its_own_word_counts() {
    let scene = Scene::set().await;
    let repository = scene.fixture.open().await;
    let said = scene.fixture.store.get(&Path::from(word(scene.resting))).await.unwrap().bytes().await.unwrap();
    let session = scene.session().await;
    let waiting = repository.begin(Begin {
        parent: None,
        started: Timestamp::UNIX_EPOCH,
        notes: None,
        uploads: NonZeroUsize::MIN,
    });
    let waiting = waiting.await.unwrap();
    write(&waiting, &files(0..5, 0)).await.unwrap();
    repository.forget(&[scene.going]).await.unwrap();
    let mut damaged = said.to_vec();
    damaged[130] ^= 1;
    for (session, bytes) in [(waiting.id(), said.to_vec()), (session.id(), damaged), (SessionId([9; 16]), Vec::new())] {
        scene.fixture.store.put(&Path::from(word(session)), bytes.into()).await.unwrap();
        let (plan, report) = prune(&repository).await;
        assert!(plan.sessions.iter().all(|open| open.fate == SessionFate::WaitedFor), "{plan:?}");
        assert_eq!(report.swept, 0, "{report:?}");
    }
    assert!(!scene.stored(&word(SessionId([9; 16]))).await, "a word of nobody stays");
}
