//! A host that gets its worker, a newer one, and rid of it: the real steps over a real sshd, as root, on a host of bind mounts with a stand-in for systemd.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use strongroom_controller::install::{
    Action, AddOrder, Admin, Done, InstallError, Notice, Plan, Program, RemoveOrder, State, UpgradeOrder, WORKER_USER,
    add, carry_out, remove, upgrade,
};
use strongroom_controller::ssh::{ControllerKey, HostKeys, Target, connect, ensure_key, scan};
use tempfile::TempDir;

use crate::sshd::Sshd;

/// Another mount namespace, in which the folders that an installation writes to are this test's.
struct Host {
    folder: TempDir,
    /// Keeps the namespace.
    keeper: Child,
    /// Any user may connect to it.
    _socket: UnixListener,
}

/// A worker that greets, serves and says its version.
const WORKER: &str = r#"use std::io::{Write, copy, stdin, stdout};
fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("connect") => {
            stdout().write_all(b"strongroom-worker 1\n").unwrap();
            stdout().flush().unwrap();
            copy(&mut stdin(), &mut stdout()).unwrap();
        }
        Some("serve") => loop { std::thread::park() },
        _ => println!("version"),
    }
}
"#;

/// Starts and stops the one unit, and knows what the scripts ask.
const SYSTEMCTL: &str = r#"#!/bin/sh
state=/run/stand-in
mkdir -p $state
stop() { [ ! -e $state/pid ] || kill -KILL "$(cat $state/pid)" || true; rm -f $state/pid; }
case "$*" in
daemon-reload | reset-failed*) ;;
enable*) touch $state/enabled ;;
disable*--now*) rm -f $state/enabled; stop ;;
restart*)
  stop
  setsid /usr/local/bin/strongroom-worker serve </dev/null >/dev/null 2>&1 &
  echo $! >$state/pid
  while kill -0 $! && case $(readlink /proc/$!/exe) in *strongroom-worker) false ;; esac; do :; done
  kill -0 $! ;;
is-enabled*) [ -e $state/enabled ] ;;
is-active*) [ -e $state/pid ] && kill -0 "$(cat $state/pid)" ;;
'show --property NeedDaemonReload'*) echo no ;;
'show --property MainPID'*) cat $state/pid ;;
*) echo "the stand-in does not know $*" >&2; exit 1 ;;
esac
"#;

