//! One file, directory or other node of a snapshot, and its bytes in a leaf page.

use super::owners::{OwnerTables, OwnersInUse};
use crate::codec::{Malformed, Reader, put_bytes, put_varint, put_zigzag};
use crate::ids::{ChunkId, FileHash};

/// A point in time: seconds since 1970 (negative before) and nanoseconds within the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A unix socket; recorded, never restored.
    Socket,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
}

/// One piece of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRef {
    /// Which chunk.
    pub id: ChunkId,
    /// Its plain length in bytes.
    pub length: u32,
}

/// A page of chunk references, for files of many chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkPageRef {
    /// Which page.
    pub id: ChunkId,
    /// The content bytes that its chunks hold together.
    pub covered_bytes: u64,
}

/// Where a file's bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Content {
    /// No bytes at all: an empty file, one that is all holes, or no file.
    #[default]
    None,
    /// One chunk that is the whole file, without holes: its name follows from the file's hash, its length is the size.
    Whole,
    /// The chunks in order.
    Chunks(Vec<ChunkRef>),
    /// Pages of chunks in order.
    Pages(Vec<ChunkPageRef>),
}

/// A run of data in a sparse file; what lies between runs is a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
}

/// How the content was held still while it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stillness {
    /// Nothing held it.
    #[default]
    Fuzzy,
    /// Read from a file system snapshot.
    Snapshot,
    /// Its application was stopped.
    Stopped,
    /// Its engine gave a consistent copy.
    Engine,
}

/// How far the content can be trusted to be one state of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Consistency {
    /// How it was held still.
    pub stillness: Stillness,
    /// It changed while it was being read, and stayed so after retries.
    pub torn: bool,
}

/// Name and value of an extended attribute.
pub type Xattr = (Vec<u8>, Vec<u8>);

/// A node's name, metadata and content references. Times of last status change are not kept: they cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Raw name, without slashes.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky (12 bits).
    pub mode: u32,
    /// Owner's number.
    pub uid: u32,
    /// Group's number.
    pub gid: u32,
    /// Owner's name on the source, empty if it had none.
    pub user: std::sync::Arc<str>,
    /// Group's name on the source, empty if it had none.
    pub group: std::sync::Arc<str>,
    /// Time of last modification.
    pub mtime: Time,
    /// Time of birth, where the file system keeps it.
    pub birth: Option<Time>,
    /// Length in bytes (files only).
    pub size: u64,
    /// Device and inode, if the file has more than one link.
    pub hardlink: Option<(u64, u64)>,
    /// Extended attributes, sorted by name; ACLs and capabilities among them.
    pub xattrs: Vec<Xattr>,
    /// `FS_IOC_GETFLAGS`, where not zero.
    pub flags: Option<u32>,
    /// Project id, where not zero.
    pub project: Option<u32>,
    /// Runs of data, if the file is sparse.
    pub extents: Option<Vec<Extent>>,
    /// Plain BLAKE3 of the file, holes as zeros (files only).
    pub hash: Option<FileHash>,
    /// Where the bytes are.
    pub content: Content,
    /// Where a symlink points.
    pub target: Option<Vec<u8>>,
    /// Major and minor number of a device.
    pub device: Option<(u32, u32)>,
    /// How the content was read.
    pub consistency: Consistency,
}

impl Entry {
    /// A node without content or attributes.
    #[must_use]
    pub fn new(name: Vec<u8>, kind: Kind) -> Self {
        Self {
            name,
            kind,
            mode: 0,
            uid: 0,
            gid: 0,
            user: "".into(),
            group: "".into(),
            mtime: Time::default(),
            birth: None,
            size: 0,
            hardlink: None,
            xattrs: Vec::new(),
            flags: None,
            project: None,
            extents: None,
            hash: None,
            content: Content::None,
            target: None,
            device: None,
            consistency: Consistency::default(),
        }
    }

    /// Bytes of content that are stored, holes left out.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        match &self.extents {
            Some(extents) => extents.iter().map(|extent| extent.length).sum(),
            None => self.size,
        }
    }
}

/// Bits of the `fields` number (FORMAT.md, Pages).
mod field {
    pub(super) const BIRTH: u64 = 1 << 0;
    pub(super) const HARDLINK: u64 = 1 << 1;
    pub(super) const XATTRS: u64 = 1 << 2;
    pub(super) const FLAGS: u64 = 1 << 3;
    pub(super) const PROJECT: u64 = 1 << 4;
    pub(super) const EXTENTS: u64 = 1 << 5;
    pub(super) const HASH: u64 = 1 << 6;
    pub(super) const CHUNKS: u64 = 1 << 7;
    pub(super) const CHUNK_PAGES: u64 = 1 << 8;
    pub(super) const TARGET: u64 = 1 << 9;
    pub(super) const DEVICE: u64 = 1 << 10;
    pub(super) const CONSISTENCY: u64 = 1 << 11;
    pub(super) const WHOLE: u64 = 1 << 12;
    pub(super) const ALL: u64 = (1 << 13) - 1;
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::File => 0,
            Self::Directory => 1,
            Self::Symlink => 2,
            Self::Fifo => 3,
            Self::Socket => 4,
            Self::CharacterDevice => 5,
            Self::BlockDevice => 6,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::File,
            1 => Self::Directory,
            2 => Self::Symlink,
            3 => Self::Fifo,
            4 => Self::Socket,
            5 => Self::CharacterDevice,
            6 => Self::BlockDevice,
            _ => return None,
        })
    }
}

