//! Each call of the command line: who asks passes the gate, and the question goes on.

use futures::StreamExt;
use futures::stream::BoxStream;
use strongroom_proto::operator::operator_server::Operator as Service;
use strongroom_proto::operator::{
    CancelRequest, Document, DrillRequest, DrillsRequest, FindRequest, HostFactsRequest, HostsRequest, JournalRequest,
    ListRestoresRequest, MaintainRequest, PauseRequest, PromoteRestoreRequest, ProofsRequest, RecordsRequest,
    ReloadRequest, RestoreDecision, RestoreOverwrite, RestorePlanReference, RestoreReference, RestoreRequest,
    RestoreVerdict, RestoreWish, RetryRequest, RunReference, RunRestoreRequest, RunsRequest, SnapshotReference,
    StartRequest, Started, StatusRequest, StoreStateRequest, TestNoticesRequest,
};
use strongroom_repository::text::escape;
use tokio::sync::oneshot;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request as Call, Response, Status};

use super::request::{DrillWish, Going, Mode, Refused, Request, document};
use super::{Operator, Told};
use crate::finds::FindAsked;
use crate::permissions::Act;
use crate::requests::{RequestNumber, Verdict, Wish};
use crate::restore_record::shelf;
use crate::restores;
use crate::run::Clock;
use crate::runs::RunId;

fn run_id(run: &str) -> Result<RunId, Status> {
    run.parse().map_err(|why: &str| Status::invalid_argument(why))
}

fn request_number(request: &str) -> Result<RequestNumber, Status> {
    request.parse().map_err(|why: &str| Status::invalid_argument(why))
}

fn verdict(decision: RestoreDecision) -> Result<Verdict, Status> {
    let RestoreDecision { plan, text, .. } = decision;
    match RestoreVerdict::try_from(decision.verdict) {
        Ok(RestoreVerdict::Approve) => Ok(Verdict::Approve { plan, comment: given(text) }),
        Ok(RestoreVerdict::Reject) => Ok(Verdict::Reject { reason: text }),
        Ok(RestoreVerdict::Withdraw) => Ok(Verdict::Withdraw),
        Ok(RestoreVerdict::Close) => Ok(Verdict::Close { note: text }),
        Ok(RestoreVerdict::Unspecified) | Err(_) => Err(Status::invalid_argument("it does not say what is decided")),
    }
}

fn mode(dry_run: bool) -> Mode {
    if dry_run { Mode::DryRun } else { Mode::Earnest }
}

fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[tonic::async_trait]
impl<C: Clock + Send + Sync + 'static> Service for Operator<C> {
    type WatchStream = BoxStream<'static, Result<Document, Status>>;

    async fn status(&self, call: Call<StatusRequest>) -> Result<Response<Document>, Status> {
        let sight = self.gate.sight(&self.who(&call)?).await?;
        self.document(|reply| Request::Status(sight, reply)).await
    }

    async fn runs(&self, call: Call<RunsRequest>) -> Result<Response<Document>, Status> {
        let sight = self.gate.sight(&self.who(&call)?).await?;
        let RunsRequest { plan, host, count_max } = call.into_inner();
        self.document(|reply| Request::Runs { plan: given(plan), host: given(host), count_max, sight, reply }).await
    }

    async fn watch(&self, call: Call<RunReference>) -> Result<Response<Self::WatchStream>, Status> {
        let run = run_id(&call.get_ref().run)?;
        self.gate.on_run(&self.who(&call)?, Act::See, &run).await?;
        let states = self.ask(|reply| Request::Watch(run, reply)).await?;
        Ok(Response::new(WatchStream::new(states).map(|standing| Ok(Document { json: document(&standing)? })).boxed()))
    }

    async fn start(&self, call: Call<StartRequest>) -> Result<Response<Started>, Status> {
        let by = self.who(&call)?;
        let StartRequest { plan, host, full } = call.into_inner();
        let host = given(host);
        self.gate.on_plan(&by, Act::Run, &plan, host.as_deref()).await?;
        let runs = self.ask(|reply| Request::Start { plan, host, full, by, reply }).await?;
        Ok(Response::new(Started { runs: runs.iter().map(ToString::to_string).collect() }))
    }

    async fn cancel(&self, call: Call<CancelRequest>) -> Result<Response<Document>, Status> {
        let (run, by, mode) = (run_id(&call.get_ref().run)?, self.who(&call)?, mode(call.get_ref().dry_run));
        self.gate.on_run(&by, Act::Run, &run).await?;
        self.document(|reply| Request::Cancel(run, mode, by, reply)).await
    }

    async fn pause(&self, call: Call<PauseRequest>) -> Result<Response<Document>, Status> {
        let (run, by, mode) = (run_id(&call.get_ref().run)?, self.who(&call)?, mode(call.get_ref().dry_run));
        self.gate.on_run(&by, Act::Run, &run).await?;
        let going = if call.get_ref().resume { Going::On } else { Going::Halted };
        self.document(|reply| Request::Pause(run, going, mode, by, reply)).await
    }

    async fn show_run(&self, call: Call<RunReference>) -> Result<Response<Document>, Status> {
        let run = run_id(&call.get_ref().run)?;
        self.gate.on_run(&self.who(&call)?, Act::See, &run).await?;
        self.document(|reply| Request::ShowRun(run, reply)).await
    }

    async fn retry(&self, call: Call<RetryRequest>) -> Result<Response<Document>, Status> {
        let (run, by, mode) = (run_id(&call.get_ref().run)?, self.who(&call)?, mode(call.get_ref().dry_run));
        self.gate.on_run(&by, Act::Run, &run).await?;
        self.document(|reply| Request::Retry(run, mode, by, reply)).await
    }

    async fn host_facts(&self, call: Call<HostFactsRequest>) -> Result<Response<Document>, Status> {
        self.gate.on_host(&self.who(&call)?, Act::See, &call.get_ref().host).await?;
        let HostFactsRequest { host, refresh } = call.into_inner();
        self.document(|reply| Request::HostFacts { host, refresh, reply }).await
    }

    async fn hosts(&self, call: Call<HostsRequest>) -> Result<Response<Document>, Status> {
        let sight = self.gate.sight(&self.who(&call)?).await?;
        let host = given(call.into_inner().host);
        self.document(|reply| Request::Hosts(host, sight, reply)).await
    }

    async fn reload(&self, call: Call<ReloadRequest>) -> Result<Response<Document>, Status> {
        let (by, mode) = (self.who(&call)?, mode(call.get_ref().dry_run));
        self.gate.site_wide(&by, Act::LoadSite).await?;
        self.document(|reply| Request::Reload(mode, by, reply)).await
    }

    async fn maintain(&self, call: Call<MaintainRequest>) -> Result<Response<Document>, Status> {
        let (by, mode) = (self.who(&call)?, mode(call.get_ref().dry_run));
        self.gate.site_wide(&by, Act::Maintain).await?;
        let repository = call.into_inner().repository;
        self.document(|reply| Request::Maintain(repository, mode, by, reply)).await
    }

    async fn store_state(&self, call: Call<StoreStateRequest>) -> Result<Response<Document>, Status> {
        let (by, mode) = (self.who(&call)?, mode(call.get_ref().dry_run));
        self.gate.site_wide(&by, Act::Maintain).await?;
        self.document(|reply| Request::StoreState(mode, by, reply)).await
    }

    async fn drill(&self, call: Call<DrillRequest>) -> Result<Response<Document>, Status> {
        let by = self.who(&call)?;
        let DrillRequest { plan, host, snapshot, dry_run } = call.into_inner();
        let wish = DrillWish { plan: given(plan), host: given(host), snapshot: given(snapshot), mode: mode(dry_run) };
        match (&wish.plan, &wish.host) {
            (Some(plan), host) => self.gate.on_plan(&by, Act::Run, plan, host.as_deref()).await?,
            (None, Some(host)) => self.gate.on_host(&by, Act::Run, host).await?,
            (None, None) => self.gate.site_wide(&by, Act::Run).await?,
        }
        self.document(|reply| Request::Drill(wish, by, reply)).await
    }

    async fn drills(&self, call: Call<DrillsRequest>) -> Result<Response<Document>, Status> {
        let sight = self.gate.sight(&self.who(&call)?).await?;
        self.document(|reply| Request::Drills(sight, reply)).await
    }

    async fn proofs(&self, call: Call<ProofsRequest>) -> Result<Response<Document>, Status> {
        let sight = self.gate.sight(&self.who(&call)?).await?;
        let ProofsRequest { plan, host } = call.into_inner();
        self.document(|reply| Request::Proofs { plan: given(plan), host: given(host), sight, reply }).await
    }

    async fn show_proof(&self, call: Call<SnapshotReference>) -> Result<Response<Document>, Status> {
        let sight = self.gate.sight(&self.who(&call)?).await?;
        let snapshot = call.into_inner().snapshot;
        self.document(|reply| Request::ShowProof(snapshot, sight, reply)).await
    }

    async fn test_notices(&self, call: Call<TestNoticesRequest>) -> Result<Response<Document>, Status> {
        self.gate.site_wide(&self.who(&call)?, Act::TestNotices).await?;
        let TestNoticesRequest { way, dry_run } = call.into_inner();
        self.document(|reply| Request::TestNotices { way: given(way), dry_run, reply }).await
    }

    async fn journal(&self, call: Call<JournalRequest>) -> Result<Response<Document>, Status> {
        let by = self.who(&call)?;
        let JournalRequest { from, count_max } = call.into_inner();
        let entries = self.gate.journal(&by, (from > 0).then_some(from), count_max).await?;
        Ok(Response::new(Document { json: document(&entries)? }))
    }

    async fn records(&self, call: Call<RecordsRequest>) -> Result<Response<Document>, Status> {
        let sight = self.gate.sight(&self.who(&call)?).await?;
        let broken = |error: std::io::Error| Refused::Broken(format!("the records cannot be read: {error}"));
        let mut listed = shelf::list(&self.records).await.map_err(broken)?;
        listed.retain(|record| sight.has(&record.source));
        let Some(restore) = given(call.into_inner().restore) else {
            return Ok(Response::new(Document { json: document(&listed)? }));
        };
        if !listed.iter().any(|record| record.restore == restore) {
            return Err(Refused::Unknown(format!("there is no record of {restore}")).into());
        }
        let files = shelf::files(&self.records.join(&restore)).await.map_err(broken)?;
        Ok(Response::new(Document { json: document(&files)? }))
    }

    async fn find(&self, call: Call<FindRequest>) -> Result<Response<Document>, Status> {
        let sight = self.gate.sight(&self.who(&call)?).await?;
        let ends = "the controller is about to end";
        let (reply, answer) = oneshot::channel();
        let asked = FindAsked { request: call.into_inner(), sight, reply };
        self.finds.send(asked).map_err(|_| Status::unavailable(ends))?;
        let json = answer.await.map_err(|_| Status::unavailable(ends))??;
        Ok(Response::new(Document { json }))
    }

    type WatchRestoreStream = Told;

    async fn watch_restore(&self, call: Call<RestoreReference>) -> Result<Response<Told>, Status> {
        let sight = self.gate.sight(&self.who(&call)?).await?;
        let news = self.board.find(&call.get_ref().request, &sight)?;
        let told = WatchStream::new(news)
            .filter_map(|news| async move { news.map(|news| Ok(Document { json: document(&news?)? })) });
        Ok(Response::new(told.boxed()))
    }

    type RestoreStream = Told;

    async fn restore(&self, call: Call<RestoreRequest>) -> Result<Response<Told>, Status> {
        let by = self.who(&call)?;
        // A system of a plan is asked for: by its number it is found again.
        let asked = RestoreRequest { part: None, ..call.into_inner() };
        let request = restores::with_plan_resolved(asked, &self.gate.site())?;
        let source = restores::source_host(&request.snapshot)?.to_owned();
        if request.reason.trim().is_empty() && !request.dry_run {
            return Err(Refused::Unfit("a restore needs a reason: it stands in the journal".into()).into());
        }
        self.desk.admit_restore(&by, &request, &source).await?;
        self.pass_on(by, request, source, Wish::Restore)
    }

    type RequestRestoreStream = Told;

    async fn request_restore(&self, call: Call<RestoreWish>) -> Result<Response<Told>, Status> {
        let by = self.who(&call)?;
        let wish = call.into_inner();
        let (urgency, break_glass) = (wish.urgency().into(), wish.break_glass);
        let request = restores::with_system_resolved(wish.restore.unwrap_or_default(), &self.gate.site())?;
        let request = restores::with_plan_resolved(request, &self.gate.site())?;
        let source = restores::source_host(&request.snapshot)?.to_owned();
        self.desk.admit(&by, &request, &source, break_glass).await?;
        self.pass_on(by, request, source, Wish::File { urgency, break_glass })
    }

    async fn list_restores(&self, call: Call<ListRestoresRequest>) -> Result<Response<Document>, Status> {
        let views = self.desk.list(&self.who(&call)?, call.get_ref().all).await?;
        Ok(Response::new(Document { json: document(&views)? }))
    }

    async fn show_restore_plan(&self, call: Call<RestorePlanReference>) -> Result<Response<Document>, Status> {
        let by = self.who(&call)?;
        let RestorePlanReference { plan, at } = call.into_inner();
        let standing = self.desk.plan_standing(&by, &plan, given(at).as_deref()).await?;
        Ok(Response::new(Document { json: document(&standing)? }))
    }

    async fn show_restore(&self, call: Call<RestoreReference>) -> Result<Response<Document>, Status> {
        let (by, number) = (self.who(&call)?, request_number(&call.get_ref().request)?);
        let story = self.desk.show(&by, number).await?;
        Ok(Response::new(Document { json: document(&story)? }))
    }

    async fn decide_restore(&self, call: Call<RestoreDecision>) -> Result<Response<Document>, Status> {
        let (by, number) = (self.who(&call)?, request_number(&call.get_ref().request)?);
        let mode = mode(call.get_ref().dry_run);
        let view = self.desk.decide(&by, number, verdict(call.into_inner())?, mode).await?;
        Ok(Response::new(Document { json: document(&view)? }))
    }

    type PromoteRestoreStream = Told;

    async fn promote_restore(&self, call: Call<PromoteRestoreRequest>) -> Result<Response<Told>, Status> {
        let (by, number) = (self.who(&call)?, request_number(&call.get_ref().request)?);
        let request = self.desk.admit_promotion(&by, number, &escape(&call.get_ref().to)).await?;
        let source = request.application.scope.restore.source.clone();
        // What lies there is compared.
        let overwrite = RestoreOverwrite::Changed.into();
        let order = RestoreRequest { overwrite, ..request.order(call.get_ref().dry_run) };
        self.pass_on(by, order, source, Wish::Promote(Box::new(request)))
    }

    type RunRestoreStream = Told;

    async fn run_restore(&self, call: Call<RunRestoreRequest>) -> Result<Response<Told>, Status> {
        let (by, number) = (self.who(&call)?, request_number(&call.get_ref().request)?);
        let request = self.desk.admit_run(&by, number).await?;
        let RunRestoreRequest { dry_run, download_bytes_per_second, .. } = call.into_inner();
        let order = RestoreRequest { download_bytes_per_second, ..request.order(dry_run) };
        let source = request.application.scope.restore.source.clone();
        self.pass_on(by, order, source, Wish::Run(Box::new(request)))
    }
}
