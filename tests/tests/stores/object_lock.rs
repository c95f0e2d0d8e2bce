//! Buckets with object lock, through the program: what is locked is seen and kept locked, what is deleted is only hidden, and where nothing is locked nobody says that it is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use strongroom_tests::client::restored;
use strongroom_tests::operator::{Controller, Operator};
use strongroom_tests::s3::S3Server;
use strongroom_tests::{Client, Outcome, Sandbox, compare, program, skip, tree};

use crate::busy::BusyServer;
use crate::program::client_on;

/// What moto asks for in a bucket with a default retention. Amazon's is content with the checksum itself, which every put has.
const CHECKSUM: &str = "x-amz-sdk-checksum-algorithm: SHA256\r\n";

/// A busy machine takes its time to start a controller.
const START_TIME_MAX: Duration = Duration::from_secs(240);

/// A bucket of one test's own that locks what is written for a day.
struct Bucket {
    server: &'static S3Server,
    /// The way to it on which requests get what only moto asks for.
    way: BusyServer,
    name: String,
}

impl Bucket {
    fn new(server: &'static S3Server, name: &str, mode: &str) -> Result<Self> {
        let bucket =
            Self { server, way: BusyServer::adding(CHECKSUM, &server.endpoint)?, name: format!("locked-{name}") };
        bucket.ask("PUT", "", "x-amz-bucket-object-lock-enabled: true\r\n", "", 200)?;
        let rule = format!("<Rule><DefaultRetention><Mode>{mode}</Mode><Days>1</Days></DefaultRetention></Rule>");
        let enabled = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>";
        let lock = format!("<ObjectLockConfiguration>{enabled}{rule}</ObjectLockConfiguration>");
        bucket.ask("PUT", "?object-lock", "", &lock, 200)?;
        Ok(bucket)
    }

    fn location(&self) -> String {
        format!("s3://{}/main", self.name)
    }

    fn client(&self, sandbox: &Sandbox) -> Client {
        let client = client_on(self.server, sandbox, "unused").at(Path::new(&self.location()));
        client.with_environment([("STRONGROOM_S3_ENDPOINT", self.way.endpoint.clone())])
    }

    /// Without signature and program: as somebody who has the keys.
    fn ask(&self, method: &str, path: &str, head: &str, body: &str, status: u16) -> Result<String> {
        let answer = self.server.ask_bare(method, &format!("/{}{path}", self.name), head, body)?;
        ensure!(answer.split_whitespace().nth(1) == Some(&status.to_string()), "{method} {path}: {answer}");
        Ok(answer)
    }

    /// A line of an object's head.
    fn header(&self, object: &str, name: &str) -> Result<String> {
        let head = self.ask("HEAD", &format!("/main/{object}"), "", "", 200)?.to_lowercase();
        let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        Ok(line.with_context(|| format!("no {name} in {head}"))?.to_uppercase())
    }

    fn locked_until(&self, object: &str) -> Result<Timestamp> {
        Ok(self.header(object, "x-amz-object-lock-retain-until-date")?.parse()?)
    }

    /// Names and versions of the delete markers that hide something.
    fn markers(&self) -> Result<Vec<(String, String)>> {
        let listed = self.ask("GET", "?versions&max-keys=10000", "", "", 200)?;
        let blocks = listed.split("<DeleteMarker>").skip(1).filter(|block| block.contains("<IsLatest>true"));
        blocks.map(|block| Ok((element(block, "Key")?, element(block, "VersionId")?))).collect()
    }
}

fn element(xml: &str, name: &str) -> Result<String> {
    let (_, after) = xml.split_once(&format!("<{name}>")).with_context(|| format!("{name} in {xml}"))?;
    Ok(after.split('<').next().unwrap_or_default().to_owned())
}

fn after_days(days: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(days * 24)
}

fn health(client: &Client, arguments: &[&str]) -> Result<Outcome> {
    let mut command = client.program()?;
    command.args(["repo", "health"]).arg(&client.repository).args(arguments);
    program::run(&mut command)
}

