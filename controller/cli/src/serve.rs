//! `strongroom serve`: the controller, unattended.
//!
//! What is decided, and what is written down before it is done, is the controller crate's; this module brings what it needs from this machine: the site's directory, the
//! repositories with their keys, the hosts' lines, the hands that prove (`hands`), and the socket.

mod drill;
mod find;
mod hands;
mod maintain;
mod own_state;
mod promotions;
mod quota;
mod records;
mod requested;
mod restores;
mod runner;
mod state_proof;

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::Scope;

use clap::Args;
use strongroom_controller::daemon::{Chores, Daemon, Setting};
use strongroom_controller::dialer::Dialer;
use strongroom_controller::gate::Gate;
use strongroom_controller::hosts::Hosts;
use strongroom_controller::journal::Journal;
use strongroom_controller::links::Links;
use strongroom_controller::notify::{Pace, Sender, keep_pinging};
use strongroom_controller::operator::{self, Mode, Request};
use strongroom_controller::requests::Desk;
use strongroom_controller::restore_record::seal::KeyError;
use strongroom_controller::restore_record::shelf::{RECORDS, Shelf};
use strongroom_controller::site::{Loaded, SiteError};
use strongroom_controller::ssh::{SshError, ensure_key};
use strongroom_plans::Site;
use strongroom_worker::service_manager;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

use crate::access::{KeyArgs, create_private};
use crate::backup::program;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Doing, Failure};
use crate::fleet::{ControllerArgs, JOURNAL};
use crate::run::SystemClock;
use crate::signals::Signals;
use requested::Going;
use runner::{Repositories, Runner};

/// Run the controller of a site
#[derive(Debug, Args)]
#[command(after_help = "\
Runs the site's plans when they are due, over SSH, and writes down what it does before it does it. It \
stays in the foreground and ends with SIGTERM or Ctrl-C; runs that were going on are taken up again at \
the next start. SIGHUP reads the site again, as `strongroom site load` does: a faulty one is refused \
and the one in force stays.

Its journal, its SSH key and the hosts' keys are in the state folder (--state-dir). As a service of systemd \
(controller/strongroom.service) it tells when it is ready.

Examples:
  strongroom serve --site /etc/strongroom
  strongroom serve --site /etc/strongroom --state-dir /var/lib/strongroom-controller -v")]
pub(crate) struct ServeArgs {
    /// The site's directory: site.yaml, hosts.yaml, plans/
    #[arg(long, value_name = "DIR")]
    site: PathBuf,

    #[command(flatten)]
    controller: ControllerArgs,

    #[command(flatten)]
    key: KeyArgs,
}

/// The controller's SSH key in the state folder.
pub(crate) const SSH_KEY: &str = "ssh-key";
/// The hosts' keys in the state folder.
pub(crate) const KNOWN_HOSTS: &str = "known-hosts";
/// Questions that wait for an answer: more operators than a site has.
const REQUESTS_MAX: usize = 64;

