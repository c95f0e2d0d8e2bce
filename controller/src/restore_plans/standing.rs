//! How far a restore by a plan is: the plan as the site has it, and of each system the request that counts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_plans::{OnFailure, RestorePlan};

use super::Course;
use crate::requests::{Request, RequestView, Standing, State};

/// A plan, and how far one restore by it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlanStanding {
    /// Its name.
    pub plan: String,
    /// The hash of its file, as it is now.
    pub version: String,
    /// What it says about failures.
    pub on_failure: String,
    /// The time that was named; none where nobody ever asked for it.
    pub at: Option<String>,
    /// Its systems, as they are written.
    pub systems: Vec<SystemStanding>,
}

/// A system, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SystemStanding {
    /// Its name.
    pub system: String,
    /// What it needs.
    pub needs: Vec<String>,
    /// The host whose data they are.
    pub source: String,
    /// The host that gets them, and the directory there.
    pub to: String,
    /// The newest request for it at that time.
    pub request: Option<RequestView>,
}

/// How a system stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stands {
    /// Nobody asked for it.
    Unasked,
    /// More people must agree.
    Waiting,
    /// It may be run, or be taken up again.
    Ready,
    /// It is back, and verified.
    Verified,
    /// It was restored, and is not verified: it is to be asked for anew.
    Unproven,
    /// Its request was rejected or taken back, or has expired.
    Over,
}

impl PlanStanding {
    /// From all requests, the newest first. Without a time, of the newest restore by this plan.
    #[must_use]
    pub fn of(plan: &RestorePlan, at: Option<&str>, requests: Vec<RequestView>) -> Self {
        let name = plan.name().as_str();
        let mut of_plan: Vec<RequestView> = requests.into_iter().filter(|view| is_of(&view.request, name)).collect();
        let at = at
            .map(str::to_owned)
            .or_else(|| of_plan.first().and_then(|view| part_of(&view.request)).map(|part| part.at.clone()));
        let mut newest = |system: &str| {
            let is_it = |view: &RequestView| {
                part_of(&view.request).is_some_and(|part| part.system == system && Some(&part.at) == at.as_ref())
            };
            of_plan.iter().position(is_it).map(|index| of_plan.remove(index))
        };
        let systems = plan.systems().iter().map(|system| SystemStanding {
            system: system.name().to_string(),
            needs: system.needs().iter().map(ToString::to_string).collect(),
            source: system.host().to_string(),
            to: format!("{}:{}", system.target_host(), system.directory().display()),
            request: newest(system.name().as_str()),
        });
        let systems = systems.collect();
        let on_failure = plan.on_failure().word().to_owned();
        Self { plan: name.to_owned(), version: plan.version().to_string(), on_failure, at, systems }
    }

    /// The order of its systems, with what is verified by now.
    #[must_use]
    pub fn course(&self) -> Course {
        let is_continue = self.on_failure == OnFailure::Continue.word();
        let on_failure = if is_continue { OnFailure::Continue } else { OnFailure::Stop };
        let new = Course::new(on_failure);
        let mut course = self.systems.iter().fold(new, |course, system| course.with(&system.system, &system.needs));
        for system in &self.systems {
            match system.stands() {
                Stands::Verified => course.end(&system.system, true),
                Stands::Unproven | Stands::Over => course.end(&system.system, false),
                Stands::Unasked | Stands::Waiting | Stands::Ready => {}
            }
        }
        course
    }

    /// Whether every system is back and verified.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.systems.iter().all(|system| system.stands() == Stands::Verified)
    }

    /// From the first begin to the last end, once all are verified.
    #[must_use]
    pub fn seconds_to_green(&self) -> Option<i64> {
        let times: Vec<(Timestamp, Timestamp)> =
            self.systems.iter().map(SystemStanding::times).collect::<Option<_>>()?;
        let (began, ended) = (times.iter().map(|times| times.0).min()?, times.iter().map(|times| times.1).max()?);
        self.is_verified().then(|| ended.duration_since(began).as_secs())
    }
}

impl SystemStanding {
    /// How it stands.
    #[must_use]
    pub fn stands(&self) -> Stands {
        let Some(view) = &self.request else { return Stands::Unasked };
        let agree = view.agree.len() >= view.request.application.scope.approvals as usize;
        match view.state {
            State::Finished if view.request.is_verified() => Stands::Verified,
            State::Finished => Stands::Unproven,
            State::Rejected | State::Withdrawn | State::Expired => Stands::Over,
            State::Waiting => Stands::Waiting,
            State::Running | State::Interrupted if !agree => Stands::Waiting,
            State::Approved | State::Running | State::Interrupted => Stands::Ready,
        }
    }

    /// When it began, at first, and when it was over.
    #[must_use]
    pub fn times(&self) -> Option<(Timestamp, Timestamp)> {
        let request = &self.request.as_ref()?.request;
        match request.standing {
            Standing::Finished { at, .. } => Some((request.begun.first()?.at, at)),
            _ => None,
        }
    }

    /// How long it took until it was verified.
    #[must_use]
    pub fn seconds_to_green(&self) -> Option<i64> {
        let (began, ended) = self.times().filter(|_| self.stands() == Stands::Verified)?;
        Some(ended.duration_since(began).as_secs())
    }
}

/// What a request needs that is not done and verified: of all requests, the newest first, that of each system of the same plan and time which counts.
#[must_use]
pub fn unmet_needs(request: &Request, all: &[Request]) -> Vec<String> {
    let Some(part) = part_of(request) else { return Vec::new() };
    let is_met = |need: &String| {
        let is_it = |other: &&Request| {
            part_of(other).is_some_and(|other| other.plan == part.plan && other.at == part.at && other.system == *need)
        };
        all.iter().find(is_it).is_some_and(Request::is_verified)
    };
    part.needs.iter().filter(|need| !is_met(need)).cloned().collect()
}

fn is_of(request: &Request, plan: &str) -> bool {
    part_of(request).is_some_and(|part| part.plan == plan)
}

fn part_of(request: &Request) -> Option<&crate::restores::PlanPart> {
    request.application.scope.restore.part.as_deref()
}
