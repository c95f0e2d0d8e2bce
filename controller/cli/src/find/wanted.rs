//! What is looked for in all restore points, however it was asked.

use std::num::NonZeroUsize;

use jiff::Timestamp;
use strongroom_controller::permissions::Sight;
use strongroom_proto::operator::FindRequest;
use strongroom_repository::Manifest;

use super::EverywhereArgs;
use super::pattern::Pattern;
use crate::failure::{Cause, Failure};

/// Of a path there may be many restore points, and whoever names it wants to choose; whoever looks for names wants to see many of them.
const POINTS: (usize, usize) = (10, 1);
/// So many paths, where nobody says.
const LIMIT: usize = 1000;

/// What is looked for.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(super) pattern: Pattern,
    /// Only of these hosts; none for all.
    hosts: Vec<String>,
    sight: Sight,
    /// No restore point that is younger.
    at: Option<Timestamp>,
    /// So many of each path.
    pub(super) points: usize,
    /// So many paths.
    pub(super) limit: usize,
}

impl Wanted {
    /// What a controller is asked for, by somebody who sees so much.
    pub(crate) fn of(request: &FindRequest, sight: Sight) -> Result<Self, Failure> {
        let (pattern, points) = match (&*request.path, &*request.name) {
            ("", name) => (Pattern::parse(name)?, POINTS.1),
            (path, _) => (Pattern::of_path(path)?, POINTS.0),
        };
        let at = (!request.at.is_empty()).then(|| request.at.parse());
        let at = at.transpose().map_err(|_| {
            let why = Cause::Usage(format!("'{}' is no time", request.at));
            Failure::new("find files", why).advise("write a time such as 2026-11-21T03:00:00Z")
        })?;
        let given = |number: u32, usual| if number == 0 { usual } else { number as usize };
        let (points, limit) = (given(request.points, points), given(request.limit, LIMIT));
        Ok(Self { pattern, hosts: request.hosts.clone(), sight, at, points, limit })
    }

    pub(super) fn is_meant(&self, manifest: &Manifest) -> bool {
        (self.hosts.is_empty() || self.hosts.contains(&manifest.host))
            && self.sight.has(&manifest.host)
            && self.at.is_none_or(|at| manifest.time <= at)
    }

    /// Loss is counted until then.
    pub(super) fn as_of(&self) -> Timestamp {
        self.at.unwrap_or_else(Timestamp::now)
    }
}

impl EverywhereArgs {
    /// As a controller is asked for it.
    pub(super) fn request(&self) -> FindRequest {
        let number = |number: NonZeroUsize| u32::try_from(number.get()).unwrap_or(u32::MAX);
        FindRequest {
            name: self.name.clone().unwrap_or_default(),
            path: self.path.clone().unwrap_or_default(),
            hosts: self.hosts.clone(),
            at: self.at.map(|at| at.to_string()).unwrap_or_default(),
            points: self.points.map(number).unwrap_or_default(),
            limit: number(self.limit),
        }
    }
}
