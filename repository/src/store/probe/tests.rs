use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::{
    CopyOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions, PutResult, RenameOptions,
};
use rustix::io::Errno;

use super::*;
use crate::store::{Fault, Faulty, Operation, Plan, When};

/// How a store lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// It ignores that a put shall only create.
    AlwaysOverwrites,
    /// It checks the condition, then writes without looking again: right unless there is a race.
    ChecksThenWrites,
    /// It ignores ranges.
    WholeObjects,
    /// Its listings are out of date.
    StaleList,
}

#[derive(Debug)]
struct Lying {
    inner: InMemory,
    lie: Lie,
}

impl Display for Lying {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Lying({:?})", self.lie)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for Lying {
    async fn put_opts(&self, location: &Path, payload: PutPayload, mut opts: PutOptions) -> Result<PutResult> {
        match self.lie {
            Lie::AlwaysOverwrites => opts.mode = PutMode::Overwrite,
            Lie::ChecksThenWrites if self.inner.head(location).await.is_err() => {
                tokio::task::yield_now().await;
                opts.mode = PutMode::Overwrite;
            }
            _ => {}
        }
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, mut options: GetOptions) -> Result<GetResult> {
        if self.lie == Lie::WholeObjects {
            options.range = None;
        }
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.lie {
            Lie::StaleList => futures::stream::empty().boxed(),
            _ => self.inner.list(prefix),
        }
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

fn not_passed(report: &ProbeReport) -> Vec<(Property, Outcome)> {
    let failed = report.checks.iter().filter(|check| check.outcome != Outcome::Passed);
    failed.map(|check| (check.property, check.outcome)).collect()
}

/// Probes a lying store, and checks what is found and that nothing is left.
async fn check(lie: Lie, commits: Commits, expect: &[Property]) {
    let store = Lying { inner: InMemory::new(), lie };
    let report = probe(&store).await;
    let expect: Vec<_> = expect.iter().map(|&property| (property, Outcome::Failed)).collect();
    assert_eq!(not_passed(&report), expect, "{lie:?}: {report:#?}");
    assert_eq!(report.commits, commits, "{lie:?}");
    assert_eq!(report.checks.len(), 8);
    assert_eq!(store.inner.list(None).count().await, 0, "{lie:?} leaves nothing");
}

#[tokio::test]
async fn lies_are_found() {
    use Property::{CreateRace, CreateTwice, ListShowsNew, RangeMiddle, RangePastEnd, RangeSuffix};
    check(Lie::AlwaysOverwrites, Commits::ControllerOnly, &[CreateTwice, CreateRace]).await;
    check(Lie::ChecksThenWrites, Commits::ControllerOnly, &[CreateRace]).await;
    check(Lie::WholeObjects, Commits::Race, &[RangeMiddle, RangeSuffix, RangePastEnd]).await;
    check(Lie::StaleList, Commits::Race, &[ListShowsNew]).await;
}

#[tokio::test]
async fn an_honest_store_passes_and_the_report_survives_json() {
    let report = probe(&InMemory::new()).await;
    assert!(report.is_clean(), "{report:#?}");
    assert_eq!(report.commits, Commits::Race);
    let json = serde_json::to_string(&report).expect("json");
    assert!(json.contains(r#"{"property":"create_race","outcome":"passed","#), "{json}");
    assert_eq!(serde_json::from_str::<ProbeReport>(&json).expect("json"), report);
}

/// Probes a store that fails the operations of one kind.
async fn probe_failing(only: Operation) -> ProbeReport {
    let plan = Plan { fault: Fault::ErrorBefore(Errno::ACCESS), when: When::FromNth(1), only: Some(only) };
    probe(&Faulty::new(Arc::new(InMemory::new()), plan)).await
}

#[tokio::test]
async fn what_rests_on_a_failed_check_is_skipped_not_passed() {
    let report = probe_failing(Operation::Put).await;
    assert_eq!(report.commits, Commits::ControllerOnly);
    let skipped = report.checks.iter().filter(|check| check.outcome == Outcome::Skipped).count();
    assert_eq!((report.checks.len(), skipped), (8, 4), "{report:#?}");
}

#[tokio::test]
async fn what_cannot_be_deleted_is_named() {
    let report = probe_failing(Operation::Delete).await;
    let [(Property::DeleteWorks, Outcome::Failed)] = not_passed(&report)[..] else {
        panic!("{report:#?}");
    };
    let detail = &report.checks[7].detail;
    assert_eq!(detail.matches("deleting probe/").count(), 3, "{detail}");
    assert_eq!(report.commits, Commits::Race);
}
