//! Disk images: fixed chunks at aligned offsets, so that a guest that rewrites a block changes one chunk, read by several lanes at once.
//!
//! The unit is a *granule*, one aligned `image_chunk` of the file. The data of a granule, its holes left out, is one chunk. The plain hash of the
//! file is put together from the granules: BLAKE3 is a tree, and an aligned granule of a power of two bytes is one subtree of it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use rustix::io::{Errno, pread};
use strongroom_repository::{ChunkRef, Extent, FileHash, Parameters};

use super::Fault;
use super::feed::Summary;
use super::lane::LaneWorker;
use super::large::{Assembly, dispatch};
use super::small::{Reading, Stored};

/// Files of this size or more, in bytes, are images if they begin like one; smaller ones only by their name.
const LOOK_INSIDE_BYTES_MIN: u64 = 64 << 20;

/// Names of images.
const SUFFIXES: [&[u8]; 7] = [b".img", b".raw", b".qcow2", b".vmdk", b".vdi", b".vhd", b".vhdx"];

/// How images begin: master boot record, GPT, ext2 to ext4, XFS, btrfs, LUKS, and the formats of virtual machines.
const MAGIC: [(u64, &[u8]); 9] = [
    (510, &[0x55, 0xaa]),
    (512, b"EFI PART"),
    (1080, &[0x53, 0xef]),
    (0, b"XFSB"),
    (0x1_0040, b"_BHRfS_M"),
    (0, b"LUKS\xba\xbe"),
    (0, b"QFI\xfb"),
    (0, b"KDMV"),
    (0, b"vhdxfile"),
];

/// Granules of one piece of work: long enough, at some 3 ms each, that handing it over costs nothing.
const GRANULES_OF_A_PIECE: u64 = 8;

/// Whether a file is to be read as an image.
pub(super) fn is_image(file: BorrowedFd<'_>, name: &[u8], size: u64, parameters: &Parameters) -> bool {
    let granule = parameters.image_chunk as usize;
    // Only such granules are subtrees of the hash, and a file needs two of them to be a tree.
    if !granule.is_power_of_two() || granule < blake3::CHUNK_LEN || size <= granule as u64 {
        return false;
    }
    SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) || (size >= LOOK_INSIDE_BYTES_MIN && begins_like_one(file))
}

fn begins_like_one(file: BorrowedFd<'_>) -> bool {
    MAGIC.iter().any(|(offset, magic)| {
        let mut bytes = [0; 8];
        let bytes = &mut bytes[..magic.len()];
        pread(file, &mut *bytes, *offset) == Ok(magic.len()) && bytes == *magic
    })
}

/// What all pieces of one image share.
struct Image {
    file: OwnedFd,
    size: u64,
    granule: u64,
    extents: Option<Arc<Vec<Extent>>>,
}

/// The answer for one piece.
struct Part {
    subtrees: Vec<ChainingValue>,
    chunks: Vec<ChunkRef>,
    bytes_read: u64,
}

/// Reads an image with all lanes that are free.
pub(super) fn read(
    worker: &mut LaneWorker<'_>,
    file: BorrowedFd<'_>,
    size: u64,
    extents: Option<Arc<Vec<Extent>>>,
) -> Result<Reading, Fault> {
    let file = file.try_clone_to_owned()?;
    let image = Arc::new(Image { file, size, granule: u64::from(worker.parameters.image_chunk), extents });
    let assembly = Arc::new(Assembly::default());
    let granules = size.div_ceil(image.granule);
    for first in (0..granules).step_by(GRANULES_OF_A_PIECE as usize) {
        if assembly.has_failed() {
            break;
        }
        let (image, ticket) = (Arc::clone(&image), assembly.ticket());
        let piece = move |worker: &mut LaneWorker<'_>| {
            let part = image.part(worker, first..granules.min(first + GRANULES_OF_A_PIECE));
            ticket.answer(worker, part);
        };
        dispatch(worker, Box::new(piece));
    }
    let parts = assembly.wait(worker)?;
    let subtrees: Vec<ChainingValue> = parts.iter().flat_map(|part| part.subtrees.iter().copied()).collect();
    let chunks: Vec<ChunkRef> = parts.iter().flat_map(|part| part.chunks.iter().copied()).collect();
    let extents = image.extents.as_ref().map(|extents| extents.to_vec());
    let summary = Summary { size, hash: root_of(&subtrees), extents };
    let stored = Stored::Done(worker.desk.session.chunk_list(&chunks)?);
    Ok(Reading { summary, bytes_read: parts.iter().map(|part| part.bytes_read).sum(), stored })
}

