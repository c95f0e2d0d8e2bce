//! Who asks: an access key from the caller, from a file, or from a command; never from a URL or a command line.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use serde::Deserialize;
use tokio::process::Command;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::error::S3Error;
use super::ini;
use crate::store::blocking;

/// No credentials file or answer is longer: one with fifty profiles has 10 KB.
const TEXT_BYTES_MAX: u64 = 256 << 10;

/// A command that asks a vault or a token service answers in seconds; one that asks a person must not hang a nightly backup.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(60);

/// Credentials that end are renewed so long before: the longest single upload is not cut off by it.
const RENEWED_BEFORE: SignedDuration = SignedDuration::from_mins(5);

/// Where the access key comes from.
#[derive(Debug, Clone)]
pub enum CredentialSource {
    /// From the caller.
    Key(AccessKey),
    /// From a file in the usual shape of `~/.aws/credentials`, which nobody but its owner may read.
    File {
        /// The file.
        path: PathBuf,
        /// The section in it.
        profile: String,
    },
    /// From a program and its arguments. It prints either JSON as AWS's `credential_process` does (`AccessKeyId`, `SecretAccessKey`, and perhaps `SessionToken`
    /// and `Expiration`, before which it is run again), or the lines of a credentials file.
    Command(Vec<String>),
}

/// An access key and its secret.
#[derive(Clone)]
pub struct AccessKey {
    /// The public half.
    pub id: String,
    /// The secret half.
    pub secret: Zeroizing<String>,
    /// What temporary keys need besides.
    pub session_token: Option<Zeroizing<String>>,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "AccessKey({}, …)", self.id)
    }
}

/// An access key and when it ends.
#[derive(Debug)]
struct Obtained {
    credential: Arc<AwsCredential>,
    expires: Option<Timestamp>,
}

impl Obtained {
    fn is_fresh(&self) -> bool {
        // The machine's clock decides; if it is wrong, the store says so in its own words.
        self.expires.is_none_or(|expires| expires.duration_since(Timestamp::now()) > RENEWED_BEFORE)
    }
}

/// Gives the key to each request, and renews it when it is about to end.
#[derive(Debug)]
pub(super) struct Credentials {
    source: CredentialSource,
    obtained: Mutex<Option<Obtained>>,
}

impl Credentials {
    pub(super) fn new(source: CredentialSource) -> Self {
        Self { source, obtained: Mutex::default() }
    }

    /// When the key ends that is in use.
    pub(super) async fn expires(&self) -> object_store::Result<Option<Timestamp>> {
        self.get_credential().await?;
        Ok(self.obtained.lock().await.as_ref().and_then(|known| known.expires))
    }

    async fn obtain(&self) -> Result<Obtained, String> {
        match &self.source {
            CredentialSource::Key(key) => Ok(Obtained { credential: credential(key.clone()), expires: None }),
            CredentialSource::File { path, profile } => {
                let (file, section) = (path.clone(), profile.clone());
                let read = blocking::run(move || Ok(key_in_file(&file, &section))).await;
                let key = read.unwrap_or_else(|error| Err(error.to_string()))?;
                Ok(Obtained { credential: credential(key), expires: None })
            }
            CredentialSource::Command(words) => answer_of(words).await,
        }
    }
}

#[async_trait]
impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut obtained = self.obtained.lock().await;
        if let Some(known) = obtained.as_ref().filter(|known| known.is_fresh()) {
            return Ok(Arc::clone(&known.credential));
        }
        let new = self.obtain().await.map_err(|why| S3Error::Credentials(why).into_store(""))?;
        Ok(Arc::clone(&obtained.insert(new).credential))
    }
}

fn credential(key: AccessKey) -> Arc<AwsCredential> {
    let token = key.session_token.map(|token| token.to_string());
    Arc::new(AwsCredential { key_id: key.id, secret_key: key.secret.to_string(), token })
}

fn key_in_file(path: &Path, profile: &str) -> Result<AccessKey, String> {
    let failed = |why: &dyn fmt::Display| format!("the credentials file {}: {why}", path.display());
    let mut file = File::open(path).map_err(|error| failed(&error))?;
    let metadata = file.metadata().map_err(|error| failed(&error))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if metadata.is_file() && mode & 0o077 != 0 {
        return Err(failed(&format_args!("its mode is {mode:04o}, others than its owner may use it: chmod 600 it")));
    }
    let mut text = Zeroizing::new(String::new());
    (&mut file).take(TEXT_BYTES_MAX).read_to_string(&mut text).map_err(|error| failed(&error))?;
    ini::key(&text, Some(profile)).map_err(|why| failed(&why))
}

