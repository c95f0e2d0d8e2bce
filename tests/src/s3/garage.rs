//! Garage: two nodes that each keep every object. It checks signatures, and ignores conditions.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::process::{Process, free_port, run};
use super::{BUCKET, S3Server};
use crate::wait;

/// Two nodes start in three seconds, on a busy machine in many.
const START_TIME_MAX: Duration = Duration::from_secs(120);

const ACCESS_KEY: &str = "GK31c2f218a2e44f485b94239e";
const SECRET_KEY: &str = "b892c0665f0ada8a4755dae98baa3b133590e11dae3bcc1f9d769d67f16c3835";

struct Node {
    config: PathBuf,
    api_port: u16,
    process: Process,
}

pub(super) fn start(program: &str) -> Result<S3Server> {
    let folder = tempfile::tempdir()?;
    let nodes = [start_node(program, &folder.path().join("one"))?, start_node(program, &folder.path().join("two"))?];
    let [one, two] = nodes;
    let ask = |node: &Node, words: &[&str]| {
        let config = node.config.display().to_string();
        run(&[&[program, "-c", &config], words].concat())
    };
    let ids = [&one, &two].map(|node| {
        let id = wait::until("a node of Garage says its name", START_TIME_MAX, || ask(node, &["node", "id", "-q"]));
        id.map(|id| id.trim().to_owned())
    });
    let [first, second] = ids;
    let (first, second) = (first?, second?);
    wait::until("the nodes of Garage meet", START_TIME_MAX, || {
        ask(&one, &["node", "connect", &second])?;
        let status = ask(&one, &["status"])?;
        ensure!(!status.contains("FAILED") && status.contains(&second[..16]), "{status}");
        Ok(())
    })?;
    for id in [&first, &second] {
        let id = id.split('@').next().context("an id")?;
        ask(&one, &["layout", "assign", "-z", "here", "-c", "20G", id])?;
    }
    ask(&one, &["layout", "apply", "--version", "1"])?;
    wait::until("Garage makes a bucket", START_TIME_MAX, || ask(&one, &["bucket", "create", BUCKET]))?;
    ask(&one, &["key", "import", "--yes", "-n", "tests", ACCESS_KEY, SECRET_KEY])?;
    ask(&one, &["bucket", "allow", "--read", "--write", BUCKET, "--key", "tests"])?;
    Ok(S3Server {
        endpoint: format!("http://127.0.0.1:{}", one.api_port),
        region: "garage",
        access_key: ACCESS_KEY,
        secret_key: SECRET_KEY,
        administrator: vec![program.to_owned(), "-c".to_owned(), one.config.display().to_string()],
        _processes: vec![one.process, two.process],
        _folder: folder,
    })
}

fn start_node(program: &str, folder: &Path) -> Result<Node> {
    fs::create_dir(folder)?;
    let (rpc_port, api_port) = (free_port()?, free_port()?);
    let at = folder.display();
    let secret = "6f".repeat(32);
    let text = format!(
        "metadata_dir = \"{at}/meta\"\ndata_dir = \"{at}/data\"\ndb_engine = \"sqlite\"\nreplication_factor = 2\n\
         rpc_bind_addr = \"127.0.0.1:{rpc_port}\"\nrpc_public_addr = \"127.0.0.1:{rpc_port}\"\nrpc_secret = \"{secret}\"\n\
         [s3_api]\ns3_region = \"garage\"\napi_bind_addr = \"127.0.0.1:{api_port}\"\n"
    );
    let config = folder.join("garage.toml");
    fs::write(&config, text)?;
    let shown = config.display().to_string();
    let process = Process::start(&[program, "-c", &shown, "server"], &folder.join("log"))?;
    Ok(Node { config, api_port, process })
}
