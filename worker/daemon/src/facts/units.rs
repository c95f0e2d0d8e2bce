//! Services that are active or have failed, as systemd names them.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use strongroom_worker::command::{Order, Running, Take};

/// systemd answers at once, or is in trouble.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Thousands of units.
const BYTES_MAX: u64 = 1 << 20;

/// A service that is active, or has failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Unit {
    /// Such as `ssh.service`.
    pub name: String,
    /// Such as `running`, `exited` or `failed`.
    pub state: String,
}

pub(super) fn read() -> Option<Vec<Unit>> {
    // What systemd itself goes by: the command may be there without it.
    Path::new("/run/systemd/system").exists().then_some(())?;
    let arguments = [
        "systemctl",
        "list-units",
        "--type=service",
        "--state=active,failed",
        "--no-legend",
        "--plain",
        "--no-pager",
        "--full",
    ];
    let order = Order { arguments: arguments.map(str::to_owned).into(), environment: Vec::new(), time_max: TIME_MAX };
    let mut text = String::new();
    let running = Running::start(order, Take::Output, Arc::default()).ok()?;
    running.take(BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(parse(&text))
}

fn parse(list: &str) -> Vec<Unit> {
    let unit = |line: &str| {
        let mut words = line.split_whitespace();
        Some(Unit { name: words.next()?.to_owned(), state: words.nth(2)?.to_owned() })
    };
    list.lines().filter_map(unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_have_a_name_and_a_state() {
        let list = "cron.service    loaded active running Regular background program processing daemon\n\
            keyboard-setup.service loaded active exited  Set the console keyboard layout\n\
            nginx.service    loaded failed failed  A web server\n\nshort line\n";
        let unit = |name: &str, state: &str| Unit { name: name.into(), state: state.into() };
        assert_eq!(
            parse(list),
            [
                unit("cron.service", "running"),
                unit("keyboard-setup.service", "exited"),
                unit("nginx.service", "failed")
            ]
        );
    }
}