async fn answer_of(words: &[String]) -> Result<Obtained, String> {
    let (program, arguments) = words.split_first().ok_or("the credentials command is empty")?;
    let mut command = Command::new(program);
    // What it says to people goes where our own talk goes; what it prints is the secret.
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let answer = tokio::time::timeout(COMMAND_TIME_MAX, command.output()).await;
    let answer = answer
        .map_err(|_| format!("the credentials command gave no answer in {} seconds", COMMAND_TIME_MAX.as_secs()))?;
    let answer = answer.map_err(|error| format!("the credentials command cannot be run: {error}"))?;
    let text = Zeroizing::new(answer.stdout);
    if !answer.status.success() {
        return Err(format!("the credentials command failed: {}", answer.status));
    }
    understood(&text)
        .ok_or_else(|| "the credentials command printed neither JSON nor the lines of a credentials file".into())
}

/// As AWS's `credential_process` prints it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<Timestamp>,
}

fn understood(text: &[u8]) -> Option<Obtained> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() as u64 <= TEXT_BYTES_MAX)?;
    if !text.trim_start().starts_with('{') {
        return Some(Obtained { credential: credential(ini::key(text, None).ok()?), expires: None });
    }
    let printed: Printed = serde_json::from_str(text).ok()?;
    let session_token = printed.session_token.map(Zeroizing::new);
    let key = AccessKey { id: printed.access_key_id, secret: Zeroizing::new(printed.secret_access_key), session_token };
    Some(Obtained { credential: credential(key), expires: printed.expiration })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn from_command(script: &str) -> Result<Arc<AwsCredential>, String> {
        let words = ["/bin/sh", "-c", script].map(String::from).into();
        let credentials = Credentials::new(CredentialSource::Command(words));
        credentials.get_credential().await.map_err(|error| crate::error::chain(&error))
    }

    #[tokio::test]
    async fn a_command_prints_json_or_lines() {
        let json = r#"echo '{"Version":1,"AccessKeyId":"id","SecretAccessKey":"se","SessionToken":"to"}'"#;
        let found = from_command(json).await.expect("json");
        assert_eq!(
            (found.key_id.as_str(), found.secret_key.as_str(), found.token.as_deref()),
            ("id", "se", Some("to"))
        );
        let lines = "echo aws_access_key_id = id; echo aws_secret_access_key = se";
        let found = from_command(lines).await.expect("lines");
        assert_eq!((found.key_id.as_str(), found.secret_key.as_str()), ("id", "se"));
    }

    #[tokio::test]
    async fn a_command_that_fails_says_how_and_shows_no_secret() {
        let failed = async |script| from_command(script).await.expect_err("failure");
        assert!(failed("echo geheim; exit 3").await.contains("exit status: 3"));
        let odd = failed("echo geheim").await;
        assert!(odd.contains("neither JSON") && !odd.contains("geheim"), "{odd}");
    }

    /// Keys that end are asked for again, others are not.
    #[tokio::test]
    async fn a_command_runs_again_before_its_key_ends() {
        let folder = tempfile::tempdir().expect("folder");
        let count = folder.path().join("count");
        let asked = async |expiration: &str| {
            std::fs::write(&count, "").expect("write");
            let json = format!(r#"{{"AccessKeyId":"i","SecretAccessKey":"s","Expiration":"{expiration}"}}"#);
            let script = format!("echo x >>{}; echo '{json}'", count.display());
            let credentials =
                Credentials::new(CredentialSource::Command(["/bin/sh".into(), "-c".into(), script].into()));
            for _ in 0..3 {
                credentials.get_credential().await.expect("key");
            }
            std::fs::read_to_string(&count).expect("read").lines().count()
        };
        assert_eq!(asked("2099-01-01T00:00:00Z").await, 1);
        assert_eq!(asked("2020-01-01T00:00:00Z").await, 3);
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("credentials");
        std::fs::write(&path, "[default]\naws_access_key_id=id\naws_secret_access_key=geheim\n").expect("write");
        let with_mode = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("mode");
            key_in_file(&path, "default")
        };
        assert_eq!(with_mode(0o600).expect("its owner's").id, "id");
        for mode in [0o644, 0o640, 0o620] {
            let why = with_mode(mode).expect_err("refused");
            assert!(why.contains("chmod 600") && !why.contains("geheim"), "{why}");
        }
        let why = key_in_file(&folder.path().join("absent"), "default").expect_err("absent");
        assert!(why.contains("No such file"), "{why}");
    }
}
