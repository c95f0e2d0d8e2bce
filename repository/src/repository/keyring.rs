//! Key objects: unlocking a repository, and letting further holders and writers in.

use std::collections::BTreeMap;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::Repository;
use super::objects::{self, get, list, put_new, store_error};
use crate::config::Config;
use crate::error::Error;
use crate::history::Operation;
use crate::ids::PublicKey;
use crate::keys::{
    Credential, HolderRecord, Kdf, Key, KeyFile, KeyRecord, ReaderFile, ReaderSecrets, Secret, WriterFile,
    WriterRecord, key_name, public_key, public_of, signing_key,
};
use crate::object::{self, CONFIG, ObjectType};

/// How a new holder will open the repository.
#[derive(Debug, Clone)]
pub enum NewHolder {
    /// By a key file that is made now.
    KeyFile,
    /// By a passphrase.
    Passphrase(zeroize::Zeroizing<String>),
    /// By a private key that the holder keeps; this is its public half.
    PublicKey(PublicKey),
}

/// What a new writer's key file is for.
#[derive(Debug, Clone)]
pub struct WriterIdentity {
    /// A name for humans: the host.
    pub holder: String,
}

/// Reads and checks the configuration.
pub(super) async fn read_config(store: &dyn ObjectStore) -> Result<Config, Error> {
    let bytes = objects::get_optional(store, CONFIG).await?.ok_or(Error::NoRepository)?;
    let repository = object::check_header(&bytes, ObjectType::Config, CONFIG)?;
    let signed = object::verify(&bytes, ObjectType::Config, &repository, b"", CONFIG)?;
    let config: Config = serde_json::from_slice(signed.body).map_err(|bad| Error::damaged(CONFIG, bad.to_string()))?;
    if config.format != u32::from(object::VERSION) {
        return Err(Error::TooNew { name: CONFIG.into(), version: u8::try_from(config.format).unwrap_or(u8::MAX) });
    }
    if config.repository != repository || config.admin_key != signed.signer {
        return Err(Error::damaged(CONFIG, "it is not signed by the key that it names"));
    }
    match config.parameters.fault() {
        Some(fault) => Err(Error::damaged(CONFIG, fault)),
        None => Ok(config),
    }
}

/// Opens the repository's secrets with what the caller brings.
pub(super) async fn unlock(store: &dyn ObjectStore, config: &Config, credential: &Credential) -> Result<Key, Error> {
    let foreign = |id| id != config.repository;
    match credential {
        Credential::File(file) if foreign(file.repository()) => {
            Err(Error::Foreign { key: file.repository(), here: config.repository })
        }
        Credential::File(KeyFile::Writer(file)) if file.admin_key != config.admin_key => {
            Err(Error::damaged(CONFIG, "it is not signed by the admin that this writer's key trusts"))
        }
        Credential::File(KeyFile::Writer(file)) => Key::writer(file),
        Credential::Lent(file, _) if foreign(file.repository) => {
            Err(Error::Foreign { key: file.repository, here: config.repository })
        }
        Credential::Lent(file, _) if file.admin_key != config.admin_key => {
            Err(Error::damaged(CONFIG, "it is not signed by the admin that this writer's key trusts"))
        }
        Credential::Lent(file, loan) => Key::borrower(file, loan),
        Credential::File(KeyFile::Reader(file)) => {
            let public = public_key(&file.private_key).map_err(|bad| Error::Key(bad.to_string()))?;
            let record = holder_record(store, config, &public, config.epoch).await?;
            let record = record.ok_or_else(|| {
                let (name, _) = key_name(&public, config.epoch);
                Error::Key(format!(
                    "{name} is not there: the key of '{}' was removed from this repository",
                    file.holder
                ))
            })?;
            open_holder(config, &record, file.private_key.clone())
        }
        Credential::Passphrase(passphrase) => unlock_by_passphrase(store, config, passphrase).await,
    }
}

async fn unlock_by_passphrase(store: &dyn ObjectStore, config: &Config, passphrase: &str) -> Result<Key, Error> {
    let mut tried = 0;
    for record in all_records(store, config).await?.into_iter().filter_map(|(_, record)| holder_of(record)) {
        let Some(kdf) = record.kdf.filter(|_| record.epoch == config.epoch) else { continue };
        tried += 1;
        let private = kdf.private_key(passphrase)?;
        if public_key(&private).is_ok_and(|public| public == record.public_key) {
            return open_holder(config, &record, private);
        }
    }
    Err(Error::Key(match tried {
        0 => "this repository has no passphrase holder: use a key file".into(),
        _ => format!("the passphrase opens none of the {tried} passphrase holders"),
    }))
}

fn holder_of(record: KeyRecord) -> Option<HolderRecord> {
    match record {
        KeyRecord::Holder(record) => Some(record),
        KeyRecord::Writer(_) => None,
    }
}

