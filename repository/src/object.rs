//! What all stored objects share: the header, the names, and the envelope of signed objects.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::codec::Reader;
use crate::error::Error;
use crate::ids::{ObjectId, PublicKey, RepositoryId, SessionId};

/// Magic of every object's first bytes.
pub const MAGIC: [u8; 4] = *b"\x53\x52\x4d\x1a";
/// The version that this release writes, and the only one so far.
pub const VERSION: u8 = 1;
/// X25519-HKDF-SHA256, AES-256-GCM, BLAKE3, Ed25519.
pub const SUITE: u8 = 1;
/// Bytes of the header.
pub const HEADER_SIZE: usize = 24;
/// The one object that is overwritten, and that nobody trusts.
pub const HINT: &str = "hint";
/// The name of the configuration.
pub const CONFIG: &str = "config";

/// The session in the name of its record, or of another object that lies under its id.
pub(crate) fn session_of(kind: ObjectType, name: &str) -> Option<SessionId> {
    name.strip_prefix(kind.folder())?.strip_prefix('/')?.parse().ok()
}

/// The type byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ObjectType {
    /// Format, repository id, public keys, parameters.
    Config = 1,
    /// Secrets wrapped for a holder, or a registered writer.
    Key = 2,
    /// Data pack.
    Pack = 3,
    /// Metadata pack.
    PagePack = 4,
    /// Index run.
    Index = 5,
    /// Signed snapshot.
    Snapshot = 6,
    /// Open writer.
    Session = 7,
    /// Entry of the history.
    Commit = 8,
    /// Parity of a pack, named after it.
    Parity = 9,
    /// Bytes that are there to be given up when the store is full.
    Reserve = 10,
    /// The folded history as of a commit.
    Checkpoint = 11,
    /// A word beside the record of a session: its process has ended.
    Rest = 12,
    /// Parity of a group of packs.
    Group = 13,
}

impl ObjectType {
    /// The folder under which objects of this type lie, empty for the configuration.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Config => "",
            Self::Key => "keys",
            Self::Pack => "packs",
            Self::PagePack => "pages",
            Self::Index => "index",
            Self::Snapshot => "snapshots",
            Self::Session => "sessions",
            Self::Commit => "commits",
            Self::Parity => "parity",
            Self::Reserve => "reserve",
            Self::Checkpoint => "checkpoints",
            Self::Rest => "rests",
            Self::Group => "groups",
        }
    }
}

/// The name of an object that is named by its hash, or of a parity by its pack's.
#[must_use]
pub fn hashed_name(kind: ObjectType, id: &ObjectId) -> String {
    match kind {
        ObjectType::Pack | ObjectType::PagePack => format!("{}/{:02x}/{id}", kind.folder(), id.0[0]),
        _ => format!("{}/{id}", kind.folder()),
    }
}

/// The name of a session.
#[must_use]
pub fn session_name(id: &SessionId) -> String {
    format!("sessions/{id}")
}

/// The name of the word that a session rests.
#[must_use]
pub fn rest_name(id: &SessionId) -> String {
    format!("rests/{id}")
}

/// The name of commit `number`.
#[must_use]
pub fn commit_name(number: u64) -> String {
    format!("commits/{number:016x}")
}

/// The name of the checkpoint as of commit `number`.
#[must_use]
pub fn checkpoint_name(number: u64) -> String {
    format!("checkpoints/{number:016x}")
}

/// The header of an object.
#[must_use]
pub fn header(kind: ObjectType, repository: &RepositoryId) -> [u8; HEADER_SIZE] {
    let mut header = [0; HEADER_SIZE];
    header[..4].copy_from_slice(&MAGIC);
    header[4] = VERSION;
    header[5] = kind as u8;
    header[6] = SUITE;
    header[8..].copy_from_slice(&repository.0);
    header
}

/// Checks a header and returns the repository id that it names; `name` is for the message.
pub fn check_header(bytes: &[u8], kind: ObjectType, name: &str) -> Result<RepositoryId, Error> {
    let mut from = Reader::new(bytes);
    let header: [u8; HEADER_SIZE] = from.array("header").map_err(Error::malformed(name))?;
    if header[..4] != MAGIC {
        return Err(Error::damaged(name, "it does not begin with a Strongroom header"));
    }
    if header[4] != VERSION {
        return Err(Error::TooNew { name: name.into(), version: header[4] });
    }
    if header[5] != kind as u8 {
        return Err(Error::damaged(name, "it is an object of another type"));
    }
    if header[6] != SUITE || header[7] != 0 {
        return Err(Error::damaged(name, "unknown cipher suite"));
    }
    let mut id = [0; 16];
    id.copy_from_slice(&header[8..]);
    Ok(RepositoryId(id))
}

/// Checks that an object belongs to `repository`, and returns what follows the header.
pub fn body<'a>(bytes: &'a [u8], kind: ObjectType, repository: &RepositoryId, name: &str) -> Result<&'a [u8], Error> {
    if check_header(bytes, kind, name)? != *repository {
        return Err(Error::damaged(name, "it belongs to another repository"));
    }
    Ok(&bytes[HEADER_SIZE..])
}

/// A signed object's parts.
#[derive(Debug)]
pub struct Signed<'a> {
    /// Who signed.
    pub signer: PublicKey,
    /// What was signed, without the header.
    pub body: &'a [u8],
}

fn signed_message(header: &[u8], bound_name: &[u8], body: &[u8]) -> Vec<u8> {
    [b"strongroom v1 signed", header, bound_name, body].concat()
}

/// The bytes of a signed object. `bound_name` is what FORMAT.md says for its type.
#[must_use]
pub fn sign(
    kind: ObjectType,
    repository: &RepositoryId,
    signer: &Ed25519KeyPair,
    bound_name: &[u8],
    body: &[u8],
) -> Vec<u8> {
    let header = header(kind, repository);
    let signature = signer.sign(&signed_message(&header, bound_name, body));
    [&header, signer.public_key().as_ref(), signature.as_ref(), body].concat()
}

/// Checks header and signature. Whether the signer may sign this is the caller's question.
pub fn verify<'a>(
    bytes: &'a [u8],
    kind: ObjectType,
    repository: &RepositoryId,
    bound_name: &[u8],
    name: &str,
) -> Result<Signed<'a>, Error> {
    let rest = body(bytes, kind, repository, name)?;
    let mut from = Reader::new(rest);
    let signer: [u8; 32] = from.array("signer").map_err(Error::malformed(name))?;
    let signature: [u8; 64] = from.array("signature").map_err(Error::malformed(name))?;
    let body = &rest[96..];
    let message = signed_message(&bytes[..HEADER_SIZE], bound_name, body);
    UnparsedPublicKey::new(&ED25519, signer)
        .verify(&message, &signature)
        .map_err(|_| Error::damaged(name, "its signature does not match"))?;
    Ok(Signed { signer: PublicKey(signer), body })
}
