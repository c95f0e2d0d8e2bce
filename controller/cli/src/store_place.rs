//! A location becomes a store: the one place that knows how the program reaches which.
//!
//! What a location does not say comes from the environment, never from the command line, where other users could read it.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;
use strongroom_repository::store::{Guarded, LocalStore, Location, ProbeReport, S3Options, S3Store, StoreError, probe};
use strongroom_repository::{Error, ObjectId, Repository};

use crate::backup::host_name;
use crate::context::Context;
use crate::failure::{Doing, Failure};
use crate::shown;

/// A store and where it is.
#[derive(Debug)]
pub(crate) struct StorePlace {
    pub(crate) location: Location,
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The same store, if it is one that may not decide races.
    guarded: Option<Guarded>,
}

impl StorePlace {
    /// Opens the store at `url`. Nothing is asked of it yet, and nothing need be there.
    pub(crate) fn open(url: &str, context: &Context) -> Result<Self, Failure> {
        let what = || format!("open the repository at {}", shown::location(url));
        let location = Location::parse(url).doing(what)?;
        match &location {
            Location::Folder(path) => {
                let store = LocalStore::open(path).doing(what)?;
                Ok(Self { location, store: Arc::new(store), guarded: None })
            }
            Location::S3(place) => {
                let options = S3Options::from_environment().doing(what)?;
                let store = S3Store::open(place, &options).doing(what)?;
                let reached_by = options.endpoint.unwrap_or(options.region);
                Self::guarded(location, Arc::new(store), &reached_by, context)
            }
            Location::Sftp(_) => Err(StoreError::UnsupportedScheme { scheme: "sftp".into() }).doing(what),
        }
    }

    /// What the probe finds is kept in the cache: by the location and by how it was reached, for the same name may be another store elsewhere.
    fn guarded(
        location: Location,
        store: Arc<dyn ObjectStore>,
        reached_by: &str,
        context: &Context,
    ) -> Result<Self, Failure> {
        let name = ObjectId::of(format!("{location} {reached_by}").as_bytes());
        let memory: PathBuf = context.cache_dir()?.join("stores").join(name.hex());
        let who = format!("{}, process {}", host_name()?, std::process::id());
        let guarded = Guarded::new(store, Some(memory), &who);
        Ok(Self { location, store: Arc::new(guarded.clone()), guarded: Some(guarded) })
    }

    /// Asks the store what it promises. A store that cannot be reached or denies us is a failure, not a broken promise.
    pub(crate) async fn probe(&self) -> Result<ProbeReport, Error> {
        if let Err(error @ Error::Store { .. }) = Repository::read_config(&*self.store).await {
            return Err(error);
        }
        Ok(match &self.guarded {
            Some(guarded) => guarded.probe().await,
            None => probe(&*self.store).await,
        })
    }
}
