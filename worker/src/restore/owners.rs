//! Which numbers the owners of a snapshot become.

use std::collections::HashMap;
use std::path::Path;

use strongroom_repository::Entry;

use super::options::Owners;

/// The mapping of one restore.
#[derive(Debug, Default)]
pub(super) struct OwnerMap {
    users: HashMap<Vec<u8>, u32>,
    groups: HashMap<Vec<u8>, u32>,
}

impl OwnerMap {
    /// The mapping asked for, with the names of this host where they are needed.
    pub(super) fn new(owners: Owners) -> Self {
        match owners {
            Owners::ByNumber => Self::default(),
            Owners::ByName => {
                Self { users: read_table(Path::new("/etc/passwd")), groups: read_table(Path::new("/etc/group")) }
            }
        }
    }

    /// User and group of an entry on this host.
    pub(super) fn of(&self, entry: &Entry) -> (u32, u32) {
        let user = self.users.get(entry.user.as_bytes()).copied().unwrap_or(entry.uid);
        let group = self.groups.get(entry.group.as_bytes()).copied().unwrap_or(entry.gid);
        (user, group)
    }
}

/// `name:password:number:...` lines. A table that is not there maps nothing: numbers are used then.
fn read_table(path: &Path) -> HashMap<Vec<u8>, u32> {
    let text = std::fs::read(path).unwrap_or_else(|error| {
        tracing::warn!(%error, path = %path.display(), "owners are restored by number");
        Vec::new()
    });
    parse_table(&text)
}

fn parse_table(text: &[u8]) -> HashMap<Vec<u8>, u32> {
    text.split(|byte| *byte == b'\n').filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<(Vec<u8>, u32)> {
    let mut fields = line.split(|byte| *byte == b':');
    let (name, number) = (fields.next()?, fields.nth(1)?);
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    (!name.is_empty()).then(|| (name.to_vec(), number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_repository::Kind;

    #[test]
    fn a_known_name_wins_over_the_number() {
        let users = parse_table(b"root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33\n:x:7\nbad:x:many:\n");
        let map = OwnerMap { users, groups: parse_table(b"www:x:44:") };
        let mut entry = Entry::new(b"f".to_vec(), Kind::File);
        (entry.uid, entry.gid) = (1000, 1001);
        assert_eq!(map.of(&entry), (1000, 1001));
        (entry.user, entry.group) = ("web".into(), "www".into());
        assert_eq!(map.of(&entry), (33, 44));
        (entry.user, entry.group) = ("bad".into(), "absent".into());
        assert_eq!(map.of(&entry), (1000, 1001));
        assert_eq!(OwnerMap::new(Owners::ByNumber).of(&entry), (1000, 1001));
    }
}