impl Consistency {
    fn byte(self) -> u8 {
        self.stillness as u8 | if self.torn { 0x80 } else { 0 }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        let stillness = match byte & 0x7f {
            0 => Stillness::Fuzzy,
            1 => Stillness::Snapshot,
            2 => Stillness::Stopped,
            3 => Stillness::Engine,
            _ => return None,
        };
        Some(Self { stillness, torn: byte & 0x80 != 0 })
    }
}

fn fields_of(entry: &Entry) -> u64 {
    let mut fields = 0;
    let mut set = |present: bool, bit: u64| {
        if present {
            fields |= bit;
        }
    };
    set(entry.birth.is_some(), field::BIRTH);
    set(entry.hardlink.is_some(), field::HARDLINK);
    set(!entry.xattrs.is_empty(), field::XATTRS);
    set(entry.flags.is_some(), field::FLAGS);
    set(entry.project.is_some(), field::PROJECT);
    set(entry.extents.is_some(), field::EXTENTS);
    set(entry.hash.is_some(), field::HASH);
    set(entry.content == Content::Whole, field::WHOLE);
    set(matches!(entry.content, Content::Chunks(_)), field::CHUNKS);
    set(matches!(entry.content, Content::Pages(_)), field::CHUNK_PAGES);
    set(entry.target.is_some(), field::TARGET);
    set(entry.device.is_some(), field::DEVICE);
    set(entry.consistency != Consistency::default(), field::CONSISTENCY);
    fields
}

fn put_time(out: &mut Vec<u8>, time: Time) {
    put_zigzag(out, time.seconds);
    put_varint(out, u64::from(time.nanoseconds));
}

fn take_time(from: &mut Reader<'_>) -> Result<Time, Malformed> {
    let seconds = from.zigzag("time")?;
    let nanoseconds = from.varint32("nanoseconds")?;
    if nanoseconds >= 1_000_000_000 {
        return Err(from.malformed("nanoseconds"));
    }
    Ok(Time { seconds, nanoseconds })
}

/// Appends `entry` as it stands in a leaf, and notes its owners for the page's tables.
pub fn encode(entry: &Entry, owners: &mut OwnersInUse, out: &mut Vec<u8>) {
    owners.note(entry);
    let fields = fields_of(entry);
    put_bytes(out, &entry.name);
    out.push(entry.kind.byte());
    put_varint(out, fields);
    for number in [entry.mode, entry.uid, entry.gid] {
        put_varint(out, u64::from(number));
    }
    put_time(out, entry.mtime);
    if entry.kind == Kind::File {
        put_varint(out, entry.size);
    }
    if let Some(birth) = entry.birth {
        put_time(out, birth);
    }
    encode_attributes(entry, out);
    encode_content(entry, out);
    if let Some(target) = &entry.target {
        put_bytes(out, target);
    }
    if let Some((major, minor)) = entry.device {
        put_varint(out, u64::from(major));
        put_varint(out, u64::from(minor));
    }
    if fields & field::CONSISTENCY != 0 {
        out.push(entry.consistency.byte());
    }
}

fn encode_attributes(entry: &Entry, out: &mut Vec<u8>) {
    if let Some((device, inode)) = entry.hardlink {
        put_varint(out, device);
        put_varint(out, inode);
    }
    if !entry.xattrs.is_empty() {
        put_varint(out, entry.xattrs.len() as u64);
        for (name, value) in &entry.xattrs {
            put_bytes(out, name);
            put_bytes(out, value);
        }
    }
    for number in [entry.flags, entry.project].into_iter().flatten() {
        put_varint(out, u64::from(number));
    }
}

fn encode_content(entry: &Entry, out: &mut Vec<u8>) {
    if let Some(extents) = &entry.extents {
        put_varint(out, extents.len() as u64);
        let mut end = 0;
        for extent in extents {
            put_varint(out, extent.offset.saturating_sub(end));
            put_varint(out, extent.length);
            end = extent.offset.saturating_add(extent.length);
        }
    }
    if let Some(hash) = &entry.hash {
        out.extend_from_slice(hash);
    }
    match &entry.content {
        Content::None | Content::Whole => {}
        Content::Chunks(chunks) => encode_chunks(chunks, out),
        Content::Pages(pages) => {
            put_varint(out, pages.len() as u64);
            for page in pages {
                out.extend_from_slice(&page.id.0);
                put_varint(out, page.covered_bytes);
            }
        }
    }
}

