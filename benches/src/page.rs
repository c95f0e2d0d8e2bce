//! `RESULTS.md` by sections: a program replaces its own and leaves the others as they are.

use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;

/// What follows all figures, so that new sections come before it.
const REMARKS: &str = "## What misses its target";

/// Puts a section into the file, in place of the old one whose heading begins with the same words up to the colon.
pub fn put(path: &Path, section: &str) -> Result<()> {
    let old = fs::read_to_string(path).unwrap_or_default();
    fs::write(path, replaced(&old, section)).with_context(|| format!("writing {}", path.display()))
}

fn replaced(old: &str, section: &str) -> String {
    let heading = section.lines().next().unwrap_or_default();
    let name = heading.split_once(':').map_or(heading, |(name, _)| name);
    let is_same = |part: &str| part.strip_prefix(name).is_some_and(|rest| rest.starts_with([':', '\n']));
    let mut parts = sections(old);
    let new = format!("{}\n\n", section.trim_end());
    match parts.iter().position(|part| is_same(part)) {
        Some(at) => parts[at] = new,
        None => {
            let at = parts.iter().position(|part| part.starts_with(REMARKS)).unwrap_or(parts.len());
            parts.insert(at, new);
        }
    }
    format!("{}\n", parts.concat().trim_end())
}

/// The text before the first heading of the second level, and each section with its heading, all ended by one empty line.
fn sections(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for line in text.lines() {
        if line.starts_with("## ") {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    let ended = parts.iter().filter(|part| !part.trim().is_empty()).map(|part| format!("{}\n\n", part.trim_end()));
    ended.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_takes_the_place_of_its_old_self_or_stands_before_the_remarks() {
        let page = "# Title\n\nText.\n\n## linux: a\n\n1\n\n## What misses its target, and why\n\nNothing.\n";
        let with = replaced(page, "## index: one\n\n2\n");
        assert_eq!(
            with,
            "# Title\n\nText.\n\n## linux: a\n\n1\n\n## index: one\n\n2\n\n## What misses its target, and why\n\nNothing.\n"
        );
        let again = replaced(&with, "## index: two\n\n3\n");
        assert_eq!(again, with.replace("## index: one\n\n2", "## index: two\n\n3"));
    }
}
