//! Names of users and groups, read once from the host's own files.
//!
//! `/etc/passwd` and `/etc/group` are parsed here rather than asked of the C library, which in a static program cannot load its name service
//! modules. Users that only a directory service knows are kept by number; a restore onto such a host needs no name.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Names by number.
#[derive(Debug, Clone)]
pub struct Owners {
    users: HashMap<u32, Arc<str>>,
    groups: HashMap<u32, Arc<str>>,
    nobody: Arc<str>,
}

impl Owners {
    /// Reads the files below `root`; one that cannot be read gives no names.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let table = |path: &str| parse(&std::fs::read(root.join(path)).unwrap_or_default());
        Self { users: table("etc/passwd"), groups: table("etc/group"), nobody: "".into() }
    }

    /// A user's name, empty if there is none.
    #[must_use]
    pub fn user(&self, uid: u32) -> Arc<str> {
        Arc::clone(self.users.get(&uid).unwrap_or(&self.nobody))
    }

    /// A group's name, empty if there is none.
    #[must_use]
    pub fn group(&self, gid: u32) -> Arc<str> {
        Arc::clone(self.groups.get(&gid).unwrap_or(&self.nobody))
    }
}

/// Both files have the name first and the number third; the first line for a number counts.
fn parse(file: &[u8]) -> HashMap<u32, Arc<str>> {
    let mut names = HashMap::new();
    for line in file.split(|byte| *byte == b'\n') {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let number = fields.get(2).and_then(|field| std::str::from_utf8(field).ok()).and_then(|text| text.parse().ok());
        if let (Some(number), Some(Ok(name))) = (number, fields.first().map(|name| std::str::from_utf8(name)))
            && !name.is_empty()
        {
            names.entry(number).or_insert_with(|| Arc::from(name));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_number_counts_and_broken_lines_do_not() {
        let names = parse(
            b"root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\n\nbroken\nbad:x:y:\n\xff:x:7:\n:x:8:\nlast:x:4294967295:",
        );
        assert_eq!(names.len(), 2);
        assert_eq!((&*names[&0], &*names[&u32::MAX]), ("root", "last"));
    }
}
