//! The plans that are shipped, to copy and change.

use crate::name::Name;
use crate::selector::Selector;

/// A shipped plan.
#[derive(Clone, Copy, Debug)]
pub struct Template {
    /// What it is for, which is also the name of its plan.
    pub name: &'static str,
    text: &'static str,
}

macro_rules! shipped {
    ($($name:literal,)+) => {
        /// All of them: one for each class of data, and one to get to know Strongroom by.
        pub const TEMPLATES: &[Template] =
            &[$(Template { name: $name, text: include_str!(concat!("../examples/", $name, ".yaml")) },)+];
    };
}

shipped! {
    "business-data",
    "database-files",
    "system-configuration",
    "os-image",
    "other-files",
    "this-host",
}

/// Several systems that come back together. It is no plan that can stand alone: what it names is a site's.
pub const RESTORE_TEMPLATE: Template =
    Template { name: "several-systems", text: include_str!("../templates/several-systems.yaml") };

impl Template {
    /// The text of a new plan of this name.
    pub fn text(&self, name: &Name) -> String {
        let named = |line: &str| match line.strip_prefix("name: ") {
            Some(rest) => format!("name: {name}{}\n", rest.strip_prefix(self.name).unwrap_or_default()),
            None => format!("{line}\n"),
        };
        self.text.lines().map(named).collect()
    }

    /// The text of a new plan of a site. What is not known is written so that checking the site asks for it.
    pub fn site_text(&self, name: &Name, hosts: Option<&Selector>, repository: Option<&Name>) -> String {
        let hosts = hosts.map_or_else(|| format!("name={UNKNOWN}"), ToString::to_string);
        let repository = repository.map_or(UNKNOWN, Name::as_str);
        let text = self.text(name);
        let (about, body) = text.split_once("\n\n").unwrap_or(("", &text));
        // What is said after the first sentence is about a plan that is run by itself.
        let about = about.lines().next().and_then(|line| line.split(". ").next()).unwrap_or_default();
        let mut lines = vec![format!("{}.", about.trim_end_matches('.')), String::new()];
        for line in body.lines() {
            match line.split_once(':').map_or("", |(key, _)| key) {
                "name" => lines.extend([line.to_owned(), format!("hosts: \"{hosts}\"")]),
                "repository" => {
                    // What was said about its place.
                    lines.pop_if(|above| above.starts_with('#'));
                    lines.push(format!("repository: {repository}"));
                }
                // The clock of the site, or of the host.
                "  zone" => {}
                _ => lines.push(line.to_owned()),
            }
        }
        lines.join("\n") + "\n"
    }
}

/// No host and no repository should be called so.
const UNKNOWN: &str = "CHANGE-ME";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Code, Faults, Site, SiteFiles};

    #[test]
    fn each_makes_a_sound_plan_of_the_name_that_is_wanted() {
        for template in TEMPLATES {
            let text = template.text(&"billing-2".parse().unwrap());
            let plan = crate::parse("billing-2.yaml", &text).unwrap_or_else(|faults| panic!("{faults}"));
            assert_eq!(plan.name().as_str(), "billing-2", "{}", template.name);
            assert_eq!(template.text(&template.name.parse().unwrap()), template.text, "the rest is as it was");
        }
    }

    fn site(plan: String) -> Result<Site, Faults> {
        let mut files = SiteFiles::new("");
        files.insert("site.yaml", "name: s\nzone: UTC\nrepositories: { main: { at: /srv/strongroom/main } }\n");
        files.insert("hosts.yaml", "hosts: { web1: { address: 10.0.0.5, labels: { role: web } } }\n");
        files.insert("plans/new.yaml", plan);
        Site::read(&files)
    }

    #[test]
    fn each_makes_a_sound_plan_of_a_site() {
        let (name, hosts, repository) = ("new".parse().unwrap(), "!role=db".parse().unwrap(), "main".parse().unwrap());
        for template in TEMPLATES {
            let text = template.site_text(&name, Some(&hosts), Some(&repository));
            let site = site(text.clone()).unwrap_or_else(|faults| panic!("{faults}"));
            let plan = &site.plans()[&name];
            let alone = crate::parse("x", template.text).unwrap();
            assert_eq!((plan.plan().retain(), plan.plan().sources()), (alone.retain(), alone.sources()), "{text}");
            assert!(!text.contains("zone:") && text.starts_with("# "), "{text}");
        }
    }

    #[test]
    fn of_a_restore_plan_the_plans_and_hosts_are_asked_for() {
        let text = RESTORE_TEMPLATE.text(&"portal".parse().unwrap());
        let faults = site(text.clone()).unwrap_err();
        let found: Vec<_> = faults.iter().map(|fault| (fault.code(), fault.place().text())).collect();
        let unknown = |text| (Code::UnknownName, text);
        let expected = ["CHANGE-ME", "CHANGE-ME:/srv/restored/database", "CHANGE-ME"].map(unknown);
        assert_eq!(found, expected, "{faults}");
        let alone = crate::parse("portal.yaml", &text).unwrap_err();
        let found: Vec<_> = alone.iter().map(|fault| (fault.code(), fault.place().text())).collect();
        assert_eq!(found, [(Code::OnlyInSite, "restore")], "{alone}");
    }

    #[test]
    fn what_was_not_said_is_asked_for() {
        let text = TEMPLATES[0].site_text(&"new".parse().unwrap(), None, None);
        let faults = site(text).unwrap_err();
        let found: Vec<_> = faults.iter().map(|fault| (fault.code(), fault.place().text())).collect();
        assert_eq!(found, [(Code::NoHost, "\"name=CHANGE-ME\""), (Code::UnknownName, "CHANGE-ME")], "{faults}");
    }
}