pub(crate) fn run(args: &ServeArgs, context: &Context) -> Result<Exit, Failure> {
    let site = Loaded::read(&args.site).doing(|| format!("load the site {}", args.site.display()))?;
    let state = context.state_dir()?;
    create_private(&state).doing(|| "prepare the state folder".into())?;
    let journal = Arc::new(context.wait("open the journal", Journal::open(&state.join(JOURNAL)))?);
    let key = context.wait("prepare the controller's SSH key", ensure_key(&state.join(SSH_KEY)))?;
    let shelf = context.wait("prepare the records", Shelf::open(&state))?;
    let repositories = runner::open_all(&site.site, &args.key, context)?;
    let Repositories { all: repositories, stored_in } = repositories;
    let gateway = Arc::new(runner::gateway(&repositories, &stored_in));
    let (new_site, in_force) = watch::channel(Arc::clone(&site.site));
    let dialer = Arc::new(Dialer::new(in_force.clone(), key.identity(), state.join(KNOWN_HOSTS)));
    let links = Arc::new(Links::new(dialer, Arc::clone(&gateway), program()));
    let hosts = Hosts::new(Arc::clone(&journal), Arc::clone(&links));
    let declared = site.site.repositories().clone();
    let site_in_force = in_force.clone();
    let gate = Gate::new(in_force.clone(), Arc::clone(&journal), SystemClock);
    let runner = Runner {
        context,
        links,
        gateway,
        repositories,
        declared,
        journal: Arc::clone(&journal),
        site: site_in_force,
        copying: Mutex::default(),
        shelf,
        recording: Mutex::default(),
        desk: Desk::new(gate.clone()),
        going: Going::default(),
        site_folder: &args.site,
        key: &args.key,
    };
    runner.record_owed();
    runner.may_maintain(&site.site).map_err(|why| {
        let failure = Failure::new("maintain the site's repositories", Cause::Key(why));
        failure.advise("give the controller an owner's key, or take `maintenance:` of that repository out of site.yaml")
    })?;
    let (chores, due) = Chores::channels();
    let (restores, restores_asked) = mpsc::unbounded_channel();
    let (finds, finds_asked) = mpsc::unbounded_channel();
    let listener = {
        let _inside = context.handle().enter();
        let failed = |source| Cause::File { doing: "listen on", path: args.controller.socket().to_owned(), source };
        let folder = args.controller.socket().parent().map(create_passable).transpose();
        let listening = folder.and_then(|_| operator::listen(args.controller.socket()).map_err(failed));
        listening
            .and_then(|listener| open_to(&args.controller, &site.site).map(|()| listener))
            .doing(|| "serve".into())?
    };
    drill::sweep(&state)?;
    let counts = format!("{} plans, {} hosts", site.site.plans().len(), site.site.hosts().len());
    context.say(&format!(
        "serving {}: {counts}; asked by `strongroom status --socket {}`",
        args.site.display(),
        args.controller.socket().display()
    ));
    std::thread::scope(|scope| {
        let start = |order| drop(scope.spawn(|| runner.run(order)));
        let load = || {
            let loaded = Loaded::read(&args.site).map_err(|error| strongroom_repository::chain(&error))?;
            runner.knows_repositories(&loaded.site)?;
            runner.may_maintain(&loaded.site)?;
            Ok(loaded)
        };
        let runner = &runner;
        // These end when the loop does, which holds the other ends,
        each(scope, due.maintenance, |order| runner.maintain(order));
        each(scope, due.own_state, |order| runner.store_state(order));
        each(scope, due.state_proofs, |order| runner.prove_state(order));
        each(scope, due.drills, |order| runner.drill(order));
        // and these when nobody can ask any more.
        each(scope, finds_asked, |asked| runner.find_files(asked));
        each(scope, restores_asked, |asked| runner.restore(&asked));
        let served = context.serve(async {
            let (beats, beating) = watch::channel(0);
            let pinging = tokio::spawn(keep_pinging(beating, in_force.clone()));
            let knowing = tokio::spawn(hosts.clone().keep_known(SystemClock, in_force.clone()));
            let opening = tokio::spawn(keep_open(in_force.clone(), args.controller.clone()));
            let sender = Sender::new(Arc::clone(&journal), SystemClock, in_force, Pace::default());
            let (stop_sending, stopped) = oneshot::channel::<()>();
            let mut sending = tokio::spawn(sender.run(async { drop(stopped.await) }));
            let (program, in_force, records) = (program(), new_site, state.join(RECORDS));
            let clock = SystemClock;
            let setting = Setting { journal, clock, start, load, program, hosts, in_force, chores, beats };
            let daemon = Daemon::new(setting, site).await.map_err(Cause::from)?;
            let (requests, receive) = mpsc::channel(REQUESTS_MAX);
            let hangup = tokio::spawn(reload_on_hangup(requests.clone()));
            let stop = context.signals.clone();
            let answering =
                tokio::spawn(operator::serve(listener, requests, gate, restores, finds, records, until_stopped(stop)));
            service_manager::tell("READY=1");
            let stop = context.signals.clone();
            let stopping = async {
                until_stopped(stop).await;
                service_manager::tell("STOPPING=1");
            };
            let ended = tokio::select! {
                ended = daemon.run(receive, stopping) => ended,
                // Its journal failed: nobody would be told any more.
                failed = &mut sending => failed.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())),
            };
            knowing.abort();
            opening.abort();
            hangup.abort();
            answering.abort();
            pinging.abort();
            drop(stop_sending);
            if !sending.is_finished() {
                let _ = sending.await;
            }
            ended.map_err(Cause::from)
        });
        // A socket that nobody listens on would make the next start wonder.
        let _ = std::fs::remove_file(args.controller.socket());
        served.doing(|| "serve".into())
    })?;
    Ok(Exit::Success)
}

