//! Plans' types as messages.

use std::num::NonZeroU32;

use strongroom_plans::{ByteSize, CheckCommand, Input, LoadLimits, Source, TimeSpan};

use crate::worker::{CommandSource, FilesSource, Hook, Hooks, Limits, backup_job};

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

impl From<LoadLimits> for Limits {
    fn from(limits: LoadLimits) -> Self {
        Self {
            upload_bytes_per_second: limits.upload().map_or(0, ByteSize::bytes),
            read_bytes_per_second: limits.read_rate().map_or(0, ByteSize::bytes),
            threads: limits.threads().map_or(0, NonZeroU32::get),
        }
    }
}

fn words(command: &CheckCommand) -> Vec<String> {
    command.words().map(str::to_owned).collect()
}

fn seconds(time: Option<TimeSpan>) -> u64 {
    time.map_or(0, TimeSpan::seconds)
}
