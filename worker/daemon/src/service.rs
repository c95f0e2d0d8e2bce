//! The calls of the controller, each of one thought: ask [`Jobs`] or [`Keys`](crate::keys::Keys), and put the answer into a message.

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use jiff::Timestamp;
use strongroom_proto::worker::worker_server::Worker;
use strongroom_proto::worker::{
    EnrollReply, EnrollRequest, FactsReply, FactsRequest, HelloReply, HelloRequest, JobReference, JobState, JobsReply,
    JobsRequest, LendPart, StartRequest,
};
use strongroom_proto::{PROTOCOL_NEWEST, PROTOCOL_OLDEST, common_protocol, feature};
use strongroom_repository::{Loan, chain};
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};
use zeroize::Zeroizing;

use crate::facts::{self, host};
use crate::job_id::{BadJobId, JobId};
use crate::jobs::{Jobs, LendError, LookupError, StartError, View};
use crate::keys::{Keys, KeysError};
use crate::request::{RequestFault, RestoreRequest};
use crate::task::Task;

/// What this worker can do beyond the oldest protocol.
const FEATURES: [&str; 9] = [
    feature::COMMAND_SOURCE,
    feature::DIRECT_STORE,
    feature::GATEWAY,
    feature::HOOKS,
    feature::LIMITS,
    feature::PAUSE,
    feature::PROMOTE,
    feature::RESTORE,
    feature::RESTORE_AROUND,
];

/// Of a loan: a segment takes 48 bytes and stands for up to 64 MiB, so this is a restore of 300 TiB.
const LOAN_BYTES_MAX: usize = 256 << 20;

/// The service. Clones are the same service.
#[derive(Debug, Clone)]
pub struct Service {
    jobs: Jobs,
    keys: Keys,
    clock: fn() -> Timestamp,
}

impl Service {
    /// The service of these jobs and keys.
    #[must_use]
    pub fn new(jobs: Jobs, keys: Keys, clock: fn() -> Timestamp) -> Self {
        Self { jobs, keys, clock }
    }
}

#[tonic::async_trait]
impl Worker for Service {
    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let HelloRequest { controller, protocol_newest, protocol_oldest } = request.into_inner();
        tracing::info!(controller, protocol_newest, "hello");
        if common_protocol(protocol_oldest..=protocol_newest).is_none() {
            return Err(Status::failed_precondition(format!(
                "{} speaks protocols {PROTOCOL_OLDEST} to {PROTOCOL_NEWEST}, and the controller {protocol_oldest} to {protocol_newest}: upgrade the older of the two",
                crate::PROGRAM
            )));
        }
        Ok(Response::new(HelloReply {
            version: env!("CARGO_PKG_VERSION").into(),
            protocol_newest: PROTOCOL_NEWEST,
            protocol_oldest: PROTOCOL_OLDEST,
            features: FEATURES.map(str::to_owned).into(),
            hostname: host::name().unwrap_or_default(),
            boot_id: host::boot_id().unwrap_or_default(),
            enrolled: self.keys.enrolled().iter().map(ToString::to_string).collect(),
            clock_ns: i64::try_from((self.clock)().as_nanosecond()).unwrap_or(i64::MAX),
        }))
    }

    async fn facts(&self, _request: Request<FactsRequest>) -> Result<Response<FactsReply>, Status> {
        let now = (self.clock)();
        let facts = tokio::task::block_in_place(|| facts::gather(now));
        Ok(Response::new(FactsReply { json: facts.to_json() }))
    }

    async fn enroll(&self, request: Request<EnrollRequest>) -> Result<Response<EnrollReply>, Status> {
        let key_file = request.into_inner().key_file;
        let repository = tokio::task::block_in_place(|| self.keys.enroll(&key_file)).map_err(Refusal::from)?;
        Ok(Response::new(EnrollReply { repository: repository.to_string() }))
    }

    async fn start(&self, request: Request<StartRequest>) -> Result<Response<JobState>, Status> {
        let StartRequest { job, generation, backup, restore } = request.into_inner();
        let job = job_id(&job)?;
        if generation == 0 {
            return Err(Status::invalid_argument("generations count from 1"));
        }
        let task = match (backup, restore) {
            (Some(backup), None) => crate::request::Request::try_from(backup).map(Task::from),
            (None, Some(restore)) => RestoreRequest::try_from(restore).map(Task::from),
            _ => Err(RequestFault::NoSource),
        };
        let view = self.jobs.start(job, generation, task.map_err(Refusal::from)?).await.map_err(Refusal::from)?;
        Ok(Response::new(view.into()))
    }

    async fn lend(&self, request: Request<Streaming<LendPart>>) -> Result<Response<JobState>, Status> {
        let mut parts = request.into_inner();
        let first = parts.message().await?.unwrap_or_default();
        let JobReference { job, generation } = first.job.unwrap_or_default();
        let job = job_id(&job)?;
        let mut bytes = Zeroizing::new(first.loan);
        while let Some(part) = parts.message().await? {
            let part = Zeroizing::new(part.loan);
            if bytes.len() + part.len() > LOAN_BYTES_MAX {
                return Err(Status::invalid_argument("more keys than any restore needs"));
            }
            bytes.extend_from_slice(&part);
        }
        let loan = Loan::from_bytes(&bytes).map_err(|bad| Status::invalid_argument(bad.to_string()))?;
        let view = self.jobs.lend(&job, generation, loan).await.map_err(Refusal::from)?;
        Ok(Response::new(view.into()))
    }

    type WatchStream = BoxStream<'static, Result<JobState, Status>>;

    async fn watch(&self, request: Request<JobReference>) -> Result<Response<Self::WatchStream>, Status> {
        let JobReference { job, generation } = request.into_inner();
        let views = self.jobs.watch(&job_id(&job)?, generation).await.map_err(Refusal::from)?;
        let stopping = self.jobs.stopping();
        let states = states(views).map(|view| Ok(JobState::from(view))).boxed();
        Ok(Response::new(until(states, stopping)))
    }

    async fn cancel(&self, request: Request<JobReference>) -> Result<Response<JobState>, Status> {
        let JobReference { job, generation } = request.into_inner();
        let cancelled = self.jobs.cancel(&job_id(&job)?, generation).await.map_err(Refusal::from)?;
        let view = cancelled.map_err(|error| Status::internal(chain(&error)))?;
        Ok(Response::new(view.into()))
    }

    async fn pause(&self, request: Request<JobReference>) -> Result<Response<JobState>, Status> {
        let JobReference { job, generation } = request.into_inner();
        let paused = self.jobs.pause(&job_id(&job)?, generation).await.map_err(Refusal::from)?;
        Ok(Response::new(paused.map_err(|error| Status::internal(chain(&error)))?.into()))
    }

    async fn resume(&self, request: Request<JobReference>) -> Result<Response<JobState>, Status> {
        let JobReference { job, generation } = request.into_inner();
        let resumed = self.jobs.resume(&job_id(&job)?, generation).await.map_err(Refusal::from)?;
        Ok(Response::new(resumed.map_err(|error| Status::internal(chain(&error)))?.into()))
    }

    async fn jobs(&self, _request: Request<JobsRequest>) -> Result<Response<JobsReply>, Status> {
        let jobs = self.jobs.list().await.into_iter().map(JobState::from).collect();
        Ok(Response::new(JobsReply { jobs }))
    }
}

