//! Who must agree before a host restores: `restores: { scratch: { hosts: role=drill }, test: { hosts: env=test }, valid: 4h }`.
//!
//! Each host is a target of one class. A host that several selectors choose is of the strictest of these classes: `production` comes before `test`, and that before `scratch`. What no
//! selector chooses is production. How many must agree is `approvals:`; for production at least two, whatever is written.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::host::Host;
use crate::report::quoted;
use crate::selector::Selector;
use crate::time_span::TimeSpan;
use crate::tree::Node;
use crate::values::{self, Refusal, Written};
use crate::words::Meaning;

/// What a site says of restores on its hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RestoreRules {
    scratch: ClassRules,
    test: ClassRules,
    production: ClassRules,
    #[serde(rename = "valid-seconds")]
    valid: TimeSpan,
    #[serde(rename = "expires-seconds")]
    expires: TimeSpan,
}

/// How much a host matters as the target of a restore, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetClass {
    /// What is there may be lost at any time.
    Scratch,
    /// People try things there.
    Test,
    /// Everything else.
    Production,
}

/// Which hosts are of a class, and how many must agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ClassRules {
    hosts: Option<Selector>,
    approvals: Approvals,
}

/// How many people must agree, from 0 to 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Approvals(u32);

/// More than a site has people who are awake.
const APPROVALS_MAX: u32 = 9;
/// The one who asks and one who agrees are no control over production: two others see the plan.
const PRODUCTION_APPROVALS_MIN: u32 = 2;
/// Long enough to find a second person, short enough that the plan is still what was seen.
const VALID: TimeSpan = TimeSpan::hours(4);
/// Nobody who agrees the day after knows any more what it was about.
const EXPIRES: TimeSpan = TimeSpan::hours(24);

static SHAPE: Shape = Shape {
    title: "`restores`",
    keys: &[
        ("scratch", Meaning::Now("{ hosts: role=drill, approvals: 0 }")),
        ("test", Meaning::Now("{ hosts: env=test, approvals: 1 }")),
        ("production", Meaning::Now("{ approvals: 2 }")),
        ("valid", Meaning::Now("4h")),
        ("expires", Meaning::Now("24h")),
    ],
};

static CLASS: Shape = Shape {
    title: "a class of targets",
    keys: &[("hosts", Meaning::Now("env=test")), ("approvals", Meaning::Now("1"))],
};

impl Default for RestoreRules {
    /// Where the site says nothing, everything is production.
    fn default() -> Self {
        let usual = |class: TargetClass| ClassRules { hosts: None, approvals: class.usual_approvals() };
        let [scratch, test, production] = TargetClass::ALL.map(usual);
        Self { scratch, test, production, valid: VALID, expires: EXPIRES }
    }
}

impl RestoreRules {
    /// Of which class a host is.
    pub fn class_of(&self, host: &Host) -> TargetClass {
        let chooses = |class: &TargetClass| self.of(*class).hosts.as_ref().is_some_and(|hosts| hosts.matches(host));
        TargetClass::ALL.into_iter().rev().find(chooses).unwrap_or(TargetClass::Production)
    }

    /// How many must agree to a restore on a host of a class.
    pub fn approvals(&self, class: TargetClass) -> u32 {
        self.of(class).approvals.0
    }

    /// An approval counts for so long.
    pub fn valid(&self) -> TimeSpan {
        self.valid
    }

    /// A request that was not run within this time is not run any more.
    pub fn expires(&self) -> TimeSpan {
        self.expires
    }

    fn of(&self, class: TargetClass) -> &ClassRules {
        match class {
            TargetClass::Scratch => &self.scratch,
            TargetClass::Test => &self.test,
            TargetClass::Production => &self.production,
        }
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let usual = Self::default();
        let mut class = |class: TargetClass| match fields.node(class.word()) {
            None => Some(usual.of(class).clone()),
            Some(node) => ClassRules::read(node, class, findings),
        };
        let [scratch, test, production] = TargetClass::ALL.map(&mut class);
        let valid = fields.optional("valid", findings, values::written);
        let expires = fields.optional("expires", findings, values::written);
        Some(Self {
            scratch: scratch?,
            test: test?,
            production: production?,
            valid: valid.unwrap_or(usual.valid),
            expires: expires.unwrap_or(usual.expires),
        })
    }
}

impl ClassRules {
    fn read(node: &Node, class: TargetClass, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &CLASS, findings)?;
        // Without it a class would be of no host, but production is of all that are left.
        let hosts = match class {
            TargetClass::Production => fields.optional("hosts", findings, values::written).map(Some).or(Some(None)),
            TargetClass::Scratch | TargetClass::Test => fields.required("hosts", findings, values::written).map(Some),
        };
        let approvals = fields.optional("approvals", findings, values::written);
        let approvals = approvals.unwrap_or(class.usual_approvals());
        if class == TargetClass::Production
            && approvals.0 < PRODUCTION_APPROVALS_MIN
            && let Some(given) = fields.node("approvals")
        {
            let reason = format!("a restore on production takes at least {PRODUCTION_APPROVALS_MIN} who agree");
            let remedy = "write 2 or more, or name hosts that may be lost under `scratch:` or `test:`";
            findings.report(Code::TooFewApprovals, &given.span, reason, remedy);
        }
        Some(Self { hosts: hosts?, approvals })
    }
}

impl TargetClass {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Scratch, Self::Test, Self::Production];

    /// As it is written in files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Scratch => "scratch",
            Self::Test => "test",
            Self::Production => "production",
        }
    }

    fn usual_approvals(self) -> Approvals {
        Approvals(match self {
            Self::Scratch => 0,
            Self::Test => 1,
            Self::Production => PRODUCTION_APPROVALS_MIN,
        })
    }
}

impl fmt::Display for TargetClass {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

impl FromStr for Approvals {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = is_number.then(|| text.parse().ok()).flatten();
        number.filter(|number| *number <= APPROVALS_MAX).map(Self).ok_or_else(|| {
            let remedy = format!("write how many must agree, from 0 to {APPROVALS_MAX}");
            Refusal::new(format!("{} is no number of people", quoted(text)), remedy)
        })
    }
}

impl Written for Approvals {
    const WHAT: &'static str = "how many must agree, such as 2";
    const CODE: Code = Code::BadNumber;

    fn pattern() -> Option<String> {
        Some("^[0-9]$".to_owned())
    }
}

impl Serialize for Approvals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}
