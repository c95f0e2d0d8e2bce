//! A mounted repository. Needs /dev/fuse, and says so where there is none.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::World;

fn mounted(world: &World) -> Child {
    std::fs::create_dir_all(world.path("mnt")).unwrap();
    let mut child = world.command(&["mount", "mnt"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("is mounted at"), "{line}");
    child
}

fn run(program: &str, args: &[&str]) {
    assert!(Command::new(program).args(args).status().unwrap().success(), "{program} {args:?}");
}

#[test]
fn a_mounted_repository_shows_what_was_backed_up_until_it_is_stopped() {
    if !Path::new("/dev/fuse").exists() {
        // Past the capture of the test runner, so that it is seen.
        writeln!(std::io::stderr(), "NOT TESTED: there is no /dev/fuse here").unwrap();
        return;
    }
    let world = World::with_repository();
    world.write("source/etc/hosts", "127.0.0.1 localhost\n");
    world.write("source/政务/台账.txt", vec![7; 3 << 20]);
    world.run(&["backup", "source"]).expect(0);
    let source = world.path("source");
    let shown = world.path("mnt/latest").join(&source.to_str().unwrap()[1..]);

    let mut child = mounted(&world);
    world.assert_same(&source, &shown);
    run("kill", &["-INT", &child.id().to_string()]);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!shown.exists(), "it is still mounted");

    let mut child = mounted(&world);
    assert!(shown.exists());
    run("umount", &[&world.text("mnt")]);
    assert_eq!(child.wait().unwrap().code(), Some(0));

    world.run(&["mount", "absent"]).expect(7);
    world.run(&["mount", "source/etc/hosts"]).expect(2);
}