#[test]
fn locks_are_seen_and_made_longer_and_never_shorter() -> Result<()> {
    let name = "locks_are_seen_and_made_longer_and_never_shorter";
    let server = match S3Server::moto() {
        Ok(server) => server,
        Err(reason) => return skip::test(name, &reason),
    };
    let bucket = Bucket::new(server, "longer", "COMPLIANCE")?;
    let sandbox = Sandbox::new(name)?;
    let client = bucket.client(&sandbox);
    client.init()?;
    let source = sandbox.folder("source")?;
    tree::write(&source, "ledger", "台账")?;
    let snapshot = client.backup(&source)?;

    let healthy = health(&client, &["--immutable", "20h"])?.expect(0)?;
    ensure!(healthy.stdout.contains("nobody can delete before"), "{healthy}");
    let short = health(&client, &["--immutable", "30d"])?.expect(5)?;
    ensure!(short.stdout.contains("can be deleted after"), "{short}");

    let lock = |arguments: &[&str]| client.run_repo("lock", arguments);
    let enough = lock(&["--for", "12h", "--json"])?.expect(0)?.json()?["report"].clone();
    ensure!(enough["extended"] == 0 && enough["requests"]["puts"] == 0, "{enough}");
    let rehearsed = lock(&["--for", "30d", "--dry-run", "--json"])?.expect(0)?.json()?["report"].clone();
    ensure!(
        rehearsed["extended"] == enough["objects"] && bucket.locked_until("config")? < after_days(2),
        "{rehearsed}"
    );

    let done = lock(&["--for", "30d", "--json"])?.expect(0)?.json()?;
    ensure!(done["held"] == true && done["report"]["extended"] == enough["objects"], "{done}");
    ensure!(done["report"]["mode"] == "compliance" && done["report"]["objects"].as_u64() > Some(7), "{done}");
    let until = bucket.locked_until("config")?;
    ensure!(until > after_days(32) && until < after_days(34), "{until}");
    ensure!(bucket.header("config", "x-amz-object-lock-mode")? == "COMPLIANCE");
    for less in ["30d", "20d"] {
        let again = lock(&["--for", less, "--json"])?.expect(0)?.json()?["report"].clone();
        ensure!(again["extended"] == 0 && bucket.locked_until("config")? == until, "{again}");
    }
    // What a backup adds is locked by the bucket, and for as long as wanted by the next run alone.
    tree::write(&source, "ledger", "another")?;
    client.backup(&source)?;
    let more = lock(&["--for", "30d"])?.expect(0)?;
    ensure!(more.stdout.contains("nobody can lift them (compliance)"), "{more}");
    ensure!(lock(&["--for", "30d", "--json"])?.json()?["report"]["extended"] == 0);

    let version = bucket.header("config", "x-amz-version-id")?.to_lowercase();
    bucket.ask("DELETE", &format!("/main/config?versionId={version}"), "", "", 403)?;
    let target = sandbox.path("target");
    client.restore(&snapshot, &target)?.expect(0).map(drop)
}

#[test]
fn what_was_deleted_in_a_bucket_with_versions_is_hidden_and_comes_back() -> Result<()> {
    let name = "what_was_deleted_in_a_bucket_with_versions_is_hidden_and_comes_back";
    let server = match S3Server::moto() {
        Ok(server) => server,
        Err(reason) => return skip::test(name, &reason),
    };
    let bucket = Bucket::new(server, "hidden", "GOVERNANCE")?;
    let sandbox = Sandbox::new(name)?;
    let client = bucket.client(&sandbox);
    client.init()?;
    let source = sandbox.folder("source")?;
    tree::write(&source, "ledger", vec![1; 400_000])?;
    let first = client.backup(&source)?;
    tree::write(&source, "ledger", vec![2; 400_000])?;
    let second = client.backup(&source)?;
    client.run("forget", [&first])?.expect(0)?;
    let pruned = client.run_repo("prune", ["--max-unused", "0"])?.expect(0)?;
    ensure!(pruned.stdout.contains("the bucket keeps versions:"), "{pruned}");
    let locked = client.run_repo("lock", ["--for", "30d"])?.expect(0)?;
    ensure!(locked.stdout.contains("may lift them (governance)"), "{locked}");

    // Somebody with the keys deletes everything, after a time that is known.
    let before = bucket.markers()?;
    let listed = bucket.ask("GET", "?list-type=2&max-keys=10000&prefix=main/", "", "", 200)?;
    let keys = listed.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap_or_default());
    for key in keys {
        bucket.ask("DELETE", &format!("/{key}"), "", "", 204)?;
    }
    let fresh = client.with_cache(&sandbox.path("fresh cache"));
    fresh.restore(&second, &sandbox.path("lost"))?.expect(5)?;
    let markers = bucket.markers()?;
    ensure!(markers.len() > before.len() + 8, "{markers:?}");
    for (key, version) in markers.iter().filter(|marker| !before.contains(marker)) {
        bucket.ask("DELETE", &format!("/{key}?versionId={version}"), "", "", 204)?;
    }
    let target = sandbox.path("target");
    fresh.restore(&second, &target)?.expect(0)?;
    compare::same(&source, &restored(&target, &source))?;
    fresh.check_data()?.expect(0).map(drop)
}

/// A server, or a bucket, that locks nothing is told so, and is asked to lock nothing.
#[test]
fn where_nothing_is_locked_that_is_said() -> Result<()> {
    let name = "where_nothing_is_locked_that_is_said";
    for server in [S3Server::moto(), S3Server::garage()] {
        let server = match server {
            Ok(server) => server,
            Err(reason) => return skip::test(name, &reason),
        };
        let sandbox = Sandbox::new(name)?;
        let client = client_on(server, &sandbox, name);
        client.init()?;
        let source = sandbox.folder("source")?;
        tree::write(&source, "ledger", "台账")?;
        client.backup(&source)?;
        let refused = client.run_repo("lock", ["--for", "30d"])?.expect(1)?;
        ensure!(refused.stderr.contains("nothing that is written there is locked"), "{refused}");
        ensure!(refused.stderr.contains("default retention"), "{refused}");
        let exposed = health(&client, &["--immutable", "1d"])?.expect(5)?;
        ensure!(exposed.stdout.contains("what is written is not locked"), "{exposed}");
        let unasked = health(&client, &[])?.expect(0)?;
        ensure!(!unasked.stdout.contains("immutable"), "{unasked}");
        client.check_data()?.expect(0)?;
    }
    let sandbox = Sandbox::new(name)?;
    let client = sandbox.client("folder");
    client.init()?;
    client.run_repo("lock", ["--for", "30d"])?.expect(2).map(drop)
}

