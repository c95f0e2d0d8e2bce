//! Locations of stores that are no directory: `s3://bucket/prefix`, `sftp://user@host:port/path`, `gateway://user@host:port/path`.
//!
//! Only their shape is checked, by the rules of the program that opens them. What a location does not say (endpoint, credentials, keys) stands elsewhere, and never a secret
//! in it: the reason of a fault does not repeat a text that may hold one.

use serde::Serialize;

use crate::report::quoted;
use crate::values::Refusal;

/// What kind of store an address names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// A directory.
    Folder,
    /// A place in a bucket.
    S3,
    /// A directory of another machine, by its sshd's SFTP or by its worker.
    Sftp,
}

const S3: &str = "write s3://bucket/prefix: letters, digits and -._ in the bucket; the endpoint is a key of its own";
const SFTP: &str = "write sftp://user@host/path or sftp://user@host:port/path, the path from / on";

const GATEWAY: &str = "write gateway://user@host/path or gateway://user@host:port/path, the path from / on, as the host's authorized_keys has it";

/// The kind of store that a URL names, if it is one that this release knows. None for other schemes.
pub(crate) fn kind_of(url: &str) -> Option<Result<StoreKind, Refusal>> {
    let (scheme, rest) = url.split_once("://")?;
    let (kind, refusal) = match scheme {
        "s3" => (StoreKind::S3, fault_of_bucket(rest).map(|why| (why, S3))),
        "sftp" => (StoreKind::Sftp, fault_of_sftp(rest).map(|why| (why, SFTP))),
        "gateway" => (StoreKind::Sftp, fault_of_sftp(rest).map(|why| (why, GATEWAY))),
        _ => return None,
    };
    Some(refusal.map_or(Ok(kind), |(why, remedy)| Err(refused(url, why, remedy))))
}

const SECRET: &str = "has credentials in it";

fn refused(url: &str, why: &str, remedy: &str) -> Refusal {
    match why == SECRET {
        true => Refusal::new(
            "the location of the repository has credentials in it, where everybody sees them",
            "take them out; keys go into a file that only the controller reads, such as `credentials-file` or `ssh-key`",
        ),
        false => Refusal::new(format!("the location {} {why}", quoted(url)), remedy),
    }
}

fn fault_of_bucket(rest: &str) -> Option<&'static str> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.contains('@') || rest.contains('?') {
        return Some(SECRET);
    }
    let is_bucket = (3..=255).contains(&bucket.len()) && !bucket.starts_with('.') && holds_only(bucket, "-._");
    let is_part = |part: &str| part != "." && part != ".." && holds_only(part, "-._~+=@,");
    match is_bucket && prefix.split('/').all(is_part) {
        true => None,
        false => Some("is no bucket and prefix"),
    }
}

fn fault_of_sftp(rest: &str) -> Option<&'static str> {
    let malformed = Some("is no user, host and path");
    let Some((authority, path)) = rest.split_once('/') else { return malformed };
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, _)) if user.contains(':') => return Some(SECRET),
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let is_user = user.is_none_or(|user| !user.is_empty() && !user.starts_with('-') && holds_only(user, "-._$"));
    let is_path = path.split('/').all(|part| part != "." && part != "..");
    match is_user && is_path && has_host_and_port(host) {
        true => None,
        false => malformed,
    }
}

fn has_host_and_port(text: &str) -> bool {
    let split = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']'),
        None => Some(text.split_at(text.find(':').unwrap_or(text.len()))),
    };
    let Some((host, port)) = split else { return false };
    let port = port.strip_prefix(':').map_or(port.is_empty(), |port| port.parse().is_ok_and(|port: u16| port > 0));
    port && !host.is_empty() && !host.starts_with('-') && holds_only(host, "-._:%")
}

fn holds_only(text: &str, others: &str) -> bool {
    text.chars().all(|char| char.is_ascii_alphanumeric() || others.contains(char))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_have_their_kinds() {
        for (url, kind) in [
            ("s3://backups", StoreKind::S3),
            ("s3://backups/hosts//main/", StoreKind::S3),
            ("sftp://nas/srv/backup", StoreKind::Sftp),
            ("sftp://backup@nas:2222/srv/a%20b", StoreKind::Sftp),
            ("sftp://backup@[fd00::1]:22/srv", StoreKind::Sftp),
            ("gateway://backup@nas/srv/backup", StoreKind::Sftp),
        ] {
            assert_eq!(kind_of(url), Some(Ok(kind)), "{url}");
        }
        assert_eq!(kind_of("gs://bucket"), None);
        assert_eq!(kind_of("/srv/backup"), None);
    }

    #[test]
    fn others_are_refused_and_no_secret_is_repeated() {
        for url in ["s3://x/y", "s3://", "s3://bucket/../x", "s3://buc ket", "sftp://nas", "sftp://nas:0/srv"] {
            assert!(kind_of(url).unwrap().is_err(), "{url}");
        }
        for url in ["sftp://-oProxyCommand=x/srv", "sftp://@nas/srv", "sftp://nas/../etc", "gateway://nas"] {
            assert!(kind_of(url).unwrap().is_err(), "{url}");
        }
        for url in ["s3://key:geheim@bucket/x", "s3://bucket/x?secret=geheim", "sftp://me:geheim@nas/srv"] {
            let refusal = kind_of(url).unwrap().unwrap_err();
            assert!(refusal.to_string().contains("credentials") && !refusal.to_string().contains("geheim"), "{url}");
        }
    }
}
