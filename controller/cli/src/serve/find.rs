//! A search in all restore points that somebody asks for, on a thread of its own.

use strongroom_controller::finds::FindAsked;
use strongroom_controller::operator::{Refused, document};

use super::runner::Runner;
use crate::failure::Failure;
use crate::find::{Candidates, Place, Wanted, known, search};

impl Runner<'_> {
    /// Looks, and answers.
    pub(super) fn find_files(&self, asked: FindAsked) {
        let FindAsked { request, sight, reply } = asked;
        let found = Wanted::of(&request, sight).and_then(|wanted| self.found(&wanted));
        let answer = found.map_err(|failure| self.refused(&failure)).and_then(|found| document(&found));
        // Whoever has stopped listening does not want it any more.
        let _: Result<(), Result<String, Refused>> = reply.send(answer);
    }

    fn found(&self, wanted: &Wanted) -> Result<Candidates, Failure> {
        let (proven, pace) = known(&self.journal, self.context)?;
        let mut places = Vec::new();
        for (name, opened) in &self.repositories {
            // What hosts committed is newer than what is known here.
            let fresh = self.context.wait("read what hosts committed", opened.repository.refresh());
            let opened = fresh.map(|_| opened).map_err(|failure| failure.to_string());
            places.push(Place { name: name.to_string(), opened, proven: proven.clone() });
        }
        search(wanted, &places, pace, self.context)
    }
}
