//! What a change set means on this host, and what speaks against it. Looks only.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{CONTENT_BYTES_MAX, ChangeId, ChangeSet, Content, Files, Node, Wanted};

/// One path that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Which.
    pub path: PathBuf,
    /// What was there when the change was planned.
    pub old: Node,
    /// What is to be there.
    pub new: Node,
    /// Where a file or link lies until it is renamed: in the nearest directory that is there already.
    pub staged: Option<PathBuf>,
}

/// What a change set means: nothing at all if it has no steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which they are done: directories from the top, then files and links, then what is removed, from below.
    pub steps: Vec<Step>,
}

/// Why a path cannot be made as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which path.
    pub path: PathBuf,
    /// Why, and what to do.
    pub why: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "'{}' {}", self.path.display(), self.why)
    }
}

/// What the set means on this host, or everything that speaks against it. Paths in `home`, where changes are recorded, are not for changes.
pub fn plan(files: &dyn Files, home: &Path, id: &ChangeId, set: &ChangeSet) -> Result<Plan, Vec<Refusal>> {
    let mut wanted: BTreeMap<&Path, &Wanted> = BTreeMap::new();
    let mut refusals = Vec::new();
    for one in &set.wanted {
        let why = refuse_name(&one.path, home);
        let why = why.or_else(|| wanted.insert(&one.path, one).map(|_| "is named twice".to_owned()));
        refusals.extend(why.map(|why| Refusal { path: one.path.clone(), why }));
    }
    let planner = Planner { files, id, wanted };
    let mut steps = Vec::new();
    for (number, one) in planner.wanted.values().enumerate() {
        match planner.step(one, number) {
            Ok(step) => steps.extend(step),
            Err(why) => refusals.push(Refusal { path: one.path.clone(), why }),
        }
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    steps.sort_by_key(|step| std::cmp::Reverse(turn(&step.new)));
    let removals = steps.iter().position(|step| step.new == Node::Absent).unwrap_or(steps.len());
    steps[removals..].reverse();
    Ok(Plan { steps })
}

/// Larger is earlier; within one, by path.
fn turn(new: &Node) -> u8 {
    match new {
        Node::Directory { .. } => 2,
        Node::File { .. } | Node::Symlink { .. } | Node::Special => 1,
        Node::Absent => 0,
    }
}

fn refuse_name(path: &Path, home: &Path) -> Option<String> {
    let Some(text) = path.to_str() else { return Some("is not UTF-8".to_owned()) };
    let names: Vec<Component<'_>> = path.components().collect();
    let plain: PathBuf = names.iter().collect();
    let is_plain = names.iter().skip(1).all(|name| matches!(name, Component::Normal(_)));
    if !path.is_absolute() || !is_plain || plain.as_os_str() != text {
        return Some("is not a whole path, from '/' on and without '.', '..', '//' or a slash at the end".to_owned());
    }
    if names.len() < 2 {
        return Some("is the root directory".to_owned());
    }
    path.starts_with(home).then(|| "is where changes are recorded".to_owned())
}

struct Planner<'a> {
    files: &'a dyn Files,
    id: &'a ChangeId,
    wanted: BTreeMap<&'a Path, &'a Wanted>,
}

