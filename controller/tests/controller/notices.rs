//! Notices on their way to people: real servers receive them, refuse them, hang, and come back.

mod dead_man;
mod receiver;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, ensure};
use aws_lc_rs::hmac;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use receiver::{Certificates, Receiver, wait_until};
use serde_json::Value;
use strongroom_controller::Clock;
use strongroom_controller::journal::{Event, Journal, Origin};
use strongroom_controller::notify::{self, Pace, Sender};
use strongroom_controller::runs::{Ending, RunId};
use strongroom_plans::{RunKind, Site, SiteFiles};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

#[derive(Debug, Clone, Copy)]
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn zone(&self) -> TimeZone {
        TimeZone::UTC
    }
}

/// Everything at once, but for what a test is about.
const AT_ONCE: Pace = Pace {
    gather: SignedDuration::ZERO,
    apart: SignedDuration::ZERO,
    again_first: SignedDuration::from_millis(20),
    again_max: SignedDuration::from_millis(200),
    give_up_after: SignedDuration::from_hours(1),
};

struct Scene {
    folder: tempfile::TempDir,
    site: Arc<Site>,
}

/// A controller's sender, as long as it lives.
struct Life {
    journal: Arc<Journal>,
    stop: oneshot::Sender<()>,
    sending: JoinHandle<Result<(), strongroom_controller::journal::JournalError>>,
}

impl Scene {
    /// A site that tells by these ways.
    fn telling(ways: &str) -> Result<Self> {
        let mut files = SiteFiles::new("site");
        files.insert("site.yaml", format!("name: test\nzone: UTC\nnotifications: [{ways}]\n"));
        files.insert("hosts.yaml", "hosts: { web1: { address: 10.0.0.1 } }\n");
        Ok(Self { folder: tempfile::tempdir()?, site: Arc::new(Site::read(&files)?) })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn live(&self, pace: Pace) -> Result<Life> {
        let journal = Arc::new(Journal::open(&self.path("journal.db")).await?);
        let (stop, stopped) = oneshot::channel();
        let site = watch::channel(Arc::clone(&self.site)).1;
        let sender = Sender::new(Arc::clone(&journal), SystemClock, site, pace);
        let sending = tokio::spawn(sender.run(async { drop(stopped.await) }));
        Ok(Life { journal, stop, sending })
    }
}

impl Life {
    /// A run that ends now, and so.
    async fn end_run(&self, host: &str, ending: Ending) -> Result<()> {
        let (now, plan) = (Timestamp::now(), "nightly");
        let run = RunId::asked(plan, host, now);
        let (plan, host, plan_version) = (plan.into(), host.into(), String::new());
        let (kind, origin) = (RunKind::Full, Origin::Schedule);
        let planned = Event::RunPlanned { run: run.clone(), plan, plan_version, host, due: now, kind, origin };
        let started = Event::RunStarted { run: run.clone(), attempt: 1 };
        let reason = (!ending.is_good()).then(|| "磁盘已满".to_owned());
        let ended = Event::RunEnded { run, ending, reason, record: None };
        Ok(self.journal.append_all(now, vec![planned, started, ended]).await?)
    }

    async fn end(self) -> Result<()> {
        drop(self.stop);
        Ok(self.sending.await??)
    }

