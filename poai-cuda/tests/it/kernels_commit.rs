//! `kernels/commit.cu` and `kernels/blake3.cuh` on the processor, against the
//! `blake3` crate and poai-core.

use poai_core::puzzle::commitment::{Strip, Tree};
use poai_core::puzzle::ticket::TicketKey;
use poai_core::{Params, Seed, Transcript};
use poai_engine::backend::reference;
use poai_testing::emulated::{Arg, Kernels, Shape, input, values};
use std::ops::Range;

/// Chunks, or nodes, of a block of the kernels.
const BLOCK: u64 = 256;

/// The nodes of every level, the chunks' first.
struct Levels {
    /// The first node of each level, and its number of nodes.
    spans: Vec<(usize, usize)>,
    nodes: Vec<[u8; 32]>,
}

impl Levels {
    /// Empty levels over `nodes` nodes.
    fn new(nodes: u64) -> Levels {
        let mut spans = vec![(0, nodes as usize)];
        while let Some(&(start, count @ 2..)) = spans.last() {
            spans.push((start + count, count.div_ceil(2)));
        }
        let total = spans.iter().map(|&(_, count)| count).sum();
        Levels { spans, nodes: vec![[0; 32]; total] }
    }

    fn level(&self, level: usize) -> &[[u8; 32]] {
        let (start, count) = self.spans[level];
        &self.nodes[start..start + count]
    }

    fn root(&self) -> [u8; 32] {
        *self.nodes.last().unwrap()
    }

    /// Merges from `level` on, as the host does for a GPU.
    fn merge(&mut self, kernels: &Kernels, mut level: usize) {
        while level + 1 < self.spans.len() {
            let (start, count) = self.spans[level];
            let shape = Shape::new((count as u64).div_ceil(BLOCK) as u32, BLOCK as u32);
            let nodes = bytemuck::cast_slice(&self.nodes);
            let args = [Arg::InOut(nodes), Arg::U64(start as u64), Arg::U64(count as u64)];
            self.nodes = values(&kernels.run("commit_merge", shape, &args)[0]);
            level += 8;
        }
    }
}

/// The commitment of bytes.
fn commit(kernels: &Kernels, bytes: &[u8]) -> Levels {
    let chunks = (bytes.len() as u64).div_ceil(1024);
    let mut levels = Levels::new(chunks);
    let shape = Shape::new(chunks.div_ceil(BLOCK) as u32, BLOCK as u32);
    let nodes = bytemuck::cast_slice(&levels.nodes);
    let args = [input(bytes), Arg::U64(bytes.len() as u64), Arg::InOut(nodes)];
    levels.nodes = values(&kernels.run("commit_chunks", shape, &args)[0]);
    levels.merge(kernels, 8);
    levels
}

/// Compiled once for all tests.
fn kernels() -> Option<&'static Kernels> {
    Kernels::compile("commit.cu")
}

/// Bytes without a pattern.
fn noise_bytes(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(b"commit").finalize_xof().fill(&mut bytes);
    bytes
}

fn check_root(kernels: &Kernels, len: usize) {
    let bytes = noise_bytes(len);
    let root = commit(kernels, &bytes).root();
    assert_eq!(root, *blake3::hash(&bytes).as_bytes(), "{len} bytes");
}

#[test]
fn short_inputs_hash_as_blake3() {
    let Some(kernels) = kernels() else { return };
    for len in [1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 960, 961, 1008, 1022, 1023, 1024] {
        check_root(kernels, len);
    }
}

#[test]
fn trees_of_every_small_shape_hash_as_blake3() {
    let Some(kernels) = kernels() else { return };
    for chunks in [2, 3, 4, 5, 7, 8, 17, 31, 32, 33, 63, 64, 65] {
        for len in [chunks * 1024 - 1023, chunks * 1024 - 1, chunks * 1024] {
            check_root(kernels, len);
        }
    }
}

#[test]
fn trees_of_several_blocks_hash_as_blake3() {
    let Some(kernels) = kernels() else { return };
    for chunks in [255, 256, 257, 511, 513, 769] {
        check_root(kernels, chunks * 1024 - 1000);
    }
    check_root(kernels, 512 * 1024);
    check_root(kernels, (1 << 20) + 1);
}

#[test]
fn cards_without_asynchronous_copies_hash_the_same() {
    let Some(kernels) = Kernels::compile_with("commit.cu", &["-DPOAI_ARCH=610"]) else { return };
    for len in [1, 65, 1023, 1024, 1025, 5 * 1024 + 7, 33 * 1024 - 15, 257 * 1024 + 129] {
        check_root(kernels, len);
    }
}

/// A tree of more than 256 times 256 chunks needs a second merging launch. The
/// chunks' values are made up, because hashing 64 MiB would take long.
#[test]
fn three_launches_merge_a_large_tree() {
    use blake3::hazmat::{Mode, merge_subtrees_non_root, merge_subtrees_root};
    let Some(kernels) = kernels() else { return };
    for count in [65_535, 65_536, 65_537, 66_000] {
        let mut levels = Levels::new(count);
        for (i, node) in levels.nodes[..count as usize].iter_mut().enumerate() {
            *node = *blake3::hash(&i.to_le_bytes()).as_bytes();
        }
        let mut expected = levels.nodes[..count as usize].to_vec();
        levels.merge(kernels, 0);
        for level in 1..levels.spans.len() {
            let root = expected.len() == 2;
            let parents = expected.chunks(2).map(|pair| match pair {
                [a, b] if root => *merge_subtrees_root(a, b, Mode::Hash).as_bytes(),
                [a, b] => merge_subtrees_non_root(a, b, Mode::Hash),
                odd => odd[0],
            });
            expected = parents.collect();
            assert!(levels.level(level) == expected, "level {level} of {count} nodes");
        }
    }
}

