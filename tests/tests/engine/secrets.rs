//! Secrets stay where they belong: in key files that only their owner reads; never in arguments, outputs, errors, caches or the repository.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use strongroom_tests::random::seeded;
use strongroom_tests::{Client, Sandbox, program, tree};

fn mode(path: &Path) -> Result<u32> {
    Ok(path.metadata()?.permissions().mode() & 0o777)
}

fn secret(key: &Path, name: &str) -> Result<String> {
    let file: Value = serde_json::from_slice(&fs::read(key)?)?;
    Ok(file[name].as_str().with_context(|| format!("{} has no {name}", key.display()))?.to_owned())
}

/// Everything below a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() { found.extend(files(&entry.path())?) } else { found.push(entry.path()) }
    }
    Ok(found)
}

/// Whatever the umask says.
#[test]
fn keys_and_memories_are_for_their_owner_alone() -> Result<()> {
    let sandbox = Sandbox::new("modes")?;
    let client = sandbox.client("client");
    let writer = sandbox.path("writer.json");
    let generous = |arguments: &[&std::ffi::OsStr]| -> Result<()> {
        let umask = ["sh", "-c", "umask 000; exec \"$@\"", "sh"].map(str::to_owned);
        program::run(client.program_through(&umask)?.args(arguments))?.expect(0).map(drop)
    };
    let source = sandbox.folder("source")?;
    tree::ordinary(&source, &mut seeded(11), 20)?;
    let (repository, key) = (client.repository.as_os_str(), client.key.as_os_str());
    generous(&["repo".as_ref(), "init".as_ref(), repository, "--key-file".as_ref(), key])?;
    generous(&["backup".as_ref(), "--repo".as_ref(), repository, "--key".as_ref(), key, source.as_os_str()])?;
    let add = ["key", "add", "--holder", "web1", "--writer"].map(AsRef::as_ref);
    generous(&[&add[..], &[writer.as_os_str(), "--repo".as_ref(), repository, "--key".as_ref(), key]].concat())?;
    for key in [&client.key, &writer] {
        ensure!(mode(key)? == 0o600, "{} has mode {:o}", key.display(), mode(key)?);
    }
    for folder in [&client.repository, &client.cache, &client.state] {
        let open = |path: &PathBuf| mode(path).is_ok_and(|mode| mode & 0o077 != 0);
        let guarded = mode(folder)? & 0o077 == 0;
        let all = files(folder)?;
        ensure!(guarded || !all.iter().any(open), "others may read {:?}", all.iter().find(|path| open(path)));
    }
    Ok(())
}

/// With everything that it can log: the harness looks through all output for the secrets of the key in use.
#[test]
fn nothing_that_is_printed_holds_a_secret() -> Result<()> {
    let (sandbox, client) = Sandbox::with_repository("printed")?;
    let source = sandbox.folder("source")?;
    tree::ordinary(&source, &mut seeded(12), 20)?;
    let loud = |name: &str, arguments: &[&str]| client.run(name, [&["-vv", "--log", "trace"], arguments].concat());
    let (source_text, target) = (source.display().to_string(), sandbox.path("target").display().to_string());
    loud("backup", &[&source_text])?.expect(0)?;
    loud("snapshots", &["--json"])?.expect(0)?;
    loud("restore", &["latest", "--target", &target])?.expect(0)?;
    loud("key list", &["--json"])?.expect(0)?;
    for (kind, id) in [("config", None), ("commit", Some("latest"))] {
        loud("inspect", &[&[kind][..], id.as_slice()].concat())?.expect(0)?;
    }
    // A key that is damaged is not quoted in the complaint.
    let text = fs::read_to_string(&client.key)?;
    let broken = sandbox.path("broken key.json");
    for damage in [
        text.replace("\"private-key\"", "\"private_key\""),
        text.replace("\": \"", "\": \"zz"),
        text[..text.len() - 9].to_owned(),
    ] {
        fs::write(&broken, damage)?;
        fs::set_permissions(&broken, fs::Permissions::from_mode(0o600))?;
        let outcome = client.with_key(&broken).run("snapshots", ["--json"])?.expect(6)?;
        ensure!(
            !outcome.text().contains(&secret(&client.key, "private-key")?[8..]),
            "the broken key is quoted:\n{outcome}"
        );
    }
    Ok(())
}

/// Arguments are there for every user of the machine to see: no option takes a secret itself.
#[test]
fn no_option_takes_a_secret_as_its_value() -> Result<()> {
    let client = Sandbox::new("options")?.client("client");
    let mut commands = vec![vec![]];
    let mut options = 0;
    while let Some(command) = commands.pop() {
        let help = program::run(client.program()?.args(&command).arg("--help"))?.expect(0)?.stdout;
        for line in help.lines().map(str::trim).filter(|line| line.starts_with('-')) {
            options += 1;
            let words = line.split("  ").next().unwrap_or_default().to_lowercase();
            let is_about_secrets = ["key", "pass", "secret"].iter().any(|word| words.contains(word));
            let takes_it =
                words.contains('<') && !["<file>", "<out>", "<hex>", "<dir>"].iter().any(|value| words.contains(value));
            ensure!(!(is_about_secrets && takes_it), "{command:?} takes a secret on the command line: {line}");
            // The one hexadecimal value is a public key.
            ensure!(!words.contains("<hex>") || words.contains("public"), "{command:?}: {line}");
        }
        commands.extend(subcommands(&help).into_iter().map(|name| [command.clone(), vec![name]].concat()));
    }
    ensure!(options > 50, "the help was not understood: {options} options");
    Ok(())
}

fn subcommands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Neither in the repository nor in what the client remembers, in hexadecimal or as bytes.
#[test]
fn nothing_that_is_stored_holds_a_secret() -> Result<()> {
    let (sandbox, client) = Sandbox::with_repository("stored")?;
    let source = sandbox.folder("source")?;
    tree::ordinary(&source, &mut seeded(13), 20)?;
    client.backup(&source)?;
    let hex = secret(&client.key, "private-key")?;
    let raw: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16)).collect::<Result<_, _>>()?;
    for folder in [&client.repository, &client.cache, &client.state] {
        for file in files(folder)? {
            let bytes = fs::read(&file)?;
            let holds = |secret: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
            ensure!(!holds(&raw) && !holds(hex.as_bytes()), "{} holds the private key", file.display());
        }
    }
    // The proof that the search finds: the key file itself holds it.
    ensure!(fs::read_to_string(&client.key)?.contains(&hex) && raw.len() == 32);
    keeps_no_secret_of_a_holder(&client)
}

/// What a holder's run leaves in its folders opens nothing for somebody who gets hold of them and has another key.
fn keeps_no_secret_of_a_holder(client: &Client) -> Result<()> {
    let text = fs::read_to_string(&client.key)?;
    let other = client.state.join("other key.json");
    fs::write(&other, text.replace(&secret(&client.key, "private-key")?, &"5a".repeat(32)))?;
    fs::set_permissions(&other, fs::Permissions::from_mode(0o600))?;
    client.with_key(&other).run("snapshots", ["--json"])?.expect(6).map(drop)
}
