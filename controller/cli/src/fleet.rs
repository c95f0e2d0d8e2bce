//! The commands that ask a running controller.

mod drill;
mod history;
mod journal;
mod notify;
mod one_run;
mod own_state;
mod proof;
mod runs;
mod start;
mod status;

use std::path::{Path, PathBuf};

use clap::Args;
use serde::de::DeserializeOwned;
use strongroom_proto::operator::operator_client::OperatorClient;
use strongroom_proto::operator::{Document, ReloadRequest};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};

pub(crate) use drill::DrillCommand;
pub(crate) use journal::{JOURNAL, JournalCommand};
pub(crate) use notify::NotifyCommand;
pub(crate) use own_state::ControllerCommand;
pub(crate) use proof::ProofCommand;
pub(crate) use runs::{RunsArgs, run as runs};
pub(crate) use start::{Asked, start};
pub(crate) use status::{StatusArgs, run as status};

use crate::context::Context;
use crate::failure::{Cause, Doing, Failure};

/// Which controller is asked.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ControllerArgs {
    /// The controller's socket [env: STRONGROOM_SOCKET] [default: /run/strongroom-controller/controller.sock]
    #[arg(long, value_name = "PATH", env = "STRONGROOM_SOCKET", hide_env = true, help_heading = "Controller")]
    socket: Option<PathBuf>,
}

/// Where a controller listens unless it is told otherwise.
pub(crate) const SOCKET: &str = "/run/strongroom-controller/controller.sock";

/// A controller that answers.
#[derive(Debug, Clone)]
pub(crate) struct Controller(OperatorClient<Channel>);

/// An answer holds up to a thousand runs, each with up to a thousand findings.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

impl ControllerArgs {
    pub(crate) fn socket(&self) -> &Path {
        self.socket.as_deref().unwrap_or(Path::new(SOCKET))
    }

    /// Connects to it.
    pub(crate) fn connect(&self, context: &Context) -> Result<Controller, Failure> {
        let path = self.socket().to_owned();
        let what = "ask the controller";
        let connected = context.wait(what, async {
            let connect = tower::service_fn(move |_| {
                let path = path.clone();
                async move { tokio::net::UnixStream::connect(path).await.map(hyper_util::rt::TokioIo::new) }
            });
            let channel = Endpoint::from_static("http://controller.invalid").connect_with_connector(connect).await;
            channel.map_err(|error| Cause::Program(Box::new(error)))
        });
        let channel = connected.map_err(|failure| {
            failure.advise(format!(
                "start it with `strongroom serve --site DIR`, or say where it listens with --socket (now {})",
                self.socket().display()
            ))
        })?;
        Ok(Controller(OperatorClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)))
    }
}

impl ControllerArgs {
    /// Has a controller read its site again, if one runs here; whether it did.
    pub(crate) fn try_reload(&self, context: &Context) -> bool {
        let Ok(controller) = self.connect(context) else { return false };
        let mut client = controller.client();
        context
            .wait("load the site", async { client.reload(ReloadRequest { dry_run: false }).await.map_err(refused) })
            .is_ok()
    }
}

impl Controller {
    /// For calls.
    pub(crate) fn client(&self) -> OperatorClient<Channel> {
        self.0.clone()
    }

    /// Waits for an answer of a known shape.
    pub(crate) fn ask<T: DeserializeOwned>(
        &self,
        what: &str,
        context: &Context,
        call: impl Future<Output = Result<Response<Document>, Status>>,
    ) -> Result<T, Failure> {
        let document = context.wait(what, async { call.await.map_err(refused) })?.into_inner();
        parse(&document).doing(|| what.to_owned())
    }
}

/// A document of a controller of another release may be of another shape.
pub(crate) fn parse<T: DeserializeOwned>(document: &Document) -> Result<T, Cause> {
    serde_json::from_str(&document.json).map_err(|error| Cause::Program(Box::new(error)))
}

/// What a controller's refusal means here.
pub(crate) fn refused(status: Status) -> Cause {
    match status.code() {
        Code::NotFound => Cause::Absent(status.message().to_owned()),
        Code::FailedPrecondition | Code::InvalidArgument => Cause::Usage(status.message().to_owned()),
        Code::PermissionDenied | Code::Unauthenticated => Cause::Forbidden(status.message().to_owned()),
        _ => Cause::Program(Box::new(status)),
    }
}
