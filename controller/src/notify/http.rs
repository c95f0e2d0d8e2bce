//! Calls to web servers, bounded in time and in what is read of the answer.

use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client, RequestBuilder, redirect};
use strongroom_plans::SourcePath;

const CONNECT_MAX: Duration = Duration::from_secs(10);
const CALL_MAX: Duration = Duration::from_secs(30);
/// Enough to see what a server says; the rest is not read.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// A client that trusts the system's certificates and those of a file. It follows no redirection: what is posted is meant for one server.
pub(super) fn client(ca_file: Option<&SourcePath>) -> Result<Client, String> {
    let client = Client::builder()
        .user_agent(concat!("strongroom/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_MAX)
        .timeout(CALL_MAX)
        .redirect(redirect::Policy::none())
        .tls_certs_merge(ca_file.map(|file| certificates(file.as_path())).transpose()?.unwrap_or_default());
    client.build().map_err(said)
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, String> {
    let pem = std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(format!("{} holds no certificates (PEM)", path.display())),
    }
}

/// Makes a call, and returns the beginning of the answer; one that is no success is an error.
pub(super) async fn call(request: RequestBuilder) -> Result<String, String> {
    let mut response = request.send().await.map_err(said)?;
    let status = response.status();
    let mut answer = Vec::new();
    while let Some(part) = response.chunk().await.map_err(said)? {
        answer.extend_from_slice(&part);
        if answer.len() > ANSWER_BYTES_MAX {
            break;
        }
    }
    match status.is_success() {
        true => Ok(String::from_utf8_lossy(&answer).into_owned()),
        false => Err(format!("the server answered {status}")),
    }
}

/// Without the URL, which may hold a secret.
fn said(error: reqwest::Error) -> String {
    strongroom_repository::chain(&error.without_url())
}
