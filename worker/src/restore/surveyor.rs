//! The survey on a thread of its own, with the questions coming from async code.

use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::error::RestoreError;
use super::selection::Step;
use super::survey::{Seen, Survey, Verdict};
use super::threads::spawn;

/// Some entries, and who wants to know.
type Question = (Vec<Step>, oneshot::Sender<(Vec<Step>, Vec<Seen>)>);

/// Answers for a target, at once if there is nothing in it.
#[derive(Debug)]
pub(super) struct Surveyor {
    questions: Option<mpsc::SyncSender<Question>>,
    thread: Option<JoinHandle<()>>,
}

impl Surveyor {
    /// Starts the thread if there is anything to survey.
    pub(super) fn start(survey: Option<Survey>) -> Result<Self, RestoreError> {
        let Some(mut survey) = survey else { return Ok(Self { questions: None, thread: None }) };
        let (questions, asked) = mpsc::sync_channel::<Question>(1);
        let thread = spawn("restore-survey", move || {
            for (steps, answer) in asked {
                let seen = survey.look(&steps);
                // Nobody listens any more when the plan was given up.
                let _given_up = answer.send((steps, seen));
            }
        })?;
        Ok(Self { questions: Some(questions), thread: Some(thread) })
    }

    /// What the target holds of some entries, in the order of the tree.
    pub(super) async fn look(&self, steps: Vec<Step>) -> Result<(Vec<Step>, Vec<Seen>), RestoreError> {
        let Some(questions) = &self.questions else {
            let seen = vec![Seen { verdict: Verdict::Create, identity: None }; steps.len()];
            return Ok((steps, seen));
        };
        let (answer, answered) = oneshot::channel();
        // One question is asked at a time, so there is always room for it.
        questions.try_send((steps, answer)).map_err(|_| RestoreError::Thread)?;
        answered.await.map_err(|_| RestoreError::Thread)
    }
}

impl Drop for Surveyor {
    fn drop(&mut self) {
        self.questions = None;
        if let Some(thread) = self.thread.take() {
            // It has at most one question to finish. Its panic was met as a missing answer.
            let _panicked = thread.join();
        }
    }
}