fn open_holder(config: &Config, record: &HolderRecord, private: Secret) -> Result<Key, Error> {
    let (base, epoch_key) = record.unwrap_with(&config.repository, &private)?;
    let secrets = ReaderSecrets { base, epochs: BTreeMap::from([(record.epoch, epoch_key)]), holder: private };
    let key = Key::reader(config.repository, &record.holder, secrets)?;
    if key.admin == config.admin_key {
        Ok(key)
    } else {
        Err(Error::damaged(CONFIG, "it is not signed by this repository's admin"))
    }
}

/// Adds the private keys of later epochs to a reader's key.
pub(super) async fn unlock_epochs(
    store: &dyn ObjectStore,
    config: &Config,
    key: &mut Key,
    epochs: &BTreeMap<u32, PublicKey>,
) -> Result<(), Error> {
    let Some(secrets) = &mut key.reader else { return Ok(()) };
    let public = public_key(&secrets.holder).map_err(|bad| Error::Key(bad.to_string()))?;
    for epoch in epochs.keys() {
        if let Some(record) = holder_record(store, config, &public, *epoch).await? {
            let (_, private) = record.unwrap_with(&config.repository, &secrets.holder)?;
            secrets.epochs.insert(*epoch, private);
        }
    }
    Ok(())
}

async fn record_named(
    store: &dyn ObjectStore,
    config: &Config,
    name: &str,
    raw: &[u8; 16],
) -> Result<Option<KeyRecord>, Error> {
    let Some(bytes) = objects::get_optional(store, name).await? else { return Ok(None) };
    open_record(config, name, raw, &bytes).map(Some)
}

/// Checks and reads a key object.
pub(crate) fn open_record(config: &Config, name: &str, raw: &[u8; 16], bytes: &[u8]) -> Result<KeyRecord, Error> {
    let signed = object::verify(bytes, ObjectType::Key, &config.repository, raw, name)?;
    if signed.signer != config.admin_key {
        return Err(Error::damaged(name, "it is not signed by the admin"));
    }
    serde_json::from_slice(signed.body).map_err(|bad| Error::damaged(name, bad.to_string()))
}

async fn holder_record(
    store: &dyn ObjectStore,
    config: &Config,
    public: &PublicKey,
    epoch: u32,
) -> Result<Option<HolderRecord>, Error> {
    let (name, raw) = key_name(public, epoch);
    Ok(record_named(store, config, &name, &raw).await?.and_then(holder_of))
}

/// The name under which the admin registered a writer's key.
pub(super) async fn registered_writer(
    store: &dyn ObjectStore,
    config: &Config,
    signer: &PublicKey,
) -> Result<String, Error> {
    let (name, raw) = key_name(signer, 0);
    match record_named(store, config, &name, &raw).await? {
        Some(KeyRecord::Writer(record)) if record.public_key == *signer => Ok(record.holder),
        _ => Err(Error::Key(format!("signed by {signer}, which is no registered writer of this repository"))),
    }
}

async fn all_records(store: &dyn ObjectStore, config: &Config) -> Result<Vec<(String, KeyRecord)>, Error> {
    let mut records = Vec::new();
    for (name, _) in list(store, "keys").await? {
        let raw = name.strip_prefix("keys/").and_then(|hex| data_encoding::HEXLOWER.decode(hex.as_bytes()).ok());
        let raw = raw.and_then(|raw| <[u8; 16]>::try_from(raw).ok());
        let raw = raw.ok_or_else(|| Error::damaged(&name, "its name is not that of a key"))?;
        let bytes = get(store, &name).await?;
        records.push((name.clone(), open_record(config, &name, &raw, &bytes)?));
    }
    records.sort_by(|left, right| left.0.cmp(&right.0));
    Ok(records)
}

/// Stores a key object signed by the admin.
pub(super) async fn put_record(store: &dyn ObjectStore, key: &Key, record: &KeyRecord) -> Result<(), Error> {
    let (name, raw) = match record {
        KeyRecord::Holder(holder) => key_name(&holder.public_key, holder.epoch),
        KeyRecord::Writer(writer) => key_name(&writer.public_key, 0),
    };
    // BUG if it fails: a record serialises.
    let json = serde_json::to_vec(record).expect("a key record serialises");
    let bytes = object::sign(ObjectType::Key, &key.repository, &key.signer, &raw, &json);
    match put_new(store, &name, bytes).await? {
        objects::Written::Created => Ok(()),
        objects::Written::Existed => Err(Error::Key("this key is in the repository already".into())),
    }
}

impl Repository {
    /// Checks the bytes of this repository's configuration.
    pub(crate) fn verify_config(&self, bytes: &[u8]) -> Result<(), Error> {
        let signed = object::verify(bytes, ObjectType::Config, &self.id(), b"", CONFIG)?;
        match signed.signer == self.config.admin_key {
            true => Ok(()),
            false => Err(Error::damaged(CONFIG, "it is not signed by this repository's admin")),
        }
    }

    /// Checks the bytes of a key object.
    pub(crate) fn verify_key(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let raw = name.strip_prefix("keys/").and_then(|hex| data_encoding::HEXLOWER.decode(hex.as_bytes()).ok());
        let raw = raw.and_then(|raw| <[u8; 16]>::try_from(raw).ok());
        let raw = raw.ok_or_else(|| Error::damaged(name, "its name is not that of a key"))?;
        open_record(&self.config, name, &raw, bytes).map(|_| ())
    }

