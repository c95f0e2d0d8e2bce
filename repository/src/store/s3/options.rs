//! How a bucket is reached: everything that its URL does not say.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::credentials::{AccessKey, CredentialSource};
use super::transport::Endpoint;
use crate::store::StoreError;

/// The region of stores that have none.
const REGION: &str = "us-east-1";

/// How a bucket is reached. Secrets in it are not shown by `Debug`.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// `https://host:port`; none for Amazon's own.
    pub endpoint: Option<String>,
    /// The region, by which requests are signed.
    pub region: String,
    /// Where the bucket's name stands.
    pub addressing: Addressing,
    /// A file with the certificates that the server's must be signed by, instead of the system's.
    pub ca: Option<PathBuf>,
    /// Who asks.
    pub credentials: CredentialSource,
}

/// What somebody has said of how a bucket is reached; the rest is as the environment says.
#[derive(Debug, Clone, Default)]
pub struct S3Said {
    /// `https://host:port`.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// Where the bucket's name stands.
    pub addressing: Option<Addressing>,
    /// The certificates that the server's must be signed by.
    pub ca: Option<PathBuf>,
    /// Who asks.
    pub credentials: Option<CredentialSource>,
}

/// Where the bucket's name stands in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// In the path: what every look-alike understands.
    Path,
    /// In the host's name: what Amazon prefers.
    Host,
}

impl S3Options {
    /// Options for a store at `endpoint`, or for Amazon's, with everything else as most stores want it.
    #[must_use]
    pub fn new(endpoint: Option<String>, credentials: CredentialSource) -> Self {
        let addressing = if endpoint.is_some() { Addressing::Path } else { Addressing::Host };
        Self { endpoint, region: REGION.into(), addressing, ca: None, credentials }
    }

    /// The options that the environment of this process holds; nothing else in this crate reads it. In this order, the first that is set:
    ///
    /// * endpoint: `STRONGROOM_S3_ENDPOINT`, `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, else Amazon's
    /// * region: `STRONGROOM_S3_REGION`, `AWS_REGION`, `AWS_DEFAULT_REGION`, else `us-east-1`
    /// * `STRONGROOM_S3_ADDRESSING`: `path` (as it is with an endpoint) or `host`
    /// * certificates of the store's own authority: `STRONGROOM_S3_CA`, `AWS_CA_BUNDLE`
    /// * credentials: the command in `STRONGROOM_S3_CREDENTIALS_COMMAND`; the file in `STRONGROOM_S3_CREDENTIALS_FILE`; `AWS_ACCESS_KEY_ID` with
    ///   `AWS_SECRET_ACCESS_KEY` and perhaps `AWS_SESSION_TOKEN`; the file in `AWS_SHARED_CREDENTIALS_FILE`; `~/.aws/credentials`. Of a file, the profile in
    ///   `AWS_PROFILE`, else `default`.
    pub fn from_environment() -> Result<Self, StoreError> {
        Self::over_environment(S3Said::default())
    }

    /// What is said, and [`Self::from_environment`] for the rest. Of an endpoint that is said, the environment's addressing and certificates are not asked: they belong to another.
    pub fn over_environment(said: S3Said) -> Result<Self, StoreError> {
        Self::over_variables(said, |name| env::var_os(name))
    }

