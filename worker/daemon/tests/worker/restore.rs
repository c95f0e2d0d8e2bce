//! Restores through the daemon: with keys that are lent, kept nowhere, and asked for again; killed, halted and cancelled.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use strongroom_proto::worker::job_state::State;
use strongroom_proto::worker::{
    Around, FailureKind, Hook, JobReference, JobState, Limits, Overwrite, Probe, RestoreJob, Variable,
};
use strongroom_repository::{Loan, Parameters, Snapshot};
use tonic::Code;

use crate::host::{Host, failure, noise, refused, report};
use crate::kill::Process;

/// A host whose source is backed up.
async fn scene(files: usize, bytes: usize) -> (Host, Snapshot) {
    scene_of(Parameters::small(), files, bytes).await
}

/// The same with packs of the usual size: in small ones, whose order is that of their names, all files of a window grow side by side.
async fn usual_scene(files: usize, bytes: usize) -> (Host, Snapshot) {
    scene_of(Parameters::default(), files, bytes).await
}

async fn scene_of(parameters: Parameters, files: usize, bytes: usize) -> (Host, Snapshot) {
    let host = Host::with(parameters).await;
    (0..files).for_each(|number| host.write(&format!("f{number:03}"), noise(number as u64, bytes)));
    host.write("small", "content");
    let daemon = host.start().await;
    host.enroll().await;
    host.backed_up("b1", host.files()).await;
    let snapshot = host.snapshots("b1").await.remove(0);
    daemon.stop().await;
    (host, snapshot)
}

/// The verdict of others: `diff` of what was backed up and what was restored.
fn check_equal(host: &Host, target: &str) {
    let restored = restored(host, target);
    let diff = Command::new("diff").arg("-r").arg(host.source()).arg(&restored).output().unwrap();
    assert!(diff.status.success(), "{}", String::from_utf8_lossy(&diff.stdout));
    let left: Vec<PathBuf> = names(&host.folder.path().join(target));
    assert!(left.iter().all(|path| !path.to_string_lossy().contains(".strongroom")), "{left:?}");
}

fn restored(host: &Host, target: &str) -> PathBuf {
    host.folder.path().join(target).join(host.source().strip_prefix("/").unwrap())
}

