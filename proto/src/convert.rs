//! Plans' types as messages.

use std::num::NonZeroU32;

use strongroom_plans::{Access, ByteSize, CheckCommand, Input, LoadLimits, Source, TimeSpan};

use crate::worker::{CommandSource, DirectStore, FilesSource, Hook, Hooks, Limits, backup_job, direct_store};

impl From<&Source> for backup_job::Source {
    fn from(source: &Source) -> Self {
        match source.input() {
            Input::Files(files) => Self::Files(files.into()),
            Input::Command(command) => Self::Command(command.into()),
        }
    }
}

impl From<&strongroom_plans::FilesSource> for FilesSource {
    fn from(source: &strongroom_plans::FilesSource) -> Self {
        Self {
            paths: source.files().iter().map(ToString::to_string).collect(),
            excludes: source.exclude().iter().map(|pattern| pattern.as_str().to_owned()).collect(),
            exclude_caches: source.excludes_caches(),
            one_file_system: source.stays_on_one_file_system(),
            larger_than: source.exclude_larger_than().map_or(0, ByteSize::bytes),
        }
    }
}

impl From<&strongroom_plans::CommandSource> for CommandSource {
    fn from(source: &strongroom_plans::CommandSource) -> Self {
        Self {
            name: source.name().to_string(),
            arguments: words(source.command()),
            seconds_max: seconds(source.time_out()),
        }
    }
}

impl Hooks {
    /// The commands around a source, where it has some.
    #[must_use]
    pub fn of(source: &Source) -> Option<Self> {
        let hooks = |hooks: &[strongroom_plans::Hook]| hooks.iter().map(Hook::from).collect();
        let hooks = Self { before: hooks(source.before()), after: hooks(source.after()) };
        (hooks != Self::default()).then_some(hooks)
    }
}

impl From<&strongroom_plans::Hook> for Hook {
    fn from(hook: &strongroom_plans::Hook) -> Self {
        Self { arguments: words(hook.run()), seconds_max: seconds(hook.time_out()) }
    }
}

impl DirectStore {
    /// Where a host opens the store itself, if it is to.
    #[must_use]
    pub fn of(access: &Access) -> Option<Self> {
        let Access::Direct(_) = access else { return None };
        // BUG if there is none: plans take no other address, and it is text. The worker refuses a store without a place, rather than to go through the gateway.
        let directory = access.directory_on_hosts().and_then(|path| path.into_os_string().into_string().ok());
        Some(Self { place: directory.map(direct_store::Place::Directory) })
    }
}

impl From<LoadLimits> for Limits {
    fn from(limits: LoadLimits) -> Self {
        Self {
            upload_bytes_per_second: limits.upload().map_or(0, ByteSize::bytes),
            read_bytes_per_second: limits.read_rate().map_or(0, ByteSize::bytes),
            threads: limits.threads().map_or(0, NonZeroU32::get),
            download_bytes_per_second: 0,
        }
    }
}

fn words(command: &CheckCommand) -> Vec<String> {
    command.words().map(str::to_owned).collect()
}

fn seconds(time: Option<TimeSpan>) -> u64 {
    time.map_or(0, TimeSpan::seconds)
}

#[cfg(test)]
mod tests {
    use strongroom_plans::{Site, SiteFiles};

    use super::*;

    #[test]
    fn a_store_that_hosts_open_themselves_is_sent_as_they_have_it() {
        let sent = |said: &str| {
            let mut files = SiteFiles::new("");
            let at = format!("name: x\nzone: UTC\nrepositories: {{ main: {{ at: /srv/main{said} }} }}\n");
            files.insert("site.yaml", at);
            files.insert("hosts.yaml", "hosts: { web1: { address: 10.0.0.5 } }\n");
            let site = Site::read(&files).unwrap_or_else(|faults| panic!("{faults}"));
            site.repositories().values().next().and_then(|main| DirectStore::of(main.access()))
        };
        let at = |directory: &str| Some(DirectStore { place: Some(direct_store::Place::Directory(directory.into())) });
        assert_eq!(sent(""), None);
        assert_eq!(sent(", access: direct"), at("/srv/main"));
        assert_eq!(sent(", access: direct, on-hosts: \"file:///mnt/a%20b\""), at("/mnt/a b"));
    }
}
