//! Packs: many sealed frames in one immutable object (FORMAT.md, Packs).

mod builder;
mod frame;
mod moved;
mod reader;
mod tables;

pub use builder::PackContents;
pub(crate) use builder::{FinishedPack, PackBuilder};
pub use frame::{FRAME_HEADER_SIZE, FrameHeader, compress};
pub(crate) use frame::{SegmentKey, open_frame, segment_secret};
pub(crate) use moved::MovedPack;
pub use reader::{PackFooter, TRAILER_SIZE, Trailer, scan_frames};
pub use tables::{FrameRow, SegmentRow, StoredChunk};
pub(crate) use tables::{SEGMENT_SIZE, put_frame, put_segments, take_frame, take_segment};
