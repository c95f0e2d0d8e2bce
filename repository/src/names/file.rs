//! The catalogue of names as a file of the local cache: u8 version ‖ blocks ‖ list hashes ‖ leaves ‖ trees, each a varint count and so many of
//! {varint lists ‖ u8 full ‖ bytes zstd}, {hash 32}, {page 32 ‖ varint list}, {page 32 ‖ varint n × zigzag step from the leaf before}.

use std::collections::HashMap;
use std::path::Path;

use super::block::{Block, Open, lists};
use super::{Leaf, Names, list};
use crate::cache;
use crate::codec::{Malformed, Reader, put_bytes, put_varint, put_zigzag};
use crate::ids::ChunkId;

const VERSION: u8 = 1;

impl Names {
    /// What the cache has; nothing where it has nothing that can be used.
    pub(super) fn load(path: &Path) -> Self {
        let Ok(content) = cache::read(path) else { return Self::default() };
        decode(&content).unwrap_or_default()
    }

    /// Keeps it. A cache that cannot be written makes the next search slower, and nothing else.
    pub(super) fn save(&self, path: &Path) {
        if let Err(error) = cache::write(path, &self.encode()) {
            tracing::warn!("the names could not be kept at {}: {error}", path.display());
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_varint(&mut out, self.blocks.len() as u64);
        for block in &self.blocks {
            put_varint(&mut out, u64::from(block.lists));
            out.push(u8::from(block.is_full));
            put_bytes(&mut out, &block.packed);
        }
        put_varint(&mut out, self.lists.len() as u64);
        self.lists.iter().for_each(|hash| out.extend_from_slice(hash));
        put_varint(&mut out, self.leaves.len() as u64);
        for leaf in &self.leaves {
            out.extend_from_slice(&leaf.page.0);
            put_varint(&mut out, u64::from(leaf.list));
        }
        let whole = || self.trees.iter().filter(|(root, _)| !self.torn.contains(root));
        put_varint(&mut out, whole().count() as u64);
        for (root, leaves) in whole() {
            out.extend_from_slice(&root.0);
            put_varint(&mut out, leaves.len() as u64);
            let mut before = 0;
            for leaf in leaves {
                put_zigzag(&mut out, i64::from(*leaf) - before);
                before = i64::from(*leaf);
            }
        }
        out
    }
}

/// Reads one, and that its numbers mean something.
pub(super) fn decode(bytes: &[u8]) -> Result<Names, Malformed> {
    let mut from = Reader::new(bytes);
    if from.u8("version")? != VERSION {
        return Err(Malformed { what: "version", at: 0 });
    }
    let count = from.count(3, "blocks")?;
    let blocks = (0..count).map(|_| block(&mut from)).collect::<Result<Vec<_>, _>>()?;
    let count = from.count(32, "lists")?;
    let lists = (0..count).map(|_| from.array("list")).collect::<Result<Vec<_>, _>>()?;
    let held = blocks.iter().try_fold(0u32, |sum, block: &Block| sum.checked_add(block.lists));
    if held.is_none_or(|held| held as usize != lists.len()) {
        return Err(from.malformed("number of lists"));
    }
    let count = from.count(33, "leaves")?;
    let leaves = (0..count).map(|_| leaf(&mut from, lists.len())).collect::<Result<Vec<_>, _>>()?;
    let count = from.count(33, "trees")?;
    let trees = (0..count).map(|_| tree(&mut from, leaves.len())).collect::<Result<HashMap<_, _>, _>>()?;
    from.finish("names")?;
    Ok(Names { blocks, lists, leaves, trees, ..Names::default() })
}

/// The parser, for the table of all parsers: with what searches do to it.
pub(crate) fn use_up(bytes: &[u8]) {
    for block in decode(bytes).map(|names| names.blocks).unwrap_or_default() {
        let plain = block.unpack().unwrap_or_default();
        lists(&plain).map_while(Result::ok).for_each(|list| list::each(list, |_| true, |_, _| {}));
    }
}

/// The names of one leaf page, in one snapshot.
pub(crate) fn sample(page: &[u8]) -> Vec<u8> {
    let mut open = Open::default();
    open.push(&list::of_page(page).expect("the sample page is a page"));
    let names = Names {
        blocks: open.close().expect("compression into memory succeeds").into_iter().collect(),
        lists: vec![[8; 32]],
        leaves: vec![Leaf { page: ChunkId([4; 32]), list: 0 }],
        trees: [(ChunkId([5; 32]), vec![0])].into(),
        ..Names::default()
    };
    names.encode()
}

fn block(from: &mut Reader<'_>) -> Result<Block, Malformed> {
    let lists = from.varint32("lists of a block")?;
    let is_full = from.u8("full")? != 0;
    Ok(Block { lists, is_full, packed: from.bytes("block")?.to_vec() })
}

fn leaf(from: &mut Reader<'_>, lists: usize) -> Result<Leaf, Malformed> {
    let page = ChunkId(from.array("page")?);
    let list = from.varint32("list of a leaf")?;
    if list as usize >= lists {
        return Err(from.malformed("list of a leaf"));
    }
    Ok(Leaf { page, list })
}

fn tree(from: &mut Reader<'_>, leaves: usize) -> Result<(ChunkId, Vec<u32>), Malformed> {
    let root = ChunkId(from.array("tree")?);
    let count = from.count(1, "leaves of a tree")?;
    let mut at = 0i64;
    let mut numbers = Vec::with_capacity(count);
    for _ in 0..count {
        let step = from.zigzag("leaf of a tree")?;
        at = at.checked_add(step).ok_or_else(|| from.malformed("leaf of a tree"))?;
        let number = u32::try_from(at).ok().filter(|number| (*number as usize) < leaves);
        numbers.push(number.ok_or_else(|| from.malformed("leaf of a tree"))?);
    }
    Ok((root, numbers))
}
