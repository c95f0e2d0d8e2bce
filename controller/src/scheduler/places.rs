//! How many runs are going, and whether there is a place for another one.

use strongroom_plans::Limits;

/// Runs that are going: in all, on each host, into each repository. Hosts and repositories are known by number.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    limits: Limits,
    going: u32,
    on_host: Vec<u32>,
    into_repository: Vec<u32>,
}

impl Places {
    pub(crate) fn new(limits: Limits, hosts: usize, repositories: usize) -> Self {
        Self { limits, going: 0, on_host: vec![0; hosts], into_repository: vec![0; repositories] }
    }

    pub(crate) fn is_free(&self, host: usize, repository: usize) -> bool {
        self.going < self.limits.runs()
            && self.on_host[host] < self.limits.per_host()
            && self.into_repository[repository] < self.limits.per_repository()
    }

    /// Also where none is free: a run that goes on after a reload with lower limits is not turned away.
    pub(crate) fn take(&mut self, host: Option<usize>, repository: Option<usize>) {
        self.counts(host, repository).for_each(|count| *count += 1);
    }

    pub(crate) fn give_back(&mut self, host: Option<usize>, repository: Option<usize>) {
        self.counts(host, repository).for_each(|count| *count = count.saturating_sub(1));
    }

    /// A host or repository that the site no longer has is nothing to count.
    fn counts(&mut self, host: Option<usize>, repository: Option<usize>) -> impl Iterator<Item = &mut u32> {
        let on_host = host.map(|host| &mut self.on_host[host]);
        let into_repository = repository.map(|repository| &mut self.into_repository[repository]);
        std::iter::once(&mut self.going).chain(on_host).chain(into_repository)
    }
}
