//! From entries to a request: what follows from each, and what cannot have happened.

use super::{Approval, Begun, Closed, Promotion, Request, RequestNumber, Standing};
use crate::journal::{Entry, Event};
use crate::restores::RestoreEnding;
use crate::runs::Impossible;

impl Event {
    /// The request whose state it changes, if it changes one. A refusal names a request and changes none.
    #[must_use]
    pub fn request(&self) -> Option<RequestNumber> {
        match self {
            Self::RestoreRequested { request, .. }
            | Self::RestoreApproved { request, .. }
            | Self::RestoreRejected { request, .. }
            | Self::RestoreWithdrawn { request, .. }
            | Self::RestorePromoting { request, .. }
            | Self::RestorePromoted { request, .. }
            | Self::RestoreClosed { request, .. } => Some(*request),
            Self::RestoreStarted { request, .. } | Self::RestoreEnded { request, .. } => *request,
            _ => None,
        }
    }
}

/// The request after an entry about it.
pub(crate) fn fold(before: Option<Request>, entry: &Entry) -> Result<Request, Impossible> {
    match (&entry.event, before) {
        (Event::RestoreRequested { request, by, application }, None) => Ok(Request {
            number: *request,
            at: entry.time,
            by: by.clone(),
            application: (**application).clone(),
            approvals: Vec::new(),
            begun: Vec::new(),
            standing: Standing::Open,
            promotion: None,
            closed: None,
        }),
        (Event::RestoreRequested { request, .. }, Some(_)) => impossible(*request, "be asked for twice"),
        (event, None) => {
            // BUG: only events about requests are folded.
            let request = event.request().unwrap_or_else(|| unreachable!("{event:?} is not about a request"));
            impossible(request, "go on: nobody asked for it")
        }
        (Event::RestoreClosed { by, note, .. }, Some(mut request)) => {
            if !request.is_owed() || request.had_part(by) {
                return impossible(request.number, "be closed: nothing is owed, or he took part");
            }
            request.closed = Some(Closed { by: by.clone(), at: entry.time, note: note.clone() });
            Ok(request)
        }
        (Event::RestorePromoting { .. } | Event::RestorePromoted { .. }, Some(request)) => promoted(request, entry),
        (_, Some(request)) if !request.is_pending() => impossible(request.number, "go on after its end"),
        (Event::RestoreApproved { .. }, Some(request)) => approved(request, entry),
        (Event::RestoreStarted { .. }, Some(request)) => started(request, entry),
        (Event::RestoreEnded { .. }, Some(request)) => ended(request, entry),
        (_, Some(request)) if matches!(request.standing, Standing::Running { .. }) => {
            impossible(request.number, "be taken back while it runs")
        }
        (Event::RestoreRejected { by, reason, .. }, Some(request)) => {
            Ok(Request { standing: Standing::Rejected { by: by.clone(), reason: reason.clone() }, ..request })
        }
        (Event::RestoreWithdrawn { by, .. }, Some(request)) => {
            Ok(Request { standing: Standing::Withdrawn { by: by.clone() }, ..request })
        }
        // BUG: only events about requests are folded.
        (event, Some(_)) => unreachable!("{event:?} is not about a request"),
    }
}

fn approved(mut request: Request, entry: &Entry) -> Result<Request, Impossible> {
    let Event::RestoreApproved { by, hash, until, comment, .. } = &entry.event else { return Ok(request) };
    if *hash != request.application.hash {
        return impossible(request.number, "be approved with the hash of another plan");
    }
    if by.person.is_none() || super::is_same(by, &request.by) {
        return impossible(request.number, "be approved by nobody, or by whoever asked for it");
    }
    if request.approvals_at(entry.time).any(|approval| super::is_same(&approval.by, by)) {
        return impossible(request.number, "be approved twice by one person");
    }
    let (by, comment) = (by.clone(), comment.clone());
    request.approvals.push(Approval { by, at: entry.time, until: *until, comment });
    Ok(request)
}

fn started(mut request: Request, entry: &Entry) -> Result<Request, Impossible> {
    let Event::RestoreStarted { restore, by, .. } = &entry.event else { return Ok(request) };
    if matches!(&request.standing, Standing::Running { restore: before } if before != restore) {
        return impossible(request.number, "begin as another job: its own goes on");
    }
    let agree = request.approvals_at(entry.time).count();
    if agree < request.application.scope.approvals as usize || entry.time >= request.application.expires {
        return impossible(request.number, "begin: too few agree, or it has expired");
    }
    request.begun.push(Begun { restore: restore.clone(), by: by.clone(), at: entry.time });
    Ok(Request { standing: Standing::Running { restore: restore.clone() }, ..request })
}

fn ended(request: Request, entry: &Entry) -> Result<Request, Impossible> {
    let Event::RestoreEnded { restore, ending, reason, .. } = &entry.event else { return Ok(request) };
    if !matches!(&request.standing, Standing::Running { restore: begun } if begun == restore) {
        return impossible(request.number, "end: that job was not begun");
    }
    let standing = match ending {
        RestoreEnding::Restored | RestoreEnding::Deviating | RestoreEnding::Unproven | RestoreEnding::Partial => {
            Standing::Finished { ending: *ending, at: entry.time }
        }
        RestoreEnding::Failed | RestoreEnding::Cancelled => {
            Standing::Interrupted { ending: *ending, reason: reason.clone() }
        }
    };
    Ok(Request { standing, ..request })
}

fn promoted(mut request: Request, entry: &Entry) -> Result<Request, Impossible> {
    if !request.may_still_be_promoted() {
        return impossible(
            request.number,
            "be put in place: it is not verified, it is there already, or nobody agreed",
        );
    }
    if let Event::RestorePromoted { by, to, aside, reason: None, .. } = &entry.event {
        let (by, to, aside) = (by.clone(), to.clone(), aside.clone());
        request.promotion = Some(Promotion { by, at: entry.time, to, aside });
    }
    Ok(request)
}

fn impossible(request: RequestNumber, what: &'static str) -> Result<Request, Impossible> {
    Err(Impossible { about: format!("request {request}"), what })
}