impl Host {
    fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("host-").tempdir_in("/var/tmp")?;
        let at = |name: &str| folder.path().join(name);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        for name in ["local/bin", "local/lib", "lib", "cache", "run/systemd/system", "run/systemd/journal", "run/sshd"]
        {
            fs::create_dir_all(at(name))?;
        }
        let copied = Command::new("cp").args(["-a", "/etc"]).arg(at("etc")).status()?;
        ensure!(copied.success());
        fs::create_dir_all(at("etc/systemd/system"))?;
        let systemctl = at("local/bin/systemctl");
        fs::write(&systemctl, SYSTEMCTL)?;
        fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755))?;
        let socket = UnixListener::bind(at("run/systemd/journal/stdout"))?;
        fs::set_permissions(at("run/systemd/journal/stdout"), fs::Permissions::from_mode(0o666))?;
        let mounts = format!(
            "set -e; cd {}; mount --bind etc /etc; mount --bind local /usr/local; mount --bind lib /var/lib; \
             mount --bind cache /var/cache; mount --bind run /run; echo ready; exec sleep 100000",
            folder.path().display()
        );
        let mut keeper = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", &mounts])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut ready = String::new();
        let output = keeper.stdout.take().context("its output")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut ready)?;
        ensure!(ready == "ready\n", "the mounts");
        Ok(Self { folder, keeper, _socket: socket })
    }

    /// The words that start a program there.
    fn launcher(&self) -> Vec<String> {
        ["nsenter", "--mount", "--target", &self.keeper.id().to_string(), "--"].map(str::to_owned).to_vec()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn users(&self) -> Result<String> {
        Ok(fs::read_to_string(self.path("etc/passwd"))?)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The stand-in's daemon, if the test ended before it was removed.
        if let Ok(daemon) = fs::read_to_string(self.path("run/stand-in/pid")) {
            let _ = Command::new("kill").arg("-KILL").arg(daemon.trim()).status();
        }
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// A host, its sshd, and what the controller has.
pub(crate) struct Setting {
    pub(crate) sshd: Sshd,
    host: Host,
    pub(crate) key: ControllerKey,
    pub(crate) program: Program,
    /// Who sets the host up.
    pub(crate) admin: Target,
}

impl Setting {
    pub(crate) async fn new() -> Result<Self> {
        let host = Host::new()?;
        // Strict about the files of whoever logs in, as a real one is.
        let options = "StrictModes yes\nAuthorizedKeysFile /etc/ssh/test_admin .ssh/authorized_keys";
        let sshd = Sshd::within(options, &host.launcher())?;
        fs::copy(sshd.path("authorized_keys"), host.path("etc/ssh/test_admin"))?;
        let source = sshd.path("worker.rs");
        fs::write(&source, WORKER)?;
        let program = sshd.path("strongroom-worker");
        let compiled = Command::new("rustc").arg(&source).arg("-o").arg(&program).output()?;
        ensure!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        let key = ensure_key(&sshd.path("controller_key")).await?;
        let program = Program::read(&program).await?;
        let admin = sshd.target()?;
        Ok(Self { sshd, host, key, program, admin })
    }

    pub(crate) async fn add_plan(&self) -> Result<Plan> {
        Ok(add(&AddOrder {
            host: self.admin.clone(),
            host_keys: scan("127.0.0.1", self.sshd.port(), self.admin.jump.as_deref(), Duration::from_secs(20)).await?,
            key: self.key.clone(),
            known_hosts: self.sshd.path("controllers_known_hosts"),
            program: self.program.clone(),
        }))
    }

    pub(crate) fn worker(&self) -> Result<Target> {
        Ok(Target {
            user: WORKER_USER.to_owned(),
            identities: vec![self.key.identity()],
            known_hosts: HostKeys::File(self.sshd.path("controllers_known_hosts")),
            ..self.admin.clone()
        })
    }

    /// How each step ended.
    pub(crate) async fn carry_out(&self, plan: &Plan) -> Result<Vec<Done>, InstallError> {
        let admin = Admin::new(connect(&self.admin).await?, &self.admin.user).await?;
        let mut ended = Vec::new();
        let mut tell = |notice| {
            if let Notice::Ended { done, .. } = notice {
                ended.push(done);
            }
        };
        carry_out(plan, &admin, &mut tell).await?;
        Ok(ended)
    }
}

/// Whether this machine lets the test have its own mounts; a test that cannot run is written down where `tests/run` counts it.
pub(crate) fn can_run(test: &str) -> Result<bool> {
    let can = Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status()?.success();
    if !can {
        let line = format!("test\t{test}\tthis user may not mount\n");
        match std::env::var_os("STRONGROOM_TESTS_SKIPS") {
            Some(path) => fs::OpenOptions::new().append(true).create(true).open(path)?.write_all(line.as_bytes())?,
            None => std::io::stderr().write_all(line.as_bytes())?,
        }
    }
    Ok(can)
}

fn owner_and_mode(path: &Path) -> Result<(u32, u32)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.uid(), metadata.mode() & 0o7777))
}

pub(crate) fn proven(done: &Done) -> bool {
    matches!(done, Done::Proven(attempts) if attempts.len() >= 10)
}

