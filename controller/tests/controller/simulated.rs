//! Simulated hosts: workers in this process that keep the protocol's promises, at the other end of lines that are cut at any byte.

#![allow(dead_code, reason = "each suite uses a part of it")]

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use strongroom_controller::links::{Dial, Line, Purpose, Stream, Unreachable};
use strongroom_proto::worker::job_state::State;
use strongroom_proto::worker::worker_server::{Worker, WorkerServer};
use strongroom_proto::worker::{
    BackedUp, Cancelled, EnrollReply, EnrollRequest, FactsReply, FactsRequest, HelloReply, HelloRequest, JobReference,
    JobState, JobsReply, JobsRequest, LendPart, Running, StartRequest,
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status};

/// All hosts of a simulation.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

/// One host: what its worker remembers, and how its lines behave.
#[derive(Debug)]
pub(crate) struct Host {
    name: String,
    /// Lines are refused while it is off.
    off: watch::Sender<bool>,
    /// After so many bytes the next line is cut; zero for never.
    cut_after: Mutex<Vec<u64>>,
    enrolled: Mutex<bool>,
    features: Mutex<Vec<String>>,
    jobs: Mutex<BTreeMap<String, Job>>,
    /// How often its worker loses the keys of a restore.
    forgets: AtomicU64,
    /// How long a job takes.
    pub(crate) work: Duration,
    lines: AtomicU64,
    /// Its boot, and how often it was asked for its facts.
    boot: AtomicU64,
    asked: AtomicU64,
}

#[derive(Debug)]
struct Job {
    request: StartRequest,
    state: watch::Sender<JobState>,
    executions: u32,
    /// The loans that it got.
    lent: Vec<Vec<u8>>,
    paused: watch::Sender<bool>,
}