/// Does each piece of work that comes on a thread of its own.
fn each<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    mut due: mpsc::UnboundedReceiver<T>,
    work: impl Fn(T) + Copy + Send + 'scope,
) {
    scope.spawn(move || {
        while let Some(order) = due.blocking_recv() {
            scope.spawn(move || work(order));
        }
    });
}

async fn until_stopped(signals: Signals) {
    signals.arrived().await;
}

/// The socket's folder: others may pass through it, and see nothing in it.
fn create_passable(folder: &Path) -> Result<(), Cause> {
    let created = std::fs::DirBuilder::new().recursive(true).mode(0o711).create(folder);
    created.map_err(|source| Cause::File { doing: "create", path: folder.to_owned(), source })
}

/// Lets everybody ask where the site names people. Who may do what is the gate's business.
fn open_to(controller: &ControllerArgs, site: &Site) -> Result<(), Cause> {
    let failed = |source| Cause::File { doing: "set who may open", path: controller.socket().to_owned(), source };
    operator::open_to(controller.socket(), site).map_err(failed)
}

/// The same whenever another site is in force.
async fn keep_open(mut in_force: watch::Receiver<Arc<Site>>, controller: ControllerArgs) {
    while in_force.changed().await.is_ok() {
        let site = Arc::clone(&in_force.borrow_and_update());
        if let Err(error) = open_to(&controller, &site) {
            tracing::error!(error = strongroom_repository::chain(&error), "people cannot reach the controller");
        }
    }
}

/// The usual wish to a daemon to read its configuration again.
async fn reload_on_hangup(requests: mpsc::Sender<Request>) {
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
    while hangups.recv().await.is_some() {
        let (reply, answer) = oneshot::channel();
        if requests.send(Request::Reload(Mode::Earnest, operator::oneself(), reply)).await.is_err() {
            return;
        }
        match answer.await {
            Ok(Ok(site)) => tracing::info!(site, "the site was loaded"),
            Ok(Err(refused)) => tracing::error!(%refused, "the site was refused, the one in force stays"),
            Err(_) => return,
        }
    }
}

impl From<SiteError> for Cause {
    fn from(error: SiteError) -> Self {
        match error {
            SiteError::Faults(faults) => Self::Plan(faults),
            SiteError::File { path, source } => Self::File { doing: "read", path, source },
            error @ SiteError::Outside { .. } => Self::Usage(error.to_string()),
            error @ SiteError::Git { .. } => Self::Absent(error.to_string()),
        }
    }
}

impl From<KeyError> for Cause {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::File { doing, path, source } => Self::File { doing, path, source },
            error @ KeyError::Malformed(_) => Self::Key(error.to_string()),
        }
    }
}

impl From<SshError> for Cause {
    fn from(error: SshError) -> Self {
        Self::Program(Box::new(error))
    }
}
