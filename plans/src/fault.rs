//! What is wrong with a plan: code, place, reason and remedy.
//!
//! [`Faults`] is never empty. Printed, it reads like a compiler's report, without colour; serialised, it is what
//! `--json` shows. Codes are stable: a code is never given to another fault, and a retired one stays unused.

use std::error::Error;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::text::Place;

/// More than a person reads in one go; it also bounds the memory that a hostile file can claim, since each fault
/// keeps its line (100 faults on one line of 256 KiB are 25 MiB).
pub(crate) const FAULTS_MAX: usize = 100;

/// Everything that was found wrong, in the order of the texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Faults {
    faults: Vec<Fault>,
    omitted: usize,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    code: Code,
    place: Place,
    reason: String,
    remedy: String,
}

/// Declares the codes once: the variant, its number and its meaning.
macro_rules! codes {
    ($($(#[doc = $meaning:literal])+ $name:ident = $number:literal,)+) => {
        /// The kind of a fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code { $($(#[doc = $meaning])+ $name,)+ }

        impl Code {
            /// Every code there is, in the order of their numbers.
            pub const ALL: &'static [Code] = &[$(Code::$name,)+];

            /// The stable form, such as `P-0007`.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $number,)+ }
            }
        }
    };
}

codes! {
    /// The text is not YAML.
    Syntax = "P-0001",
    /// The file is not text in UTF-8.
    Encoding = "P-0002",
    /// The file is larger than a plan may be.
    TooLarge = "P-0003",
    /// The file holds nothing.
    Empty = "P-0004",
    /// The file holds more than one document.
    SecondDocument = "P-0005",
    /// A feature of YAML that plans do without: anchors, aliases, tags, keys that are not text.
    YamlFeature = "P-0006",
    /// A key is given twice.
    DuplicateKey = "P-0007",
    /// A key that means nothing here.
    UnknownKey = "P-0008",
    /// A key that must be given is not.
    MissingKey = "P-0009",
    /// A value of another type than the key takes.
    WrongType = "P-0010",
    /// A list or mapping without an entry.
    EmptyCollection = "P-0011",
    /// A word that is not among those which the key takes.
    UnknownWord = "P-0012",
    /// Known, but this release does not act on it.
    NotYet = "P-0013",
    /// A name with characters that names do not have.
    BadName = "P-0014",
    /// A text that is empty, too long, or has control characters.
    BadText = "P-0015",
    /// A number out of range.
    BadNumber = "P-0016",
    /// A size that cannot be read.
    BadSize = "P-0017",
    /// A length of time that cannot be read.
    BadTimeSpan = "P-0018",
    /// A source path that is not absolute and plain.
    BadPath = "P-0019",
    /// A source path that another one covers already.
    PathTwice = "P-0020",
    /// An exclude pattern that cannot be read.
    BadGlob = "P-0021",
    /// A repository address that cannot be read.
    BadRepository = "P-0022",
    /// The repository lies in a source, or a source in the repository.
    RepositoryInSource = "P-0023",
    /// `retain` without a rule.
    NoRetentionRule = "P-0024",
    /// A rule for due times that cannot be read.
    BadSchedule = "P-0025",
    /// A time zone that is not known.
    BadZone = "P-0026",
    /// `schedule` without due times.
    NoDueTime = "P-0027",
    /// A key that only the plans of a site have.
    OnlyInSite = "P-0028",
    /// A host's address or user, or an address of mail, that cannot be one.
    BadAddress = "P-0029",
    /// A selector of hosts that cannot be read.
    BadSelector = "P-0031",
    /// A selector that no host matches.
    NoHost = "P-0032",
    /// A name of something that the site does not have.
    UnknownName = "P-0033",
    /// Two plans of one name, of whichever kinds, or two systems of a restore plan.
    NameTwice = "P-0034",
    /// Plans, hosts or systems that wait for themselves in the end.
    Circle = "P-0035",
    /// A time of day that cannot be read.
    BadTime = "P-0036",
    /// A rule for missed runs that cannot be read.
    BadMissedRule = "P-0037",
    /// Days of a calendar that cannot be read.
    BadDays = "P-0038",
    /// A site without one of its files.
    MissingFile = "P-0039",
    /// A file that looks like a part of the site, but would not be read.
    StrayFile = "P-0040",
    /// A key that means nothing beside another one.
    KeyBeside = "P-0041",
    /// A variable that is none, or that cannot stand where it stands.
    BadVariable = "P-0045",
    /// A variable that nothing uses.
    UnusedVariable = "P-0046",
    /// A part that cannot be included.
    BadInclude = "P-0047",
    /// A URL that cannot be one, or would be sent unencrypted.
    BadUrl = "P-0051",
    /// Two keys that each say the same thing.
    TwoWays = "P-0052",
    /// A password that would travel unencrypted.
    OpenPassword = "P-0053",
    /// A copy in a place where the plan stores already.
    StoredTwice = "P-0054",
    /// Two roles that nobody may hold together.
    RolesExclude = "P-0055",
    /// A restore on production to which too few would have to agree.
    TooFewApprovals = "P-0056",
    /// A place to restore to that cannot be read.
    BadTarget = "P-0057",
    /// Two systems of a restore plan that would be restored to one place.
    TargetTwice = "P-0058",
    /// A host or a path that the named plan does not back up.
    NotOfPlan = "P-0059",
    /// A plan for which it is said in two places how it is proven.
    ProvenTwice = "P-0060",
}

impl Faults {
    /// Sorts by place; `None` when nothing is wrong.
    pub(crate) fn from_found(mut faults: Vec<Fault>, omitted: usize) -> Option<Self> {
        // By file first: a file and the parts that it includes have their faults together.
        let files: Vec<String> = faults.iter().map(|fault| fault.place.file().to_owned()).collect();
        let rank = |fault: &Fault| files.iter().position(|file| file == fault.place.file());
        faults.sort_by_cached_key(|fault| (rank(fault), fault.place.line(), fault.place.column(), fault.code));
        (!faults.is_empty()).then_some(Self { faults, omitted })
    }

    /// The faults of several files in one report, as many as are shown of one; `None` when nothing is wrong.
    pub(crate) fn joined(of_files: impl IntoIterator<Item = Self>) -> Option<Self> {
        let (mut faults, mut omitted) = (Vec::new(), 0);
        for file in of_files {
            // Those of a part are found again in every file that includes it.
            for fault in file.faults {
                if !faults.contains(&fault) {
                    faults.push(fault);
                }
            }
            omitted += file.omitted + faults.len().saturating_sub(FAULTS_MAX);
            faults.truncate(FAULTS_MAX);
        }
        (!faults.is_empty()).then_some(Self { faults, omitted })
    }

    /// The faults in the order of the texts; at least one.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.faults.iter()
    }

    /// How many more were found than are kept.
    pub fn omitted(&self) -> usize {
        self.omitted
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Faults {
    type Item = Fault;
    type IntoIter = std::vec::IntoIter<Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.faults.into_iter()
    }
}

impl Error for Faults {}

impl fmt::Display for Faults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in self {
            writeln!(out, "{fault}\n")?;
        }
        match self.faults.len() + self.omitted {
            1 => write!(out, "1 fault")?,
            all => write!(out, "{all} faults")?,
        }
        match self.omitted {
            0 => Ok(()),
            _ => write!(out, ", the first {} shown", self.faults.len()),
        }
    }
}

impl Fault {
    pub(crate) fn new(code: Code, place: Place, reason: String, remedy: String) -> Self {
        Self { code, place, reason, remedy }
    }

    /// The kind of the fault.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Where it stands.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What is wrong.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What to do about it.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
