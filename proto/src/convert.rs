//! Plans' types as messages.

use strongroom_plans::{ByteSize, Source};

use crate::worker::FilesSource;

impl From<&Source> for FilesSource {
    fn from(source: &Source) -> Self {
        Self {
            paths: source.files().iter().map(ToString::to_string).collect(),
            excludes: source.exclude().iter().map(|pattern| pattern.as_str().to_owned()).collect(),
            exclude_caches: source.excludes_caches(),
            one_file_system: source.stays_on_one_file_system(),
            larger_than: source.exclude_larger_than().map_or(0, ByteSize::bytes),
        }
    }
}
