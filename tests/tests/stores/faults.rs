//! What befalls a server, as one table: for each fault a clear sentence and the documented exit code, no half restore point, nothing lost; and when it is over the same command succeeds.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use strongroom_tests::client::restored;
use strongroom_tests::random::{noise, seeded};
use strongroom_tests::s3::S3Server;
use strongroom_tests::{Client, Outcome, Sandbox, compare, sandbox, skip, tree};

use crate::busy::BusyServer;
use crate::program::client_on;

/// A repository on a server with one snapshot, and a source that has changed since.
struct Scene {
    sandbox: Sandbox,
    client: Client,
    source: PathBuf,
    before: PathBuf,
    first: String,
}

impl Scene {
    fn set(client: Client, sandbox: Sandbox) -> Result<Self> {
        client.init()?;
        let (source, before) = (sandbox.folder("source")?, sandbox.path("before"));
        tree::ordinary(&source, &mut seeded(61), 40)?;
        let first = client.backup(&source)?;
        sandbox::copy(&source, &before)?;
        for number in 0..4 {
            tree::write(&source, &format!("new {number}"), noise(&mut seeded(62 + number), 1 << 20))?;
        }
        Ok(Self { sandbox, client, source, before, first })
    }

    fn backup(&self, client: &Client) -> Result<Outcome> {
        client.run("backup", [self.source.as_os_str()])
    }

    fn fails(&self, client: &Client, code: i32, says: &str) -> Result<()> {
        let outcome = self.backup(client)?.expect(code)?;
        ensure!(outcome.stderr.contains(says), "'{says}' is not said:\n{outcome}");
        ensure!(outcome.stderr.contains("next:"), "it does not say what to do:\n{outcome}");
        Ok(())
    }

    /// After the fault: nothing half, nothing lost, and the same command succeeds.
    fn recovers(&self) -> Result<()> {
        let fresh = self.client.with_cache(&self.sandbox.path("fresh cache"));
        ensure!(fresh.snapshots()? == std::slice::from_ref(&self.first), "half a snapshot is visible");
        self.restores(&fresh, &self.first, &self.before)?;
        self.backup(&self.client)?.expect(0)?;
        self.holds_both(&fresh)
    }

    fn holds_both(&self, fresh: &Client) -> Result<()> {
        ensure!(fresh.snapshots()?.len() == 2, "the backup is not there");
        self.restores(fresh, "latest", &self.source)?;
        self.restores(fresh, &self.first, &self.before)?;
        fresh.check_data()?.expect(0).map(|_| ())
    }

    /// The verdict is rsync's.
    fn restores(&self, client: &Client, snapshot: &str, expect: &Path) -> Result<()> {
        let target = self.sandbox.path("restored");
        client.restore(snapshot, &target)?.expect(0)?;
        compare::same(expect, &restored(&target, &self.source))?;
        sandbox::remove(&target)
    }
}

/// A store that refuses everything for a while, and one that refuses every third request for good.
#[test]
fn a_storm_of_refusals_is_told_or_gone_through() -> Result<()> {
    let name = "a_storm_of_refusals_is_told_or_gone_through";
    let server = match S3Server::moto() {
        Ok(server) => server,
        Err(reason) => return skip::test(name, &reason),
    };
    let busy = BusyServer::before(&server.endpoint)?;
    let sandbox = Sandbox::new(name)?;
    let client = client_on(server, &sandbox, name);
    let client = client.with_environment([("STRONGROOM_S3_ENDPOINT", busy.endpoint.clone())]);
    let scene = Scene::set(client, sandbox)?;
    busy.refuse(100);
    scene.fails(&scene.client, 5, "the store cannot do it at the moment")?;
    busy.refuse(0);
    let fresh = scene.client.with_cache(&scene.sandbox.path("fresh cache"));
    ensure!(fresh.snapshots()? == std::slice::from_ref(&scene.first), "half a snapshot is visible");
    scene.restores(&fresh, &scene.first, &scene.before)?;
    let before = busy.refused();
    busy.refuse(33);
    scene.backup(&scene.client)?.expect(0)?;
    ensure!(busy.refused() > before + 3, "hardly anything was refused");
    scene.holds_both(&fresh)
}

/// Garage counts what a bucket holds.
#[test]
fn a_bucket_that_is_full_is_told() -> Result<()> {
    let name = "a_bucket_that_is_full_is_told";
    let server = match S3Server::garage() {
        Ok(server) => server,
        Err(reason) => return skip::test(name, &reason),
    };
    const BUCKET: &str = "strongroom-quota";
    server.administer(&["bucket", "create", BUCKET])?;
    server.administer(&["bucket", "allow", "--read", "--write", BUCKET, "--key", "tests"])?;
    let sandbox = Sandbox::new(name)?;
    let client = client_on(server, &sandbox, name).at(Path::new(&format!("s3://{BUCKET}/main")));
    let scene = Scene::set(client, sandbox)?;
    let limit = |size: &str| server.administer(&["bucket", "set-quotas", "--max-size", size, BUCKET]);
    limit("1MiB").context("a quota")?;
    scene.fails(&scene.client, 5, "the store or its quota is full")?;
    limit("none")?;
    scene.recovers()
}

#[test]
fn a_key_that_is_withdrawn_is_told() -> Result<()> {
    let name = "a_key_that_is_withdrawn_is_told";
    let server = match S3Server::garage() {
        Ok(server) => server,
        Err(reason) => return skip::test(name, &reason),
    };
    let sandbox = Sandbox::new(name)?;
    let client = client_on(server, &sandbox, name);
    let scene = Scene::set(client, sandbox)?;
    let wrong = scene.client.with_environment([("AWS_SECRET_ACCESS_KEY", "not-the-secret".into())]);
    scene.fails(&wrong, 6, "does not accept these credentials")?;
    scene.recovers()
}