/// Appends a counted list of chunk references.
pub fn encode_chunks(chunks: &[ChunkRef], out: &mut Vec<u8>) {
    put_varint(out, chunks.len() as u64);
    for chunk in chunks {
        out.extend_from_slice(&chunk.id.0);
        put_varint(out, u64::from(chunk.length));
    }
}

/// Reads a counted list of chunk references.
pub fn decode_chunks(from: &mut Reader<'_>) -> Result<Vec<ChunkRef>, Malformed> {
    let count = from.count(ChunkId::SIZE + 1, "chunk list")?;
    (0..count)
        .map(|_| Ok(ChunkRef { id: ChunkId(from.array("chunk id")?), length: from.varint32("chunk length")? }))
        .collect()
}

/// Reads one entry of a leaf; `owners` are the page's tables.
pub fn decode(from: &mut Reader<'_>, owners: &OwnerTables) -> Result<Entry, Malformed> {
    let name = from.bytes("name")?;
    if name.is_empty() || name.contains(&b'/') || name.contains(&0) || name == b"." || name == b".." {
        return Err(from.malformed("name"));
    }
    let kind = Kind::from_byte(from.u8("kind")?).ok_or_else(|| from.malformed("kind"))?;
    let fields = from.varint("fields")?;
    if fields & !field::ALL != 0 {
        return Err(from.malformed("fields"));
    }
    let has = |bit: u64| fields & bit != 0;
    let mut entry = Entry::new(name.to_vec(), kind);
    entry.mode = from.varint32("mode")? & 0o7777;
    entry.uid = from.varint32("uid")?;
    entry.gid = from.varint32("gid")?;
    entry.user = owners.user(entry.uid);
    entry.group = owners.group(entry.gid);
    entry.mtime = take_time(from)?;
    if kind == Kind::File {
        entry.size = from.varint("size")?;
    }
    entry.birth = has(field::BIRTH).then(|| take_time(from)).transpose()?;
    if has(field::HARDLINK) {
        entry.hardlink = Some((from.varint("device")?, from.varint("inode")?));
    }
    if has(field::XATTRS) {
        entry.xattrs = decode_xattrs(from)?;
    }
    entry.flags = has(field::FLAGS).then(|| from.varint32("flags")).transpose()?;
    entry.project = has(field::PROJECT).then(|| from.varint32("project")).transpose()?;
    entry.extents = has(field::EXTENTS).then(|| decode_extents(from)).transpose()?;
    entry.hash = has(field::HASH).then(|| from.array("hash")).transpose()?;
    entry.content = match (has(field::WHOLE), has(field::CHUNKS), has(field::CHUNK_PAGES)) {
        (false, false, false) => Content::None,
        (true, false, false) if entry.hash.is_some() && entry.extents.is_none() => Content::Whole,
        (false, true, false) => Content::Chunks(decode_chunks(from)?),
        (false, false, true) => Content::Pages(decode_chunk_pages(from)?),
        _ => return Err(from.malformed("fields")),
    };
    entry.target = has(field::TARGET).then(|| from.bytes("link target").map(<[u8]>::to_vec)).transpose()?;
    if has(field::DEVICE) {
        entry.device = Some((from.varint32("major")?, from.varint32("minor")?));
    }
    if has(field::CONSISTENCY) {
        let byte = from.u8("consistency")?;
        entry.consistency = Consistency::from_byte(byte).ok_or_else(|| from.malformed("consistency"))?;
    }
    Ok(entry)
}

fn decode_xattrs(from: &mut Reader<'_>) -> Result<Vec<Xattr>, Malformed> {
    let count = from.count(2, "xattrs")?;
    (0..count).map(|_| Ok((from.bytes("xattr name")?.to_vec(), from.bytes("xattr value")?.to_vec()))).collect()
}

fn decode_extents(from: &mut Reader<'_>) -> Result<Vec<Extent>, Malformed> {
    let count = from.count(2, "extents")?;
    let mut extents = Vec::with_capacity(count);
    let mut end = 0u64;
    for _ in 0..count {
        let (gap, length) = (from.varint("extent gap")?, from.varint("extent length")?);
        let offset = end.checked_add(gap).ok_or_else(|| from.malformed("extent gap"))?;
        end = offset.checked_add(length).ok_or_else(|| from.malformed("extent length"))?;
        extents.push(Extent { offset, length });
    }
    Ok(extents)
}

fn decode_chunk_pages(from: &mut Reader<'_>) -> Result<Vec<ChunkPageRef>, Malformed> {
    let count = from.count(ChunkId::SIZE + 1, "chunk pages")?;
    (0..count)
        .map(|_| Ok(ChunkPageRef { id: ChunkId(from.array("page id")?), covered_bytes: from.varint("covered bytes")? }))
        .collect()
}
