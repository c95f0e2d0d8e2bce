//! A location becomes a store: the one place that knows how the program reaches which.
//!
//! What a location does not say comes from the site that declares the repository, else from the environment, never from the command line, where other users could read it.
//! For SFTP, of the environment:
//!
//! * `STRONGROOM_SSH_KNOWN_HOSTS`, else `~/.ssh/known_hosts`: the server's key must be in it
//! * `STRONGROOM_SSH_KEY`, a key file; else the agent at `SSH_AUTH_SOCK`, the usual keys in `~/.ssh`, and the controller's own, as far as they are there

use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;
use strongroom_controller::ssh::target::CONNECT_TIMEOUT;
use strongroom_controller::ssh::{HostKeys, Identity, SftpServer, Target};
use strongroom_plans::{BucketName, Reach, S3Credentials, S3Reach, SftpReach};
use strongroom_repository::store::{
    Addressing, CredentialSource, Guarded, LocalStore, Location, ProbeReport, S3Options, S3Said, S3Store, ServedBy,
    SftpPlace, SftpStore, probe,
};
use strongroom_repository::{Error, ObjectId, Repository, chain};

use crate::backup::host_name;
use crate::context::Context;
use crate::failure::{Cause, Doing, Failure};
use crate::places;
use crate::room::Measured;
use crate::serve::SSH_KEY;
use crate::shown;

/// A store and where it is.
#[derive(Debug)]
pub(crate) struct StorePlace {
    pub(crate) location: Location,
    pub(crate) store: Arc<dyn ObjectStore>,
    /// What beside the location decides which store it is: the endpoint, or the line.
    pub(crate) reached_by: String,
    /// Whom to ask for its room.
    pub(crate) measured: Measured,
    /// The same store, if it is one that may not decide races.
    guarded: Option<Guarded>,
}

impl StorePlace {
    /// Opens the store at `url`, as the environment says. Nothing is asked of it yet, and nothing need be there.
    pub(crate) fn open(url: &str, context: &Context) -> Result<Self, Failure> {
        Self::open_by(url, &Reach::Folder, context)
    }

    /// The same, as a site says, and as the environment says for the rest.
    pub(crate) fn open_by(url: &str, reach: &Reach, context: &Context) -> Result<Self, Failure> {
        let what = || format!("open the repository at {}", shown::location(url));
        let location = Location::parse(url).doing(what)?;
        match &location {
            Location::Folder(path) => {
                let store = LocalStore::open(path).doing(what)?;
                Ok(Self {
                    location,
                    store: Arc::new(store),
                    reached_by: String::new(),
                    measured: Measured::default(),
                    guarded: None,
                })
            }
            Location::S3(place) => {
                let options = S3Options::over_environment(s3_said(reach)).doing(what)?;
                let store = S3Store::open(place, &options).doing(what)?;
                let reached_by = options.endpoint.unwrap_or(options.region);
                let measured = Measured { s3: Some(store.clone()), ..Measured::default() };
                Ok(Self { measured, ..Self::guarded(location, Arc::new(store), reached_by, context)? })
            }
            Location::Sftp(place) => {
                let target = ssh_target(place, reach, context).doing(what)?;
                let reached_by = target.place();
                let server = match place.served_by() {
                    ServedBy::Sshd => SftpServer::new(target),
                    ServedBy::Worker => SftpServer::of_worker(target, place.folder()),
                };
                let store = SftpStore::new(place, Arc::new(server));
                let measured = Measured { sftp: Some(store.clone()), ..Measured::default() };
                Ok(Self { measured, ..Self::guarded(location, Arc::new(store), reached_by, context)? })
            }
        }
    }

    /// What the probe finds is kept in the cache: by the location and by how it was reached, for the same name may be another store elsewhere.
    fn guarded(
        location: Location,
        store: Arc<dyn ObjectStore>,
        reached_by: String,
        context: &Context,
    ) -> Result<Self, Failure> {
        let name = ObjectId::of(format!("{location} {reached_by}").as_bytes());
        let memory: PathBuf = context.cache_dir()?.join("stores").join(name.hex());
        let who = format!("{}, process {}", host_name()?, std::process::id());
        let guarded = Guarded::new(store, Some(memory), &who);
        let store = Arc::new(guarded.clone());
        Ok(Self { location, store, reached_by, measured: Measured::default(), guarded: Some(guarded) })
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

/// The usual names of keys of kinds that can be used, in `~/.ssh`.
const USUAL_KEYS: [&str; 2] = ["id_ed25519", "id_ecdsa"];

/// What a site says of a bucket, in the store's words.
fn s3_said(reach: &Reach) -> S3Said {
    let Reach::S3(S3Reach { endpoint, region, addressing, ca, credentials }) = reach else {
        return S3Said::default();
    };
    let credentials = credentials.as_ref().map(|credentials| match credentials {
        S3Credentials::File { path, profile } => CredentialSource::File {
            path: path.as_path().to_owned(),
            profile: profile.as_ref().map_or("default", |profile| profile.as_str()).to_owned(),
        },
        S3Credentials::Command(command) => CredentialSource::Command(command.words().map(str::to_owned).collect()),
    });
    S3Said {
        endpoint: endpoint.as_ref().map(ToString::to_string),
        region: region.as_ref().map(ToString::to_string),
        addressing: addressing.map(|name| match name {
            BucketName::Path => Addressing::Path,
            BucketName::Host => Addressing::Host,
        }),
        ca: ca.as_ref().map(|ca| ca.as_path().to_owned()),
        credentials,
    }
}

fn ssh_target(place: &SftpPlace, reach: &Reach, context: &Context) -> Result<Target, Cause> {
    let SftpReach { ssh_key, known_hosts } = match reach {
        Reach::Sftp(reach) => reach.clone(),
        Reach::Folder | Reach::S3(_) => SftpReach::default(),
    };
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = places::home().unwrap_or_default().join(".ssh");
    let known_hosts = known_hosts.map(|path| path.as_path().to_owned());
    let known_hosts = known_hosts.or_else(|| variable("STRONGROOM_SSH_KNOWN_HOSTS"));
    let known_hosts = known_hosts.unwrap_or_else(|| home.join("known_hosts"));
    let user = place.user().map(str::to_owned).or_else(|| env::var("USER").ok()).ok_or_else(|| {
        Cause::Usage("the location names no user, and neither does USER: write sftp://user@host/path".into())
    })?;
    let key_file = ssh_key.map(|path| path.as_path().to_owned()).or_else(|| variable("STRONGROOM_SSH_KEY"));
    let identities = match key_file {
        Some(path) => vec![Identity::from_file(&path, None).map_err(|error| Cause::Key(chain(&error)))?],
        None => {
            let agent = variable("SSH_AUTH_SOCK").map(Identity::Agent);
            let controller = context.state_dir().ok().map(|state| state.join(SSH_KEY));
            let files = USUAL_KEYS.iter().map(|name| home.join(name)).chain(controller);
            // One that needs a passphrase is the agent's business.
            agent.into_iter().chain(files.filter_map(|path| Identity::from_file(&path, None).ok())).collect()
        }
    };
    if identities.is_empty() {
        let why = "there is no SSH key to log in with: name one in STRONGROOM_SSH_KEY, or start an agent";
        return Err(Cause::Key(why.into()));
    }
    Ok(Target {
        address: place.host().to_owned(),
        port: place.port(),
        user,
        identities,
        known_hosts: HostKeys::File(known_hosts),
        jump: None,
        connect_timeout: CONNECT_TIMEOUT,
    })
}
