//! Jobs through the daemon's sockets, into a real repository behind a gateway.

use std::time::Duration;

use strongroom_proto::worker::job_state::State;
use strongroom_proto::worker::{
    EnrollRequest, FactsRequest, FailureKind, HelloRequest, JobReference, JobState, JobsRequest, Limits,
};
use tonic::Code;

use crate::host::{Host, LONG, failure, hooks, noise, refused, report};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_goes_through_the_gateway_and_restores() {
    let host = Host::new().await;
    host.write("small", "content");
    host.write("large", noise(1, 3 << 20));
    let daemon = host.start().await;
    host.enroll().await;
    let made = host.backed_up("j1", host.files()).await;
    let [snapshot] = &host.snapshots("j1").await[..] else { panic!("not one snapshot") };
    assert_eq!(made["snapshot"], snapshot.id.to_string());
    assert_eq!((made["outcome"].as_str(), made["commit"].as_u64()), (Some("complete"), Some(1)));
    assert_eq!((made["adopted"].as_bool(), &made["after-failed"]), (Some(false), &serde_json::Value::Null));
    assert_eq!(snapshot.manifest.tags["run"], "r1");
    assert_eq!((&*snapshot.manifest.host, &*snapshot.signer), ("web1", "web1"));
    host.check_restores(snapshot).await;

    // The next one builds on it.
    let made = host.backed_up("j2", host.files()).await;
    assert_eq!(made["parent"], snapshot.id.to_string());
    let mut full = host.files();
    full.full = true;
    let rate = 1 << 30;
    let limits = Limits { threads: 1, upload_bytes_per_second: rate, read_bytes_per_second: rate, ..Limits::default() };
    full.limits = Some(limits);
    let made = host.backed_up("j3", full).await;
    assert!(made["totals"]["bytes-read"].as_u64().unwrap() > 3 << 20);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starting_twice_is_starting_once() {
    let host = Host::new().await;
    host.write("file", "content");
    let daemon = host.start().await;
    let message = refused(host.begin("j1", 1, host.files()).await, Code::FailedPrecondition);
    assert!(message.contains("enrol"), "{message}");
    host.enroll().await;
    let made = host.backed_up("j1", host.files()).await;
    for generation in [1, 1, 2, 3] {
        let again = host.begin("j1", generation, host.files()).await.unwrap();
        assert_eq!((report(&again), again.generation), (made.clone(), generation));
    }
    refused(host.begin("j1", 2, host.files()).await, Code::Aborted);
    let mut other = host.files();
    other.full = true;
    refused(host.begin("j1", 3, other).await, Code::AlreadyExists);
    refused(host.begin("j1", 0, host.files()).await, Code::InvalidArgument);
    refused(host.begin("../j1", 1, host.files()).await, Code::InvalidArgument);
    assert_eq!(host.snapshots("j1").await.len(), 1);
    daemon.stop().await;

    // It is still known after a restart, and done.
    let _daemon = host.start().await;
    let again = host.begin("j1", 3, host.files()).await.unwrap();
    assert_eq!(report(&again), made);
    let jobs = host.client().await.jobs(JobsRequest {}).await.unwrap().into_inner().jobs;
    assert_eq!(jobs, [again]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_failed_runs_again_as_a_newer_generation() {
    let host = Host::new().await;
    let _daemon = host.start().await;
    host.enroll().await;
    let job = || host.command(&format!("cat {}/dump", host.source().display()));
    host.begin("j1", 1, job()).await.unwrap();
    let ended = host.end("j1").await;
    let (kind, reason) = failure(&ended);
    assert_eq!(kind, i32::from(FailureKind::Command), "{reason}");
    assert!(reason.contains("No such file"), "{reason}");
    assert_eq!(host.begin("j1", 1, job()).await.unwrap(), ended);
    assert_eq!(host.snapshots("j1").await.len(), 0);
    host.write("dump", "table");
    host.begin("j1", 2, job()).await.unwrap();
    let ended = host.end("j1").await;
    report(&ended);
    assert!(ended.generation == 2 && ended.number > 2, "{ended:?}");
    let snapshots = host.snapshots("j1").await;
    let restored = host.restored(&snapshots[0]).await;
    assert_eq!(restored[std::path::Path::new("/dumps/all.sql")], b"table");
}

/// Half a dump is no dump.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_fails_late_leaves_no_snapshot() {
    let host = Host::new().await;
    let _daemon = host.start().await;
    host.enroll().await;
    host.begin("j1", 1, host.command("head -c 5000000 /dev/urandom; echo lost >&2; exit 9")).await.unwrap();
    let (kind, reason) = failure(&host.end("j1").await);
    assert_eq!(kind, i32::from(FailureKind::Command));
    assert!(reason.contains("exited with 9: lost"), "{reason}");
    assert_eq!(host.repository().await.history().newest, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_run_around_the_backup() {
    let host = Host::new().await;
    host.write("file", "content");
    let _daemon = host.start().await;
    host.enroll().await;
    let log = host.folder.path().join("log");
    let note = |word: &str| {
        format!("echo {word} $STRONGROOM_WHEN $STRONGROOM_JOB $STRONGROOM_PLAN $STRONGROOM_RESULT >> {}", log.display())
    };
    let mut job = host.files();
    job.hooks = hooks(&[&note("one"), &note("two")], &[&note("three"), "echo oops; exit 5", &note("four")]);
    let made = host.backed_up("j1", job.clone()).await;
    let lines = std::fs::read_to_string(&log).unwrap();
    let expect = [
        "one before j1 billing",
        "two before j1 billing",
        "three after j1 billing backed-up",
        "four after j1 billing backed-up",
    ];
    assert_eq!(lines.lines().collect::<Vec<_>>(), expect);
    // The data are safe, so the backup counts; the hook's failure stands beside it.
    assert!(made["after-failed"].as_str().unwrap().contains("exited with 5: oops"), "{made}");
    assert_eq!(made["hooks"].as_array().unwrap().len(), 5);

    std::fs::remove_file(&log).unwrap();
    job.hooks = hooks(&["echo not ready; exit 1", &note("never")], &[&note("always")]);
    host.begin("j2", 1, job).await.unwrap();
    let (kind, reason) = failure(&host.end("j2").await);
    assert_eq!(kind, i32::from(FailureKind::Command));
    assert!(reason.contains("not ready"), "{reason}");
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "always after j2 billing failed\n");
    assert_eq!(host.snapshots("j2").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_can_be_cancelled_until_it_is_visible() {
    let host = Host::new().await;
    let daemon = host.start().await;
    host.enroll().await;
    let ready = host.folder.path().join("ready");
    host.begin("j1", 1, host.command(&format!("touch {}; sleep 1000", ready.display()))).await.unwrap();
    tokio::time::timeout(LONG, async {
        while !ready.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    let mut client = host.client().await;
    let reference = |job: &str, generation| JobReference { job: job.into(), generation };
    refused(client.cancel(reference("absent", 1)).await, Code::NotFound);
    refused(client.cancel(reference("j1", 2)).await, Code::NotFound);
    client.cancel(reference("j1", 1)).await.unwrap();
    let ended = host.end("j1").await;
    assert!(matches!(ended.state, Some(State::Cancelled(_))), "{ended:?}");
    client.cancel(reference("j1", 1)).await.unwrap();

    // One that commits is past that point.
    let mut commits = host.gateway.pause_commits();
    host.begin("j2", 1, host.command("echo done")).await.unwrap();
    let paused = commits.recv().await.unwrap();
    client.cancel(reference("j2", 1)).await.unwrap();
    paused.go_on.send(()).unwrap();
    report(&host.end("j2").await);
    assert_eq!((host.snapshots("j1").await.len(), host.snapshots("j2").await.len()), (0, 1));
    daemon.stop().await;
}

/// The one that waits says so; and both are safe in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_of_one_source_take_turns() {
    let host = Host::new().await;
    host.write("file", "content");
    let _daemon = host.start().await;
    host.enroll().await;
    let mut commits = host.gateway.pause_commits();
    host.begin("j1", 1, host.files()).await.unwrap();
    let paused = commits.recv().await.unwrap();
    host.begin("j2", 1, host.files()).await.unwrap();
    let mut states =
        host.client().await.watch(JobReference { job: "j2".into(), generation: 1 }).await.unwrap().into_inner();
    let doing = loop {
        match states.message().await.unwrap().unwrap().state {
            Some(State::Running(running)) if running.doing != "starting" => break running.doing,
            Some(State::Running(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(doing, "waiting for another job");
    paused.go_on.send(()).unwrap();
    let paused = commits.recv().await.unwrap();
    report(&host.end("j1").await);
    paused.go_on.send(()).unwrap();
    report(&host.end("j2").await);
}

/// A daemon that stops leaves its jobs to the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_interrupted_is_taken_up_again() {
    let host = Host::new().await;
    host.write("file", "content");
    // Without a gateway the job waits for it.
    let daemon = host.start_without_gateway().await;
    host.enroll().await;
    let begun = host.begin("j1", 1, host.files()).await.unwrap();
    daemon.stop().await;
    assert_eq!(std::fs::read_dir(&host.folders.run).unwrap().count(), 0, "a socket without a daemon");
    let daemon = host.start().await;
    let ended = host.end("j1").await;
    report(&ended);
    assert!(ended.number > begun.number + 1, "{ended:?}");
    assert_eq!(host.snapshots("j1").await.len(), 1);
    daemon.stop().await;
}

/// With the link gone in the middle of an upload, the job waits and goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_link_is_waited_out() {
    let host = Host::new().await;
    host.write("large", noise(2, 24 << 20));
    let daemon = host.start_without_gateway().await;
    host.enroll().await;
    host.begin("j1", 1, host.files()).await.unwrap();
    for round in 1..4 {
        let link = host.link();
        tokio::time::timeout(LONG, async {
            while host.gateway.received_bytes() < round * (4 << 20) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .unwrap();
        link.abort();
    }
    let link = host.link();
    report(&host.end("j1").await);
    let [snapshot] = &host.snapshots("j1").await[..] else { panic!("not one snapshot") };
    host.check_restores(snapshot).await;
    link.abort();
    daemon.stop().await;
}

/// What cannot be written down first does not become visible.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_ledger_nothing_is_committed() {
    let host = Host::new().await;
    let _daemon = host.start().await;
    host.enroll().await;
    let go_on = host.folder.path().join("go-on");
    host.begin("j1", 1, host.command(&format!("while ! [ -e {} ]; do sleep 0.01; done", go_on.display())))
        .await
        .unwrap();
    let ledger = host.folders.state.join("jobs");
    std::fs::rename(&ledger, host.folders.state.join("jobs-before")).unwrap();
    std::fs::write(&ledger, "no folder").unwrap();
    std::fs::write(&go_on, "").unwrap();
    let (kind, reason) = failure(&host.end("j1").await);
    assert_eq!(kind, i32::from(FailureKind::Worker), "{reason}");
    assert!(reason.contains("not made visible") && reason.contains("j1.json"), "{reason}");
    assert_eq!(host.repository().await.history().newest, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_read_are_refused() {
    let host = Host::new().await;
    let _daemon = host.start().await;
    let mut client = host.client().await;
    let mut enroll = async |text: &str| client.enroll(EnrollRequest { key_file: text.into() }).await;
    refused(enroll(&host.key.to_text()).await, Code::PermissionDenied);
    refused(enroll("{}").await, Code::InvalidArgument);
    let message =
        refused(enroll(&host.writer.to_text().replace("writer-secret", "writer-sekret")).await, Code::InvalidArgument);
    assert!(!message.contains("sekret"), "{message}");
    let keys = host.folders.state.join("keys");
    assert_eq!(std::fs::read_dir(&keys).unwrap().count(), 0);
    host.enroll().await;
    host.enroll().await;
    let file = keys.join(format!("{}.json", host.key.repository()));
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hello_and_facts() {
    let host = Host::new().await;
    let daemon = host.start().await;
    host.enroll().await;
    let mut client = host.client().await;
    let hello =
        |oldest, newest| HelloRequest { controller: "test 1".into(), protocol_newest: newest, protocol_oldest: oldest };
    let reply = client.hello(hello(1, 7)).await.unwrap().into_inner();
    assert_eq!((reply.enrolled, reply.protocol_newest), (vec![host.key.repository().to_string()], 1));
    assert!(!reply.hostname.is_empty() && !reply.boot_id.is_empty() && reply.clock_ns > 1_600_000_000_000_000_000);
    assert!(
        reply.features.iter().any(|feature| feature == strongroom_proto::feature::DIRECT_STORE),
        "{:?}",
        reply.features
    );
    let message = refused(client.hello(hello(2, 7)).await, Code::FailedPrecondition);
    assert!(message.contains("upgrade"), "{message}");
    let facts = client.facts(FactsRequest {}).await.unwrap().into_inner().json;
    assert!(serde_json::from_str::<serde_json::Value>(&facts).unwrap()["kernel"].is_object());
    // Two daemons on one ledger would run every job twice.
    let second =
        strongroom_worker_daemon::serve::run(&host.folders, jiff::Timestamp::now, std::future::pending()).await;
    assert!(second.unwrap_err().to_string().contains("another strongroom-worker"));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_halted_job_stands_still_also_over_a_restart() {
    let host = Host::new().await;
    host.write("large", noise(9, 6 << 20));
    let daemon = host.start().await;
    host.enroll().await;
    host.begin("j1", 1, limited(&host)).await.unwrap();
    let reference = JobReference { job: "j1".into(), generation: 1 };
    let is_paused = |state: &JobState| matches!(&state.state, Some(State::Running(running)) if running.paused);
    assert!(is_paused(&host.client().await.pause(reference.clone()).await.unwrap().into_inner()));
    daemon.stop().await;
    let _daemon = host.start().await;
    let begun = host.begin("j1", 1, limited(&host)).await.unwrap();
    assert!(is_paused(&begun), "{begun:?}");
    assert!(!is_paused(&host.client().await.resume(reference.clone()).await.unwrap().into_inner()));
    host.client().await.pause(reference.clone()).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(2), host.end("j1")).await.is_err(), "it goes on");
    // A halted job can be given up.
    host.client().await.cancel(reference).await.unwrap();
    assert!(matches!(host.end("j1").await.state, Some(State::Cancelled(_))));
    assert!(host.snapshots("j1").await.is_empty());
}

/// A minute's work, so that the wish comes in time.
fn limited(host: &Host) -> strongroom_proto::worker::BackupJob {
    let mut job = host.files();
    job.limits = Some(Limits { read_bytes_per_second: 100 << 10, ..Limits::default() });
    job
}
