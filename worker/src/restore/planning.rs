//! Making the plan: one walk through the selected entries, with a look at what the target holds.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use strongroom_repository::text::escape;
use strongroom_repository::tree::order;
use strongroom_repository::{Content, Entry, ErrorKind, FrameIds, Kind, Repository, Snapshot};

use super::error::RestoreError;
use super::names;
use super::options::{Overwrite, RestoreOptions};
use super::owners::OwnerMap;
use super::plan::{Decisions, PathNote, PlanSummary, RestorePlan, Resumes, Warning};
use super::selection::{Role, Selection, Step};
use super::staging;
use super::surveyor::Surveyor;
use super::survey::{Seen, Survey, Verdict};
