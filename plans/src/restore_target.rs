//! Where a system of a restore plan comes back: `in-place`, or `db2:/srv/restored`.

use std::fmt;
use std::str::FromStr;

use crate::fault::Code;
use crate::name::Name;
use crate::report::quoted;
use crate::source_path::SourcePath;
use crate::values::{Refusal, Written};

/// Where data come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreTarget {
    /// On the host whose data they are, where they were; what is there is kept beside.
    InPlace,
    /// In a directory of a host of the site, below which paths keep their place.
    Directory {
        /// Which host.
        host: Name,
        /// The directory there.
        directory: SourcePath,
    },
}

const IN_PLACE: &str = "in-place";

impl FromStr for RestoreTarget {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text == IN_PLACE {
            return Ok(Self::InPlace);
        }
        let Some((host, directory)) = text.split_once(':') else {
            let remedy = format!("write HOST:DIRECTORY, such as db2:/srv/restored, or `{IN_PLACE}`");
            return Err(Refusal::new(format!("{} is no place to restore to", quoted(text)), remedy));
        };
        Ok(Self::Directory { host: host.parse()?, directory: directory.parse()? })
    }
}

impl Written for RestoreTarget {
    const WHAT: &'static str = "a place such as db2:/srv/restored, or `in-place`";
    const CODE: Code = Code::BadTarget;

    fn pattern() -> Option<String> {
        Some(format!("^({IN_PLACE}|[A-Za-z0-9][A-Za-z0-9._-]*:/.*)$"))
    }
}

impl fmt::Display for RestoreTarget {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InPlace => out.write_str(IN_PLACE),
            Self::Directory { host, directory } => write!(out, "{host}:{directory}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_shown() {
        for text in ["in-place", "db2:/srv/restored", "db2:/"] {
            assert_eq!(text.parse::<RestoreTarget>().unwrap().to_string(), text);
        }
        for text in ["", "db2", "/srv", "db2:srv", ":/srv", "db2:/srv/../etc", "in place"] {
            assert!(text.parse::<RestoreTarget>().is_err(), "{text}");
        }
    }
}
