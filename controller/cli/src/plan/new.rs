//! `strongroom plan new`: a plan to begin with.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::Serialize;
use strongroom_plans::{Name, RESTORE_TEMPLATE, Selector, TEMPLATES, Template};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Doing, Failure};
use crate::output::Answer;
use crate::plan_file;
use crate::shown::shell_word;

/// Write a new plan from one of those that are shipped
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is overwritten. The new plan names sources and a repository that are examples: change them, then \
let `strongroom plan check` look at it. With --site, the file is plans/NAME.yaml of the site; hosts or a repository that \
are not given are written as CHANGE-ME, which the check refuses. several-systems is a restore \
plan (`kind: restore`): it is of a site alone.

Examples:
  strongroom plan new --template database-files --name billing-db billing-db.yaml
  strongroom plan new --template os-image --name images images.yaml --dry-run
  strongroom plan new --template business-data --name billing --site /etc/strongroom --hosts role=billing --repository main")]
pub(crate) struct NewArgs {
    /// The plan to begin with
    #[arg(long, value_name = "TEMPLATE", value_parser = PossibleValuesParser::new(templates().map(|template| template.name)))]
    template: String,

    /// What the plan is called
    #[arg(long, value_name = "NAME")]
    name: Name,

    /// The file to write
    #[arg(value_name = "FILE", required_unless_present = "site", conflicts_with = "site")]
    file: Option<PathBuf>,

    /// The directory of the site that gets the plan
    #[arg(long, value_name = "DIR")]
    site: Option<PathBuf>,

    /// The hosts of the site that it backs up, by their labels
    #[arg(long, value_name = "SELECTOR", requires = "site", conflicts_with = "file")]
    hosts: Option<Selector>,

    /// The repository of the site that it stores in
    #[arg(long, value_name = "NAME", requires = "site", conflicts_with = "file")]
    repository: Option<Name>,

    /// Only print what would be written
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &NewArgs, context: &Context) -> Result<Exit, Failure> {
    // BUG if it is none: the command line takes no other names.
    let template: &Template = templates().find(|template| template.name == args.template).expect("a template");
    let restores = template.name == RESTORE_TEMPLATE.name;
    if restores && args.site.is_none() {
        let why = Cause::Usage("a restore plan means something only in a site".into());
        return Err(Failure::new("write the new plan", why).advise("name the site with --site DIR"));
    }
    let (path, text) = match (&args.site, &args.file) {
        (Some(site), _) => {
            // A directory that is no site would swallow the plan.
            plan_file::read(&site.join("site.yaml"), "write the new plan")?;
            let text = match restores {
                true => template.text(&args.name),
                false => template.site_text(&args.name, args.hosts.as_ref(), args.repository.as_ref()),
            };
            (site.join("plans").join(format!("{}.yaml", args.name)), text)
        }
        (None, file) => (file.clone().unwrap_or_default(), template.text(&args.name)),
    };
    if !args.dry_run {
        write(&path, &text, args.site.is_some()).doing(|| "write the new plan".into())?;
    }
    let check = match &args.site {
        Some(site) => format!("--site {}", shell_word(site)),
        None => shell_word(&path),
    };
    let file = path.display().to_string();
    context.output.answer(&NewPlan { file, written: !args.dry_run, text, check })?;
    Ok(Exit::Success)
}

/// All of them.
fn templates() -> impl Iterator<Item = &'static Template> {
    TEMPLATES.iter().chain([&RESTORE_TEMPLATE])
}

fn write(path: &Path, text: &str, in_site: bool) -> Result<(), Cause> {
    let failed = |source| Cause::File { doing: "write", path: path.to_owned(), source };
    if let Some(plans) = path.parent().filter(|_| in_site) {
        fs::create_dir_all(plans).map_err(failed)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

#[derive(Debug, Serialize)]
struct NewPlan {
    file: String,
    written: bool,
    text: String,
    /// What `plan check` is to look at.
    #[serde(skip)]
    check: String,
}

impl Answer for NewPlan {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { file, written, text, check } = self;
        if !written {
            return out.write_all(text.as_bytes());
        }
        writeln!(out, "wrote {file}")?;
        writeln!(out, "next: change what is an example in it, then `strongroom plan check {check}`")
    }
}
