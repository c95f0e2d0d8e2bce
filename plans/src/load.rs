//! How much of a host a run may take: `limits: { upload: 20 MiB, read: 200 MiB, threads: 2 }`.

use std::fmt;
use std::num::NonZeroU32;

use serde::Serialize;

use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::size::ByteSize;
use crate::tree::{Content, Node};
use crate::values;
use crate::words::Meaning;

/// What a run may take of its host's line, disks and processors; without bounds where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LoadLimits {
    #[serde(rename = "upload-bytes-per-second", skip_serializing_if = "Option::is_none")]
    upload: Option<ByteSize>,
    #[serde(rename = "read-bytes-per-second", skip_serializing_if = "Option::is_none")]
    read: Option<ByteSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<NonZeroU32>,
}

/// More only cost memory.
const THREADS_MAX: u32 = 64;

static SHAPE: Shape = Shape {
    title: "`limits` of a plan",
    keys: &[("upload", Meaning::Now("20 MiB")), ("read", Meaning::Now("200 MiB")), ("threads", Meaning::Now("2"))],
};

impl LoadLimits {
    /// Bytes a second to the repository and from it.
    pub fn upload(&self) -> Option<ByteSize> {
        self.upload
    }

    /// Bytes a second that are read from the source.
    pub fn read_rate(&self) -> Option<ByteSize> {
        self.read
    }

    /// Threads that read, compress and seal; one for each processor if absent.
    pub fn threads(&self) -> Option<NonZeroU32> {
        self.threads
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let limits = Self {
            upload: fields.optional("upload", findings, values::written),
            read: fields.optional("read", findings, values::written),
            threads: fields
                .optional("threads", findings, |node, findings| values::count_up_to(node, THREADS_MAX, findings)),
        };
        if matches!(&node.content, Content::Mapping(entries) if entries.is_empty()) {
            findings.report(
                Code::EmptyCollection,
                &node.span,
                "there are no limits in it",
                "leave the key out for none",
            );
        }
        Some(limits)
    }
}

impl fmt::Display for LoadLimits {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let upload = self.upload.map(|rate| format!("{rate}/s to the repository"));
        let read = self.read.map(|rate| format!("{rate}/s from the source"));
        let threads = self.threads.map(|count| format!("{count} threads"));
        let parts: Vec<String> = upload.into_iter().chain(read).chain(threads).collect();
        out.write_str(if parts.is_empty() { "none" } else { "" })?;
        out.write_str(&parts.join(", "))
    }
}
