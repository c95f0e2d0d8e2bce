//! `strongroom check`: what a typed check of a plan runs, for people to type as well.

use std::io::{self, Write};

use jiff::Timestamp;
use strongroom_worker::ready_check::{Finding, ReadyCheck};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;

pub(crate) fn run(check: &ReadyCheck, context: &Context) -> Result<Exit, Failure> {
    let finding = check.look(Timestamp::now());
    context.output.answer(&finding)?;
    Ok(Exit::from(&finding))
}

impl Answer for Finding {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{self}")
    }
}
