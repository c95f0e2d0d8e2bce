//! The plans that are shipped, to copy and change.

use crate::name::Name;

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

impl Template {
    /// The text of a new plan of this name.
    pub fn text(&self, name: &Name) -> String {
        let named = |line: &str| match line.strip_prefix("name: ") {
            Some(rest) => format!("name: {name}{}\n", rest.strip_prefix(self.name).unwrap_or_default()),
            None => format!("{line}\n"),
        };
        self.text.lines().map(named).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_makes_a_sound_plan_of_the_name_that_is_wanted() {
        for template in TEMPLATES {
            let text = template.text(&"billing-2".parse().unwrap());
            let plan = crate::parse("billing-2.yaml", &text).unwrap_or_else(|faults| panic!("{faults}"));
            assert_eq!(plan.name().as_str(), "billing-2", "{}", template.name);
            assert_eq!(template.text(&template.name.parse().unwrap()), template.text, "the rest is as it was");
        }
    }
}
