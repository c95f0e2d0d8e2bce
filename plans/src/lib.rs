//! What should happen: plans are read here, checked, and turned into steps. Nothing is done here.
//!
//! A plan's way through this crate, which is also the order of the modules:
//!
//! 1. `text`, `tree`, `grow`: the text becomes a tree in which each key and value knows its place.
//!    What it includes is added to the tree, and variables are put into it: `include`, `variables`.
//! 2. `fields` and the nouns after it: the tree becomes a [`BackupPlan`], which is always valid.
//! 3. `findings`, `fault`, `report`: on the way, everything that is wrong is collected and explained at once.
//! 4. `steps`, `schedule` and `keep`: what a run does, when runs are due, and what retention keeps.
//! 5. `difference`: what a change of all that means.
//!
//! The plans of a fleet are those of a [`Site`]: several files that are read together, from [`SiteFiles`] on.
//!
//! Deliberately absent: I/O, async, a clock, randomness, the environment. What a plan cannot know (the home
//! directory, the time, the restore points that exist) is handed in. And no key is accepted that this release does
//! not act on.

mod said;
mod text;
mod tree;

mod grow;
mod include;
mod variables;

mod fields;
mod values;
mod words;

mod measure;
mod name;
mod size;
mod time_of_day;
mod time_span;

mod cron_line;
mod day_rule;
mod local_time;
mod missed;
mod recurrence;
mod retries;
mod schedule;
mod window;

mod address;
mod backup;
mod check_limits;
mod command_source;
mod exclude;
mod files_source;
mod hook;
mod load;
mod objectives;
mod overlap;
mod probe;
mod prove;
mod prove_dialect;
mod ready_check;
mod retain;
mod sample;
mod source;
mod source_path;
mod store_url;

mod calendar;
mod dead_man;
mod declared;
mod drill_plan;
mod fleet;
mod host;
mod limits;
mod mail;
mod maintenance;
mod notification;
mod own_state;
mod people;
mod plan_kind;
mod preset;
mod quota;
mod restore_order;
mod restore_plan;
mod restore_system;
mod restore_target;
mod restores;
mod selector;
mod site;
mod site_circles;
mod site_file;
mod site_files;
mod site_reader;
mod site_repository;
mod store_reach;
mod upcoming;
mod url;
mod version;
mod webhook;

mod fault;
mod findings;
mod report;

mod keep;
mod steps;

mod observer;
mod schema;

mod difference;
mod runs_ahead;
mod weaker;
mod weaker_site;

mod templates;

pub use address::{Places, RepositoryAddress};
pub use backup::BackupPlan;
pub use calendar::{ActionClass, Calendar, Standstill};
pub use check_limits::CheckLimits;
pub use command_source::CommandSource;
pub use dead_man::DeadMan;
pub use difference::{Change, Difference, PlanChange, ValueChange};
pub use drill_plan::DrillPlan;
pub use exclude::{ExcludeGlob, Excludes};
pub use fault::{Code, Fault, Faults};
pub use files_source::FilesSource;
pub use fleet::{FleetPlan, Priority};
pub use hook::Hook;
pub use host::{Host, HostAddress, UserName};
pub use keep::{Excess, Reason, RestorePoint, Verdict, excess, retain};
pub use limits::Limits;
pub use load::LoadLimits;
pub use mail::{Mail, MailAddress, MailLogin, MailServer, MailTls};
pub use maintenance::{Maintenance, Percent, PruneRules, ScrubRules};
pub use missed::MissedRule;
pub use name::{Line, Name};
pub use notification::{Notification, Occasion, Way};
pub use objectives::Objectives;
pub use own_state::OwnState;
pub use people::{Person, Role};
pub use probe::Probe;
pub use prove::{CheckCommand, ProofDemand, ProofLevel, ProofRhythm, typed};
pub use quota::Quota;
pub use ready_check::PortPlace;
pub use recurrence::Recurrence;
pub use restore_plan::{OnFailure, RestorePlan};
pub use restore_system::RestoreSystem;
pub use restore_target::RestoreTarget;
pub use restores::{RestoreRules, TargetClass};
pub use retain::{RetentionRules, Rule};
pub use retries::{FailureClass, Retries};
pub use runs_ahead::{NextRun, RunsAhead, RunsChange};
pub use said::Said;
pub use sample::Sample;
pub use schedule::{Due, RunKind, Schedule, Zone};
pub use schema::SchemaOf;
pub use selector::Selector;
pub use site::Site;
pub use site_files::SiteFiles;
pub use site_repository::{Access, Media, RepositorySpec};
pub use size::ByteSize;
pub use source::{Input, Source};
pub use source_path::SourcePath;
pub use steps::{Step, drill_steps, steps};
pub use store_reach::{BucketName, Endpoint, Reach, S3Credentials, S3Reach, SftpReach};
pub use store_url::StoreKind;
pub use templates::{RESTORE_TEMPLATE, TEMPLATES, Template};
pub use text::Place;
pub use time_of_day::TimeOfDay;
pub use time_span::TimeSpan;
pub use upcoming::{StoppedBy, Upcoming};
pub use url::Url;
pub use values::Refusal;
pub use version::ContentHash;
pub use weaker::{Loss, Weaker};
pub use webhook::{Target, Webhook, WebhookFormat};
pub use window::{CutOff, Window};

use findings::Findings;
use text::Text;
use variables::Variables;

/// Reads one plan file. The name is only used to say where a fault is.
pub fn parse(file_name: &str, text: &str) -> Result<BackupPlan, Faults> {
    let mut findings = Findings::new(Text::new(file_name, text));
    let root = grow::grow(grow::FileKind::PLAN, &mut findings);
    let plan = root.and_then(|mut root| {
        Variables::none().put_into(&mut root, &mut findings);
        BackupPlan::read(&root, &mut findings)
    });
    findings.conclude(plan)
}

/// A file's bytes as text, for [`parse`].
pub fn decode<'b>(file_name: &str, bytes: &'b [u8]) -> Result<&'b str, Faults> {
    let valid_bytes = match std::str::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => error.valid_up_to(),
    };
    let before = String::from_utf8_lossy(&bytes[..valid_bytes]);
    let mut findings = Findings::new(Text::new(file_name, &before));
    let reason = format!("the byte {:#04x} here is not UTF-8", bytes[valid_bytes]);
    let remedy = "save the file as UTF-8, for example by `iconv -f GBK -t UTF-8`";
    findings.report(Code::Encoding, &(valid_bytes..valid_bytes), reason, remedy);
    findings.conclude(None)
}
