//! `strongroom site people`: who may do what.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use strongroom_controller::permissions::Act;
use strongroom_plans::{Person, Role, Site};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::shown::{Align, Table};
use crate::site_directory;

/// List the people of a site, what they are there for, and what that lets them do
#[derive(Debug, Args)]
#[command(after_help = "\
A person is known by the account with which he asks the controller. A role holds for the hosts that its \
selector chooses; what concerns the whole site needs a role for \"*\". Every refusal is in the journal.

Examples:
  strongroom site people --site /etc/strongroom
  strongroom site people --site /etc/strongroom --json | jq -r '.people[] | select(.hosts.operator) | .name'")]
pub(crate) struct PeopleArgs {
    /// The site's directory
    #[arg(long, value_name = "DIR")]
    site: PathBuf,
}

pub(super) fn run(args: &PeopleArgs, context: &Context) -> Result<Exit, Failure> {
    let site = site_directory::load(&args.site, "read the site")?;
    context.output.answer(&People::of(&site))?;
    Ok(Exit::Success)
}

/// Everybody, and the matrix.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct People<'s> {
    people: Vec<Shown<'s>>,
    acts: Vec<ActRow>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Shown<'s> {
    #[serde(flatten)]
    person: &'s Person,
    /// By role, the hosts that its selector chooses today.
    hosts: std::collections::BTreeMap<Role, Vec<&'s str>>,
}

/// An act, and the roles that are enough for it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ActRow {
    act: Act,
    roles: &'static [Role],
}

impl<'s> People<'s> {
    fn of(site: &'s Site) -> Self {
        let shown = |person: &'s Person| {
            let hosts = |role: Role| {
                let held = site.hosts().values().filter(move |host| person.roles_on(host).any(|own| own == role));
                held.map(|host| host.name().as_str()).collect()
            };
            Shown { person, hosts: person.roles().keys().map(|role| (*role, hosts(*role))).collect() }
        };
        let acts = Act::ALL.map(|act| ActRow { act, roles: act.roles() });
        Self { people: site.people().values().map(shown).collect(), acts: acts.into() }
    }
}

impl Answer for People<'_> {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.people.is_empty() {
            writeln!(out, "the site names nobody: whoever may open the controller's socket may do everything")?;
        } else {
            self.write_people(out)?;
        }
        writeln!(out)?;
        let columns: Vec<_> =
            [("", Align::Left)].into_iter().chain(Role::ALL.map(|role| (role.word(), Align::Left))).collect();
        let mut matrix = Table::new(&columns);
        for ActRow { act, roles } in &self.acts {
            let marks = Role::ALL.map(|role| if roles.contains(&role) { "yes".to_owned() } else { "-".to_owned() });
            matrix.row([act.word().to_owned()].into_iter().chain(marks));
        }
        matrix.write(out)
    }
}

impl People<'_> {
    fn write_people(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[
            ("PERSON", Align::Left),
            ("NAME", Align::Left),
            ("ORGANISATION", Align::Left),
            ("ACCOUNTS", Align::Left),
            ("ROLE", Align::Left),
            ("ON", Align::Left),
            ("HOSTS", Align::Right),
        ]);
        for Shown { person, hosts } in &self.people {
            let accounts: Vec<&str> = person.users().iter().map(|user| user.as_str()).collect();
            for (role, selector) in person.roles() {
                let count = hosts.get(role).map_or(0, Vec::len).to_string();
                let organisation = person.organisation().map(ToString::to_string).unwrap_or_default();
                let who = [person.name().to_string(), person.full_name().to_owned(), organisation, accounts.join(" ")];
                table.row(who.into_iter().chain([role.to_string(), selector.to_string(), count]));
            }
        }
        table.write(out)
    }
}