fn names(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

/// Nothing in the target looks finished.
fn check_unfinished(host: &Host, target: &str) {
    let found = names(&host.folder.path().join(target));
    let is_staging = |path: &PathBuf| path.to_string_lossy().contains(".strongroom-restore-");
    assert!(found.iter().all(is_staging), "{found:?}");
}

/// Every file below a folder, whatever it holds.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for path in names(folder) {
        if path.is_dir() {
            found.extend(contents(&path));
        } else if path.is_file() {
            found.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_restored_with_keys_that_are_kept_nowhere() {
    let (host, snapshot) = scene(4, 1 << 20).await;
    let daemon = host.start().await;
    host.begin_restore("r1", 1, host.restore(&snapshot, "target")).await.unwrap();
    host.asks_for_keys("r1").await;
    assert_eq!(host.gateway.sent_bytes(), 0);
    let loan = host.loan(&snapshot, &[]).await;
    let mut damaged = loan.clone();
    damaged[100] ^= 1;
    refused(host.lend("r1", &damaged).await, Code::InvalidArgument);
    refused(host.lend("r2", &loan).await, Code::NotFound);
    refused(host.lend("b1", &loan).await, Code::InvalidArgument);
    host.asks_for_keys("r1").await;
    host.lend("r1", &loan).await.unwrap();
    let ended = host.end("r1").await;
    let made = report(&ended);
    assert_eq!((made["outcome"].as_str(), made["counts"]["files"].as_u64()), (Some("restored"), Some(5)), "{made}");
    assert_eq!(made["verification"]["verified-files"].as_u64(), Some(5), "{made}");
    check_equal(&host, "target");
    // The same again is the same answer, also as a newer generation; other content is refused.
    assert_eq!(host.begin_restore("r1", 1, host.restore(&snapshot, "target")).await.unwrap(), ended);
    assert_eq!(report(&host.begin_restore("r1", 2, host.restore(&snapshot, "target")).await.unwrap()), made);
    refused(host.begin_restore("r1", 2, host.restore(&snapshot, "other")).await, Code::AlreadyExists);
    host.lend("r1", &loan).await.unwrap();
    daemon.stop().await;
    // No key lies on the disk, neither as bytes nor in hex.
    let parsed = Loan::from_bytes(&loan).unwrap();
    let keys = loan[loan.len() - 32 - parsed.segments() * 48..loan.len() - 32].chunks(48).map(|key| &key[16..]);
    let keys: Vec<&[u8]> = keys.collect();
    let kept = [contents(&host.folders.state), contents(&host.folders.cache)].concat();
    assert!(keys.len() > 1 && kept.len() > 3);
    for (path, bytes) in &kept {
        let text = String::from_utf8_lossy(bytes);
        for key in &keys {
            let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(!bytes.windows(32).any(|window| window == *key) && !text.contains(&hex), "{}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loan_restores_its_paths_and_no_others() {
    let (host, snapshot) = scene(4, 1 << 20).await;
    let _daemon = host.start().await;
    let path = |name: &str| host.source().join(name).into_os_string().into_encoded_bytes();
    let mut job = host.restore(&snapshot, "target");
    job.paths = vec![path("f002")];
    let loan = host.loan(&snapshot, &job.paths).await;
    let mut greedy = job.clone();
    greedy.paths.push(path("f000"));
    host.begin_restore("r1", 1, greedy).await.unwrap();
    host.lend("r1", &loan).await.unwrap();
    let (_, reason) = failure(&host.end("r1").await);
    assert!(reason.contains("do not open segment"), "{reason}");
    check_unfinished(&host, "target");
    job.target = host.folder.path().join("one").into_os_string().into_encoded_bytes();
    host.begin_restore("r2", 1, job).await.unwrap();
    host.lend("r2", &loan).await.unwrap();
    assert_eq!(report(&host.end("r2").await)["outcome"], "restored");
    assert_eq!(std::fs::read(restored(&host, "one").join("f002")).unwrap(), noise(2, 1 << 20));
    assert_eq!(names(&restored(&host, "one")).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_writes_nothing_and_says_what_would_be() {
    let (host, snapshot) = scene(2, 100_000).await;
    let _daemon = host.start().await;
    let mut look = host.restore(&snapshot, "target");
    (look.dry_run, look.overwrite) = (true, Overwrite::Changed.into());
    let loan = host.loan(&snapshot, &[]).await;
    host.begin_restore("look", 1, look.clone()).await.unwrap();
    host.lend("look", &loan).await.unwrap();
    let plan = report(&host.end("look").await);
    assert_eq!((plan["files"].as_u64(), plan["resumes"].as_str()), (Some(3), Some("nothing")), "{plan}");
    assert!(plan["free-bytes"].as_u64() > plan["needed-bytes"].as_u64() && !host.folder.path().join("target").exists());
    // A newer look looks again.
    std::fs::create_dir_all(restored(&host, "target")).unwrap();
    std::fs::write(restored(&host, "target").join("small"), "other").unwrap();
    host.begin_restore("look", 2, look.clone()).await.unwrap();
    host.lend("look", &loan).await.unwrap();
    assert_eq!(report(&host.end("look").await)["replaced"].as_u64(), Some(1));
    // What cannot be written is refused in words.
    look.target = host.source().join("small/below").into_os_string().into_encoded_bytes();
    host.begin_restore("file", 1, look.clone()).await.unwrap();
    host.lend("file", &loan).await.unwrap();
    let (kind, reason) = failure(&host.end("file").await);
    assert!(kind == i32::from(FailureKind::Target) && reason.contains("is not a directory"), "{reason}");
    look.target = b"relative".to_vec();
    refused(host.begin_restore("relative", 1, look).await, Code::InvalidArgument);
}

const MIB: u64 = 1 << 20;

/// Whether a job has written so much. What was read says less: eight reads are under way at once.
fn has_written(bytes: u64) -> impl Fn(&JobState) -> bool {
    move |state| matches!(&state.state, Some(State::Running(running)) if running.bytes_done >= bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_goes_on_and_never_looks_finished() {
    let (host, snapshot) = usual_scene(24, 4 << 20).await;
    let link = host.link();
    let mut daemon = Process::start(&host);
    let loan = host.loan(&snapshot, &[]).await;
    let mut job = host.restore(&snapshot, "target");
    job.limits = Some(Limits { download_bytes_per_second: 32 << 20, ..Limits::default() });
    host.begin_restore("r1", 1, job).await.unwrap();
    let all = 96 * MIB;
    for part in [1, 2] {
        host.asks_for_keys("r1").await;
        check_unfinished(&host, "target");
        host.lend("r1", &loan).await.unwrap();
        host.until("r1", has_written(all * part / 3)).await;
        check_unfinished(&host, "target");
        daemon.kill();
        check_unfinished(&host, "target");
        daemon = Process::start(&host);
    }
    host.asks_for_keys("r1").await;
    host.lend("r1", &loan).await.unwrap();
    let made = report(&host.end("r1").await);
    assert_eq!(
        (made["outcome"].as_str(), made["counts"]["resumed-files"].as_u64() > Some(0)),
        (Some("restored"), true)
    );
    check_equal(&host, "target");
    let again = host.gateway.sent_bytes() - all;
    assert!(again <= 2 * 64 * MIB, "{again} bytes were read again");
    link.abort();
}

/// In the moment between the last file in place and the ledger, too: its report is kept, and not one that says that there was nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_ends_its_report_is_that_of_the_restore() {
    for milliseconds in (0..60).step_by(6) {
        let (host, snapshot) = scene(1, 1000).await;
        let link = host.link();
        let daemon = Process::start(&host);
        let loan = host.loan(&snapshot, &[]).await;
        host.begin_restore("r1", 1, host.restore(&snapshot, "target")).await.unwrap();
        host.asks_for_keys("r1").await;
        host.lend("r1", &loan).await.unwrap();
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        daemon.kill();
        let _daemon = Process::start(&host);
        let over = |state: &JobState| match &state.state {
            Some(State::Running(running)) => running.wants_loan,
            _ => true,
        };
        host.until("r1", over).await;
        host.lend("r1", &loan).await.unwrap();
        let made = report(&host.end("r1").await);
        let verified = made["verification"]["verified-files"].as_u64();
        assert_eq!((made["outcome"].as_str(), verified), (Some("restored"), Some(2)), "{milliseconds} ms: {made}");
        check_equal(&host, "target");
        link.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_halted_cancelled_and_taken_up_by_another() {
    let (host, snapshot) = usual_scene(80, 1 << 20).await;
    let _daemon = host.start().await;
    let loan = host.loan(&snapshot, &[]).await;
    let mut job = host.restore(&snapshot, "target");
    // Eight reads of 4 MiB are under way at once and end together: three such rounds, so that one can be seen between two.
    job.limits = Some(Limits { download_bytes_per_second: 16 << 20, ..Limits::default() });
    let reference = JobReference { job: "r1".into(), generation: 1 };
    host.begin_restore("r1", 1, job.clone()).await.unwrap();
    host.client().await.pause(reference.clone()).await.unwrap();
    host.lend("r1", &loan).await.unwrap();
    // Pages are read to see what is to be done; content is not.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let halted = host.gateway.sent_bytes();
    assert!(halted < MIB, "{halted}");
    host.client().await.resume(reference.clone()).await.unwrap();
    host.until("r1", has_written(8 * MIB)).await;
    host.client().await.cancel(reference).await.unwrap();
    assert!(matches!(host.end("r1").await.state, Some(State::Cancelled(_))));
    check_unfinished(&host, "target");
    job.limits = None;
    host.begin_restore("r1", 2, job).await.unwrap();
    host.asks_for_keys("r1").await;
    host.lend("r1", &loan).await.unwrap();
    assert!(report(&host.end("r1").await)["counts"]["resumed-files"].as_u64() > Some(0));
    check_equal(&host, "target");
}

/// A controller that was restarted serves its gateway before it lends again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_does_not_lend_yet_is_waited_for() {
    let (host, snapshot) = scene(1, 1 << 20).await;
    host.gateway.lend(false);
    let _daemon = host.start().await;
    let loan = host.loan(&snapshot, &[]).await;
    host.begin_restore("r1", 1, host.restore(&snapshot, "target")).await.unwrap();
    host.lend("r1", &loan).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    check_unfinished(&host, "target");
    host.gateway.lend(true);
    assert_eq!(report(&host.end("r1").await)["outcome"], "restored");
    check_equal(&host, "target");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_restored_is_checked_where_it_lies() {
    let (host, snapshot) = scene(1, 1 << 10).await;
    let daemon = host.start().await;
    let loan = host.loan(&snapshot, &[]).await;
    let source = host.source().strip_prefix("/").unwrap().display().to_string();
    let check = |command: &str| {
        let arguments = ["sh", "-c", command].map(str::to_owned).into();
        Hook { arguments, seconds_max: 60 }
    };
    let restored = async |job: &str, checks: Vec<Hook>| {
        let restore = RestoreJob { checks, ..host.restore(&snapshot, &format!("target-{job}")) };
        host.begin_restore(job, 1, restore).await.unwrap();
        host.lend(job, &loan).await.unwrap();
        report(&host.end(job).await)
    };
    // In the target, after all is in place.
    let agrees = check(&format!("grep -q content '{source}/small' && ls -A | grep -vq strongroom"));
    let made = restored("good", vec![agrees.clone()]).await;
    assert_eq!((made["outcome"].as_str(), made["checks"][0]["verdict"].as_str()), (Some("restored"), Some("agreed")));
    // The one after one that does not agree is made, too.
    let made = restored("bad", vec![check("echo empty; exit 3"), agrees]).await;
    assert_eq!(made["outcome"].as_str(), Some("unproven"), "{made}");
    assert_eq!(made["checks"][0]["verdict"]["disagreed"].as_i64(), Some(3), "{made}");
    assert_eq!(
        (made["checks"][0]["output"].as_str(), made["checks"][1]["verdict"].as_str()),
        (Some("empty"), Some("agreed"))
    );
    assert_eq!(made["counts"]["files"].as_u64(), Some(2), "{made}");
    check_equal(&host, "target-bad");
    let nothing = RestoreJob { checks: vec![Hook::default()], ..host.restore(&snapshot, "target") };
    refused(host.begin_restore("none", 1, nothing).await, Code::InvalidArgument);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_run_before_and_after_and_then_the_probes() {
    let (host, snapshot) = scene(1, 1 << 10).await;
    let daemon = host.start().await;
    let loan = host.loan(&snapshot, &[]).await;
    let marks = host.folder.path().join("marks");
    let hook = |script: &str| {
        let arguments = ["sh", "-c", script].map(str::to_owned).into();
        Hook { arguments, seconds_max: 60 }
    };
    let mark = |script: &str| {
        hook(&format!("echo \"$STRONGROOM_WHEN $STRONGROOM_SYSTEM\" >> '{}'; {script}", marks.display()))
    };
    let probe = |script: &str, prints: &str| Probe { run: Some(mark(script)), prints: prints.into(), wait_seconds: 0 };
    let environment = vec![Variable { name: "STRONGROOM_SYSTEM".into(), value: "db".into() }];
    let ended = async |job: &str, around: Around| {
        let around = Around { environment: environment.clone(), ..around };
        let restore = RestoreJob {
            checks: vec![mark("true")],
            around: Some(around),
            ..host.restore(&snapshot, &format!("target-{job}"))
        };
        host.begin_restore(job, 1, restore).await.unwrap();
        host.lend(job, &loan).await.unwrap();
        let ended = host.end(job).await;
        let marked = std::fs::read_to_string(&marks).unwrap_or_default();
        drop(std::fs::remove_file(&marks));
        (ended, marked)
    };
    let is_there =
        |job: &str| format!("test -e '{}'", restored(&host, &format!("target-{job}")).join("small").display());
    // Everything is in place for those after it, and not for those before; the checks of the backup plan are told nothing.
    let before = vec![mark(&format!("! {}", is_there("good")))];
    // The service answers the second time.
    let late = format!("test $(grep -c probe '{}') = 3", marks.display());
    let (after, probes) =
        (vec![mark(&is_there("good"))], vec![probe("echo up", "up"), Probe { wait_seconds: 60, ..probe(&late, "") }]);
    let (good, marked) = ended("good", Around { before, after, probes, ..Around::default() }).await;
    let good = report(&good);
    assert_eq!(
        (good["outcome"].as_str(), &*marked),
        (Some("restored"), "before db\n \nafter db\nprobe db\nprobe db\nprobe db\n")
    );
    assert_eq!((good["hooks"][1]["when"].as_str(), good["hooks"][1].get("error")), (Some("after"), None));
    assert_eq!(good["probes"][0]["check"]["verdict"].as_str(), Some("agreed"), "{good}");
    // One before that fails: nothing is written, and nothing else is run.
    let before = vec![mark("echo no disk; exit 3"), mark("true")];
    let (failed, marked) = ended("before", Around { before, after: vec![mark("true")], ..Around::default() }).await;
    let (kind, reason) = failure(&failed);
    assert_eq!((kind, &*marked), (FailureKind::Command as i32, "before db\n"), "{reason}");
    assert!(reason.contains("exited with 3: no disk"), "{reason}");
    assert!(!host.folder.path().join("target-before").exists());
    // One after that fails: it is in place, and nobody looks whether it is up.
    let after = vec![mark("exit 4"), mark("true")];
    let (after, marked) = ended("after", Around { after, probes: vec![probe("true", "")], ..Around::default() }).await;
    let after = report(&after);
    assert_eq!((after["outcome"].as_str(), &*marked), (Some("unproven"), " \nafter db\n"), "{after}");
    assert!(after["probes"].is_null() && after["hooks"][0]["error"].as_str().unwrap().contains("4"), "{after}");
    check_equal(&host, "target-after");
    // All probes are made, also after one that does not agree.
    let probes = vec![probe("echo down", "up"), probe("exit 5", ""), probe("true", "")];
    let (probed, marked) = ended("probed", Around { probes, ..Around::default() }).await;
    let probed = report(&probed);
    assert_eq!((probed["outcome"].as_str(), marked.lines().count()), (Some("unproven"), 4), "{probed}");
    let verdict = |at: usize| probed["probes"][at]["check"]["verdict"].clone();
    assert_eq!((verdict(0).as_str(), verdict(1)["disagreed"].as_i64()), (Some("otherwise"), Some(5)), "{probed}");
    assert_eq!((verdict(2).as_str(), probed["probes"][0]["prints"].as_str()), (Some("agreed"), Some("up")));
    let nothing = Around { probes: vec![Probe::default()], ..Around::default() };
    let nothing = RestoreJob { around: Some(nothing), ..host.restore(&snapshot, "target") };
    refused(host.begin_restore("none", 1, nothing).await, Code::InvalidArgument);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_restored_is_put_where_it_is_used_if_nobody_touched_it() {
    let (host, snapshot) = scene(2, 1 << 10).await;
    let mut daemon = host.start().await;
    let path = host.source().into_os_string().into_encoded_bytes();
    let loan = host.loan(&snapshot, std::slice::from_ref(&path)).await;
    let job = |promote_to: Option<&Path>| RestoreJob {
        paths: vec![path.clone()],
        overwrite: Overwrite::Changed.into(),
        promote_to: promote_to.map(|place| place.as_os_str().as_encoded_bytes().to_vec()).unwrap_or_default(),
        ..host.restore(&snapshot, "target")
    };
    let ended = async |name: &str, job: RestoreJob| {
        host.begin_restore(name, 1, job).await.unwrap();
        host.lend(name, &loan).await.unwrap();
        host.end(name).await
    };
    ended("r1", job(None)).await;
    let (restored, used) = (restored(&host, "target"), host.folder.path().join("used"));
    std::fs::create_dir(&used).unwrap();
    std::fs::write(used.join("old"), "").unwrap();
    // Changed, added, missing: each is found, and nothing is moved.
    std::fs::write(restored.join("small"), "CONTENT").unwrap();
    assert_eq!(failure(&ended("p1", job(Some(&used))).await).0, FailureKind::Target as i32);
    ended("r2", RestoreJob { limits: Some(Limits { threads: 1, ..Limits::default() }), ..job(None) }).await;
    std::fs::write(restored.join("more"), "").unwrap();
    assert!(failure(&ended("p2", job(Some(&used))).await).1.contains("lie there in all"));
    std::fs::remove_file(restored.join("more")).unwrap();
    std::fs::rename(restored.join("small"), host.folder.path().join("small")).unwrap();
    assert!(failure(&ended("p3", job(Some(&used))).await).1.contains("not what was verified"));
    assert!(used.join("old").exists());
    std::fs::rename(host.folder.path().join("small"), restored.join("small")).unwrap();

    let promoted = report(&ended("p4", job(Some(&used))).await);
    assert_eq!(promoted["aside"].as_str(), restored.to_str(), "{promoted}");
    assert!(used.join("small").exists() && restored.join("old").exists());
    // Killed right after the rename: it is not taken back.
    daemon.stop().await;
    let mut kept = contents(&host.folders.state).into_iter().map(|(path, _)| path);
    let entry = kept.find(|path| path.ends_with("p4.json")).unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&entry).unwrap()).unwrap();
    let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&used).unwrap());
    json["placed"] = serde_json::json!({ "inode": inode, "replaces": true });
    json["state"] = "running".into();
    std::fs::write(&entry, serde_json::to_vec(&json).unwrap()).unwrap();
    daemon = host.start().await;
    host.asks_for_keys("p4").await;
    host.lend("p4", &loan).await.unwrap();
    assert_eq!(report(&host.end("p4").await), promoted);
    assert!(used.join("small").exists() && restored.join("old").exists());
    daemon.stop().await;
}
