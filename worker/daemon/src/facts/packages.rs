//! Installed packages with their versions, from dpkg's own file. Hosts with another package manager have none to show, as yet.

use serde::Serialize;

use super::text;

/// A package that is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The architecture that it is for.
    pub architecture: String,
}

pub(super) fn read() -> Option<Vec<Package>> {
    text("/var/lib/dpkg/status").map(|status| parse(&status))
}

fn parse(status: &str) -> Vec<Package> {
    let mut found: Vec<Package> = status.split("\n\n").filter_map(package).collect();
    found.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
    found
}

fn package(paragraph: &str) -> Option<Package> {
    let field = |name: &str| {
        let value = paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(value.trim().to_owned())
    };
    // `install ok installed`, `hold ok installed`; what was removed leaves its configuration.
    field("Status").filter(|status| status.ends_with(" installed"))?;
    Some(Package { name: field("Package")?, version: field("Version")?, architecture: field("Architecture")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_is_listed_and_what_was_removed_is_not() {
        let status = "Package: zsh\nStatus: hold ok installed\nArchitecture: amd64\nVersion: 5.9-4\nDescription: a shell\n Version: none\n\n\
            Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\n\
            Package: bash\nStatus: install ok installed\nVersion: 5.2.15-2+b2\nArchitecture: amd64\n\nbroken\n";
        let package = |name: &str, version: &str| Package {
            name: name.into(),
            version: version.into(),
            architecture: "amd64".into(),
        };
        assert_eq!(parse(status), [package("bash", "5.2.15-2+b2"), package("zsh", "5.9-4")]);
    }
}
