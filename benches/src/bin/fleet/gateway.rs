//! A GiB of packs: through the gateway over a real SSH server, directly to the same disk, and through `ssh cat`.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use strongroom_controller::gateway::{Gateway, serve};
use strongroom_controller::ssh;
use strongroom_repository::{Credential, InitOptions, NewHolder, Parameters, Repository, RepositoryId, store};

use crate::host_side::{PACK_BYTES, PACKS};
use crate::process;
use crate::spread::median;
use crate::sshd::Sshd;

/// One way to move a GiB.
const WAYS: [&str; 4] = ["direct to the disk", "ssh cat to nowhere", "ssh cat to the disk", "gateway over SSH"];

pub(crate) fn measure(folder: &Path, worker: &Path, rounds: usize) -> Result<String> {
    let scratch = tempfile::Builder::new().prefix("fleet-bench-").tempdir_in(folder)?;
    let worker = worker.canonicalize().with_context(|| format!("looking for {}", worker.display()))?;
    let forced = format!("{} connect --run-dir {}", worker.display(), scratch.path().display());
    let sshd = Sshd::start(scratch.path(), &forced)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let repository = runtime.block_on(repository(scratch.path()))?;
    let mut host = HostSide::start(scratch.path(), repository.id())?;
    let gateway = Arc::new(Gateway::new([Arc::clone(&repository)]));
    let target = sshd.target()?;
    let connection = runtime.block_on(ssh::connect(&target))?;
    let stream = runtime.block_on(connection.open("gateway"))?;
    runtime.spawn(serve(gateway, "h".into(), stream));
    let payload = payload()?;
    let mut seconds: [Vec<f64>; WAYS.len()] = Default::default();
    let mut cpu = Vec::new();
    for round in 0..rounds {
        for turn in 0..WAYS.len() {
            let way = (round + turn) % WAYS.len();
            let begun = (Instant::now(), process::cpu());
            let took = match way {
                0 => {
                    let direct = scratch.path().join(format!("direct-{round}"));
                    let took = host.order(direct.to_str().context("a path of text")?)?;
                    fs::remove_dir_all(direct)?;
                    took
                }
                1 => cat(&sshd, payload.path(), None)?,
                2 => cat(&sshd, payload.path(), Some(&scratch.path().join("copy")))?,
                _ => {
                    let took = host.order("gateway")?;
                    cpu.push((process::cpu() - begun.1).as_secs_f64());
                    // The folders stay: the store knows that it has made them.
                    for folder in fs::read_dir(scratch.path().join("repository/packs"))? {
                        for pack in fs::read_dir(folder?.path())? {
                            fs::remove_file(pack?.path())?;
                        }
                    }
                    took
                }
            };
            eprintln!("round {round}: {}: {took:.2} s", WAYS[way]);
            seconds[way].push(took);
        }
    }
    let peak = process::peak_mib()?;
    Ok(table(&seconds, median(cpu), peak, rounds))
}

fn table(seconds: &[Vec<f64>; WAYS.len()], cpu: f64, peak: f64, rounds: usize) -> String {
    let mib = (PACK_BYTES * PACKS) as f64 / f64::from(1 << 20);
    let gateway = &seconds[WAYS.len() - 1];
    let mut text = format!(
        "## The gateway: {PACKS} packs of {} MiB, {rounds} rounds\n\n\
         One SSH connection to OpenSSH on this machine (AES-256-GCM), two packs on their way at once, as a worker has them, each durable before its answer; all ends share the machine's cores. \
         A figure is the median over the rounds; the share is the median over the rounds of (this way's time / the gateway's).\n\n\
         | | MiB/s | the gateway's share of it |\n|---|---:|---:|\n",
        PACK_BYTES >> 20
    );
    for (way, taken) in WAYS.iter().zip(seconds) {
        let share = median(taken.iter().zip(gateway).map(|(taken, gateway)| taken / gateway).collect());
        text.push_str(&format!("| {way} | {:.0} | {share:.2} |\n", mib / median(taken.clone())));
    }
    text.push_str(&format!(
        "\nThe controller's processor time for a GiB: {cpu:.2} s; its peak memory, with everything measured above: {peak:.0} MiB.\n"
    ));
    text
}

async fn repository(folder: &Path) -> Result<Arc<Repository>> {
    let url = folder.join("repository");
    let store = store::open(url.to_str().context("a path of text")?)?;
    let options = InitOptions {
        parameters: Parameters::default(),
        created: Timestamp::UNIX_EPOCH,
        holder: "owner".into(),
        how: NewHolder::KeyFile,
    };
    let created = Repository::init(Arc::clone(&store), options).await?;
    let key = Credential::File(created.key_file.context("a key file")?);
    Ok(Repository::open(store, &key, &folder.join("cache")).await?)
}

/// A GiB that no cipher or disk finds easier than a pack, in memory.
fn payload() -> Result<tempfile::NamedTempFile> {
    let mut file = tempfile::NamedTempFile::new_in("/dev/shm")?;
    let mut reader = blake3::Hasher::new().finalize_xof();
    let mut bytes = vec![0; PACK_BYTES];
    for _ in 0..PACKS {
        reader.fill(&mut bytes);
        file.write_all(&bytes)?;
    }
    Ok(file)
}

fn cat(sshd: &Sshd, payload: &Path, to: Option<&Path>) -> Result<f64> {
    let begun = Instant::now();
    let output = File::create(to.unwrap_or(Path::new("/dev/null")))?;
    let status = sshd.client(&format!("cat {}", payload.display()))?.stdout(output.try_clone()?).status()?;
    ensure!(status.success(), "ssh ended with {status}");
    if let Some(to) = to {
        output.sync_all()?;
        let took = begun.elapsed().as_secs_f64();
        fs::remove_file(to)?;
        return Ok(took);
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// The other process.
struct HostSide {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl HostSide {
    fn start(run: &Path, repository: RepositoryId) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("host-side").arg("--run-dir").arg(run).arg("--repository").arg(repository.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (orders, answers) = (child.stdin.take().context("no input")?, child.stdout.take().context("no output")?);
        let mut host = Self { child, orders, answers: BufReader::new(answers) };
        ensure!(host.answer()? == "ready", "the host's side is not ready");
        Ok(host)
    }

    fn order(&mut self, word: &str) -> Result<f64> {
        writeln!(self.orders, "{word}")?;
        Ok(self.answer()?.parse()?)
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.answers.read_line(&mut line)? > 0, "the host's side ended");
        Ok(line.trim().to_owned())
    }
}

impl Drop for HostSide {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
