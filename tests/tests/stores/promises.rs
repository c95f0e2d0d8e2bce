//! The conformance suite over servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use strongroom_repository::store::{
    AccessKey, CredentialSource, Guarded, Location, Recording, S3Options, S3Place, S3Store,
};
use strongroom_tests::s3::S3Server;
use strongroom_tests::{program, skip};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::Store;
use crate::sftp::LocalServer;

/// An empty store.
struct Fixture {
    store: Store,
    _folder: Option<TempDir>,
}

/// How the program reaches a server.
pub(crate) fn options(server: &S3Server) -> S3Options {
    let key = AccessKey {
        id: server.access_key.into(),
        secret: Zeroizing::new(server.secret_key.into()),
        session_token: None,
    };
    let options = S3Options::new(Some(server.endpoint.clone()), CredentialSource::Key(key));
    S3Options { region: server.region.into(), ..options }
}

/// A prefix that no other test has.
pub(crate) fn own_place(server: &S3Server) -> S3Place {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let location = Location::parse(&server.location(&format!("promises/{number}"))).expect("a location");
    let Location::S3(place) = location else { panic!("{location}") };
    place
}

pub(crate) fn s3(server: &S3Server) -> Store {
    Arc::new(S3Store::open(&own_place(server), &options(server)).expect("open"))
}

fn guarded(inner: Store) -> Store {
    Arc::new(Guarded::new(inner, None, "a test"))
}

/// The store on a server, or a note that this test did not run.
fn on(server: Result<&'static S3Server, String>, open: impl FnOnce(&S3Server) -> Store) -> Option<Fixture> {
    match server {
        Ok(server) => Some(Fixture { store: open(server), _folder: None }),
        Err(reason) => {
            let thread = std::thread::current();
            skip::test(thread.name().unwrap_or("a store"), &reason).expect("a note");
            None
        }
    }
}

fn sftp() -> Option<Fixture> {
    crate::sftp::is_there().then(|| {
        let (kept, folder) = crate::sftp::folder();
        Fixture { store: crate::sftp::store(Arc::default(), &folder), _folder: Some(kept) }
    })
}

fn storage_host() -> Option<Fixture> {
    let (kept, folder) = crate::sftp::folder();
    std::fs::create_dir_all(&folder).expect("a folder");
    let server = LocalServer::worker(program::worker().expect("a worker"), &folder);
    Some(Fixture { store: crate::sftp::store(Arc::new(server), &folder), _folder: Some(kept) })
}

conformance! {
    sftp: sftp();
    storage_host: storage_host();
    moto: on(S3Server::moto(), s3);
    guarded_moto: on(S3Server::moto(), |server| guarded(s3(server)));
    recorded_moto: on(S3Server::moto(), |server| Arc::new(Recording::new(s3(server))));
    garage: on(S3Server::garage(), |server| guarded(s3(server)));
}
