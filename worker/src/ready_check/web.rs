//! What a web server answers.

use std::time::Duration;

use clap::Args;
use reqwest::{Client, redirect};
use strongroom_repository::chain;
use tokio::runtime::Builder;

use super::Finding;

#[derive(Debug, Args)]
#[group(skip)]
pub struct HttpArgs {
    /// http:// or https://
    url: String,
    /// The answer's status
    #[arg(long, value_name = "CODE", default_value_t = 200)]
    status: u16,
    /// A text in the answer
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    contains: Option<String>,
}

const CONNECT_MAX: Duration = Duration::from_secs(10);
const CALL_MAX: Duration = Duration::from_secs(30);
/// Where a server says that it is well, it does so in fewer words; the rest is not read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

impl HttpArgs {
    pub(super) fn look(&self) -> Finding {
        let expected = match &self.contains {
            Some(text) => format!("{} with {text:?} in it", self.status),
            None => self.status.to_string(),
        };
        let (status, text) = match self.call() {
            Ok(answer) => answer,
            Err(why) => return Finding::of(false, format!("{} does not answer: {why}", self.url), expected),
        };
        let is_there = self.contains.as_ref().is_none_or(|wanted| text.contains(wanted));
        let without = if is_there { "" } else { ", without that text" };
        let agrees = status == self.status && is_there;
        Finding::of(agrees, format!("{} answers {status}{without}", self.url), expected)
    }

    fn call(&self) -> Result<(u16, String), String> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        runtime.block_on(self.answer()).map_err(|error| chain(&error.without_url()))
    }

    /// The status, and the beginning of the answer. It is asked of the server itself, past any proxy.
    async fn answer(&self) -> Result<(u16, String), reqwest::Error> {
        let client = Client::builder().user_agent(concat!("strongroom/", env!("CARGO_PKG_VERSION")));
        let client =
            client.connect_timeout(CONNECT_MAX).timeout(CALL_MAX).redirect(redirect::Policy::none()).no_proxy();
        let mut response = client.build()?.get(&self.url).send().await?;
        let status = response.status().as_u16();
        let mut answer = Vec::new();
        while let Some(part) = response.chunk().await? {
            answer.extend_from_slice(&part);
            if answer.len() > ANSWER_BYTES_MAX {
                break;
            }
        }
        Ok((status, String::from_utf8_lossy(&answer).into_owned()))
    }
}
