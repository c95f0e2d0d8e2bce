//! Choosing a snapshot by what a person types.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::error::Error;
use crate::ids::ObjectId;
use crate::repository::{Repository, Snapshots};
use crate::snapshot::Snapshot;
use crate::text::unescape;

impl Repository {
    /// Finds the one snapshot that `spec` means: `latest`, an id prefix of four digits or more, or a time (the newest snapshot not after it; without an offset it is read in
    /// `zone`); each also with `@host` or `@host:/path` behind, which says whose.
    ///
    /// An id needs no other snapshot to be readable. A time or `latest` is refused if a snapshot that was made later than the one found cannot be read:
    /// it may be the one that is meant, and nobody should restore older data without knowing.
    pub async fn choose(&self, spec: &str, zone: &TimeZone) -> Result<Snapshot, Error> {
        let history = self.history();
        let wanted = Wanted::parse(spec, zone)?;
        if wanted.point == Point::Id {
            let ids: Vec<ObjectId> = history.snapshots.iter().map(|added| added.snapshot).collect();
            let snapshot = self.snapshot(by_prefix(&ids, wanted.before)?).await?;
            return wanted.confirm(snapshot);
        }
        let Snapshots { readable, unreadable } = self.snapshots().await?;
        let found = wanted.newest(&readable);
        let commit =
            |id: &ObjectId| history.snapshots.iter().find(|added| added.snapshot == *id).map(|added| added.commit);
        let since = found.as_ref().ok().and_then(|found| commit(&found.id)).unwrap_or(0);
        match unreadable.into_iter().rfind(|lost| lost.commit > since) {
            Some(lost) => Err(Error::Doubtful { spec: spec.to_owned(), source: Box::new(lost.error) }),
            None => found.cloned(),
        }
    }
}

/// What was typed, taken apart.
#[derive(Debug)]
struct Wanted<'a> {
    spec: &'a str,
    /// What stands before the `@`.
    before: &'a str,
    point: Point,
    /// Empty for any.
    host: &'a str,
    path: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    Latest,
    NotAfter(Timestamp),
    Id,
}

impl<'a> Wanted<'a> {
    fn parse(spec: &'a str, zone: &TimeZone) -> Result<Self, Error> {
        let (before, place) = spec.split_once('@').map_or((spec, None), |(before, place)| (before, Some(place)));
        let point = match parse_time(before, zone) {
            Some(time) => Point::NotAfter(time),
            None if before == "latest" => Point::Latest,
            None => Point::Id,
        };
        if place == Some("") || (point == Point::Id && before.starts_with("latest")) {
            let why = format!("'{spec}' is not understood: write latest, latest@host or latest@host:/path");
            return Err(Error::NoSnapshot(why));
        }
        let place = place.unwrap_or_default();
        let (host, path) = place.split_once(':').map_or((place, None), |(host, path)| (host, Some(path)));
        Ok(Self { spec, before, point, host, path })
    }

    fn matches(&self, snapshot: &Snapshot) -> bool {
        (self.host.is_empty() || snapshot.manifest.host == self.host)
            && self.path.is_none_or(|path| covers(snapshot, path))
    }

    /// The newest one that it can mean.
    fn newest<'s>(&self, snapshots: &'s [Snapshot]) -> Result<&'s Snapshot, Error> {
        let is_old = |snapshot: &Snapshot| match self.point {
            Point::NotAfter(time) => snapshot.manifest.time <= time,
            Point::Latest | Point::Id => true,
        };
        let found = snapshots.iter().rev().find(|snapshot| is_old(snapshot) && self.matches(snapshot));
        found.ok_or_else(|| {
            let Self { spec, before, point, .. } = self;
            Error::NoSnapshot(match point {
                Point::NotAfter(_) if !snapshots.iter().any(is_old) => {
                    format!("no snapshot is as old as '{before}'{}", oldest(snapshots))
                }
                _ => format!("no snapshot answers '{spec}'{}", hosts(snapshots)),
            })
        })
    }

    /// A snapshot by its id must be what was said besides.
    fn confirm(&self, snapshot: Snapshot) -> Result<Snapshot, Error> {
        match self.matches(&snapshot) {
            true => Ok(snapshot),
            false => Err(Error::NoSnapshot(format!(
                "no snapshot answers '{}': this one is of {}, and of {}",
                self.spec,
                snapshot.manifest.host,
                snapshot.manifest.sources.join(" ")
            ))),
        }
    }
}

