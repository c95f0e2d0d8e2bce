//! Requests that the client has no words for: signed by its authorizer, sent over our transport, and tried again as its own are.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64;
use http::Method;
use object_store::aws::AwsAuthorizer;
use object_store::client::{HttpRequest, HttpRequestBody, HttpService};
use object_store::path::Path;
use object_store::{CredentialProvider, Error, Result};
use tokio::time::Instant;

use super::{S3Store, is_tried_again, said};

/// A request about one object that may be repeated as it is.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) method: Method,
    pub(super) location: &'a Path,
    /// Which of an object's sides is meant, such as `retention`.
    pub(super) side: &'static str,
    /// XML.
    pub(super) body: String,
}

impl S3Store {
    /// Sends a request until it is answered with success, or with what no further try would change.
    pub(super) async fn ask(&self, asked: &Asked<'_>) -> Result<()> {
        let begun = Instant::now();
        for attempt in 1.. {
            let Err(error) = self.ask_once(asked).await else { return Ok(()) };
            let error = said(error, asked.location);
            if !is_tried_again(&error, asked.location, attempt, begun).await {
                return Err(error);
            }
        }
        unreachable!("the last try returns")
    }

    async fn ask_once(&self, asked: &Asked<'_>) -> Result<()> {
        let mut request = self.request(asked)?;
        let key = self.credentials.get_credential().await?;
        AwsAuthorizer::new(&key, "s3", &self.region).try_authorize(&mut request, None)?;
        self.transport.call(request).await.map(drop).map_err(failed)
    }

    fn request(&self, asked: &Asked<'_>) -> Result<HttpRequest> {
        let place = Path::from(self.place.prefix());
        let name: Path = place.parts().chain(asked.location.parts()).collect();
        let checksum = BASE64.encode(digest(&SHA256, asked.body.as_bytes()).as_ref());
        http::Request::builder()
            .method(&asked.method)
            .uri(format!("{}/{}?{}", self.url, encoded(name.as_ref()), asked.side))
            .header(http::header::CONTENT_TYPE, "application/xml")
            // As Amazon's own programs say it: one of the two is asked for wherever locks are concerned.
            .header("x-amz-sdk-checksum-algorithm", "SHA256")
            .header("x-amz-checksum-sha256", checksum)
            .body(HttpRequestBody::from(asked.body.clone()))
            .map_err(failed)
    }
}

fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "S3", source: source.into() }
}

/// A name as it stands in an address, and as the signature wants it.
fn encoded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}
