//! The text by which people name a repository, parsed.

mod s3;
mod sftp;

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use self::s3::S3Place;
pub use self::sftp::{ServedBy, SftpPlace};
use super::StoreError;

/// Where a repository lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// A local folder, by its absolute path: `file:///absolute/path`, or a plain path.
    Folder(PathBuf),
    /// A place in a bucket: `s3://bucket/prefix`.
    S3(S3Place),
    /// A folder of another machine: `sftp://user@host:port/absolute/path`, or behind its worker: `gateway://user@host:port/absolute/path`.
    Sftp(SftpPlace),
}

impl Location {
    /// Parses a URL or a plain path, which is made absolute. No URL holds a secret: one that seems to is refused.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        if text.is_empty() {
            return Err(StoreError::Empty);
        }
        let path = match scheme(text) {
            Some("s3") => return S3Place::parse(text).map(Self::S3),
            Some("sftp" | "gateway") => return SftpPlace::parse(text).map(Self::Sftp),
            Some("file") => file_url_path(text)?,
            Some(scheme) => return Err(StoreError::UnsupportedScheme { scheme: scheme.into() }),
            None => PathBuf::from(text),
        };
        let absolute = std::path::absolute(&path).map_err(|source| StoreError::Absolute { path, source })?;
        // Collecting the components drops trailing and doubled slashes.
        Ok(Self::Folder(absolute.components().collect()))
    }

    /// The folder on this machine, if it is one.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) => Some(path),
            Self::S3(_) | Self::Sftp(_) => None,
        }
    }

    /// Whether the store has an end that it runs into, as a file system has. A bucket grows, and what lies in it is paid for.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        matches!(self, Self::Folder(_) | Self::Sftp(_))
    }
}

impl FromStr for Location {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        Self::parse(text)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(out, "file://{}", encoded(path.as_os_str().as_bytes())),
            Self::S3(place) => place.fmt(out),
            Self::Sftp(place) => place.fmt(out),
        }
    }
}

/// What stands before a colon in the first component. `sftp:host:/srv` and `host:/srv` are meant as
/// other machines, and silently making a folder of that name would hide the mistake; who wants such
/// a folder writes `./host:`.
fn scheme(text: &str) -> Option<&str> {
    let first = text.split('/').next().unwrap_or_default();
    first.split_once(':').map(|(scheme, _)| scheme)
}

fn file_url_path(url: &str) -> Result<PathBuf, StoreError> {
    let malformed = || StoreError::Malformed { url: url.into() };
    let after = url.strip_prefix("file:").ok_or_else(malformed)?;
    let encoded = match after.strip_prefix("//") {
        Some(authority) => {
            let slash = authority.find('/').unwrap_or(authority.len());
            let (host, path) = authority.split_at(slash);
            if !matches!(host, "" | "localhost") {
                return Err(StoreError::ForeignHost { host: host.into() });
            }
            path
        }
        None => after,
    };
    if !encoded.starts_with('/') {
        return Err(malformed());
    }
    let bytes = percent_decoded(encoded.as_bytes()).ok_or_else(malformed)?;
    Ok(PathBuf::from(OsString::from_vec(bytes)))
}

