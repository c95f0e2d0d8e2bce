//! What every `--help` says.

use crate::support::{World, golden};

/// The commands that a help text lists.
fn commands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect()
}

fn check(world: &World, path: &[String]) -> usize {
    let words: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
    let ran = world.run(&words).expect(0);
    let name = if path.is_empty() { "strongroom".to_owned() } else { path.join("-") };
    golden(&format!("help/{name}.txt"), ran.text());
    let below = commands(ran.text());
    let below: usize = below.into_iter().map(|name| check(world, &[path, &[name]].concat())).sum();
    below + 1
}

#[test]
fn every_help_is_as_it_was() {
    let found = check(&World::new(), &[]);
    assert!(found > 20, "only {found} commands were found");
}
