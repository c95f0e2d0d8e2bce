//! The order of a restore plan: what begins when, and what does not begin any more. Pure, with what ends handed in.

use serde::{Deserialize, Serialize};
use strongroom_plans::OnFailure;

/// The systems of a plan while they are restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    on_failure: OnFailure,
    systems: Vec<System>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct System {
    name: String,
    needs: Vec<String>,
    progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Ahead,
    Going,
    Verified,
    Failed,
}

/// Why a system is not begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "because", content = "systems", rename_all = "kebab-case")]
pub enum LeftOut {
    /// It needs these, and they are not verified.
    Needs(Vec<String>),
    /// These failed, and the plan says that nothing begins then.
    Stopped(Vec<String>),
}

impl Course {
    /// Nothing has begun.
    #[must_use]
    pub fn new(on_failure: OnFailure) -> Self {
        Self { on_failure, systems: Vec::new() }
    }

    /// With one system more.
    #[must_use]
    pub fn with(mut self, name: &str, needs: &[String]) -> Self {
        self.systems.push(System { name: name.to_owned(), needs: needs.to_vec(), progress: Progress::Ahead });
        self
    }

    /// A system came to its end, now or before.
    pub fn end(&mut self, name: &str, is_verified: bool) {
        let progress = if is_verified { Progress::Verified } else { Progress::Failed };
        self.set(name, progress);
    }

    /// Begins all systems that can begin now, in the order of the plan.
    pub fn begin(&mut self) -> Vec<String> {
        if self.is_stopped() {
            return Vec::new();
        }
        let is_next = |system: &&System| system.progress == Progress::Ahead && self.missing(system).is_empty();
        let next: Vec<String> = self.systems.iter().filter(is_next).map(|system| system.name.clone()).collect();
        next.iter().for_each(|name| self.set(name, Progress::Going));
        next
    }

    /// The systems that have not begun, and why they do not.
    #[must_use]
    pub fn left_out(&self) -> Vec<(String, LeftOut)> {
        let ahead = self.systems.iter().filter(|system| system.progress == Progress::Ahead);
        let why = |system: &System| match self.missing(system) {
            missing if missing.is_empty() => LeftOut::Stopped(self.failed()),
            missing => LeftOut::Needs(missing),
        };
        ahead.map(|system| (system.name.clone(), why(system))).collect()
    }

    /// Systems that can begin together, one group after the other, when all goes well.
    #[must_use]
    pub fn groups(&self) -> Vec<Vec<String>> {
        let mut course = self.clone();
        course.systems.iter_mut().for_each(|system| system.progress = Progress::Ahead);
        let groups = std::iter::from_fn(|| {
            let group = course.begin();
            group.iter().for_each(|name| course.end(name, true));
            (!group.is_empty()).then_some(group)
        });
        groups.collect()
    }

    fn is_stopped(&self) -> bool {
        self.on_failure == OnFailure::Stop && !self.failed().is_empty()
    }

    fn failed(&self) -> Vec<String> {
        let failed = self.systems.iter().filter(|system| system.progress == Progress::Failed);
        failed.map(|system| system.name.clone()).collect()
    }

    fn missing(&self, system: &System) -> Vec<String> {
        let is_verified =
            |need: &str| self.systems.iter().any(|other| other.name == need && other.progress == Progress::Verified);
        system.needs.iter().filter(|need| !is_verified(need)).cloned().collect()
    }

    fn set(&mut self, name: &str, progress: Progress) {
        self.systems.iter_mut().filter(|system| system.name == name).for_each(|system| system.progress = progress);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `mail` is on its own; `app` needs `db` and `files`, `web` needs `app`.
    fn portal(on_failure: OnFailure) -> Course {
        let needs = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let course = Course::new(on_failure).with("web", &needs(&["app"])).with("db", &[]).with("files", &[]);
        course.with("app", &needs(&["db", "files"])).with("mail", &[])
    }

    #[test]
    fn a_system_begins_when_all_that_it_needs_is_verified() {
        let mut course = portal(OnFailure::Stop);
        assert_eq!(course.groups(), [vec!["db", "files", "mail"], vec!["app"], vec!["web"]]);
        assert_eq!(course.begin(), ["db", "files", "mail"]);
        course.end("db", true);
        assert_eq!(course.begin(), [""; 0]);
        course.end("files", true);
        assert_eq!(course.begin(), ["app"]);
        course.end("app", true);
        assert_eq!(course.begin(), ["web"]);
        assert_eq!(course.left_out(), []);
    }

    #[test]
    fn what_was_verified_before_is_not_begun_again() {
        let mut course = portal(OnFailure::Stop);
        for name in ["db", "files", "mail"] {
            course.end(name, true);
        }
        assert_eq!(course.begin(), ["app"]);
        assert_eq!(course.groups().len(), 3, "the order of the whole is the same");
    }

    #[test]
    fn after_a_failure_nothing_begins_or_what_does_not_need_it() {
        let mut course = portal(OnFailure::Stop);
        course.begin();
        course.end("db", false);
        course.end("files", true);
        assert_eq!(course.begin(), [""; 0]);
        let (needs, stopped) = (|name: &str| LeftOut::Needs(vec![name.into()]), LeftOut::Stopped(vec!["mail".into()]));
        assert_eq!(course.left_out(), [("web".into(), needs("app")), ("app".into(), needs("db"))]);

        let mut course = portal(OnFailure::Continue);
        course.end("files", false);
        assert_eq!(course.begin(), ["db", "mail"]);
        course.end("db", true);
        assert_eq!(course.begin(), [""; 0]);
        assert_eq!(course.left_out(), [("web".into(), needs("app")), ("app".into(), needs("files"))]);

        let mut course = portal(OnFailure::Stop);
        course.end("mail", false);
        assert_eq!(course.begin(), [""; 0]);
        assert_eq!(course.left_out()[1], ("db".into(), stopped));
    }
}
