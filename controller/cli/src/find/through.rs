//! A search that the running controller does, which has the keys.

use super::FindArgs;
use super::candidates::Candidates;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

pub(super) fn run(args: &FindArgs, context: &Context) -> Result<Exit, Failure> {
    let controller = args.controller.connect(context)?;
    let mut client = controller.client();
    let found: Candidates = controller.ask("find files", context, client.find(args.everywhere.request()))?;
    found.left_out.iter().for_each(|left| context.say(&format!("{} is left out: {}", left.repository, left.why)));
    let exit = found.exit();
    context.output.answer(&found)?;
    Ok(exit)
}
