//! The crates' arrows, read from `cargo metadata`: a new one fails here until DESIGN says that it may be.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use cargo_metadata::{MetadataCommand, Package};

/// Who may use whom, by the crates' folders. The composition root may use everything that is in the product; suites and benchmarks may use everything.
const ARROWS: [(&str, &[&str]); 9] = [
    ("plans", &[]),
    ("proto", &["plans"]),
    ("repository", &[]),
    ("worker", &["proto", "plans", "repository"]),
    ("worker/daemon", &["proto", "plans", "repository", "worker"]),
    ("controller", &["proto", "plans", "repository"]),
    ("controller/cli", &["plans", "proto", "repository", "worker", "controller"]),
    ("tests", &["plans", "proto", "repository", "worker", "controller", "controller/cli", "benches"]),
    ("benches", &["plans", "proto", "repository", "worker", "worker/daemon", "controller", "controller/cli", "tests"]),
];

/// What each crate of the workspace uses of the others, as written in its manifest, whatever for: the product, its tests or its build.
fn arrows() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let metadata = MetadataCommand::new().no_deps().exec()?;
    let folder = |package: &Package| -> Result<String> {
        let folder = package.manifest_path.parent().context("a manifest lies in a folder")?;
        Ok(folder.strip_prefix(&metadata.workspace_root)?.to_string())
    };
    let ours = metadata
        .packages
        .iter()
        .map(|package| Ok((package.name.to_string(), folder(package)?)))
        .collect::<Result<BTreeMap<_, _>>>()?;
    let used =
        |package: &Package| package.dependencies.iter().filter_map(|used| ours.get(&used.name).cloned()).collect();
    metadata.packages.iter().map(|package| Ok((folder(package)?, used(package)))).collect()
}

#[test]
fn crates_use_each_other_one_way() -> Result<()> {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into();
    let found = arrows()?;
    ensure!(found.keys().map(String::as_str).eq(allowed.keys().copied()), "the crates are {:?}", found.keys());
    for (user, used) in found {
        let new: Vec<&String> = used.iter().filter(|used| !allowed[user.as_str()].contains(&used.as_str())).collect();
        ensure!(new.is_empty(), "{user} must not use {new:?} (DESIGN, section 1)");
    }
    Ok(())
}

/// The table above cannot lead back to where it began.
#[test]
fn the_allowed_arrows_make_no_circle() {
    let product: BTreeMap<&str, &[&str]> =
        ARROWS.into_iter().filter(|(user, _)| !["tests", "benches"].contains(user)).collect();
    let mut placed = BTreeSet::new();
    while placed.len() < product.len() {
        let next = product
            .iter()
            .find(|(user, used)| !placed.contains(*user) && used.iter().all(|used| placed.contains(used)));
        let (user, _) = next.unwrap_or_else(|| panic!("a circle among what is left beside {placed:?}"));
        placed.insert(*user);
    }
}

/// Without a package named, cargo looks for programs in the default members only.
#[test]
fn every_program_that_the_readme_builds_is_found() -> Result<()> {
    // From the project's folder, where the reader types it: in a member's, that member is the default.
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the project's folder")?;
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec()?;
    let readme = std::fs::read_to_string(root.join("README.md"))?;
    let lines = readme.lines().filter(|line| line.starts_with("cargo "));
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    let named: BTreeSet<&str> = words.windows(2).filter(|pair| pair[0] == "--bin").map(|pair| pair[1]).collect();
    let members = metadata.workspace_default_packages();
    let targets = members.iter().flat_map(|package| &package.targets);
    let built: BTreeSet<&str> = targets.filter(|target| target.is_bin()).map(|target| target.name.as_str()).collect();
    ensure!(named.len() >= 2 && named.is_subset(&built), "README builds {named:?}, cargo finds {built:?}");
    Ok(())
}
