//! Making a repository.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use object_store::ObjectStore;

use super::keyring::{NewHolder, prepare, put_record};
use super::objects::{self, put_new};
use super::{Repository, keyring};
use crate::config::{Config, Parameters};
use crate::error::Error;
use crate::ids::RepositoryId;
use crate::keys::{
    BaseSecret, HolderRecord, Key, KeyFile, KeyRecord, ReaderFile, ReaderSecrets, Secret, public_key, public_of,
    random, signing_key,
};
use crate::object::{self, CONFIG, ObjectType, VERSION};

/// How a repository is made.
#[derive(Debug)]
pub struct InitOptions {
    /// Measured sizes, fixed for its life.
    pub parameters: Parameters,
    /// Now.
    pub created: Timestamp,
    /// Name of the first holder.
    pub holder: String,
    /// How the first holder opens it.
    pub how: NewHolder,
}

/// A new repository.
#[derive(Debug)]
pub struct Created {
    /// Its id.
    pub id: RepositoryId,
    /// The first holder's key file, if one was made. Without it nothing can be restored.
    pub key_file: Option<KeyFile>,
}

impl Repository {
    /// Makes a repository in an empty place. The holder's key object comes first and the configuration last: before it there is no repository, and nobody
    /// depends on what an interrupted `init` left behind.
    pub async fn init(store: Arc<dyn ObjectStore>, options: InitOptions) -> Result<Created, Error> {
        if objects::get_optional(&*store, CONFIG).await?.is_some() {
            return Err(Error::Exists);
        }
        if let Some(fault) = options.parameters.fault() {
            return Err(Error::damaged("the parameters", fault));
        }
        let unusable = |bad: crate::keys::CannotOpen| Error::Key(bad.to_string());
        let (id, base, epoch_key) = (RepositoryId(random()), BaseSecret(Secret::random()), Secret::random());
        let (holder_public, kdf, private) = prepare(options.how)?;
        let admin = signing_key(&base.admin_seed())?;
        let config = Config {
            format: u32::from(VERSION),
            repository: id,
            created: options.created,
            admin_key: public_of(&admin),
            epoch: 1,
            public_key: public_key(&epoch_key).map_err(unusable)?,
            parameters: options.parameters,
        };
        let record = HolderRecord::wrap(&id, &options.holder, (holder_public, kdf), &base, (1, &epoch_key))?;
        let secrets = ReaderSecrets {
            base,
            epochs: [(1, epoch_key)].into(),
            holder: private.clone().unwrap_or_else(Secret::random),
        };
        let key = Key::reader(id, &options.holder, secrets)?;
        put_record(&*store, &key, &KeyRecord::Holder(record)).await?;
        // BUG if it fails: a configuration serialises.
        let json = serde_json::to_vec(&config).expect("a configuration serialises");
        let bytes = object::sign(ObjectType::Config, &id, &admin, b"", &json);
        if put_new(&*store, CONFIG, bytes).await? == objects::Written::Existed {
            return Err(Error::Exists);
        }
        let file =
            |private_key| KeyFile::Reader(ReaderFile { repository: id, holder: options.holder.clone(), private_key });
        Ok(Created { id, key_file: private.map(file) })
    }

    /// Reads a repository's configuration without any key.
    pub async fn read_config(store: &dyn ObjectStore) -> Result<Config, Error> {
        keyring::read_config(store).await
    }

    /// The folder of this repository under a cache folder.
    #[must_use]
    pub fn cache_folder(&self) -> &Path {
        &self.cache
    }
}
