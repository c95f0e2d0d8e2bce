use std::path::Path;

use super::lines::{with, without};
use super::{KnownHosts, Name, PublicKey, Verdict};

const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEJ4pHpKT1MUrBZEcZYT3au/eU8gqY0KLIV1ni8uAR5o";
const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBxgX18Lf/ZPBXhcsOrZZj5M02rjavYWWAzurLp5wVs8";
const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBGZrG07KKrdlf/vyYYfca5v3FaNAjQ89BNEXUOypedFuvLTBqZnCi9zGbDODYQunFT51GonwBy6Ev7Z0uWFlwyU=";
/// `web1` and `[web1]:2222` as `ssh-keygen -H` writes them.
const HASHED: [(&str, &str, u16); 2] = [
    ("|1|9bwSnGMizwXhQnzDZ1xcP4FOytQ=|UDkXbnoSmA9p000gltjZtFMJ5I0=", "web1", 22),
    ("|1|GBEZ21aasZWxjnupXmwLkiNnHLU=|gN/++Qe1KyOtdMvV6Sh6BIx5OGk=", "web1", 2222),
];

enum Is {
    Trusted,
    Unknown,
    Changed,
    Revoked,
}

fn key(text: &str) -> PublicKey {
    PublicKey::from_openssh(text).expect("a key")
}

fn verdict(text: &str, host: &str, port: u16) -> Verdict {
    let known = KnownHosts::parse(Path::new("known_hosts"), text).expect("lines");
    known.judge(&Name::new(host, port), &key(ED25519))
}

/// `text` has `E` for the key that the host shows, `O` for another of its kind and `P` for one of another kind.
#[track_caller]
fn check(text: &str, host: &str, port: u16, expected: &Is) {
    let filled = text
        .replace(" E", &format!(" {ED25519}"))
        .replace(" O", &format!(" {OTHER}"))
        .replace(" P", &format!(" {ECDSA}"));
    let verdict = verdict(&filled, host, port);
    let as_expected = match expected {
        Is::Trusted => verdict == Verdict::Trusted,
        Is::Unknown => verdict == Verdict::Unknown,
        Is::Changed => matches!(verdict, Verdict::Changed(_)),
        Is::Revoked => matches!(verdict, Verdict::Revoked(_)),
    };
    assert!(as_expected, "{text:?} of {host} {port}: {verdict:?}");
}

#[test]
fn what_a_file_says_about_a_key() {
    let rows = [
        ("", "web1", 22, Is::Unknown),
        ("web1 E", "web1", 22, Is::Trusted),
        ("web1\t E", "web1", 22, Is::Trusted),
        ("  web1   E   a comment\r\n", "web1", 22, Is::Trusted),
        ("WEB1 E", "web1", 22, Is::Trusted),
        ("web1 E", "Web1", 22, Is::Trusted),
        ("#web1 E", "web1", 22, Is::Unknown),
        ("web2 E", "web1", 22, Is::Unknown),
        ("web1.example,web1,10.0.0.1 E", "10.0.0.1", 22, Is::Trusted),
        // Ports.
        ("web1 E", "web1", 2222, Is::Unknown),
        ("[web1]:2222 E", "web1", 2222, Is::Trusted),
        ("[web1]:2222 E", "web1", 22, Is::Unknown),
        ("[web1]:2222 E", "web1", 2223, Is::Unknown),
        ("[::1]:2222 E", "::1", 2222, Is::Trusted),
        ("::1 E", "::1", 22, Is::Trusted),
        // Patterns.
        ("*.example E", "web1.example", 22, Is::Trusted),
        ("*.example E", "web1.example", 2222, Is::Unknown),
        ("[*.example]:* E", "web1.example", 2222, Is::Trusted),
        ("web? E", "web1", 22, Is::Trusted),
        ("web? E", "web10", 22, Is::Unknown),
        ("*,!web1 E", "web1", 22, Is::Unknown),
        ("*,!web1 E", "web2", 22, Is::Trusted),
        ("!web2 E", "web1", 22, Is::Unknown),
        ("!web2,web* E", "web1", 22, Is::Trusted),
        // Other keys.
        ("web1 O", "web1", 22, Is::Changed),
        ("web1 P", "web1", 22, Is::Changed),
        ("web1 O\nweb1 E", "web1", 22, Is::Trusted),
        ("web1 E\nweb1 O", "web1", 22, Is::Trusted),
        ("web1 P\nweb1 E", "web1", 22, Is::Trusted),
        ("web1 O\n* E", "web1", 22, Is::Trusted),
        // Marks.
        ("@revoked web1 E\nweb1 E", "web1", 22, Is::Revoked),
        ("web1 E\n@revoked * E", "web1", 22, Is::Revoked),
        ("@revoked * E", "web1", 22, Is::Revoked),
        ("web1 E\n@revoked web2 E", "web1", 22, Is::Trusted),
        ("web1 E\n@revoked * O", "web1", 22, Is::Trusted),
        ("@cert-authority * E", "web1", 22, Is::Unknown),
        ("@something web1 E", "web1", 22, Is::Unknown),
        // What cannot be understood makes nobody known.
        ("web1", "web1", 22, Is::Unknown),
        ("web1 ssh-ed25519 AAAA", "web1", 22, Is::Unknown),
        ("web1 ssh-ed25519\nweb1 E", "web1", 22, Is::Trusted),
        ("|1|no|hash E", "web1", 22, Is::Unknown),
    ];
    for (text, host, port, expected) in &rows {
        check(text, host, *port, expected);
    }
}