/// Bytes as they stand in a URL.
fn encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"/-._~+@,=".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// Plain bytes of a percent-encoded text; None if a sequence is malformed or decodes to NUL.
fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = match byte {
            b'%' => {
                let (digits, after) = after.split_at_checked(2)?;
                (data_encoding::HEXLOWER_PERMISSIVE.decode(digits).ok()?[0], after)
            }
            _ => (byte, after),
        };
        if byte == 0 {
            return None;
        }
        plain.push(byte);
        rest = after;
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let location = Location::parse(text).expect(text);
        assert_eq!(location.to_string(), expect, "{text}");
        assert_eq!(Location::parse(expect).expect(expect), location, "what is shown parses to the same");
    }

    fn check_refused(text: &str, expect: &str) {
        let message = Location::parse(text).expect_err(text).to_string();
        assert!(message.contains(expect), "{text}: {message}");
    }

    #[test]
    fn places_are_parsed_and_shown() {
        let here = Location::parse(".").expect("current folder").to_string();
        check("/srv/repo", "file:///srv/repo");
        check("/srv//repo/", "file:///srv/repo");
        check("file:///srv/repo/", "file:///srv/repo");
        check("file:/srv/repo", "file:///srv/repo");
        check("file://localhost/srv/repo", "file:///srv/repo");
        check("file:///srv/a%20b", "file:///srv/a%20b");
        check("/srv/a b%", "file:///srv/a%20b%25");
        check("/srv/仓库", "file:///srv/%E4%BB%93%E5%BA%93");
        check("file:///srv/%e4%bb%93", "file:///srv/%E4%BB%93");
        check("repo", &format!("{here}/repo"));
        check("./a:b", &format!("{here}/a%3Ab"));
        check("/", "file:///");
        check("s3://bucket", "s3://bucket");
        check("s3://bucket/", "s3://bucket");
        check("s3://my.bucket-1/hosts//main/", "s3://my.bucket-1/hosts/main");
        check("sftp://backup@nas/srv/a%20b/", "sftp://backup@nas/srv/a%20b");
        check("sftp://backup@nas:22/srv", "sftp://backup@nas/srv");
        check("sftp://backup@nas:2222/srv", "sftp://backup@nas:2222/srv");
        check("sftp://backup@[fd00::1]:2222/srv", "sftp://backup@[fd00::1]:2222/srv");
        check("sftp://nas/", "sftp://nas/");
        check("gateway://backup@nas:22/srv/a%20b/", "gateway://backup@nas/srv/a%20b");
    }

    #[test]
    fn other_places_are_refused_with_what_would_do() {
        check_refused("", "empty");
        check_refused("gs://bucket/prefix", "'gs:' locations are not supported");
        check_refused("sftp:host:/srv", "sftp://user@host/absolute/path");
        check_refused("backup.example:/srv", "'backup.example:'");
        check_refused("file://elsewhere/srv", "'elsewhere'");
        check_refused("file:srv", "malformed");
        check_refused("file://", "malformed");
        check_refused("file:///srv/%2", "malformed");
        check_refused("file:///srv/%zz", "malformed");
        check_refused("file:///srv/%00", "malformed");
        check_refused("s3:bucket", "s3://bucket/prefix");
        check_refused("s3://", "s3://bucket/prefix");
        check_refused("s3:///prefix", "s3://bucket/prefix");
        check_refused("s3://bucket/a/../b", "s3://bucket/prefix");
        check_refused("s3://bucket/a b", "s3://bucket/prefix");
        check_refused("s3://key:secret@bucket/a", "credentials do not belong in a location");
        check_refused("s3://bucket/a?secret=x", "s3://bucket/prefix");
        check_refused("s3://s3.example.org:9000/bucket", "s3://bucket/prefix");
        check_refused("sftp://", "sftp://user@host/absolute/path");
        check_refused("sftp://host", "sftp://user@host/absolute/path");
        check_refused("sftp://-oProxyCommand=x/srv", "sftp://user@host/absolute/path");
        check_refused("sftp://user@host:0/srv", "sftp://user@host/absolute/path");
        check_refused("sftp://user@host/srv/../etc", "sftp://user@host/absolute/path");
        check_refused("sftp://host/srv/%ff", "sftp://user@host/absolute/path");
        check_refused("gateway://host", "sftp://user@host/absolute/path");
    }

    #[test]
    fn a_password_is_not_repeated() {
        for text in ["sftp://me:secret@host/srv", "s3://me:secret@bucket/a", "https://me:secret@host/"] {
            let error = Location::parse(text).expect_err(text);
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
    }
}