impl Planner<'_> {
    fn step(&self, one: &Wanted, number: usize) -> Result<Option<Step>, String> {
        let path = &one.path;
        let old = self.look(path)?;
        let mut new = one.content.node();
        if let (Node::File { attributes, .. }, Node::File { attributes: replaced, .. }) = (&mut new, &old) {
            attributes.keep_label_of(replaced);
        }
        if old.is_as(&new) {
            return Ok(None);
        }
        self.refuse_replacement(path, &old, &new)?;
        let staged = match one.content {
            Content::Absent => None,
            Content::Directory { .. } => self.directory(path).map(|_| None)?,
            Content::File { .. } | Content::Symlink { .. } => {
                Some(self.directory(path)?.join(format!(".strongroom-{}-{number}.new", self.id)))
            }
        };
        Ok(Some(Step { path: path.clone(), old, new, staged }))
    }

    fn look(&self, path: &Path) -> Result<Node, String> {
        self.files.look(path).map_err(|error| match self.way(path) {
            Some((above, found)) => format!("lies below '{}', which is {}", above.display(), found.name()),
            None => format!("cannot be looked at: {error}"),
        })
    }

    /// What is on the way to a path and is no directory.
    fn way<'p>(&self, path: &'p Path) -> Option<(&'p Path, Node)> {
        let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
        above.reverse();
        let found = above.into_iter().map(|above| (above, self.files.look(above)));
        found
            .map_while(|(above, found)| Some((above, found.ok()?)))
            .find(|(_, found)| !matches!(found, Node::Directory { .. }))
    }

    fn refuse_replacement(&self, path: &Path, old: &Node, new: &Node) -> Result<(), String> {
        let bytes = content_bytes(old).max(content_bytes(new));
        if bytes > CONTENT_BYTES_MAX {
            return Err(format!("is no configuration: it has {bytes} bytes, and {CONTENT_BYTES_MAX} are the most"));
        }
        match (old, new) {
            (Node::Special, _) => Err(format!("is {}: that is never replaced", old.name())),
            (Node::Directory { .. }, Node::File { .. } | Node::Symlink { .. })
            | (Node::File { .. } | Node::Symlink { .. }, Node::Directory { .. }) => {
                Err(format!("is {}, and is to be {}: remove it in a release of its own first", old.name(), new.name()))
            }
            (Node::Directory { .. }, Node::Absent) => self.refuse_rest(path),
            _ => Ok(()),
        }?;
        self.refuse_mount(path, old)
    }

    /// What a directory holds that is not removed with it.
    fn refuse_rest(&self, directory: &Path) -> Result<(), String> {
        let names = self.files.names(directory).map_err(|error| format!("cannot be listed: {error}"))?;
        let is_removed = |path: &Path| self.wanted.get(path).is_some_and(|one| one.content.node() == Node::Absent);
        let rest: BTreeSet<&String> = names.iter().filter(|name| !is_removed(&directory.join(name))).collect();
        match rest.first() {
            None => Ok(()),
            Some(first) => Err(format!(
                "is not empty: it holds '{first}'{}; name as absent what is to go with it",
                if rest.len() > 1 { format!(" and {} more", rest.len() - 1) } else { String::new() }
            )),
        }
    }

    /// A rename does not replace what something is mounted at.
    fn refuse_mount(&self, path: &Path, old: &Node) -> Result<(), String> {
        if *old == Node::Absent {
            return Ok(());
        }
        let mount = |path| self.files.mount(path).map_err(|error| format!("cannot be looked at: {error}"));
        match mount(path)? == mount(parent(path))? {
            true => Ok(()),
            false => Err("is mounted there: change what is mounted where it comes from".to_owned()),
        }
    }

    /// The nearest directory that is there; all between it and the path are in the set.
    fn directory<'p>(&self, path: &'p Path) -> Result<&'p Path, String> {
        let mut above = parent(path);
        loop {
            let wanted = self.wanted.get(above).map(|one| one.content.node());
            match (self.look(above)?, wanted) {
                (_, Some(Node::Absent | Node::File { .. } | Node::Symlink { .. } | Node::Special)) => {
                    return Err(format!("is to lie in '{}', which is to be no directory", above.display()));
                }
                (Node::Directory { .. }, _) => return Ok(above),
                (Node::Absent, Some(Node::Directory { .. })) => above = parent(above),
                (Node::Absent, None) => {
                    return Err(format!(
                        "has no directory: name '{}' in the release too, with its owner and mode",
                        above.display()
                    ));
                }
                (other, _) => return Err(format!("lies in '{}', which is {}", above.display(), other.name())),
            }
        }
    }
}

fn content_bytes(node: &Node) -> u64 {
    match node {
        Node::File { bytes, .. } => *bytes,
        _ => 0,
    }
}

pub(super) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}
