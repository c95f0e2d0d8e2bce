//! Parts that several files of a site share: `include: [parts/nightly.yaml]` in a plan or in `site.yaml`.
//!
//! A part holds keys as the file that includes it would: they are read as if they stood there. A key is said in one
//! place: one that stands in two of the files is a fault that names both. A part includes no other part, so there are
//! no circles, and which files make up a plan stands in the plan. A part that nothing includes is a fault too.

use std::collections::{BTreeMap, BTreeSet};

use crate::fault::Code;
use crate::findings::Findings;
use crate::grow::{FileKind, grow};
use crate::report::quoted;
use crate::site_files::PARTS;
use crate::text::Span;
use crate::tree::{Content, Entry, Node};
use crate::values;
use crate::words::nearest_of;

/// The key in plans and in `site.yaml`.
pub(crate) const INCLUDE: &str = "include";

const ITEM: &str = "a file such as parts/nightly.yaml";

/// The files of `parts`, and which of them were included.
#[derive(Debug)]
pub(crate) struct PartFiles<'t> {
    files: BTreeMap<&'t str, PartText<'t>>,
    included: BTreeSet<&'t str>,
}

#[derive(Debug)]
struct PartText<'t> {
    /// The name under which faults show it.
    shown: &'t str,
    content: &'t [u8],
}

impl<'t> PartFiles<'t> {
    /// Of path, shown name and content.
    pub(crate) fn new(files: impl Iterator<Item = (&'t str, &'t str, &'t [u8])>) -> Self {
        let files = files.map(|(path, shown, content)| (path, PartText { shown, content })).collect();
        Self { files, included: BTreeSet::new() }
    }

    /// Whether a file of the site includes the part.
    pub(crate) fn is_included(&self, path: &str) -> bool {
        self.included.contains(path)
    }

    /// Adds to a file what it includes. False if a part could not be read, so that not all is known that it says.
    pub(crate) fn merge_into(&mut self, root: &mut Node, findings: &mut Findings<'t>) -> bool {
        let Content::Mapping(entries) = &mut root.content else { return true };
        let Some(include) = entries.iter().find(|entry| entry.key == INCLUDE) else { return true };
        let mut is_whole = true;
        let named = values::faultless_items(&include.value, ITEM, findings, |node, findings| {
            let found = values::text(node, ITEM, findings).and_then(|path| self.find(path, &node.span, findings));
            is_whole &= found.is_some();
            Some((found?, node.span.clone()))
        });
        is_whole &= named.is_some();
        let mut here = BTreeSet::new();
        for (path, span) in named.unwrap_or_default() {
            if !here.insert(path) {
                let reason = format!("{} is included twice", quoted(path));
                findings.report(Code::BadInclude, &span, reason, "keep one of the two");
                continue;
            }
            match self.read(path, findings) {
                Some(of_part) => of_part.into_iter().for_each(|entry| add(entry, entries, findings)),
                None => is_whole = false,
            }
        }
        if !is_whole {
            findings.note_incomplete(&root.span);
        }
        is_whole
    }

    fn find(&mut self, path: &str, span: &Span, findings: &mut Findings<'_>) -> Option<&'t str> {
        if let Some((path, _)) = self.files.get_key_value(path) {
            self.included.insert(path);
            return Some(path);
        }
        let plain = path.strip_prefix(PARTS).is_some_and(|name| !name.contains('/') && name != ".." && name != ".");
        let (reason, remedy) = if plain {
            let near = nearest_of(path, self.files.keys().copied());
            let remedy =
                near.map_or("add it, or take it out of the list".to_owned(), |near| format!("did you mean `{near}`?"));
            (format!("the site has no part {}", quoted(path)), remedy)
        } else {
            let remedy = "write it as the site's directory knows it, such as parts/nightly.yaml";
            (format!("{} is no file of the site's `parts`", quoted(path)), remedy.to_owned())
        };
        findings.report(Code::BadInclude, span, reason, remedy);
        None
    }

    /// The entries of a part.
    fn read(&self, path: &str, findings: &mut Findings<'t>) -> Option<Vec<Entry>> {
        let file = &self.files[path];
        let text = match crate::decode(file.shown, file.content) {
            Ok(text) => text,
            Err(faults) => {
                findings.take_over(faults);
                return None;
            }
        };
        findings.add_text(file.shown, text);
        let root = grow(FileKind::PART, findings)?;
        match root.content {
            Content::Mapping(entries) => Some(entries),
            _ => {
                values::wrong_type(&root, "keys and values", "write the keys that the plans share", findings);
                None
            }
        }
    }
}

/// A key is said in one place.
fn add(entry: Entry, entries: &mut Vec<Entry>, findings: &mut Findings<'_>) {
    if entry.key == INCLUDE {
        let remedy = "name all parts in the file that is not one itself";
        findings.report(Code::BadInclude, &entry.key_span, "a part cannot include another one", remedy);
    } else if let Some(other) = entries.iter().find(|other| other.key == entry.key) {
        let place = findings.text().place(&other.key_span);
        let key = quoted(&entry.key);
        let reason = format!(
            "the key {key} stands in {}:{} already, which includes this or is included with it",
            place.file(),
            place.line()
        );
        findings.report(Code::DuplicateKey, &entry.key_span, reason, "keep one of the two");
    } else {
        entries.push(entry);
    }
}
