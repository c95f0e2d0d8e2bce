//! Stopped in the middle.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use crate::support::World;

#[test]
fn a_stopped_backup_leaves_nothing_visible() {
    let world = World::with_repository();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut child = world
            .command(&["backup", "--stdin", "stream", "-v"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It reads as long as the stream is open, so once it has taken more than a pipe holds it is in the middle.
        let mut stream = child.stdin.take().unwrap();
        stream.write_all(&vec![7; 4 << 20]).unwrap();
        let killed =
            std::process::Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{err}");
        assert!(err.contains("nothing half done is visible"), "{err}");
        drop(stream);
    }
    assert_eq!(world.json(&["snapshots"]).as_array().unwrap().len(), 0);
    world.run_with_input(&["backup", "--stdin", "stream"], b"whole").expect(0);
    world.run(&["repo", "check", "--read-data"]).expect(0);
}

#[test]
fn a_stopped_run_removes_its_scratch_directory_and_leaves_a_record() {
    let world = World::new();
    world.write("source/file", "content");
    let text = format!(
        "kind: backup\nname: t\nsources: [{{ files: [{}] }}]\nrepository: ./repo\nretain: {{ last: 2 }}\n\
         prove: {{ level: restored, checks: [[sh, -c, \"sleep 1000\"]] }}\n",
        world.text("source")
    );
    world.write("plan.yaml", text);
    let mut child = world.command(&["run", "plan.yaml"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("step 3 of 4: verify") {
        line.clear();
        assert_ne!(err.read_line(&mut line).unwrap(), 0, "it ended early");
    }
    let scratch = world.path("home/.local/state/strongroom/scratch/t");
    assert!(scratch.exists());
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut rest = String::new();
    err.read_to_string(&mut rest).unwrap();
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(!scratch.exists(), "the scratch directory is still there");
    assert!(out.starts_with("FAILED: plan t") && out.contains("stopped by a signal"), "{out}");
    assert_eq!(world.json(&["snapshots"]).as_array().unwrap().len(), 1, "what was backed up before counts");
}
