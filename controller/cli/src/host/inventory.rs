//! A host's lines in `hosts.yaml`. The file is a person's: what stands there stays as it is, comments and all; a new host is written behind it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use strongroom_plans::Name;

use crate::failure::Cause;

/// A host to be written down.
#[derive(Debug)]
pub(super) struct NewHost<'a> {
    pub(super) name: &'a Name,
    pub(super) address: &'a str,
    pub(super) port: u16,
    pub(super) jump: Option<&'a Name>,
    pub(super) labels: &'a [(Name, Name)],
}

/// Writes a host into the site's inventory, unless it stands there; returns the file.
pub(super) fn add(site: &Path, host: &NewHost<'_>) -> Result<PathBuf, Cause> {
    let path = site.join("hosts.yaml");
    let failed = |doing| {
        let path = path.clone();
        move |source| Cause::File { doing, path, source }
    };
    let before = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.map_err(failed("read"))?,
    };
    let Some(after) = with(&before, host) else { return Ok(path) };
    let mut file = tempfile::NamedTempFile::new_in(site).map_err(failed("write"))?;
    file.write_all(after.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed("write"))?;
    if let Ok(metadata) = fs::metadata(&path) {
        fs::set_permissions(file.path(), metadata.permissions()).map_err(failed("write"))?;
    }
    file.persist(&path).map_err(|error| failed("write")(error.error))?;
    fs::File::open(site).and_then(|folder| folder.sync_all()).map_err(failed("write"))?;
    Ok(path)
}

/// The inventory with the host; none if it has it.
fn with(before: &str, host: &NewHost<'_>) -> Option<String> {
    let stands = |line: &str| line.trim_start().split(':').next() == Some(host.name.as_str()) && line.starts_with(' ');
    if before.lines().any(stands) {
        return None;
    }
    let mut text = before.replace("hosts: {}", "hosts:");
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    if !text.lines().any(|line| line.trim_end() == "hosts:") {
        text.push_str("hosts:\n");
    }
    // As far in as the hosts that stand there.
    let deep = text.lines().skip_while(|line| line.trim_end() != "hosts:").skip(1);
    let deep = deep.filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let indent = deep.map(|line| line.len() - line.trim_start().len()).find(|indent| *indent > 0).unwrap_or(2);
    let indent = " ".repeat(indent);
    text.push_str(&format!("{indent}{}:\n{indent}  address: {}\n", host.name, host.address));
    if host.port != 22 {
        text.push_str(&format!("{indent}  port: {}\n", host.port));
    }
    if let Some(jump) = host.jump {
        text.push_str(&format!("{indent}  jump: {jump}\n"));
    }
    if !host.labels.is_empty() {
        let labels: Vec<String> = host.labels.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        text.push_str(&format!("{indent}  labels: {{ {} }}\n", labels.join(", ")));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &str, expect: Option<&str>) {
        let name = "web2".parse().unwrap();
        let labels = [("role".parse().unwrap(), "web".parse().unwrap())];
        let host = NewHost { name: &name, address: "10.0.0.6", port: 22, jump: None, labels: &labels };
        assert_eq!(with(before, &host).as_deref(), expect, "{before}");
    }

    #[test]
    fn a_host_is_written_behind_the_others() {
        const NEW: &str = "  web2:\n    address: 10.0.0.6\n    labels: { role: web }\n";
        check("", Some(&format!("hosts:\n{NEW}")));
        check("# Ours.\nhosts: {}\n", Some(&format!("# Ours.\nhosts:\n{NEW}")));
        let one = "hosts:\n  # The first.\n  web1: { address: 10.0.0.5 }";
        check(one, Some(&format!("{one}\n{NEW}")));
        let deep = "hosts:\n    web1:\n        address: 10.0.0.5\n";
        check(deep, Some(&format!("{deep}    web2:\n      address: 10.0.0.6\n      labels: {{ role: web }}\n")));
    }

    #[test]
    fn what_is_not_as_usual_is_written_too() {
        let (name, jump) = ("db1".parse().unwrap(), "gate".parse().unwrap());
        let host = NewHost { name: &name, address: "10.1.0.7", port: 2222, jump: Some(&jump), labels: &[] };
        let expect = "hosts:\n  db1:\n    address: 10.1.0.7\n    port: 2222\n    jump: gate\n";
        assert_eq!(with("", &host).as_deref(), Some(expect));
    }

    #[test]
    fn one_that_stands_there_stays() {
        check("hosts:\n  web2: { address: 10.0.0.9 }\n", None);
        check("hosts:\n  web2:\n    address: 10.0.0.9\n", None);
    }
}
