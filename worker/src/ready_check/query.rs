//! Questions to databases, by the programs that come with them.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use clap::Args;
use jiff::Timestamp;
use rustix::fs::{FlockOperation, fcntl_lock};

use super::{AnswerArgs, Finding, files, one_line};

#[derive(Debug, Args)]
#[group(skip)]
pub struct SqliteArgs {
    /// The file
    #[arg(allow_hyphen_values = true)]
    file: String,
    #[command(flatten)]
    answer: AnswerArgs,
}

#[derive(Debug, Args)]
#[group(skip)]
pub struct PostgresqlArgs {
    /// Its name, or how it is reached, as psql takes it
    #[arg(allow_hyphen_values = true)]
    database: String,
    /// Ask as this user of the system, by runuser
    #[arg(long = "as", value_name = "USER")]
    user: Option<String>,
    #[command(flatten)]
    answer: AnswerArgs,
}

/// Beside a database with a write-ahead log, while anybody has it open (sqlite.org/walformat.html).
const SHARED_MEMORY: &str = "-shm";

/// What an answer can be compared with is shorter.
const ANSWER_BYTES_MAX: u64 = 4 << 10;

impl SqliteArgs {
    pub(super) fn look(&self, now: Timestamp) -> Finding {
        self.answer.compare(self.ask(), now)
    }

    fn ask(&self) -> Result<String, String> {
        files::reached(Path::new(&self.file))?;
        let mut command = Command::new("sqlite3");
        command.args(["-readonly", "-batch", "-bail", "-noheader", "-list", &self.database()]);
        let shared = self.beside(SHARED_MEMORY);
        let was_there = shared.exists();
        let answer = answer(command.arg(&self.answer.query));
        if !was_there {
            remove_unused(&shared);
        }
        answer
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        PathBuf::from(format!("{}{suffix}", self.file))
    }

    /// SQLite makes files beside a database that uses a write-ahead log, also when it only reads. Where there is no journal, the file alone is all there is, and it is told
    /// that nobody changes it; where there is one, what it holds counts too.
    fn database(&self) -> String {
        match ["-wal", SHARED_MEMORY, "-journal"].iter().any(|suffix| self.beside(suffix).exists()) {
            true => url(&self.file, "mode=ro"),
            false => url(&self.file, "immutable=1"),
        }
    }
}

impl PostgresqlArgs {
    pub(super) fn look(&self, now: Timestamp) -> Finding {
        self.answer.compare(self.ask(), now)
    }

    fn ask(&self) -> Result<String, String> {
        let mut command = match &self.user {
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--", "psql"]);
                command
            }
            None => Command::new("psql"),
        };
        // Without anybody's psqlrc, rows and nothing else; and nobody is asked for a password.
        command.args(["-XAtqw", "-v", "ON_ERROR_STOP=1", "-d", &self.database, "-c", &self.answer.query]);
        answer(&mut command)
    }
}

/// Takes away what reading has left beside a restored database, so that it is still what was restored. Whoever has the database open holds a lock on that file.
fn remove_unused(shared: &Path) {
    let Ok(file) = File::options().read(true).write(true).open(shared) else { return };
    if fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
        // What stays does no harm: `promote` names it.
        let _ = fs::remove_file(shared);
    }
}

/// As SQLite reads it: a path whose special characters are percent-encoded.
fn url(path: &str, how: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let encode = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") };
    let path: String = path.bytes().map(encode).collect();
    format!("file:{path}?{how}")
}

/// What a program prints; an error says how it failed, in its own words.
fn answer(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let cannot = |error| format!("cannot run {program}: {error}");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(cannot)?;
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let (output, errors) = thread::scope(|scope| {
        let errors = scope.spawn(|| beginning(errors));
        (beginning(output), errors.join().unwrap_or_default())
    });
    let status = child.wait().map_err(cannot)?;
    if output.len() as u64 == ANSWER_BYTES_MAX {
        return Err(format!("the query gives more than {ANSWER_BYTES_MAX} bytes"));
    }
    match status.success() {
        true => Ok(String::from_utf8_lossy(&output).into_owned()),
        false => Err(format!("{program} failed: {}", one_line(&errors))),
    }
}

/// What comes first; whoever says more is not heard.
fn beginning(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What cannot be read was not said; how the program ended tells.
    let _ = pipe.map(|pipe| pipe.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes));
    bytes
}
