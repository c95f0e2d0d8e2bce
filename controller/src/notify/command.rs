//! Notices by a program of this machine: it gets the message as JSON on its standard input.

use std::process::Stdio;

use strongroom_plans::CheckCommand;
use tokio::io::AsyncWriteExt;

use super::Message;

pub(super) async fn send(command: &CheckCommand, message: &Message) -> Result<(), String> {
    let program = command.program();
    let child = tokio::process::Command::new(program)
        .args(command.arguments())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child = child.map_err(|error| format!("{program} could not be started: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        // A command that does not read its input may still have done its work.
        let _ = input.write_all(&message.json()).await;
    }
    let status = child.wait().await.map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("{program} ended with {status}")) }
}
