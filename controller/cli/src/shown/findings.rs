//! Lists of paths with something to say about each, short enough to be read.

use std::io::{self, Write};

use super::size::count;

/// So many lines; records and --json have more.
const LISTED_MAX: usize = 10;

/// One line for each path, the first ten.
pub(crate) fn write_listed<'a>(
    out: &mut dyn Write,
    label: &str,
    findings: impl Iterator<Item = (&'a str, String)>,
    total: u64,
) -> io::Result<()> {
    for (path, what) in findings.take(LISTED_MAX) {
        writeln!(out, "{label} {path}: {what}")?;
    }
    match total.saturating_sub(LISTED_MAX as u64) {
        0 => Ok(()),
        more => writeln!(out, "{label} and {} more", count(more)),
    }
}

/// One line for each thing that is said, with the first path that it is said of: who is not root hears the same of every file.
pub(crate) fn write_grouped<'a>(
    out: &mut dyn Write,
    label: &str,
    findings: impl Iterator<Item = (&'a str, String)>,
    total: u64,
) -> io::Result<()> {
    let mut groups: Vec<(String, &str, u64)> = Vec::new();
    let mut counted = 0;
    for (path, what) in findings {
        counted += 1;
        match groups.iter_mut().find(|group| group.0 == what) {
            Some(group) => group.2 += 1,
            None => groups.push((what, path, 1)),
        }
    }
    for (what, path, number) in groups.iter().take(LISTED_MAX) {
        let others = if *number > 1 { format!(" and {} more", count(number - 1)) } else { String::new() };
        writeln!(out, "{label} {what}: {path}{others}")?;
    }
    let untold = groups.iter().skip(LISTED_MAX).map(|group| group.2).sum::<u64>() + total.saturating_sub(counted);
    if untold > 0 { writeln!(out, "{label} and {} more that are not listed", count(untold)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_many_is_said_once() {
        let findings = [("etc/a", "owner: denied"), ("etc/b", "owner: denied"), ("etc/c", "flags: no")];
        let mut out = Vec::new();
        write_grouped(&mut out, "DEVIATES", findings.into_iter().map(|(path, what)| (path, what.to_owned())), 7)
            .unwrap();
        let expect = "DEVIATES owner: denied: etc/a and 1 more\nDEVIATES flags: no: etc/c\nDEVIATES and 4 more that are not listed\n";
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    }

    #[test]
    fn a_long_list_ends_with_its_rest() {
        let paths: Vec<String> = (0..12).map(|number| format!("f{number}")).collect();
        let mut out = Vec::new();
        write_listed(&mut out, "NOT READ", paths.iter().map(|path| (path.as_str(), "no".to_owned())), 12).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 11);
        assert!(text.starts_with("NOT READ f0: no\n") && text.ends_with("NOT READ and 2 more\n"), "{text}");
    }
}
