//! A world of its own for each test: home, cache, state, repository and source below one temporary directory, and no environment but that.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

pub(crate) struct World {
    directory: tempfile::TempDir,
}

/// A controller, killed when dropped.
pub(crate) struct Controller(Child);

impl Drop for Controller {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("home")).unwrap();
        Self { directory }
    }

    /// With a repository, whose key is in the default place.
    pub(crate) fn with_repository() -> Self {
        let world = Self::new();
        world.run(&["repo", "init", "repo"]).expect(0);
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a file, and the directories that it needs.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// The same for its owner alone.
    pub(crate) fn write_secret(&self, name: &str, content: &str) {
        use std::os::unix::fs::PermissionsExt;
        self.write(name, content);
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command.args(args).current_dir(self.directory.path()).env_clear().stdin(Stdio::null());
        command.env("HOME", self.path("home")).env("PATH", std::env::var_os("PATH").unwrap()).env("TZ", "UTC");
        command.env("STRONGROOM_REPOSITORY", "repo");
        command
    }

    /// A controller of a site that answers at `socket`.
    pub(crate) fn serve(&self, site: &str) -> Controller {
        let mut command = self.command(&["serve", "--site", site, "--socket", "socket"]);
        let mut controller = Controller(command.stderr(Stdio::piped()).spawn().unwrap());
        // It listens before it says so; what it says later finds room in the pipe.
        let mut said = String::new();
        BufReader::new(controller.0.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert!(said.starts_with("serving "), "{said}");
        controller
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(args, self.command(args))
    }

    pub(crate) fn run_with_input(&self, args: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        Ran::from_output(args, child.wait_with_output().unwrap())
    }

    /// The answer of a command with `--json`, which must succeed.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let ran = self.run(&[args, &["--json"]].concat()).expect(0);
        serde_json::from_slice(&ran.out).unwrap()
    }

    /// The same where each item is a line.
    pub(crate) fn json_lines(&self, args: &[&str]) -> Vec<Value> {
        let ran = self.run(&[args, &["--json"]].concat()).expect(0);
        ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The key file in the default place.
    pub(crate) fn default_key(&self) -> PathBuf {
        let folder = self.path("home/.config/strongroom/keys");
        std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
    }

    /// Fails unless rsync finds the two trees equal in everything that it knows of.
    pub(crate) fn assert_same(&self, left: &Path, right: &Path) {
        let slash = |path: &Path| format!("{}/", path.display());
        let args = ["-aHAXinc", "--delete", &slash(left), &slash(right)].map(str::to_owned);
        let output = Command::new("rsync").args(args).output().expect("rsync is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{} and {} differ", left.display(), right.display());
    }
}

impl Ran {
    fn of(args: &[&str], mut command: Command) -> Self {
        Self::from_output(args, command.output().unwrap())
    }

    fn from_output(args: &[&str], output: std::process::Output) -> Self {
        let err = String::from_utf8(output.stderr).unwrap();
        let code = output.status.code().unwrap_or_else(|| panic!("{args:?} was killed: {}", output.status));
        assert!(!err.contains("panicked"), "{args:?}: {err}");
        Self { code, out: output.stdout, err }
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "out: {}\nerr: {}", String::from_utf8_lossy(&self.out), self.err);
        self
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }
}

/// Compares with a golden file, or writes it.
#[track_caller]
pub(crate) fn golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = expected.lines().zip(found.lines()).find(|(expected, found)| expected != found);
    assert!(
        expected == found,
        "{name} is not as it was; the first line that differs: {differs:?}\n--- found:\n{found}"
    );
}