#[test]
fn hashed_names() {
    let rows = HASHED.map(|(hashed, host, port)| (format!("{hashed} E"), host, port));
    for (text, host, port) in &rows {
        check(text, host, *port, &Is::Trusted);
        check(text, "web2", *port, &Is::Unknown);
        check(text, host, 2200, &Is::Unknown);
        check(&format!("@revoked {text}"), host, *port, &Is::Revoked);
    }
}

#[test]
fn a_revoked_line_is_never_skipped() {
    for text in ["@revoked", "@revoked web1", "@revoked * ssh-ed25519 AAAA", "web1 x y\n  @revoked  * nonsense"] {
        let error = KnownHosts::parse(Path::new("known_hosts"), text).expect_err(text);
        assert!(error.to_string().starts_with("known_hosts:"), "{error}");
    }
}

#[test]
fn only_kinds_that_are_recorded_are_asked_for() {
    let name = Name::new("web1", 22);
    let kinds = |text: &str| {
        let known = KnownHosts::parse(Path::new("known_hosts"), text).expect("lines");
        known.kinds(&name).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&format!("web1 {ED25519}")), ["ssh-ed25519"]);
    assert_eq!(kinds(&format!("web1 {ECDSA}\nweb1 {ED25519}")), ["ssh-ed25519", "ecdsa-sha2-nistp256"]);
    assert_eq!(kinds(&format!("web2 {ED25519}")).len(), 4);
    assert_eq!(kinds(&format!("@cert-authority * {ED25519}")).len(), 0);
}

#[test]
fn a_line_of_this_host_alone_is_replaced_and_every_other_stays() {
    let name = Name::new("web1", 2222);
    let others = format!(
        "# ours\n\nweb1 {OTHER}\n[web1]:2222,web3 {OTHER} shared\n* {ECDSA}\n@revoked [web1]:2222 {ECDSA}\nnonsense\n"
    );
    let old = format!("{others}[web1]:2222 {OTHER} old\n");
    let new = with(&old, &name, &[key(ED25519)]).expect("text");
    assert_eq!(new, format!("{others}[web1]:2222 {ED25519}\n"));
    assert_eq!(with(&new, &name, &[key(ED25519)]).expect("text"), new, "there is nothing to change");
    let both = with(&new, &name, &[key(ED25519), key(ECDSA)]).expect("text");
    assert_eq!(both, format!("{others}[web1]:2222 {ED25519}\n[web1]:2222 {ECDSA}\n"));
    assert_eq!(without(&both, &name), others);
    let (hashed, host, port) = HASHED[0];
    assert_eq!(without(&format!("{hashed} {ED25519}\n"), &Name::new(host, port)), "");
    assert_eq!(with("a last line without its end", &name, &[]).expect("text"), "a last line without its end");
}
