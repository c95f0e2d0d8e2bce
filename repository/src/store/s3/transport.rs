//! The HTTP below the bucket: one pool of connections, stall time-outs, and errors that tell what happened.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use reqwest::tls::TlsInfo;
use tokio::sync::Semaphore;

use super::bodies::{Download, Progress, Upload};
use super::error::S3Error;
use super::lock::ObjectLock;
use crate::store::StoreError;

/// A server that does not take a connection within this time is down, whatever the line.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// No byte for so long is a dead connection. It includes what the kernel still holds when the last piece was handed over: at most 4 MiB, which even a line of
/// 1 Mbit/s sends in 34 s, and what the server takes to make 64 MiB durable before it answers.
const STALL: Duration = Duration::from_secs(90);

/// Requests that wait for their answer at the same time: lanes of a backup, of a restore and a listing come to less, and each upload holds up to 64 MiB.
const REQUESTS_MAX: usize = 24;

/// Of an answer that is no success, so many bytes are looked at.
const FAULT_BYTES_MAX: usize = 64 * 1024;

/// By this a server says that the object stays, as an older version behind a marker.
const DELETE_MARKER: &str = "x-amz-delete-marker";

/// What is told apart when a client is made.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    /// For messages: scheme, host and port.
    pub(super) shown: String,
    pub(super) is_plain_http: bool,
    pub(super) ca: Option<PathBuf>,
}

/// The client of one store. Clones share its connections.
#[derive(Clone)]
pub(super) struct Transport {
    client: reqwest::Client,
    endpoint: Arc<str>,
    slots: Arc<Semaphore>,
    stall: Duration,
    /// Deletions that only hid what they were to delete.
    hidden: Arc<AtomicU64>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Transport({})", self.endpoint)
    }
}

impl Transport {
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, StoreError> {
        // One connection carries one request: the sum of many is faster than HTTP/2's many in one, and a stalled one delays no other.
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("strongroom/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .tls_info(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .https_only(!endpoint.is_plain_http);
        if let Some(path) = &endpoint.ca {
            // Only this authority: no public one can vouch for somebody else's server then.
            builder = builder.tls_certs_only(certificates(path)?);
        }
        let client = builder.build().map_err(|source| StoreError::Client { source: Box::new(source) })?;
        let endpoint = endpoint.shown.as_str().into();
        Ok(Self {
            client,
            endpoint,
            slots: Arc::new(Semaphore::new(REQUESTS_MAX)),
            stall: STALL,
            hidden: Arc::default(),
        })
    }

    #[cfg(test)]
    pub(super) fn stalling_after(self, stall: Duration) -> Self {
        Self { stall, ..self }
    }

    pub(super) fn hidden_count(&self) -> u64 {
        self.hidden.load(Ordering::Relaxed)
    }

    /// The server's certificate as it showed it, in DER; whatever it answers otherwise.
    pub(super) async fn certificate(&self, url: &str) -> Option<Vec<u8>> {
        let answer = self.client.get(url).send().await.ok()?;
        answer.extensions().get::<TlsInfo>()?.peer_certificate().map(<[u8]>::to_vec)
    }

    async fn execute(&self, request: HttpRequest) -> Result<reqwest::Response, S3Error> {
        let progress = Progress::now();
        let (parts, body) = request.into_parts();
        let upload = reqwest::Body::wrap(Upload::new(body, progress.clone()));
        let request = reqwest::Request::try_from(http::Request::from_parts(parts, upload));
        let request = request.map_err(|error| S3Error::transport(&self.endpoint, &error))?;
        tokio::select! {
            answer = self.client.execute(request) => answer.map_err(|error| S3Error::transport(&self.endpoint, &error)),
            () = progress.stalls(self.stall) => {
                Err(S3Error::Stalled { endpoint: self.endpoint.to_string(), after: self.stall })
            }
        }
    }
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // BUG if it is closed: nothing closes it.
        let slot = self.slots.acquire().await.expect("the slots are never closed");
        let answer = self.execute(request).await.map_err(S3Error::into_http)?;
        drop(slot);
        let (mut parts, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
        let body = HttpResponseBody::new(Download::new(body, Arc::clone(&self.endpoint), self.stall));
        if parts.status.is_success() {
            // The client keeps few headers, and every extension.
            if let Some(lock) = ObjectLock::of(&parts.headers) {
                parts.extensions.insert(lock);
            }
            if parts.headers.get(DELETE_MARKER).is_some_and(|marker| marker == "true") {
                self.hidden.fetch_add(1, Ordering::Relaxed);
            }
            return Ok(HttpResponse::from_parts(parts, body));
        }
        Err(S3Error::answer(parts.status.as_u16(), &beginning(body).await).into_http())
    }
}

/// What can be had of an answer's text. Its status says enough without.
async fn beginning(body: HttpResponseBody) -> Vec<u8> {
    let mut text = Vec::new();
    let mut stream = body.bytes_stream();
    while let Some(Ok(bytes)) = stream.next().await {
        let bytes: Bytes = bytes;
        text.extend_from_slice(&bytes[..bytes.len().min(FAULT_BYTES_MAX - text.len())]);
        if text.len() == FAULT_BYTES_MAX {
            break;
        }
    }
    text
}

impl HttpConnector for Transport {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

fn certificates(path: &PathBuf) -> Result<Vec<reqwest::Certificate>, StoreError> {
    let pem = std::fs::read(path).map_err(|source| StoreError::Ca { path: path.clone(), source })?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem).unwrap_or_default();
    if certificates.is_empty() { Err(StoreError::NoCertificate { path: path.clone() }) } else { Ok(certificates) }
}