impl Image {
    fn part(&self, worker: &mut LaneWorker<'_>, granules: std::ops::Range<u64>) -> Result<Part, Fault> {
        let mut part = Part { subtrees: Vec::new(), chunks: Vec::new(), bytes_read: 0 };
        for granule in granules {
            let start = granule * self.granule;
            let length = (self.size - start).min(self.granule);
            self.granule(worker, Extent { offset: start, length }, &mut part)?;
            worker.desk.took(length);
        }
        Ok(part)
    }

    /// Reads the data of one granule to where it belongs, with zeros in the holes; hashes that, and stores the data alone.
    fn granule(&self, worker: &mut LaneWorker<'_>, whole: Extent, part: &mut Part) -> Result<(), Fault> {
        let runs = self.runs_in(whole);
        worker.buffer.clear();
        let buffer = worker.buffer.room_to(whole.length as usize);
        let mut end = 0;
        for run in &runs {
            let (from, to) = ((run.offset - whole.offset) as usize, (run.offset - whole.offset + run.length) as usize);
            buffer[end..from].fill(0);
            self.read_exactly(&mut buffer[from..to], run.offset)?;
            end = to;
        }
        buffer[end..].fill(0);
        part.subtrees.push(Hasher::new().set_input_offset(whole.offset).update(buffer).finalize_non_root());
        let data: u64 = runs.iter().map(|run| run.length).sum();
        part.bytes_read += data;
        if data == 0 {
            return Ok(());
        }
        let mut moved = 0;
        if data < whole.length {
            for run in &runs {
                let (from, length) = ((run.offset - whole.offset) as usize, run.length as usize);
                buffer.copy_within(from..from + length, moved);
                moved += length;
            }
        }
        let data = &buffer[..data as usize];
        part.chunks.push(worker.lane.add(data)?);
        Ok(())
    }

    /// The runs of data within a granule.
    fn runs_in(&self, whole: Extent) -> Vec<Extent> {
        let Some(extents) = &self.extents else { return vec![whole] };
        let whole_end = whole.offset + whole.length;
        let first = extents.partition_point(|run| run.offset + run.length <= whole.offset);
        let within = extents[first..].iter().take_while(|run| run.offset < whole_end);
        let clip = |run: &Extent| {
            let offset = run.offset.max(whole.offset);
            Extent { offset, length: (run.offset + run.length).min(whole_end) - offset }
        };
        within.map(clip).collect()
    }

    /// A file that became shorter reads as zeros; that it changed is found after the reading.
    fn read_exactly(&self, mut room: &mut [u8], mut offset: u64) -> Result<(), Fault> {
        while !room.is_empty() {
            match pread(self.file.as_fd(), &mut *room, offset) {
                Ok(0) => {
                    room.fill(0);
                    return Ok(());
                }
                Ok(count) => {
                    room = &mut room[count..];
                    offset += count as u64;
                }
                Err(Errno::INTR) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        Ok(())
    }
}

/// The hash of a file from its granules, of which there are at least two.
fn root_of(subtrees: &[ChainingValue]) -> FileHash {
    let (left, right) = subtrees.split_at(left_half(subtrees.len()));
    *merge_subtrees_root(&merged(left), &merged(right), Mode::Hash).as_bytes()
}

fn merged(subtrees: &[ChainingValue]) -> ChainingValue {
    match subtrees {
        [one] => *one,
        several => {
            let (left, right) = several.split_at(left_half(several.len()));
            merge_subtrees_non_root(&merged(left), &merged(right), Mode::Hash)
        }
    }
}

/// The left side of a BLAKE3 tree is the largest power of two that leaves something on the right.
fn left_half(count: usize) -> usize {
    1 << (count - 1).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn granules_add_up_to_the_plain_hash() {
        let bytes: Vec<u8> = (0..70_000u32).map(|number| (number % 251) as u8).collect();
        for granule in [1024, 2048, 16_384] {
            for size in [granule + 1, 2 * granule, 3 * granule - 5, 4 * granule, 70_000] {
                let subtree = |(index, piece): (usize, &[u8])| {
                    Hasher::new().set_input_offset((index * granule) as u64).update(piece).finalize_non_root()
                };
                let subtrees: Vec<ChainingValue> = bytes[..size].chunks(granule).enumerate().map(subtree).collect();
                assert_eq!(root_of(&subtrees), *blake3::hash(&bytes[..size]).as_bytes(), "{size} in {granule}");
            }
        }
    }
}
