//! The files of a record, the list of their hashes, and the signature over that list: all of it checked by `b3sum` and `openssl` alone, too.
//!
//! | file | what |
//! |---|---|
//! | `record.json` | the record |
//! | `record.en.txt`, `record.zh.txt`, `record.en.html`, `record.zh.html` | the same for people |
//! | `record.lines` | a hash of each line of those, so that a change is found in its line |
//! | `record.b3` | BLAKE3 of each of the files above, as `b3sum` prints and checks it |
//! | `record.sig` | the Ed25519 signature (RFC 8032) of `record.b3`, 64 bytes |

use std::fmt;
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::form::{self, Language};
use super::{RestoreRecord, page};

/// The list of hashes.
pub const SUMS: &str = "record.b3";
/// The signature of the list.
pub const SIGNATURE: &str = "record.sig";
/// The hashes of lines.
pub const LINES: &str = "record.lines";
/// The record itself.
pub const RECORD: &str = "record.json";

/// Hexadecimal digits of the hash of a line: it only says where to look.
const LINE_DIGITS: usize = 16;
/// Columns of PEM (RFC 7468).
const PEM_COLUMNS: usize = 64;
/// What stands before the 32 bytes of a public key in its DER (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A name and the bytes of the file.
pub type NamedFile = (String, Vec<u8>);

/// What records are signed with.
#[derive(Debug)]
pub struct RecordKey(Ed25519KeyPair);

/// What signatures are checked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicRecordKey([u8; 32]);

/// Why a key is none.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file.
    #[error("cannot {doing} {path}")]
    File {
        /// What was being done.
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its content.
    #[error("{0} is no Ed25519 key in PEM")]
    Malformed(PathBuf),
}

impl RecordKey {
    /// A new one; with the PEM to keep it in.
    #[must_use]
    pub fn generate() -> (Self, Zeroizing<String>) {
        // BUG if it fails: the library's own randomness and encoding.
        let pair = Ed25519KeyPair::generate().expect("a key can be made");
        let der = pair.to_pkcs8v1().expect("a key has an encoding");
        (Self(pair), Zeroizing::new(pem("PRIVATE KEY", der.as_ref())))
    }

    /// Reads it; none if the text is no such key.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let der = Zeroizing::new(unpem("PRIVATE KEY", text)?);
        Ed25519KeyPair::from_pkcs8(&der).ok().map(Self)
    }

    /// What its signatures are checked with.
    #[must_use]
    pub fn public(&self) -> PublicRecordKey {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        PublicRecordKey(key)
    }

    /// The files of a record, signed.
    #[must_use]
    pub fn seal(&self, record: &RestoreRecord) -> Vec<NamedFile> {
        let mut files = files(record);
        let sums: String = files.iter().map(|(name, bytes)| format!("{}  {name}\n", blake3::hash(bytes))).collect();
        let signature = self.0.sign(sums.as_bytes()).as_ref().to_vec();
        files.push((SUMS.to_owned(), sums.into_bytes()));
        files.push((SIGNATURE.to_owned(), signature));
        files
    }
}

impl PublicRecordKey {
    /// Reads the PEM of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let der = unpem("PUBLIC KEY", text)?;
        der.strip_prefix(&SPKI_PREFIX)?.try_into().ok().map(Self)
    }

    /// Reads the file of one.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| KeyError::File { doing: "read", path: path.to_owned(), source })?;
        Self::parse(&text).ok_or_else(|| KeyError::Malformed(path.to_owned()))
    }

    /// As `openssl` reads it.
    #[must_use]
    pub fn to_pem(self) -> String {
        pem("PUBLIC KEY", &[&SPKI_PREFIX[..], &self.0].concat())
    }

    /// Whether this is the signature of these bytes.
    #[must_use]
    pub fn signed(self, bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(bytes, signature).is_ok()
    }
}

/// Its fingerprint: BLAKE3 of its DER, the first 32 digits.
impl fmt::Display for PublicRecordKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let der = [&SPKI_PREFIX[..], &self.0].concat();
        out.write_str(&blake3::hash(&der).to_hex()[..32])
    }
}

/// The files whose hashes are listed.
fn files(record: &RestoreRecord) -> Vec<NamedFile> {
    // BUG if it fails: a record serialises.
    let json = serde_json::to_string_pretty(record).expect("a record serialises") + "\n";
    let mut files = vec![(RECORD.to_owned(), json.into_bytes())];
    for language in Language::ALL {
        let form = form::form(record, language);
        let code = language.code();
        files.push((format!("record.{code}.txt"), page::text(&form).into_bytes()));
        files.push((format!("record.{code}.html"), page::html(&form).into_bytes()));
    }
    let lines = files.iter().flat_map(|(name, bytes)| lines(name, bytes)).collect::<String>();
    files.push((LINES.to_owned(), lines.into_bytes()));
    files
}

/// What [`LINES`] says of a file.
pub(super) fn lines<'f>(name: &'f str, bytes: &'f [u8]) -> impl Iterator<Item = String> + 'f {
    let hash = |line: &[u8]| blake3::hash(line).to_hex()[..LINE_DIGITS].to_owned();
    let line = move |(at, line): (usize, &[u8])| format!("{} {name}:{}\n", hash(line), at + 1);
    bytes.split_inclusive(|byte| *byte == b'\n').enumerate().map(line)
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    // BUG if it fails: base64 is ASCII.
    let lines = text.as_bytes().chunks(PEM_COLUMNS).map(|line| std::str::from_utf8(line).expect("base64 is ASCII"));
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.collect::<Vec<_>>().join("\n"))
}

fn unpem(label: &str, text: &str) -> Option<Vec<u8>> {
    let inner = text.trim().strip_prefix(&format!("-----BEGIN {label}-----"))?;
    let inner = inner.strip_suffix(&format!("-----END {label}-----"))?;
    let inner: String = inner.split_whitespace().collect();
    BASE64.decode(inner.as_bytes()).ok()
}
