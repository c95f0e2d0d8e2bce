//! Hosts that are reached through another one of the site.

use std::fs;

use crate::sshd::{Sshd, user};
use crate::support::{Ran, World};

/// What every `host add` here is told: this test's own key, and a program that is one for this machine.
fn add(world: &World, name: &str, more: &[&str]) -> Ran {
    let usual = ["host", "add", name, "127.0.0.1", "--site", "site", "--identity", "admin-key"];
    world.run(&[&usual[..], &["--worker", env!("CARGO_BIN_EXE_strongroom"), "--dry-run"], more].concat())
}

#[test]
fn a_jump_host_is_one_that_the_inventory_could_have() {
    let world = World::new();
    world.write("site/hosts.yaml", "hosts: { gate: { address: 127.0.0.1, jump: db1 }, db1: { address: 127.0.0.1 } }\n");
    // That nothing else of the site is there does not matter.
    let refused = add(&world, "db2", &["--jump", "gata"]).expect(7);
    assert!(refused.err.contains("no host gata") && refused.err.contains("host add gata ADDRESS"), "{}", refused.err);
    let refused = add(&world, "db1", &["--jump", "gate"]).expect(2);
    assert!(refused.err.contains("gate is itself reached through db1"), "{}", refused.err);
    let refused = add(&world, "gate", &["--jump", "gate"]).expect(2);
    assert!(refused.err.contains("gate is itself reached through gate"), "{}", refused.err);
    world.write("site/hosts.yaml", "hosts: { gate: { address: 127.0.0.1 }, db1: { address: 127.0.0.1 } }\n");
    let refused = add(&world, "db1", &["--jump", "gate"]).expect(2);
    assert!(refused.err.contains("db1 without a jump host"), "{}", refused.err);
    for command in ["upgrade", "remove"] {
        let refused = world.run(&["host", command, "127.0.0.1", "--jump", "gate"]).expect(2);
        assert!(refused.err.contains("--site"), "a jump host is one of a site: {}", refused.err);
    }
}

#[test]
fn what_a_jump_host_lacks_is_said_and_then_enough() {
    let (world, mut front, back) = (World::new(), Sshd::start().unwrap(), Sshd::start().unwrap());
    fs::copy(back.path("user_key"), world.path("admin-key")).unwrap();
    let gate = format!("address: 127.0.0.1, port: {}, jump-user: {}", front.port(), user().unwrap());
    world.write("site/hosts.yaml", format!("hosts: {{ gate: {{ {gate} }} }}\n"));
    let port = back.port().to_string();
    let fingerprint = back.fingerprint("host_ed25519").unwrap();
    let try_it = || add(&world, "db1", &["--jump", "gate", "--port", &port, "--fingerprint", &fingerprint]);

    // The jump host's own key is strict.
    let refused = try_it().expect(1);
    assert!(refused.err.contains("cannot be passed") && refused.err.contains("is not known"), "{}", refused.err);
    let known_hosts = world.path("home/.local/state/strongroom/known-hosts");
    fs::copy(front.path("known_hosts"), &known_hosts).unwrap();

    // The line that lets the controller pass is the one to write there.
    let refused = try_it().expect(1);
    assert!(refused.err.contains("lets nobody in"), "{}", refused.err);
    let line = refused.err.lines().find(|line| line.contains("restrict,port-forwarding ssh-ed25519 ")).unwrap();
    let key = line.trim().strip_prefix("restrict,port-forwarding ").unwrap();
    fs::write(front.path("authorized_keys"), format!("restrict {key}\n")).unwrap();
    let refused = try_it().expect(1);
    assert!(refused.err.contains("does not connect this login") && refused.err.contains(line), "{}", refused.err);
    fs::write(front.path("authorized_keys"), format!("{}\n", line.trim())).unwrap();
    let steps = try_it().expect(0);
    assert!(steps.text().contains(&format!("on 127.0.0.1:{port}")) && steps.text().contains(&fingerprint));

    // What answers there must be the host, and not the one before it.
    let other = front.fingerprint("host_ed25519").unwrap();
    let refused = add(&world, "db1", &["--jump", "gate", "--port", &port, "--fingerprint", &other]).expect(6);
    assert!(refused.err.contains(&fingerprint), "{}", refused.err);

    // The other commands go the same way: only its key is missing.
    let known = fs::read_to_string(&known_hosts).unwrap() + &fs::read_to_string(back.path("known_hosts")).unwrap();
    fs::write(&known_hosts, known).unwrap();
    let remove = ["host", "remove", "127.0.0.1", "--port", &port, "--site", "site", "--jump", "gate"];
    let admin = ["--identity", "admin-key", "--user", "nobody-of-that-name"];
    let refused = world.run(&[&remove[..], &admin].concat()).expect(1);
    assert!(refused.err.contains("lets nobody in as nobody-of-that-name"), "{}", refused.err);
    front.stop();
    for command in ["remove", "upgrade"] {
        let args = [&["host", command], &remove[2..], &admin].concat();
        let worker: &[&str] = if command == "upgrade" { &["--worker", env!("CARGO_BIN_EXE_strongroom")] } else { &[] };
        let refused = world.run(&[&args, worker].concat()).expect(1);
        assert!(
            refused.err.contains("cannot be passed") && refused.err.contains("cannot be reached"),
            "{}",
            refused.err
        );
    }
}