impl Fleet {
    /// A host with a name, off or on, of which a job takes so long.
    pub(crate) fn host(&self, name: &str, work: Duration) -> Arc<Host> {
        let host = Arc::new(Host {
            name: name.into(),
            off: watch::channel(false).0,
            cut_after: Mutex::default(),
            enrolled: Mutex::new(false),
            features: Mutex::default(),
            jobs: Mutex::default(),
            forgets: AtomicU64::new(0),
            work,
            lines: AtomicU64::new(0),
            boot: AtomicU64::new(1),
            asked: AtomicU64::new(0),
        });
        lock(&self.hosts).insert(name.into(), Arc::clone(&host));
        host
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Host {
    /// Turns it off or on; its jobs go on, as if only the network were gone.
    pub(crate) fn turn(&self, off: bool) {
        self.off.send_replace(off);
    }

    /// The next lines are cut after so many bytes each; those after hold.
    pub(crate) fn cut(&self, after: impl IntoIterator<Item = u64>) {
        let mut cuts: Vec<u64> = after.into_iter().collect();
        cuts.reverse();
        *lock(&self.cut_after) = cuts;
    }

    /// How often each job was executed.
    pub(crate) fn executions(&self) -> BTreeMap<String, u32> {
        lock(&self.jobs).iter().map(|(id, job)| (id.clone(), job.executions)).collect()
    }

    /// From the next line on, its worker says that it can do this.
    pub(crate) fn learn(&self, feature: &str) {
        lock(&self.features).push(feature.into());
    }

    /// The loans that a job got.
    pub(crate) fn lent(&self, job: &str) -> Vec<Vec<u8>> {
        lock(&self.jobs).get(job).map(|job| job.lent.clone()).unwrap_or_default()
    }

    /// Whether a job is only to look.
    pub(crate) fn is_dry_run(&self, job: &str) -> bool {
        lock(&self.jobs).get(job).and_then(|job| job.request.restore.as_ref()).is_some_and(|restore| restore.dry_run)
    }

    /// So often, its worker loses the keys of a restore as soon as it has them, as in a restart.
    pub(crate) fn forgets_keys(&self, times: u64) {
        self.forgets.store(times, Ordering::Relaxed);
    }

    fn take_loan(self: &Arc<Self>, job: &str, loan: Vec<u8>) -> Option<JobState> {
        let mut jobs = lock(&self.jobs);
        let job = jobs.get_mut(job)?;
        job.lent.push(loan);
        let less = |left: u64| left.checked_sub(1);
        let forgotten = self.forgets.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
        job.state.send_modify(|state| {
            if let Some(State::Running(running)) = &mut state.state {
                running.wants_loan = forgotten;
            }
        });
        if !forgotten {
            work(self, job.request.clone());
        }
        Some(job.state.borrow().clone())
    }

    /// How often it was asked for its facts.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Boots it: its lines break, and it comes back as another boot.
    pub(crate) fn boot(&self) {
        self.turn(true);
        self.boot.fetch_add(1, Ordering::Relaxed);
        self.turn(false);
    }

    fn boot_id(&self) -> String {
        format!("boot-{}", self.boot.load(Ordering::Relaxed))
    }

    /// Whether a job was halted.
    pub(crate) fn is_paused(&self, job: &str) -> bool {
        lock(&self.jobs).get(job).is_some_and(|job| *job.paused.borrow())
    }

    /// How often it was dialled.
    pub(crate) fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Dial for Fleet {
    async fn dial(&self, host: &str) -> Result<Box<dyn Line>, Unreachable> {
        let known = lock(&self.hosts).get(host).cloned();
        let host = known.ok_or_else(|| Unreachable { why: format!("no host {host}"), passing: false })?;
        host.lines.fetch_add(1, Ordering::Relaxed);
        if *host.off.borrow() {
            return Err(Unreachable { why: "it is off".into(), passing: true });
        }
        let left = lock(&host.cut_after).pop().unwrap_or(u64::MAX);
        Ok(Box::new(SimulatedLine { host, left: Arc::new(AtomicU64::new(left)) }))
    }
}

struct SimulatedLine {
    host: Arc<Host>,
    /// Bytes until the cut, both ways and over all streams.
    left: Arc<AtomicU64>,
}

#[async_trait]
impl Line for SimulatedLine {
    async fn open(&self, purpose: Purpose) -> Result<Box<dyn Stream>, Unreachable> {
        let (here, there) = tokio::io::duplex(64 << 10);
        let there = Cuttable { io: there, left: Arc::clone(&self.left), off: self.host.off.subscribe() };
        if purpose == Purpose::Control {
            let service = WorkerServer::new(Service(Arc::clone(&self.host)));
            let one = stream::once(async { Ok::<_, std::convert::Infallible>(there) }).chain(stream::pending());
            tokio::spawn(Server::builder().add_service(service).serve_with_incoming(one));
        } else {
            // A worker that never calls the gateway, but notices its end.
            tokio::spawn(async move {
                let mut there = there;
                drop(tokio::io::copy(&mut there, &mut tokio::io::sink()).await);
            });
        }
        Ok(Box::new(here))
    }
}

/// A stream that breaks after so many bytes, or when its host is turned off.
struct Cuttable {
    io: DuplexStream,
    left: Arc<AtomicU64>,
    off: watch::Receiver<bool>,
}

impl Cuttable {
    fn spend(&self, bytes: usize) -> std::io::Result<()> {
        let spent = |left: u64| Some(if left == u64::MAX { left } else { left.saturating_sub(bytes as u64) });
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent).unwrap_or(0);
        match left == 0 || *self.off.borrow() {
            true => Err(std::io::ErrorKind::ConnectionReset.into()),
            false => Ok(()),
        }
    }
}

impl Connected for Cuttable {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Cuttable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if read.is_ready() {
            self.spend(buffer.filled().len() - before)?;
        }
        read
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.spend(bytes.len())?;
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

struct Service(Arc<Host>);

fn running(request: &StartRequest) -> JobState {
    let wants_loan = request.restore.is_some();
    let running = Running { doing: "working".into(), wants_loan, ..Running::default() };
    JobState {
        job: request.job.clone(),
        generation: request.generation,
        number: 1,
        state: Some(State::Running(running)),
    }
}

fn ended(request: &StartRequest, state: State) -> JobState {
    JobState { job: request.job.clone(), generation: request.generation, number: 2, state: Some(state) }
}

fn set_paused(host: &Host, job: &str, paused: bool) -> Result<Response<JobState>, Status> {
    let jobs = lock(&host.jobs);
    let job = jobs.get(job).ok_or_else(|| Status::not_found("no such job"))?;
    job.paused.send_replace(paused);
    job.state.send_modify(|state| {
        if let Some(State::Running(running)) = &mut state.state {
            running.paused = paused;
        }
    });
    Ok(Response::new(job.state.borrow().clone()))
}

/// Works on a job as long as it takes. A job that is done says which it was.
fn work(host: &Arc<Host>, request: StartRequest) {
    let host = Arc::clone(host);
    tokio::spawn(async move {
        tokio::time::sleep(host.work).await;
        let paused = lock(&host.jobs).get(&request.job).map(|job| job.paused.subscribe());
        let Some(mut paused) = paused else { return };
        // Its sender lives as long as the job is known.
        drop(paused.wait_for(|paused| !paused).await);
        let jobs = lock(&host.jobs);
        let Some(job) = jobs.get(&request.job) else { return };
        if matches!(job.state.borrow().state, Some(State::Running(_))) {
            let report = request.job.clone().into_bytes();
            job.state.send_replace(ended(&request, State::BackedUp(BackedUp { report })));
        }
    });
}

#[tonic::async_trait]
impl Worker for Service {
    type WatchStream = BoxStream<'static, Result<JobState, Status>>;

    async fn hello(&self, _: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        Ok(Response::new(HelloReply {
            version: "simulated".into(),
            protocol_newest: strongroom_proto::PROTOCOL_NEWEST,
            protocol_oldest: strongroom_proto::PROTOCOL_OLDEST,
            hostname: self.0.name.clone(),
            boot_id: self.0.boot_id(),
            features: lock(&self.0.features).clone(),
            ..HelloReply::default()
        }))
    }

    async fn facts(&self, _: Request<FactsRequest>) -> Result<Response<FactsReply>, Status> {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        let database = |engine, pid, directory: &str| serde_json::json!({ "engine": engine, "pid": pid, "ports": [], "data-directory": directory });
        let databases =
            [database("postgresql", 7, "/var/lib/postgresql/15/main"), database("mariadb", 8, "/srv/mysql")];
        Ok(Response::new(FactsReply { json: serde_json::json!({ "databases": databases }).to_string() }))
    }

    async fn enroll(&self, _: Request<EnrollRequest>) -> Result<Response<EnrollReply>, Status> {
        *lock(&self.0.enrolled) = true;
        Ok(Response::new(EnrollReply::default()))
    }

    async fn lend(&self, request: Request<tonic::Streaming<LendPart>>) -> Result<Response<JobState>, Status> {
        let mut parts = request.into_inner();
        let (mut job, mut loan) = (String::new(), Vec::new());
        while let Some(part) = parts.message().await? {
            job.extend(part.job.map(|reference| reference.job));
            loan.extend(part.loan);
        }
        let answer = self.0.take_loan(&job, loan).ok_or_else(|| Status::not_found("no such job"))?;
        Ok(Response::new(answer))
    }

    async fn start(&self, request: Request<StartRequest>) -> Result<Response<JobState>, Status> {
        let request = request.into_inner();
        if !*lock(&self.0.enrolled) {
            return Err(Status::failed_precondition("no key"));
        }
        let mut jobs = lock(&self.0.jobs);
        if let Some(job) = jobs.get_mut(&request.job) {
            let (old, new) = (job.request.generation, request.generation);
            if new < old || (new == old && job.request != request) {
                return Err(Status::already_exists("another job of this name"));
            }
            let failed = matches!(job.state.borrow().state, Some(State::Failed(_) | State::Cancelled(_)));
            if new > old && failed {
                job.executions += 1;
                job.state.send_replace(running(&request));
                work(&self.0, request.clone());
            }
            job.request = request;
            return Ok(Response::new(job.state.borrow().clone()));
        }
        let (state, _) = watch::channel(running(&request));
        let answer = state.borrow().clone();
        jobs.insert(
            request.job.clone(),
            Job { request: request.clone(), state, executions: 1, lent: Vec::new(), paused: watch::channel(false).0 },
        );
        // A restore begins when it has its keys.
        if request.restore.is_none() {
            work(&self.0, request);
        }
        Ok(Response::new(answer))
    }

    async fn watch(&self, request: Request<JobReference>) -> Result<Response<Self::WatchStream>, Status> {
        let jobs = lock(&self.0.jobs);
        let job = jobs.get(&request.get_ref().job).ok_or_else(|| Status::not_found("no such job"))?;
        let states = WatchStream::new(job.state.subscribe());
        let mut over = false;
        let states = states.take_while(move |state| {
            let go_on = !over;
            over = !matches!(state.state, Some(State::Running(_)));
            futures::future::ready(go_on)
        });
        Ok(Response::new(states.map(Ok).boxed()))
    }

    async fn cancel(&self, request: Request<JobReference>) -> Result<Response<JobState>, Status> {
        let jobs = lock(&self.0.jobs);
        let job = jobs.get(&request.get_ref().job).ok_or_else(|| Status::not_found("no such job"))?;
        if matches!(job.state.borrow().state, Some(State::Running(_))) {
            job.state.send_replace(ended(&job.request, State::Cancelled(Cancelled {})));
        }
        Ok(Response::new(job.state.borrow().clone()))
    }

    async fn pause(&self, request: Request<JobReference>) -> Result<Response<JobState>, Status> {
        set_paused(&self.0, &request.get_ref().job, true)
    }

    async fn resume(&self, request: Request<JobReference>) -> Result<Response<JobState>, Status> {
        set_paused(&self.0, &request.get_ref().job, false)
    }

    async fn jobs(&self, _: Request<JobsRequest>) -> Result<Response<JobsReply>, Status> {
        Ok(Response::new(JobsReply::default()))
    }
}