fn job_id(text: &str) -> Result<JobId, Status> {
    text.parse().map_err(|bad: BadJobId| Status::invalid_argument(bad.to_string()))
}

/// The state now, each later one, and no more after the one that ends the job.
fn states(views: watch::Receiver<View>) -> impl futures::Stream<Item = View> + Send {
    stream::unfold((views, false), |(mut views, has_begun)| async move {
        let has_ended = has_begun && views.borrow().has_ended() && !views.has_changed().unwrap_or(false);
        if has_ended || (has_begun && views.changed().await.is_err()) {
            return None;
        }
        let view = views.borrow_and_update().clone();
        Some((view, (views, true)))
    })
}

/// The same, but broken off when the worker stops: the job goes on when it is back, and the controller asks again.
fn until<T: Send + 'static>(
    states: BoxStream<'static, Result<T, Status>>,
    stopping: impl Future<Output = ()> + Send + 'static,
) -> BoxStream<'static, Result<T, Status>> {
    let stopped = stream::once(stopping).map(|()| Err(Status::unavailable("the worker stops")));
    let mut is_over = false;
    let ends = states.map(Some).chain(stream::once(async { None }));
    let both = stream::select(ends, stopped.map(Some));
    both.take_while(move |item| {
        let go_on = !is_over && item.is_some();
        is_over = matches!(item, Some(Err(_)));
        futures::future::ready(go_on)
    })
    .filter_map(futures::future::ready)
    .boxed()
}

/// A refusal as a status.
struct Refusal(Status);

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        refusal.0
    }
}

impl From<RequestFault> for Refusal {
    fn from(fault: RequestFault) -> Self {
        Self(Status::invalid_argument(fault.to_string()))
    }
}

impl From<StartError> for Refusal {
    fn from(error: StartError) -> Self {
        let text = chain(&error);
        Self(match error {
            StartError::Older { .. } => Status::aborted(text),
            StartError::OtherContent { .. } => Status::already_exists(text),
            StartError::StillRunning { .. } | StartError::NotEnrolled(_) => Status::failed_precondition(text),
            StartError::TooMany(_) => Status::resource_exhausted(text),
            StartError::Stopping => Status::unavailable(text),
            StartError::Ledger(_) => Status::internal(text),
        })
    }
}

impl From<LookupError> for Refusal {
    fn from(error: LookupError) -> Self {
        Self(match error {
            LookupError::Unknown(_) | LookupError::Newer { .. } => Status::not_found(error.to_string()),
            LookupError::Older { .. } => Status::aborted(error.to_string()),
        })
    }
}

impl From<LendError> for Refusal {
    fn from(error: LendError) -> Self {
        match error {
            LendError::Lookup(error) => error.into(),
            LendError::NotForThis(_) => Self(Status::invalid_argument(error.to_string())),
        }
    }
}

impl From<KeysError> for Refusal {
    fn from(error: KeysError) -> Self {
        let text = chain(&error);
        Self(match error {
            KeysError::Malformed(_) => Status::invalid_argument(text),
            KeysError::CanRead => Status::permission_denied(text),
            KeysError::Missing(_) => Status::failed_precondition(text),
            KeysError::File { .. } => Status::internal(text),
        })
    }
}
