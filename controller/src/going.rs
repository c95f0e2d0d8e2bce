//! Restores that go on now, for those who watch them: what whoever runs one is told, others who may see it are told too.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::operator::Refused;
use crate::permissions::Sight;
use crate::requests::RequestNumber;
use crate::restores::RestoreNews;

/// What was told last; none before anything was.
pub(crate) type News = Option<Result<RestoreNews, Refused>>;

/// All that go on.
#[derive(Debug, Default, Clone)]
pub(crate) struct Board(Arc<Mutex<Vec<Notice>>>);

/// One of them.
#[derive(Debug)]
struct Notice {
    number: Option<RequestNumber>,
    /// Its job on the host, once it has begun.
    job: Option<String>,
    source: String,
    host: String,
    news: watch::Sender<News>,
}

/// One of them, for as long as somebody runs it.
#[derive(Debug)]
pub(crate) struct Pinned {
    board: Board,
    news: watch::Sender<News>,
}

impl Board {
    /// Puts one up: of the data of `source`, to `host`.
    pub(crate) fn pin(&self, number: Option<RequestNumber>, source: &str, host: &str) -> Pinned {
        let news = watch::Sender::new(None);
        let (source, host) = (source.to_owned(), host.to_owned());
        self.notices().push(Notice { number, job: None, source, host, news: news.clone() });
        Pinned { board: self.clone(), news }
    }

    /// The one with this number or job; without a name the only one that there is.
    pub(crate) fn find(&self, name: &str, sight: &Sight) -> Result<watch::Receiver<News>, Refused> {
        let notices = self.notices();
        let seen: Vec<&Notice> = notices.iter().filter(|notice| notice.is_seen(sight)).collect();
        let named: Vec<&&Notice> = seen.iter().filter(|notice| name.is_empty() || notice.is(name)).collect();
        match named[..] {
            [one] => Ok(one.news.subscribe()),
            [] if name.is_empty() => Err(Refused::Unknown("no restore goes on now".into())),
            [] => Err(Refused::Unknown(format!("{name} does not go on now"))),
            _ => Err(Refused::Unfit(format!("several restores go on, name one: {}", listed(&named)))),
        }
    }

    fn notices(&self) -> MutexGuard<'_, Vec<Notice>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notice {
    fn is_seen(&self, sight: &Sight) -> bool {
        sight.has(&self.source) || sight.has(&self.host)
    }

    fn is(&self, name: &str) -> bool {
        self.job.as_deref() == Some(name) || self.number.is_some_and(|number| number.to_string() == name)
    }

    fn name(&self) -> String {
        let job = || self.job.clone().unwrap_or_else(|| format!("one to {} that has not begun", self.host));
        self.number.map_or_else(job, |number| number.to_string())
    }
}

fn listed(notices: &[&&Notice]) -> String {
    notices.iter().map(|notice| notice.name()).collect::<Vec<_>>().join(", ")
}

impl Pinned {
    /// Tells those who watch what whoever runs it is told.
    pub(crate) fn tell(&self, news: &Result<RestoreNews, Refused>) {
        if let Ok(RestoreNews::Begins { restore, .. }) = news {
            let mut notices = self.board.notices();
            let own = notices.iter_mut().find(|notice| notice.news.same_channel(&self.news));
            own.into_iter().for_each(|notice| notice.job = Some(restore.clone()));
        }
        self.news.send_replace(Some(news.clone()));
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.board.notices().retain(|notice| !notice.news.same_channel(&self.news));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn doing(bytes_done: u64) -> Result<RestoreNews, Refused> {
        Ok(RestoreNews::Doing { doing: "restoring".into(), bytes_done, bytes_total: 10 })
    }

    fn sight(host: &str) -> Sight {
        Sight::Hosts(BTreeSet::from([host.parse().unwrap()]))
    }

    #[tokio::test]
    async fn others_are_told_for_as_long_as_it_goes_on() {
        let board = Board::default();
        let number = "HF-2026-000001".parse().unwrap();
        let pinned = board.pin(Some(number), "db1", "db2");
        pinned.tell(&doing(5));
        let mut watched = board.find("HF-2026-000001", &sight("db2")).unwrap();
        assert_eq!(*watched.borrow(), Some(doing(5)));
        pinned.tell(&doing(10));
        drop(pinned);
        // The last word is heard, and then it is over.
        assert!(watched.changed().await.is_ok());
        assert_eq!(*watched.borrow_and_update(), Some(doing(10)));
        assert!(watched.changed().await.is_err());
        assert!(matches!(board.find("HF-2026-000001", &Sight::Everything), Err(Refused::Unknown(_))));
    }

    #[test]
    fn one_is_meant_without_a_name_and_nobody_sees_what_is_not_his() {
        let board = Board::default();
        let first = board.pin(None, "db1", "db2");
        assert!(board.find("", &sight("db1")).is_ok());
        assert!(matches!(board.find("", &sight("web1")), Err(Refused::Unknown(_))));
        let _second = board.pin(None, "db1", "db3");
        let Err(Refused::Unfit(why)) = board.find("", &Sight::Everything) else { panic!("two are one") };
        assert!(why.contains("to db2") && why.contains("to db3"), "{why}");
        drop(first);
        assert!(board.find("", &Sight::Everything).is_ok());
    }
}