/// Whether one of the snapshot's sources is the path or holds it.
fn covers(snapshot: &Snapshot, path: &str) -> bool {
    let path = unescape(path.trim_end_matches('/'));
    snapshot.manifest.sources.iter().any(|source| {
        let source = unescape(source.trim_end_matches('/'));
        path.strip_prefix(source.as_slice()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    })
}

/// A time as people type it: an instant, or a time or a date of this zone's calendar.
#[must_use]
pub fn parse_time(spec: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(time) = spec.parse::<Timestamp>() {
        return Some(time);
    }
    let civil = spec.parse::<DateTime>().ok()?;
    // A bare date means its end: "as of that day".
    let civil = if spec.contains(':') { civil } else { civil.date().at(23, 59, 59, 999_999_999) };
    zone.to_ambiguous_timestamp(civil).later().ok()
}

fn by_prefix(ids: &[ObjectId], spec: &str) -> Result<ObjectId, Error> {
    let is_prefix = spec.len() >= 4 && spec.bytes().all(|byte| byte.is_ascii_hexdigit());
    let wanted = spec.to_ascii_lowercase();
    let found: Vec<&ObjectId> = ids.iter().filter(|id| is_prefix && id.hex().starts_with(&wanted)).collect();
    match found.as_slice() {
        [one] => Ok(**one),
        [] => Err(Error::NoSnapshot(format!("no snapshot is called '{spec}'; list them with 'strongroom snapshots'"))),
        many => {
            Err(Error::NoSnapshot(format!("'{spec}' begins the ids of {} snapshots: give more digits", many.len())))
        }
    }
}

fn oldest(snapshots: &[Snapshot]) -> String {
    snapshots
        .first()
        .map_or_else(|| ": there are none".into(), |first| format!(": the oldest is of {}", first.manifest.time))
}

fn hosts(snapshots: &[Snapshot]) -> String {
    let mut hosts: Vec<&str> = snapshots.iter().map(|snapshot| snapshot.manifest.host.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    if hosts.is_empty() { ": there are none".into() } else { format!(": the hosts are {}", hosts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Manifest, SnapshotKind, Totals};

    fn snapshot(seed: u8, host: &str, source: &str, time: &str) -> Snapshot {
        let time: Timestamp = time.parse().unwrap();
        let manifest = Manifest {
            host: host.into(),
            time,
            finished: time,
            kind: SnapshotKind::Full,
            sources: vec![source.into()],
            tags: Default::default(),
            root: None,
            parent: None,
            program: String::new(),
            totals: Totals::default(),
            problems: Vec::new(),
        };
        Snapshot { id: ObjectId([seed; 32]), manifest, signer: String::new() }
    }

    #[test]
    fn a_person_finds_the_snapshot_they_mean_or_hears_why_not() {
        let all = [
            snapshot(0xaa, "web1", "/etc", "2026-01-01T00:00:00Z"),
            snapshot(0xab, "db1", "/srv", "2026-01-02T10:00:00Z"),
            snapshot(0xac, "web1", "/srv/www", "2026-01-03T00:00:00Z"),
        ];
        let ids = all.each_ref().map(|snapshot| snapshot.id);
        let cases = [
            ("latest", Ok(0xac)),
            ("latest@db1", Ok(0xab)),
            ("latest@web1:/etc/nginx", Ok(0xaa)),
            ("latest@:/srv/www", Ok(0xac)),
            ("latest@web2", Err("the hosts are db1, web1")),
            ("latest@web1:/etcetera", Err("no snapshot answers")),
            ("latestly", Err("is not understood")),
            ("abab", Ok(0xab)),
            ("ABAB", Ok(0xab)),
            ("ab", Err("no snapshot is called")),
            ("2026-01-02", Ok(0xab)),
            ("2026-01-02T09:00", Ok(0xaa)),
            ("2026-01-02T10:00:00Z", Ok(0xab)),
            ("2025-12-31", Err("the oldest is of 2026-01-01")),
            ("2026-01-02@web1", Ok(0xaa)),
            ("2026-01-02T10:00:00Z@db1:/srv", Ok(0xab)),
            ("2026-01-01@db1", Err("no snapshot answers")),
            ("abab@db1", Ok(0xab)),
            ("abab@web1", Err("this one is of db1")),
            ("latest@", Err("is not understood")),
        ];
        for (spec, expect) in cases {
            let found = Wanted::parse(spec, &TimeZone::UTC).and_then(|wanted| match wanted.point {
                Point::Id => {
                    let id = by_prefix(&ids, wanted.before)?;
                    let snapshot = all.iter().find(|snapshot| snapshot.id == id).unwrap();
                    wanted.confirm(snapshot.clone()).map(|found| found.id)
                }
                Point::Latest | Point::NotAfter(_) => wanted.newest(&all).map(|found| found.id),
            });
            match (found, expect) {
                (Ok(found), Ok(seed)) => assert_eq!(found.0[0], seed, "{spec}"),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{spec}: {error}"),
                (found, expect) => panic!("{spec}: {found:?}, expected {expect:?}"),
            }
        }
    }
}
