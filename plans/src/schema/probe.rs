//! A file with every key that its readers know, as they read it.

use super::SchemaOf;
use crate::fields::Shape;
use crate::findings::Findings;
use crate::grow::{FileKind, grow};
use crate::observer::{Observer, Takes};
use crate::text::Text;
use crate::tree::{Content, Entry, Node};
use crate::words::Meaning;
use crate::{backup, drill_plan, restore_plan, site_reader};

/// Mappings nest less deep: root, source, hook.
const PASSES_MAX: usize = 8;

/// A file with every key, and what was noted while it was read.
pub(super) struct Probe {
    of: SchemaOf,
    findings: Findings<'static>,
    pub(super) root: Node,
    pub(super) observer: Observer,
}

impl Probe {
    pub(super) fn new(of: SchemaOf) -> Self {
        let mut findings = Findings::new(Text::new("", "{}"));
        // BUG if it is none: two brackets are a mapping.
        let root = grow(FileKind::PART, &mut findings).expect("an empty mapping");
        let mut probe = Self { of, findings, root, observer: Observer::default() };
        for _ in 0..PASSES_MAX {
            probe.read();
            if !add_keys(&mut probe.root, &probe.observer, &mut probe.findings) {
                break;
            }
        }
        probe
    }

    fn read(&mut self) {
        self.findings.observe_with(Observer::default());
        read(self.of, &self.root, &mut self.findings);
        self.observer = self.findings.take_observer();
    }

    /// Takes all other keys out of the mappings of one shape.
    pub(super) fn leave_only(&mut self, shape: &'static Shape, key: &str) {
        leave_only(&mut self.root, &self.observer, shape, key);
        self.read();
    }
}

/// Adds the keys that the observed mappings lack; true if there were any.
fn add_keys(node: &mut Node, observer: &Observer, findings: &mut Findings<'static>) -> bool {
    let mut any_added = false;
    if let (Content::Mapping(entries), Some(Takes::Keys(shape))) = (&mut node.content, observer.takes(&node.span)) {
        for (key, meaning) in shape.keys {
            let Meaning::Now(example) = meaning else { continue };
            if entries.iter().any(|entry| entry.key == *key) {
                continue;
            }
            findings.add_text("", example);
            if let Some(value) = grow(FileKind::PART, findings) {
                any_added = true;
                entries.push(Entry { key: (*key).to_owned(), key_span: value.span.clone(), value });
            }
        }
    }
    children_mut(node).fold(any_added, |added, child| add_keys(child, observer, findings) || added)
}

fn leave_only(node: &mut Node, observer: &Observer, shape: &'static Shape, key: &str) {
    if let (Content::Mapping(entries), Some(Takes::Keys(found))) = (&mut node.content, observer.takes(&node.span))
        && std::ptr::eq(*found, shape)
    {
        entries.retain(|entry| entry.key == key);
    }
    children_mut(node).for_each(|child| leave_only(child, observer, shape, key));
}

fn children_mut(node: &mut Node) -> Box<dyn Iterator<Item = &mut Node> + '_> {
    match &mut node.content {
        Content::Mapping(entries) => Box::new(entries.iter_mut().map(|entry| &mut entry.value)),
        Content::List(items) => Box::new(items.iter_mut()),
        Content::Scalar { .. } | Content::Refused => Box::new(std::iter::empty()),
    }
}

fn read(of: SchemaOf, root: &Node, findings: &mut Findings<'_>) {
    match of {
        SchemaOf::Plan => drop(backup::BackupPlan::read(root, findings)),
        SchemaOf::SitePlan => site_reader::read_plan_alone(root, findings),
        SchemaOf::RestorePlan => restore_plan::read_alone(root, findings),
        SchemaOf::Drill => drill_plan::read_alone(root, findings),
        SchemaOf::Site => site_reader::read_site_alone(root, findings),
        SchemaOf::Hosts => site_reader::read_hosts_alone(root, findings),
    }
}