    /// All key objects with their names.
    pub async fn key_records(&self) -> Result<Vec<(String, KeyRecord)>, Error> {
        all_records(&*self.store, &self.config).await
    }

    /// Lets a further holder read; returns the key file if one was made.
    pub async fn add_holder(&self, holder: &str, how: NewHolder) -> Result<Option<KeyFile>, Error> {
        let secrets = self.key.secrets("let others read")?;
        let (public, kdf, private) = prepare(how)?;
        for (epoch, epoch_key) in &secrets.epochs {
            let record = HolderRecord::wrap(&self.id(), holder, (public, kdf), &secrets.base, (*epoch, epoch_key))?;
            put_record(&*self.store, &self.key, &KeyRecord::Holder(record)).await?;
        }
        let file =
            |private_key| KeyFile::Reader(ReaderFile { repository: self.id(), holder: holder.into(), private_key });
        Ok(private.map(file))
    }

    /// Registers a further writer and returns its key file.
    pub async fn add_writer(&self, writer: &WriterIdentity) -> Result<KeyFile, Error> {
        let secrets = self.key.secrets("register writers")?;
        let signing = Secret::random();
        let public = public_of(&signing_key(&signing)?);
        let record = KeyRecord::Writer(WriterRecord { holder: writer.holder.clone(), public_key: public });
        put_record(&*self.store, &self.key, &record).await?;
        Ok(KeyFile::Writer(WriterFile {
            repository: self.id(),
            holder: writer.holder.clone(),
            writer_secret: secrets.base.writer_secret(),
            signing_key: signing,
            admin_key: self.config.admin_key,
        }))
    }

    /// Removes a holder or writer; returns how many key objects that concerned. The last holder cannot be removed. What a removed holder has read stays read: rotate
    /// afterwards, so that it opens nothing new. A removed writer's key object stays, because the history that it signed must remain readable; a commit revokes it.
    pub async fn remove_holder(&self, holder: &str) -> Result<usize, Error> {
        self.key.secrets("remove keys")?;
        let records = self.key_records().await?;
        let is_named = |record: &KeyRecord| record.holder() == holder;
        let readers_left =
            records.iter().any(|(_, record)| matches!(record, KeyRecord::Holder(_)) && !is_named(record));
        if !readers_left {
            return Err(Error::Key(format!(
                "'{holder}' is the last holder: without it nobody could read this repository"
            )));
        }
        let mut removed = 0;
        let mut revocations = Vec::new();
        for (name, record) in records.iter().filter(|(_, record)| is_named(record)) {
            match record {
                KeyRecord::Holder(_) => {
                    self.store.delete(&Path::from(name.as_str())).await.map_err(store_error("delete", name))?;
                    removed += 1;
                }
                KeyRecord::Writer(writer) if self.history().revoked.contains_key(&writer.public_key) => {}
                KeyRecord::Writer(writer) => {
                    revocations.push(Operation::RevokeWriter { public_key: writer.public_key })
                }
            }
        }
        removed += revocations.len();
        if !revocations.is_empty() {
            self.commit_operations(revocations).await?;
        }
        Ok(removed)
    }

    /// Begins a new epoch: new data keys are sealed to a new key pair, which every present holder gets. Returns its number.
    pub async fn rotate(&self) -> Result<u32, Error> {
        let secrets = self.key.secrets("rotate keys")?;
        let epoch = self.newest_epoch().0 + 1;
        let private = Secret::random();
        let public = public_key(&private).map_err(|bad| Error::Key(bad.to_string()))?;
        let mut holders: BTreeMap<PublicKey, HolderRecord> = BTreeMap::new();
        for record in self.key_records().await?.into_iter().filter_map(|(_, record)| holder_of(record)) {
            holders.insert(record.public_key, record);
        }
        for holder in holders.values() {
            let to = (holder.public_key, holder.kdf);
            let record = HolderRecord::wrap(&self.id(), &holder.holder, to, &secrets.base, (epoch, &private))?;
            put_record(&*self.store, &self.key, &KeyRecord::Holder(record)).await?;
        }
        self.commit_operations(vec![Operation::NewEpoch { epoch, public_key: public }]).await?;
        Ok(epoch)
    }
}

/// A holder's public key, how its private half is found again, and that half if it must be handed out.
pub(super) fn prepare(how: NewHolder) -> Result<(PublicKey, Option<Kdf>, Option<Secret>), Error> {
    let unusable = |bad: crate::keys::CannotOpen| Error::Key(bad.to_string());
    Ok(match how {
        NewHolder::KeyFile => {
            let private = Secret::random();
            (public_key(&private).map_err(unusable)?, None, Some(private))
        }
        NewHolder::Passphrase(passphrase) => {
            let kdf = Kdf::fresh();
            (public_key(&kdf.private_key(&passphrase)?).map_err(unusable)?, Some(kdf), None)
        }
        NewHolder::PublicKey(public) => (public, None, None),
    })
}
