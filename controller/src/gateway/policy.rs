//! What a host may create and read through the gateway. Names come from the host: whatever is not listed here is refused.

use strongroom_repository::object::{CONFIG, HINT};
use strongroom_repository::{ObjectId, SessionId};

/// A name that a host may create, and what the gateway checks about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Creatable {
    /// Named by the BLAKE3 of its bytes.
    Hashed(ObjectId),
    /// The record of an open session, or the word that it rests.
    Session,
    /// An entry of the history.
    Commit(u64),
    /// Parity of the pack with this id. Another host's pack has its own before anybody else learns its id; and a parity that is wrong is of no use and does no harm, because
    /// what is made from it must have the pack's name.
    Parity(ObjectId),
}

/// A name that a host may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readable {
    /// To everybody who writes.
    Freely,
    /// Only whether it is there, and its length: a run that ended early asks so what it need not send again. A writer has no key for the bytes, and needs none,
    /// unless something of it was lent to this host for a restore.
    LookedAt,
    /// If it registers a writer: other keys are wrapped by passphrases, which a host could try at leisure.
    IfWriterKey,
}

pub(super) fn creatable(name: &str) -> Option<Creatable> {
    let (folder, rest) = name.split_once('/')?;
    match folder {
        "packs" | "pages" => {
            let (first, hex) = rest.split_once('/')?;
            let id = object_id(hex)?;
            (first == &hex[..2]).then_some(Creatable::Hashed(id))
        }
        "index" | "snapshots" => object_id(rest).map(Creatable::Hashed),
        "parity" => object_id(rest).map(Creatable::Parity),
        "sessions" | "rests" => session_id(rest).then_some(Creatable::Session),
        "commits" => commit_number(rest).map(Creatable::Commit),
        _ => None,
    }
}

pub(super) fn readable(name: &str) -> Option<Readable> {
    if name == CONFIG || name == HINT {
        return Some(Readable::Freely);
    }
    if let Some(Creatable::Hashed(_)) = creatable(name).filter(|_| name.starts_with('p')) {
        return Some(Readable::LookedAt);
    }
    match name.split_once('/')? {
        ("keys", _) => Some(Readable::IfWriterKey),
        // A checkpoint says what the commits say.
        ("commits" | "checkpoints", rest) => commit_number(rest).map(|_| Readable::Freely),
        ("index" | "snapshots", rest) => object_id(rest).map(|_| Readable::Freely),
        _ => None,
    }
}

fn object_id(hex: &str) -> Option<ObjectId> {
    is_lower_hex(hex).then(|| hex.parse().ok())?
}

fn session_id(hex: &str) -> bool {
    is_lower_hex(hex) && hex.parse::<SessionId>().is_ok()
}

/// Sixteen hexadecimal digits, from 1.
fn commit_number(hex: &str) -> Option<u64> {
    let number = (hex.len() == 16 && is_lower_hex(hex)).then(|| u64::from_str_radix(hex, 16).ok())?;
    number.filter(|number| *number > 0)
}

/// One object has one name.
fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "ab00000000000000000000000000000000000000000000000000000000000001";

    #[test]
    fn hosts_create_what_a_backup_consists_of() {
        for name in
            [format!("packs/ab/{ID}"), format!("pages/ab/{ID}"), format!("index/{ID}"), format!("snapshots/{ID}")]
        {
            assert!(matches!(creatable(&name), Some(Creatable::Hashed(_))), "{name}");
        }
        assert_eq!(creatable("sessions/00000000000000000000000000000001"), Some(Creatable::Session));
        assert_eq!(creatable("rests/00000000000000000000000000000001"), Some(Creatable::Session));
        assert_eq!(creatable("commits/0000000000000010"), Some(Creatable::Commit(16)));
        assert_eq!(creatable(&format!("parity/{ID}")), ID.parse().ok().map(Creatable::Parity));
    }

    #[test]
    fn and_nothing_else() {
        let upper = ID.to_uppercase();
        for name in [
            "config".into(),
            "hint".into(),
            "keys/00000000000000000000000000000001".into(),
            format!("packs/ac/{ID}"),
            format!("packs/{ID}"),
            format!("packs/ab/../{ID}"),
            format!("packs/AB/{upper}"),
            format!("index/{upper}"),
            format!("index/{ID}/x"),
            format!("parity/ab/{ID}"),
            format!("parity/{upper}"),
            format!("groups/{ID}"),
            format!("repair/packs.ab.{ID}"),
            "index/".into(),
            "checkpoints/0000000000000080".into(),
            "commits/0000000000000000".into(),
            "commits/10".into(),
            "commits/+000000000000010".into(),
            "sessions/../config".into(),
            "rests/1".into(),
            String::new(),
        ] {
            assert_eq!(creatable(&name), None, "{name}");
        }
    }

    #[test]
    fn hosts_read_the_history_and_the_index_but_no_data() {
        for name in [
            "config".into(),
            "hint".into(),
            "commits/0000000000000001".into(),
            "checkpoints/0000000000000080".into(),
            format!("index/{ID}"),
            format!("snapshots/{ID}"),
        ] {
            assert_eq!(readable(&name), Some(Readable::Freely), "{name}");
        }
        assert_eq!(readable("keys/00000000000000000000000000000001"), Some(Readable::IfWriterKey));
        for name in [format!("packs/ab/{ID}"), format!("pages/ab/{ID}")] {
            assert_eq!(readable(&name), Some(Readable::LookedAt), "{name}");
        }
        for name in [
            format!("packs/ac/{ID}"),
            format!("packs/{ID}"),
            format!("parity/{ID}"),
            format!("groups/{ID}"),
            "sessions/00000000000000000000000000000001".into(),
            "rests/00000000000000000000000000000001".into(),
            "../config".into(),
        ] {
            assert_eq!(readable(&name), None, "{name}");
        }
    }
}