/// A site with one plan, whose host is never asked for anything, and a repository in the bucket.
fn site_on(bucket: &Bucket, operator: &Operator) -> Result<()> {
    let keys = operator.site.join("s3-keys");
    fs::write(
        &keys,
        format!("[default]\naws_access_key_id = {}\naws_secret_access_key = x\n", bucket.server.access_key),
    )?;
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600))?;
    let (at, endpoint, keys) = (bucket.location(), &bucket.way.endpoint, keys.display());
    let repository = format!(
        "  main:\n    at: {at}\n    endpoint: \"{endpoint}\"\n    credentials-file: {keys}\n    immutable: 30d\n\
         \x20   maintenance: {{ at: yearly 01-01 03:00 }}\n"
    );
    fs::write(operator.site.join("site.yaml"), format!("name: test\nzone: UTC\nrepositories:\n{repository}"))?;
    fs::write(operator.site.join("hosts.yaml"), "hosts:\n  web1: { address: 192.0.2.1 }\n")?;
    fs::create_dir_all(operator.site.join("plans"))?;
    let plan = "kind: backup\nname: files\nhosts: name=web1\nsources: [{ files: [/srv/files] }]\nrepository: main\n\
                retain: { last: 2 }\n";
    Ok(fs::write(operator.site.join("plans/files.yaml"), plan)?)
}

fn serve(operator: &Operator) -> Result<Controller> {
    let mut controller = operator.serve()?;
    controller
        .wait_until("the controller answers", START_TIME_MAX, || operator.run(["status"])?.expect_one_of(&[0, 4]))?;
    Ok(controller)
}

#[test]
fn maintenance_keeps_a_repository_immutable_and_it_counts_as_that_once_it_was_seen() -> Result<()> {
    let name = "maintenance_keeps_a_repository_immutable_and_it_counts_as_that_once_it_was_seen";
    let server = match S3Server::moto() {
        Ok(server) => server,
        Err(reason) => return skip::test(name, &reason),
    };
    let bucket = Bucket::new(server, "maintained", "COMPLIANCE")?;
    // The controller's socket lies below it, whose name is short.
    let sandbox = Sandbox::new("immutable")?;
    let operator = Operator::new(&sandbox.folder("operator")?)?;
    let with_keys = |arguments: &[&str]| -> Result<Outcome> {
        let mut command = operator.command(arguments)?;
        command.envs(server.environment()).env("STRONGROOM_S3_ENDPOINT", &bucket.way.endpoint);
        program::run(&mut command)
    };
    let location = bucket.location();
    with_keys(&["repo", "init", &location])?.expect(0)?;
    let source = sandbox.folder("source")?;
    tree::write(&source, "ledger", "台账")?;
    let source = source.to_str().context("a path")?;
    with_keys(&["backup", "--repo", &location, "--host", "web1", "--tag", "plan=files", source])?.expect(0)?;
    site_on(&bucket, &operator)?;

    let immutable = || -> Result<Option<u64>> {
        let site = operator.site.to_str().context("a path")?;
        let listed = operator.run(["repo", "list", "--site", site, "--json"])?.expect(0)?.json()?;
        Ok(listed["systems"][0]["immutable"].as_u64())
    };
    let controller = serve(&operator)?;
    ensure!(immutable()? == Some(0), "nobody has seen it yet");
    operator.run(["repo", "maintain", "main", "--dry-run"])?.expect(0)?;
    ensure!(immutable()? == Some(0) && bucket.locked_until("config")? < after_days(2));
    let done = operator.run(["repo", "maintain", "main", "--json"])?.expect(0)?.json()?;
    let lock = &done["figures"]["lock"];
    ensure!(lock["exposed"] == 0 && lock["mode"] == "compliance" && lock["extended"] == lock["objects"], "{done}");
    ensure!(bucket.locked_until("config")? > after_days(30));
    ensure!(immutable()? == Some(1));

    // What is gone is told, and counts no more.
    let key = operator.run(["repo", "list", "--site", operator.site.to_str().context("a path")?])?.expect(0)?;
    ensure!(key.stdout.contains("IMMUTABLE"), "{key}");
    let packs = bucket.ask("GET", "?list-type=2&prefix=main/packs/", "", "", 200)?;
    bucket.ask("DELETE", &format!("/{}", element(&packs, "Key")?), "", "", 204)?;
    let exposed = operator.run(["repo", "maintain", "main"])?.expect(4)?;
    ensure!(exposed.stdout.contains("EXPOSED: 1 objects in force can be deleted"), "{exposed}");
    ensure!(immutable()? == Some(0));
    ensure!(controller.stop()?.success());
    Ok(())
}