    fn over_variables(said: S3Said, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, StoreError> {
        let variables = Variables { variable };
        let of_environment = said.endpoint.is_none();
        let endpoint = match said.endpoint {
            None => variables.text(&["STRONGROOM_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])?,
            said => said,
        };
        let credentials = said.credentials.map_or_else(|| variables.credentials(), Ok)?;
        let mut options = Self::new(endpoint, credentials);
        let region = match said.region {
            None => variables.text(&["STRONGROOM_S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"])?,
            said => said,
        };
        options.region = region.unwrap_or(options.region);
        let addressing = match said.addressing {
            None if of_environment => variables.addressing()?,
            said => said,
        };
        options.addressing = addressing.unwrap_or(options.addressing);
        let ca_of_environment = || variables.path(&["STRONGROOM_S3_CA", "AWS_CA_BUNDLE"]).filter(|_| of_environment);
        options.ca = said.ca.or_else(ca_of_environment);
        Ok(options)
    }

    /// The server's address, checked, and with the bucket where it belongs.
    pub(super) fn endpoint(&self, bucket: &str) -> Result<(String, Endpoint), StoreError> {
        let (host, port) = (format!("s3.{}.amazonaws.com", self.region), None);
        let (scheme, host, port) = match &self.endpoint {
            None => ("https", host, port),
            Some(url) => split(url).ok_or(StoreError::MalformedEndpoint)?,
        };
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let shown = format!("{scheme}://{host}{port}");
        let url = match self.addressing {
            Addressing::Path => format!("{shown}/{bucket}"),
            Addressing::Host => format!("{scheme}://{bucket}.{host}{port}"),
        };
        Ok((url, Endpoint { shown, is_plain_http: scheme == "http", ca: self.ca.clone() }))
    }
}

/// Scheme, host and port of an endpoint, which has no path and no user.
fn split(url: &str) -> Option<(&'static str, String, Option<u16>)> {
    let (scheme, rest) = match url.split_once("://")? {
        ("https", rest) => ("https", rest),
        ("http", rest) => ("http", rest),
        _ => return None,
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let at = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
    let (host, port) = authority.split_at(at.unwrap_or(authority.len()));
    let port = match port.strip_prefix(':') {
        Some(port) => Some(port.parse().ok()?),
        None => None,
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    (!host.is_empty() && host.bytes().all(allowed)).then(|| (scheme, host.to_owned(), port))
}

struct Variables<F> {
    variable: F,
}

impl<F: Fn(&str) -> Option<OsString>> Variables<F> {
    /// The first that is set and not empty.
    fn first(&self, names: &[&'static str]) -> Option<(&'static str, OsString)> {
        names
            .iter()
            .find_map(|name| (self.variable)(name).filter(|value| !value.is_empty()).map(|value| (*name, value)))
    }

    fn text(&self, names: &[&'static str]) -> Result<Option<String>, StoreError> {
        let Some((name, value)) = self.first(names) else { return Ok(None) };
        value.into_string().map(Some).map_err(|_| StoreError::Variable { name, expect: "text" })
    }

    fn addressing(&self) -> Result<Option<Addressing>, StoreError> {
        match self.text(&["STRONGROOM_S3_ADDRESSING"])?.as_deref() {
            Some("path") => Ok(Some(Addressing::Path)),
            Some("host") => Ok(Some(Addressing::Host)),
            Some(_) => Err(StoreError::Variable { name: "STRONGROOM_S3_ADDRESSING", expect: "'path' or 'host'" }),
            None => Ok(None),
        }
    }

    fn path(&self, names: &[&'static str]) -> Option<PathBuf> {
        self.first(names).map(|(_, value)| value.into())
    }

    fn credentials(&self) -> Result<CredentialSource, StoreError> {
        let profile = self.text(&["AWS_PROFILE"])?.unwrap_or_else(|| "default".into());
        if let Some(command) = self.text(&["STRONGROOM_S3_CREDENTIALS_COMMAND"])? {
            return Ok(CredentialSource::Command(["/bin/sh".into(), "-c".into(), command].into()));
        }
        if let Some(path) = self.path(&["STRONGROOM_S3_CREDENTIALS_FILE"]) {
            return Ok(CredentialSource::File { path, profile });
        }
        if let Some(id) = self.text(&["AWS_ACCESS_KEY_ID"])? {
            let secret = self.text(&["AWS_SECRET_ACCESS_KEY"])?;
            let secret = secret.ok_or(StoreError::Variable { name: "AWS_SECRET_ACCESS_KEY", expect: "the secret" })?;
            let session_token = self.text(&["AWS_SESSION_TOKEN"])?.map(Zeroizing::new);
            return Ok(CredentialSource::Key(AccessKey { id, secret: Zeroizing::new(secret), session_token }));
        }
        let shared = self.path(&["AWS_SHARED_CREDENTIALS_FILE"]);
        let usual = || self.path(&["HOME"]).map(|home| home.join(".aws/credentials")).filter(|path| path.exists());
        let path = shared.or_else(usual).ok_or(StoreError::NoCredentials)?;
        Ok(CredentialSource::File { path, profile })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(variables: &[(&str, &str)]) -> Result<S3Options, StoreError> {
        let all = |name: &str| variables.iter().find(|(found, _)| *found == name).map(|(_, value)| (*value).into());
        S3Options::over_variables(S3Said::default(), all)
    }

    const KEY: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "very secret")];

    #[test]
    fn the_environment_is_understood() {
        let amazon = options(&KEY).expect("a key is enough");
        assert_eq!((amazon.addressing, amazon.region.as_str()), (Addressing::Host, "us-east-1"));
        assert_eq!(amazon.endpoint("b").expect("Amazon's").0, "https://b.s3.us-east-1.amazonaws.com");

        let own = [
            ("AWS_ENDPOINT_URL", "http://other"),
            ("STRONGROOM_S3_ENDPOINT", "https://[fd00::1]:9000/"),
            ("AWS_REGION", "garage"),
        ];
        let own = options(&[&KEY[..], &own].concat()).expect("a whole environment");
        let (url, endpoint) = own.endpoint("b").expect("an endpoint");
        assert_eq!((url.as_str(), endpoint.shown.as_str()), ("https://[fd00::1]:9000/b", "https://[fd00::1]:9000"));
        assert!(!endpoint.is_plain_http);
        assert_eq!(own.region, "garage");
    }

    #[test]
    fn what_is_said_comes_before_the_environment() {
        let environment = [
            ("STRONGROOM_S3_ENDPOINT", "https://other"),
            ("STRONGROOM_S3_ADDRESSING", "host"),
            ("STRONGROOM_S3_CA", "/other.pem"),
            ("AWS_REGION", "garage"),
        ];
        let all = |name: &str| environment.iter().find(|(found, _)| *found == name).map(|(_, value)| (*value).into());
        let file = CredentialSource::File { path: "/keys".into(), profile: "default".into() };
        let credentials = Some(file);
        let said =
            S3Said { endpoint: Some("https://own".into()), credentials: credentials.clone(), ..S3Said::default() };
        let own = S3Options::over_variables(said, all).expect("said enough");
        assert_eq!(own.endpoint.as_deref(), Some("https://own"));
        assert_eq!((own.addressing, own.ca, own.region.as_str()), (Addressing::Path, None, "garage"));
        let said = S3Said { region: Some("own".into()), credentials, ..S3Said::default() };
        let mixed = S3Options::over_variables(said, all).expect("said enough");
        assert_eq!((mixed.addressing, mixed.region.as_str()), (Addressing::Host, "own"));
        assert!(mixed.ca.is_some() && mixed.endpoint.as_deref() == Some("https://other"));
    }

    #[test]
    fn credentials_come_in_their_order() {
        let file = [("AWS_SHARED_CREDENTIALS_FILE", "/f"), ("AWS_PROFILE", "p")];
        assert!(
            matches!(options(&file).expect("file").credentials, CredentialSource::File { profile, .. } if profile == "p")
        );
        let both = [&file[..], &KEY].concat();
        assert!(matches!(options(&both).expect("key").credentials, CredentialSource::Key(_)));
        let ours = [&both[..], &[("STRONGROOM_S3_CREDENTIALS_FILE", "/g")]].concat();
        assert!(
            matches!(options(&ours).expect("file").credentials, CredentialSource::File { path, .. } if path.ends_with("g"))
        );
        let command = [&ours[..], &[("STRONGROOM_S3_CREDENTIALS_COMMAND", "pass show s3")]].concat();
        assert!(
            matches!(options(&command).expect("command").credentials, CredentialSource::Command(words) if words[2] == "pass show s3")
        );
    }

    #[test]
    fn what_is_missing_is_named_and_no_secret_shown() {
        let refused = |variables: &[(&str, &str)]| options(variables).expect_err("refused").to_string();
        assert!(refused(&[]).contains("no credentials"));
        assert!(refused(&KEY[..1]).contains("AWS_SECRET_ACCESS_KEY"));
        let odd = [&KEY[..], &[("STRONGROOM_S3_ADDRESSING", "up")]].concat();
        assert!(refused(&odd).contains("STRONGROOM_S3_ADDRESSING"));
        for endpoint in ["s3.example.org", "ftp://x", "http://", "http://u:p@x", "http://x/path", "http://x:99999"] {
            let odd = options(&[&KEY[..], &[("STRONGROOM_S3_ENDPOINT", endpoint)]].concat()).expect("read");
            let error = odd.endpoint("b").expect_err(endpoint).to_string();
            assert!(error.contains("endpoint") && !error.contains("u:p"), "{error}");
        }
        let shown = format!("{:?}", options(&KEY).expect("options"));
        assert!(!shown.contains("very secret"), "{shown}");
    }
}
