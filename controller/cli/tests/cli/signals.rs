//! Stopped in the middle.

use std::io::{Read, Write};
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
        let killed = std::process::Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap();
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