#[tokio::test]
async fn a_host_is_set_up_repaired_upgraded_and_left() -> Result<()> {
    if !can_run("a_host_is_set_up_repaired_upgraded_and_left")? {
        return Ok(());
    }
    let mut setting = Setting::new().await?;
    let plan = setting.add_plan().await?;
    let text = format!("{plan}\n{plan:#}");
    for part in ["1. see that the host is a Linux", "useradd --system", "restrict,command=", setting.key.public_line()]
    {
        ensure!(text.contains(part), "{part:?} is missing in {text}");
    }

    // The first time everything is made.
    let done = setting.carry_out(&plan).await?;
    ensure!(done[1..5] == [Done::Made, Done::Made, Done::Made, Done::Made] && proven(&done[5]), "{done:#?}");
    ensure!(done.len() == 8 && done[7] == Done::Made, "{done:#?}");
    let keys = setting.host.path("lib/strongroom/ssh/.ssh/authorized_keys");
    ensure!(owner_and_mode(&keys)? == (0, 0o644));
    ensure!(
        fs::read_to_string(&keys)?
            .contains("restrict,command=\"/usr/local/bin/strongroom-worker connect\" ssh-ed25519 ")
    );
    let program = setting.host.path("local/lib/strongroom/strongroom-worker");
    ensure!(owner_and_mode(&program)? == (0, 0o755));
    ensure!(setting.host.users()?.contains(":Strongroom controller:/var/lib/strongroom/ssh:/bin/sh\n"));
    drop(connect(&setting.worker()?).await?.open("anything").await?);

    // The second time nothing is.
    let done = setting.carry_out(&plan).await?;
    let made = done.iter().filter(|done| **done == Done::Made).count();
    ensure!(made == 0 && proven(&done[5]), "{done:#?}");

    // What somebody changed is found and put right: a second key, a foreign program, a changed unit.
    let unit = setting.host.path("etc/systemd/system/strongroom-worker.service");
    fs::OpenOptions::new().append(true).open(&keys)?.write_all(b"ssh-ed25519 AAAA me\n")?;
    fs::remove_file(&program)?;
    fs::write(&program, "#!/bin/sh\n")?;
    fs::write(&unit, "[Service]\n")?;
    let done = setting.carry_out(&plan).await?;
    ensure!(done[1..5] == [Done::AlreadySo, Done::Made, Done::Made, Done::Made] && proven(&done[5]), "{done:#?}");
    ensure!(!fs::read_to_string(&keys)?.contains("AAAA me"));

    // Another version is copied, and what runs afterwards is that.
    fs::OpenOptions::new().append(true).open(&setting.program.path)?.write_all(b"newer")?;
    let older = setting.program.clone();
    setting.program = Program::read(&older.path).await?;
    let plan = upgrade(&UpgradeOrder { worker: setting.worker()?, program: setting.program.clone() });
    let done = setting.carry_out(&plan).await?;
    ensure!(done == [Done::AlreadySo, Done::Made, Done::Made, Done::AlreadySo], "{done:#?}");
    // A copy that is not what it should be is not installed.
    let plan = upgrade(&UpgradeOrder { worker: setting.worker()?, program: older });
    let error = setting.carry_out(&plan).await.err().context("the file is not the one that was hashed")?;
    ensure!(error.to_string().contains("instead of"), "{error}");
    ensure!(fs::read(&program)? == fs::read(&setting.program.path)?);
    ensure!(fs::read_dir(setting.host.path("local/lib/strongroom"))?.count() == 1, "no temporary file is left");

    // And it leaves; first without what it remembers, then with it.
    for (state, rest) in [(State::Keep, true), (State::Purge, false)] {
        let plan = remove(&RemoveOrder {
            address: "127.0.0.1".to_owned(),
            port: setting.sshd.port(),
            known_hosts: setting.sshd.path("controllers_known_hosts"),
            state,
        });
        setting.carry_out(&plan).await?;
        ensure!(setting.host.path("lib/strongroom").exists() == rest);
        ensure!(setting.carry_out(&plan).await?.iter().all(|done| *done == Done::AlreadySo));
    }
    ensure!(!unit.exists() && !program.exists() && !setting.host.users()?.contains("strongroom"));
    ensure!(connect(&setting.worker()?).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_host_that_cannot_have_a_worker_is_left_as_it_is() -> Result<()> {
    if !can_run("a_host_that_cannot_have_a_worker_is_left_as_it_is")? {
        return Ok(());
    }
    let mut setting = Setting::new().await?;
    // Somebody else's account.
    let passwd = setting.host.path("etc/passwd");
    let users = setting.host.users()?;
    fs::write(&passwd, format!("{users}strongroom:x:1234:1234::/home/strongroom:/bin/bash\n"))?;
    let error = setting.carry_out(&setting.add_plan().await?).await.err().context("it is somebody else's")?;
    ensure!(error.to_string().contains("somebody else's"), "{error}");
    fs::write(&passwd, users)?;
    // Another processor.
    setting.program.machine = if setting.program.machine == "x86_64" { "aarch64" } else { "x86_64" };
    let error = setting.carry_out(&setting.add_plan().await?).await.err().context("another processor")?;
    ensure!(error.to_string().contains("and this host is"), "{error}");
    // No systemd.
    setting.program = Program::read(&setting.program.path).await?;
    fs::remove_dir(setting.host.path("run/systemd/system"))?;
    let error = setting.carry_out(&setting.add_plan().await?).await.err().context("no systemd")?;
    ensure!(error.to_string().contains("systemd does not run here"), "{error}");
    ensure!(!setting.host.path("local/lib/strongroom").exists() && !setting.host.path("lib/strongroom").exists());
    Ok(())
}

#[tokio::test]
async fn an_administrator_may_come_by_sudo() -> Result<()> {
    if !can_run("an_administrator_may_come_by_sudo")? {
        return Ok(());
    }
    let mut setting = Setting::new().await?;
    let launcher = setting.host.launcher();
    let made = Command::new(&launcher[0])
        .args(&launcher[1..])
        .args([
            "useradd",
            "--create-home",
            "--home-dir",
            "/var/lib/admin",
            "--shell",
            "/bin/sh",
            "--password",
            "*",
            "admin",
        ])
        .status()?;
    ensure!(made.success());
    setting.admin.user = "admin".to_owned();
    let plan = setting.add_plan().await?;
    let error = setting.carry_out(&plan).await.err().context("this is nobody")?;
    ensure!(matches!(error, InstallError::NotAdmin { .. }), "{error:?}");
    fs::write(setting.host.path("etc/sudoers.d/admin"), "admin ALL=(ALL) NOPASSWD: ALL\n")?;
    let done = setting.carry_out(&plan).await?;
    ensure!(done[1..5] == [Done::Made, Done::Made, Done::Made, Done::Made] && proven(&done[5]), "{done:#?}");
    Ok(())
}

#[tokio::test]
async fn a_key_that_can_do_more_is_never_recorded_as_good() -> Result<()> {
    if !can_run("a_key_that_can_do_more_is_never_recorded_as_good")? {
        return Ok(());
    }
    let setting = Setting::new().await?;
    // This overrides the key's own command.
    let mut configuration = fs::OpenOptions::new().append(true).open(setting.sshd.path("sshd_config"))?;
    configuration.write_all(b"Match User strongroom\nForceCommand eval \"$SSH_ORIGINAL_COMMAND\"\n")?;
    let error = setting.carry_out(&setting.add_plan().await?).await.err().context("it runs commands")?;
    ensure!(matches!(error, InstallError::Unrestricted { .. }), "{error:?}");
    ensure!(error.to_string().contains("run a command: allowed"), "{error}");
    ensure!(!setting.sshd.path("controllers_known_hosts").exists());
    Ok(())
}

/// In the strictest shell that there is here.
#[tokio::test]
async fn every_script_is_one_that_a_posix_shell_reads() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let key = ensure_key(&folder.path().join("key")).await?;
    let target = Target {
        address: "web1".to_owned(),
        port: 22,
        user: "root".to_owned(),
        identities: Vec::new(),
        known_hosts: HostKeys::Confirmed(Vec::new()),
        jump: None,
        connect_timeout: Duration::from_secs(1),
    };
    let program = Program { path: "w".into(), sha256: "00".repeat(32), bytes: 1, machine: "x86_64" };
    let known_hosts = folder.path().join("known_hosts");
    let plans = [
        add(&AddOrder { host: target, host_keys: Vec::new(), key, known_hosts: known_hosts.clone(), program }),
        remove(&RemoveOrder { address: "web1".to_owned(), port: 22, known_hosts, state: State::Purge }),
    ];
    let mut read = 0;
    for step in plans.iter().flat_map(|plan| &plan.steps) {
        let scripts = match &step.action {
            Action::Require(script) => vec![script],
            Action::Ensure { check, make } => vec![check, make],
            Action::Program { check, .. } => vec![check],
            _ => Vec::new(),
        };
        for script in scripts {
            let mut shell = Command::new("sh").arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
            shell.stdin.take().context("its input")?.write_all(script.text().as_bytes())?;
            let output = shell.wait_with_output()?;
            let complaint = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success() && complaint.is_empty(), "{}: {complaint}\n{}", step.title, script.text());
            read += 1;
        }
    }
    ensure!(read == 16, "{read} scripts");
    Ok(())
}
