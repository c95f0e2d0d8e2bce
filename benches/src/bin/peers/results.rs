//! `RESULTS.md`: one section per corpus, each with its own date and machine, so that one corpus can be measured again alone.

use crate::rounds::{Candidate, Outcome, PageCache};
use crate::table::table;
use crate::tools::Operation;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;
use strongroom_benches::corpus::Corpus;

const HEADER: &str = "\
# Strongroom beside its peers

Written by `benches/peers`; a section is replaced when its corpus is measured again. Encryption is on, compression is zstd at about level 3.
Within a round every candidate does an operation right after the other, with another one first each round. A figure is the median over the rounds;
`(n×)` is the median over the rounds of (this candidate / strongroom), `ours / best peer` likewise against the peer that was best in each round.
CPU is user and system time of all processes of a command. Peak memory is the largest resident set of any one of them (bupstash runs two, whose sum
is more). Floors are not backups: `tar | zstd -3 -T2`, `find` with stat of everything, `cp -a`. On virtual machines wall times of what writes much
swing widely; ratios and CPU seconds are what counts.
";

/// What stands above a table.
#[derive(Debug)]
pub(crate) struct Heading<'a> {
    pub(crate) date: &'a str,
    pub(crate) note: Option<&'a str>,
    pub(crate) machine: String,
    pub(crate) rounds: u64,
    pub(crate) page_cache: PageCache,
}

/// The section of one corpus.
pub(crate) fn section(corpus: Corpus, heading: &Heading<'_>, candidates: &[Candidate], outcome: &Outcome) -> String {
    let cache = match heading.page_cache {
        PageCache::Warm => "warm page cache",
        PageCache::Cold => "page cache dropped before every command",
    };
    let mut text = format!(
        "{}\n\n{}, rounds: {}, {cache}. {}\n\n{}\n",
        title(corpus),
        heading.date,
        heading.rounds,
        heading.machine,
        content(corpus, outcome)
    );
    if let Some(note) = heading.note {
        text.push_str(&format!("\n**{note}**\n"));
    }
    text.push_str(&format!("\n{}\n", table(&outcome.samples)));
    for candidate in candidates {
        text.push_str(&format!("- {}: {}\n", candidate.version, candidate.tool.settings));
    }
    for failure in &outcome.failures {
        text.push_str(&format!("- FAILED: {failure}\n"));
    }
    text
}

/// Puts a section into the file, in place of the corpus's old one.
pub(crate) fn write(path: &Path, corpus: Corpus, section: &str) -> Result<()> {
    let old = fs::read_to_string(path).unwrap_or_default();
    fs::write(path, merge(&old, corpus, section)).with_context(|| format!("writing {}", path.display()))
}

fn merge(old: &str, corpus: Corpus, section: &str) -> String {
    let mut text = HEADER.to_owned();
    for each in [Corpus::Linux, Corpus::Image, Corpus::Small] {
        let kept = if each == corpus { Some(section) } else { find(old, each) };
        if let Some(kept) = kept {
            text.push_str(&format!("\n{}\n", kept.trim_end()));
        }
    }
    // What people wrote below the tables.
    let written = old.split_inclusive('\n').scan(false, |below, line| {
        let title_of = |corpus: &Corpus| line.trim_end() == title(*corpus);
        *below |= line.starts_with("## ") && ![Corpus::Linux, Corpus::Image, Corpus::Small].iter().any(title_of);
        Some(if *below { line } else { "" })
    });
    let written: String = written.collect();
    if written.is_empty() { text } else { format!("{text}\n{}\n", written.trim_end()) }
}

fn find(text: &str, corpus: Corpus) -> Option<&str> {
    let start = text.find(&format!("{}\n", title(corpus)))?;
    let length = text[start + 1..].find("\n## ").map_or(text.len() - start, |end| end + 1);
    Some(&text[start..start + length])
}

fn title(corpus: Corpus) -> String {
    format!("## {}: {}", corpus.name(), corpus.description())
}

/// How much it is, and how well it compresses, if the floor measured that.
fn content(corpus: Corpus, outcome: &Outcome) -> String {
    let (files, bytes) = (outcome.extent.files, outcome.extent.bytes as f64);
    let floor =
        outcome.samples.iter().find(|sample| sample.tool == "floor" && sample.operation == Operation::FirstBackup);
    let packed = floor.and_then(|sample| sample.repository_bytes).map_or_else(String::new, |packed| {
        format!(" `tar | zstd -3` makes {:.0} MB of it, {:.2} times less.", packed as f64 / 1e6, bytes / packed as f64)
    });
    format!("{files} files, {:.0} MB.{packed} The one file: `{}`.", bytes / 1e6, corpus.one_file().display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_replaces_only_its_own() {
        let of = |corpus, text: &str| format!("{}\n\n{text}\n", title(corpus));
        let first = merge("", Corpus::Small, &of(Corpus::Small, "old small"));
        let both = merge(&first, Corpus::Linux, &of(Corpus::Linux, "old linux"));
        let last = merge(&both, Corpus::Small, &of(Corpus::Small, "new small"));
        let expect = format!("{HEADER}\n{}\n{}", of(Corpus::Linux, "old linux"), of(Corpus::Small, "new small"));
        assert_eq!(last, expect);
        assert_eq!(merge(&last, Corpus::Linux, &of(Corpus::Linux, "old linux")), last);
        let explained = format!("{last}\n## What misses its target\n\n## Constants\n\nThree.\n");
        assert_eq!(merge(&explained, Corpus::Small, &of(Corpus::Small, "new small")), explained);
    }
}