/// Looks up the siblings of an opening: every maximal subtree outside `strip`.
fn siblings(levels: &Levels, node: Range<u64>, strip: &Range<u64>, to: &mut Vec<[u8; 32]>) {
    let chunks = node.end - node.start;
    if node.end <= strip.start || node.start >= strip.end {
        let level = chunks.next_power_of_two().trailing_zeros() as usize;
        to.push(levels.level(level)[(node.start >> level) as usize]);
    } else if node.start < strip.start || node.end > strip.end {
        let middle = node.start + chunks.next_power_of_two() / 2;
        siblings(levels, node.start..middle, strip, to);
        siblings(levels, middle..node.end, strip, to);
    }
}

#[test]
fn every_sibling_of_an_opening_is_kept() {
    let Some(kernels) = kernels() else { return };
    let params = Params::new(32, 16).unwrap();
    // Cases: strips that share chunks, strips inside one chunk, whole chunks, a
    // short last chunk, more than one block of the kernel.
    for (rows, k) in [(16, 32), (48, 96), (112, 160), (80, 1024), (64, 4128), (1040, 288)] {
        let bytes = noise_bytes(rows as usize * k as usize);
        let (levels, tree) = (commit(kernels, &bytes), Tree::new(&bytes));
        assert_eq!(levels.root(), tree.root().0);
        let chunks = (bytes.len() as u64).div_ceil(1024);
        for index in 0..rows / 16 {
            let strip = Strip::new(&params, rows, k, index).unwrap();
            let opened = strip.opened();
            let opened = opened.start / 1024..opened.end.div_ceil(1024);
            let mut found = Vec::new();
            siblings(&levels, 0..chunks, &opened, &mut found);
            let opening = tree.open(&bytes, &strip).unwrap();
            assert_eq!(found, opening.siblings, "strip {index} of {rows}×{k}");
        }
    }
    let matrix = reference::PlainMatrix { rows: 3, columns: 1024, entries: vec![5; 3072] };
    assert_eq!(commit(kernels, &[5; 3072]).root(), reference::root_from_chunks(&matrix).0);
}

/// Hashes of one block, as other kernels use them.
const ONE_BLOCK: &str = r#"
#include "blake3.cuh"
extern "C" __global__ void one_block(const uint32_t* keys, const uint32_t* messages,
                                     uint32_t length, uint32_t* tickets, uint32_t* derived,
                                     uint32_t* output, uint64_t index) {
    uint32_t key[8], message[16], hash[8], out[16];
    load_8(key, keys + 8 * threadIdx.x);
    for (uint32_t i = 0; i < 16; i++) {
        message[i] = messages[16 * threadIdx.x + i];
    }
    blake3_keyed_hash_64(hash, key, message);
    store_8(tickets + 8 * threadIdx.x, hash);
    blake3_derive_key(hash, key, message, length);
    store_8(derived + 8 * threadIdx.x, hash);
    blake3_keyed_output(out, key, message, length, index);
    for (uint32_t i = 0; i < 16; i++) {
        output[16 * threadIdx.x + i] = out[i];
    }
}
"#;

#[test]
fn hashes_of_one_block_are_tickets_keys_and_outputs() {
    let Some(kernels) = Kernels::of_source(ONE_BLOCK) else { return };
    let threads = 7;
    for length in [0, 1, 4, 32, 63, 64] {
        let context = blake3::hazmat::hash_derive_key_context("poai-1 noise rows");
        let keys: Vec<[u8; 32]> = vec![context; threads];
        let mut messages: Vec<[u8; 64]> = values(&noise_bytes(64 * threads));
        messages.iter_mut().for_each(|message| message[length..].fill(0));
        // The index of an output block has 64 bits.
        let index = (1 << 33) + 5;
        let words = messages.concat();
        let args = [
            input(bytemuck::cast_slice::<_, u8>(&keys)),
            input(&words),
            Arg::U32(length as u32),
            Arg::Out(32 * threads),
            Arg::Out(32 * threads),
            Arg::Out(64 * threads),
            Arg::U64(index),
        ];
        let out = kernels.run("one_block", Shape::new(1, threads as u32), &args);
        for (i, message) in messages.iter().enumerate() {
            let ticket = *blake3::keyed_hash(&context, message).as_bytes();
            assert_eq!(out[0][32 * i..][..32], ticket);
            let derived = blake3::derive_key("poai-1 noise rows", &message[..length]);
            assert_eq!(out[1][32 * i..][..32], derived);
            let mut hasher = blake3::Hasher::new_keyed(&context);
            let mut output = hasher.update(&message[..length]).finalize_xof();
            output.set_position(64 * index);
            let mut expected = [0; 64];
            output.fill(&mut expected);
            assert_eq!(out[2][64 * i..][..64], expected);
        }
    }
    // The ticket of poai-core.
    let seed = Seed([9; 32]);
    let key = blake3::derive_key("poai-1 ticket", &seed.0);
    let transcript = Transcript(std::array::from_fn(|i| 0x0101_0101 * i as u32));
    let message = transcript.to_bytes();
    let args = [
        input(&key),
        input(&message),
        Arg::U32(64),
        Arg::Out(32),
        Arg::Out(32),
        Arg::Out(64),
        Arg::U64(0),
    ];
    let out = kernels.run("one_block", Shape::new(1, 1), &args);
    assert_eq!(out[0], TicketKey::new(&seed).ticket(&transcript).0);
}