    /// Whether nothing waits any more.
    async fn all_told(&self) -> Result<()> {
        for _ in 0..4000 {
            if self.journal.untold().await? == 0 {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        anyhow::bail!("{} still wait", self.journal.untold().await?)
    }
}

fn secret(scene: &std::path::Path, mode: u32) -> Result<String> {
    fs::write(scene, "geheim\n")?;
    fs::set_permissions(scene, fs::Permissions::from_mode(mode))?;
    Ok(scene.display().to_string())
}

fn body(request: &Value) -> Result<Value> {
    Ok(serde_json::from_str(request["body"].as_str().unwrap_or_default())?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_posted_with_a_signature_over_tls() -> Result<()> {
    let certificates = Certificates::make()?;
    let web = Receiver::encrypted_web(&certificates)?;
    let folder = tempfile::tempdir()?;
    let (secret, ca) = (secret(&folder.path().join("secret"), 0o600)?, certificates.path("ca.pem"));
    let hook = format!("url: \"https://localhost:{}/hook?key=1\"", web.port);
    let way = format!("{{ webhook: {{ {hook}, secret-file: {secret}, ca-file: {} }}, on: [failed] }}", ca.display());
    let life = Scene::telling(&way)?.live(AT_ONCE).await?;
    life.end_run("web1", Ending::Failed).await?;
    life.all_told().await?;
    let got = web.wait_for(1)?;
    ensure!(got.len() == 1 && got[0]["method"] == "POST" && got[0]["path"] == "/hook?key=1", "{got:?}");
    let text = got[0]["body"].as_str().unwrap_or_default();
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"geheim");
    let mac = hmac::sign(&key, text.as_bytes());
    let expect: String = mac.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    ensure!(got[0]["headers"]["strongroom-signature"] == format!("sha256={expect}"), "{got:?}");
    let message = body(&got[0])?;
    ensure!(message["site"] == "test" && message["occasion"] == "failed", "{message}");
    let run = &message["notices"][0]["run"];
    ensure!(run["ended"]["ending"] == "failed" && run["host"] == "web1", "{message}");
    ensure!(message["subject"].as_str().is_some_and(|subject| subject.contains("磁盘已满")), "{message}");
    life.end().await
}

/// A certificate that nothing vouches for is refused, and so is a secret that everybody can read; nothing is posted.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_nothing_and_an_open_secret_is_none() -> Result<()> {
    let certificates = Certificates::make()?;
    let web = Receiver::encrypted_web(&certificates)?;
    let folder = tempfile::tempdir()?;
    let open = secret(&folder.path().join("open"), 0o644)?;
    let (url, ca) = (format!("https://127.0.0.1:{}/", web.port), certificates.path("ca.pem"));
    let ways = format!(
        "{{ webhook: {{ url: \"{url}\" }}, on: [failed] }}, {{ name: open, webhook: {{ url: \"{url}\", ca-file: {}, secret-file: {open} }}, on: [failed] }}",
        ca.display()
    );
    let site = Scene::telling(&ways)?.site;
    let tested = notify::test(&site, site.notifications().to_vec(), Timestamp::now()).await;
    let fault = |at: usize| tested[at].fault.clone().unwrap_or_default();
    ensure!(!tested[0].sent && fault(0).contains("certificate"), "{tested:?}");
    ensure!(!tested[1].sent && fault(1).contains("chmod 600"), "{tested:?}");
    ensure!(web.got()?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_failures_of_one_cause_are_one_message() -> Result<()> {
    let web = Receiver::web()?;
    let way = format!("{{ webhook: {{ url: \"http://127.0.0.1:{}/\" }}, on: [failed, missed] }}", web.port);
    let life = Scene::telling(&way)?.live(Pace { gather: SignedDuration::from_secs(3), ..AT_ONCE }).await?;
    for number in 0..200 {
        life.end_run(&format!("web{number}"), Ending::Failed).await?;
    }
    life.end_run("web1", Ending::Skipped).await?;
    life.end_run("web1", Ending::Done).await?;
    life.all_told().await?;
    let got = web.wait_for(1)?;
    ensure!(got.len() == 1, "{} messages", got.len());
    let message = body(&got[0])?;
    ensure!(message["notices"].as_array().is_some_and(|notices| notices.len() == 200), "{message}");
    ensure!(message["subject"].as_str().is_some_and(|subject| subject.contains("200 failed")), "{message}");
    life.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_gets_it_and_one_that_hangs_holds_nobody_up() -> Result<()> {
    let (hanging, refusing) = (Receiver::web()?, Receiver::web()?);
    hanging.behave("hang")?;
    refusing.behave("refuse")?;
    let folder = tempfile::tempdir()?;
    let told = folder.path().join("told");
    let hook = |web: &Receiver| format!("{{ webhook: {{ url: \"http://127.0.0.1:{}/\" }}, on: [failed] }}", web.port);
    let command = format!("{{ command: [sh, -c, \"cat > {}\"], on: [failed] }}", told.display());
    let scene = Scene::telling(&format!("{}, {}, {command}", hook(&hanging), hook(&refusing)))?;
    let life = scene.live(AT_ONCE).await?;
    life.end_run("web1", Ending::Failed).await?;
    // The command is told while one server hangs and the other one refuses again and again.
    let told: Value = wait_until("the command was told", || {
        Ok(fs::read(&told).ok().and_then(|text| serde_json::from_slice(&text).ok()))
    })?;
    hanging.wait_for(1)?;
    refusing.wait_for(3)?;
    refusing.behave("take")?;
    let taken = wait_until("it was taken", || Ok(refusing.got()?.into_iter().find(|got| got["mode"] == "take")))?;
    ensure!(body(&taken)?["notices"][0]["id"] == told["notices"][0]["id"], "{taken}");
    wait_until("only the one that hangs is left", || {
        Ok(Some(()).filter(|()| hanging.got().is_ok_and(|got| got.len() == 1)))
    })?;
    ensure!(refusing.got()?.iter().filter(|got| got["mode"] == "take").count() == 1);
    // Its task is still on its way: not waited for here.
    life.sending.abort();
    Ok(())
}

/// What waits when the controller is killed is sent by the next one, with the same id.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_sends_what_waits_and_nothing_that_was_taken() -> Result<()> {
    let web = Receiver::web()?;
    let way = format!("{{ webhook: {{ url: \"http://127.0.0.1:{}/\" }}, on: [failed, recovered] }}", web.port);
    let scene = Scene::telling(&way)?;
    let life = scene.live(AT_ONCE).await?;
    life.end_run("web1", Ending::Failed).await?;
    life.all_told().await?;
    web.behave("refuse")?;
    life.end_run("web2", Ending::Failed).await?;
    let refused = web.wait_for(2)?;
    life.sending.abort();
    drop(life);
    web.behave("take")?;
    let life = scene.live(AT_ONCE).await?;
    life.end_run("web1", Ending::Done).await?;
    life.all_told().await?;
    let taken: Vec<Value> = web.got()?.iter().filter(|got| got["mode"] == "take").map(body).collect::<Result<_>>()?;
    // Occasions go at their own pace: only what was told is certain, not in which order.
    let news = |message: &Value| format!("{} {}", message["notices"][0]["host"], message["occasion"]).replace('"', "");
    let mut told: Vec<String> = taken.iter().map(news).collect();
    told.sort();
    ensure!(told == ["web1 failed", "web1 recovered", "web2 failed"], "{taken:?}");
    let again = taken.iter().find(|message| news(message) == "web2 failed");
    ensure!(again.map(|again| &again["notices"][0]["id"]) == Some(&body(&refused[1])?["notices"][0]["id"]));
    life.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_takes_is_given_up_and_the_journal_says_so() -> Result<()> {
    let web = Receiver::web()?;
    web.behave("object")?;
    let robot = |name: &str| {
        format!(
            "{{ name: {name}, webhook: {{ url: \"http://127.0.0.1:{}/\", format: wecom }}, on: [failed] }}",
            web.port
        )
    };
    let scene = Scene::telling(&robot("chat"))?;
    let life = scene.live(Pace { give_up_after: SignedDuration::from_millis(300), ..AT_ONCE }).await?;
    life.end_run("web1", Ending::Failed).await?;
    life.all_told().await?;
    let entry = life.journal.entries(4, 10).await?.pop().map(|entry| entry.event);
    let Some(Event::NoticeGivenUp { way, reason, subject, .. }) = entry else { anyhow::bail!("{entry:?}") };
    ensure!(way == "chat" && reason.contains("93000") && subject.contains("web1"), "{way} {reason} {subject}");
    life.journal.verify().await?;
    let asked = body(&web.got()?[0])?;
    ensure!(asked["msgtype"] == "text", "{asked}");
    ensure!(asked["text"]["content"].as_str().is_some_and(|text| text.contains("磁盘已满")), "{asked}");
    life.end().await?;

    // A way that the site no longer has gets nothing either.
    let life = scene.live(AT_ONCE).await?;
    life.end_run("web2", Ending::Failed).await?;
    web.wait_for(web.got()?.len() + 1)?;
    life.sending.abort();
    drop(life);
    let renamed = Scene { site: Scene::telling(&robot("other"))?.site, ..scene };
    let life = renamed.live(AT_ONCE).await?;
    life.all_told().await?;
    let entry = life.journal.entries(1, 100).await?.pop().map(|entry| entry.event);
    ensure!(matches!(&entry, Some(Event::NoticeGivenUp { reason, .. }) if reason.contains("no such way")), "{entry:?}");
    life.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_arrives_as_a_mail() -> Result<()> {
    let certificates = Certificates::make()?;
    let server = Receiver::mail(&certificates)?;
    let folder = tempfile::tempdir()?;
    let password = secret(&folder.path().join("password"), 0o640)?;
    let mail = format!(
        "{{ smtp: {{ server: \"localhost:{}\", tls: starttls, from: strongroom@example.org, to: [a@example.org, b@example.org], user: strongroom, password-file: {password}, ca-file: {} }}, on: [failed] }}",
        server.port,
        certificates.path("ca.pem").display()
    );
    let life = Scene::telling(&mail)?.live(AT_ONCE).await?;
    life.end_run("web1", Ending::Failed).await?;
    life.all_told().await?;
    let got = server.wait_for(1)?;
    let letter = &got[0];
    ensure!(got.len() == 1 && letter["encrypted"] == true && letter["from"] == "strongroom@example.org", "{got:?}");
    ensure!(letter["to"].as_array().is_some_and(|to| to.len() == 2), "{got:?}");
    let (headers, text) = (&letter["headers"], letter["body"].as_str().unwrap_or_default());
    ensure!(headers["Subject"].as_str().is_some_and(|subject| subject.contains("磁盘已满")), "{headers}");
    ensure!(headers["Auto-Submitted"] == "auto-generated" && headers["Message-ID"].is_string(), "{headers}");
    ensure!(text.contains("strongroom runs show "), "{text}");
    life.end().await
}
