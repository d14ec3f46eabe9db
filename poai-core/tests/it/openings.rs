//! Tests of openings of every strip for unusual trees, and of openings that
//! must fail.

use poai_core::puzzle::commitment::opening::OpeningError;
use poai_core::puzzle::commitment::{Chunks, Opening, Strip, Tree};
use poai_core::puzzle::proof::DecodeError;
use poai_core::{Params, Proof, Root, Shape, Statement, Tile, Transcript};
use poai_engine::backend::reference::{self, PlainMatrix};
use poai_engine::operand::pseudorandom;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::ops::Range;

struct Committed {
    params: Params,
    matrix: PlainMatrix,
    bytes: Vec<u8>,
    tree: Tree,
}

impl Committed {
    fn new(params: Params, strips: usize, k: usize) -> Committed {
        let rows = strips * params.tile();
        let entries: Vec<i8> = pseudorandom(&[strips as u8], rows, k).into_iter().collect();
        let bytes: Vec<u8> = entries.iter().map(|&entry| entry as u8).collect();
        let tree = Tree::new(&bytes);
        let matrix = PlainMatrix { rows, columns: k, entries };
        Committed { params, matrix, bytes, tree }
    }

    fn strips(&self) -> u32 {
        (self.matrix.rows / self.params.tile()) as u32
    }

    fn strip(&self, index: u32) -> Strip {
        Strip::new(&self.params, self.matrix.rows as u32, self.matrix.columns as u32, index)
            .unwrap()
    }

    fn open(&self, index: u32) -> Opening {
        self.tree.open(&self.bytes, &self.strip(index)).unwrap()
    }

    fn check(&self, opening: &Opening, index: u32) -> Result<(), OpeningError> {
        opening.view().check(&self.strip(index), self.tree.root())
    }
}

/// Matrices with unusual strips and trees.
///
/// Strips have half chunks, whole chunks and odd numbers of chunks. Trees have
/// one chunk, powers of two, one more or less, and more than one cached level.
fn awkward() -> Vec<Committed> {
    let small = Params::new(32, 16).unwrap();
    let middle = Params::new(32, 48).unwrap();
    let shapes = [
        (small, 1, 32),
        (small, 1, 64),
        (small, 2, 32),
        (small, 3, 32),
        (small, 5, 96),
        (small, 7, 160),
        (small, 33, 32),
        (small, 65, 96),
        (middle, 3, 96),
        (middle, 5, 224),
        (Params::CONSENSUS, 1, 128),
        (Params::CONSENSUS, 3, 128),
        (Params::CONSENSUS, 9, 384),
        (Params::CONSENSUS, 17, 1024),
        (Params::CONSENSUS, 12, 1536),
    ];
    shapes.map(|(params, strips, k)| Committed::new(params, strips, k)).into()
}

#[test]
fn roots_are_plain_blake3_and_every_strip_opens() {
    for committed in awkward() {
        assert_eq!(committed.tree.root().0, *blake3::hash(&committed.bytes).as_bytes());
        for index in 0..committed.strips() {
            let opening = committed.open(index);
            committed.check(&opening, index).unwrap();
            let (bytes, siblings) = reference::open(&committed.params, &committed.matrix, index);
            assert_eq!((&opening.bytes, &opening.siblings), (&bytes, &siblings));
            let strip = committed.strip(index);
            let len = committed.params.tile() * committed.matrix.columns;
            let start = index as usize * len;
            assert_eq!(opening.bytes[strip.own()], committed.bytes[start..start + len]);
        }
    }
}

#[test]
fn a_single_chunk_has_no_siblings_and_the_plain_hash() {
    let committed = Committed::new(Params::new(32, 16).unwrap(), 2, 32);
    assert_eq!(committed.bytes.len(), 1024);
    for index in 0..2 {
        let opening = committed.open(index);
        assert!(opening.siblings.is_empty());
        assert_eq!(opening.bytes, committed.bytes, "a chunk covered in part is included whole");
    }
}

/// An opening fails if any single byte or sibling changes.
#[test]
fn each_changed_byte_or_sibling_fails() {
    for committed in awkward().into_iter().filter(|committed| committed.bytes.len() <= 48 * 1024) {
        for index in 0..committed.strips() {
            let honest = committed.open(index);
            // Every byte of small openings, and a sample of the bytes of larger
            // ones.
            let stride = honest.bytes.len().div_ceil(512);
            for at in (0..honest.bytes.len()).step_by(stride) {
                let mut forged = honest.clone();
                forged.bytes[at] ^= 1 << (at % 8);
                assert_eq!(committed.check(&forged, index), Err(OpeningError::Root));
            }
            for at in 0..honest.siblings.len() {
                let mut forged = honest.clone();
                forged.siblings[at][at % 32] ^= 0x80;
                assert_eq!(committed.check(&forged, index), Err(OpeningError::Root));
            }
        }
    }
}

#[test]
fn omitted_added_and_swapped_parts_fail() {
    for committed in awkward() {
        let last = committed.strips() - 1;
        let honest = committed.open(last);
        let siblings = honest.siblings.len();
        let with = |change: &dyn Fn(&mut Opening)| {
            let mut forged = honest.clone();
            change(&mut forged);
            committed.check(&forged, last)
        };
        assert!(matches!(
            with(&|o| o.bytes.truncate(o.bytes.len() - 1)),
            Err(OpeningError::Bytes { .. })
        ));
        assert!(matches!(with(&|o| o.bytes.push(0)), Err(OpeningError::Bytes { .. })));
        assert!(matches!(with(&|o| o.siblings.push([0; 32])), Err(OpeningError::Siblings { .. })));
        for at in 0..siblings {
            let dropped = with(&|o| _ = o.siblings.remove(at));
            assert!(matches!(dropped, Err(OpeningError::Siblings { .. })));
            let doubled = with(&|o| o.siblings.insert(at, o.siblings[at]));
            assert!(matches!(doubled, Err(OpeningError::Siblings { .. })));
        }
        for at in 1..siblings {
            assert_eq!(with(&|o| o.siblings.swap(at - 1, at)), Err(OpeningError::Root));
        }
    }
}

#[test]
fn another_index_fails() {
    for committed in awkward() {
        for index in 0..committed.strips() {
            let opening = committed.open(index);
            for other in (0..committed.strips()).filter(|&other| other != index) {
                // Two strips inside one chunk have the same opening. They
                // differ only in the range of their own bytes.
                let (strip, claimed) = (committed.strip(index), committed.strip(other));
                if strip.opened() == claimed.opened() {
                    assert_ne!(strip.own(), claimed.own());
                } else {
                    assert!(committed.check(&opening, other).is_err(), "{index} as {other}");
                }
            }
        }
    }
}

/// A root does not authenticate the shape.
///
/// Siblings are opaque, so one opening verifies under several numbers of rows.
/// This shows why the seeds have to bind m, n and k.
#[test]
fn another_number_of_rows_may_verify_and_another_k_never_does() {
    let committed = Committed::new(Params::CONSENSUS, 9, 384);
    let opening = committed.open(4);
    let mut verified = Vec::new();
    for strips in 5..=32 {
        let claimed = Strip::new(&Params::CONSENSUS, strips * 32, 384, 4).unwrap();
        match opening.view().check(&claimed, committed.tree.root()) {
            Ok(()) => verified.push(strips),
            Err(OpeningError::Siblings { expected, .. }) => {
                assert_ne!(expected, opening.siblings.len() as u64);
            }
            Err(error) => assert_eq!(error, OpeningError::Root),
        }
    }
    // The matrix has 108 chunks. Every tree of 65 to 128 chunks leads to strip
    // 4 by the same path, and matrices of 6 to 10 strips have such trees.
    assert_eq!(verified, [6, 7, 8, 9, 10]);
    for k in [128, 256, 512, 768] {
        let claimed = Strip::new(&Params::CONSENSUS, 9 * 32, k, 4).unwrap();
        assert!(opening.view().check(&claimed, committed.tree.root()).is_err());
    }
    assert!(Strip::new(&Params::CONSENSUS, 9 * 32, 384, 9).is_none());
    assert!(Strip::new(&Params::CONSENSUS, u32::MAX, u32::MAX, u32::MAX).is_none());
}

/// Opening a strip hashes only the groups that the strip lies in. The rest of
/// the matrix may be lost.
#[test]
fn opening_does_not_hash_the_matrix_again() {
    const GROUP: usize = 64 * 1024;
    let committed = Committed::new(Params::CONSENSUS, 65, 384);
    for index in 0..committed.strips() {
        let honest = committed.open(index);
        let strip = committed.strip(index);
        let kept = strip.opened().start as usize / GROUP * GROUP
            ..(strip.opened().end as usize).next_multiple_of(GROUP).min(committed.bytes.len());
        let mut rest_lost = vec![0; committed.bytes.len()];
        rest_lost[kept.clone()].copy_from_slice(&committed.bytes[kept]);
        assert_eq!(committed.tree.open(&rest_lost, &strip).unwrap(), honest);
    }
}

#[test]
fn a_tree_refuses_the_bytes_of_another_matrix() {
    let committed = Committed::new(Params::CONSENSUS, 3, 128);
    let strip = committed.strip(0);
    assert!(committed.tree.open(&committed.bytes[1..], &strip).is_err());
    let longer = Strip::new(&Params::CONSENSUS, 4 * 32, 128, 0).unwrap();
    assert!(committed.tree.open(&committed.bytes, &longer).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn drawn_openings(
        tile in 1..=4u16, strips in 1..40usize, steps in 1..6usize,
        index in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0..8u32,
        root in any::<[u8; 32]>(),
    ) {
        let params = Params::new(32, 16 * tile).unwrap();
        let committed = Committed::new(params, strips, 32 * steps);
        let index = index.index(strips) as u32;
        let honest = committed.open(index);
        prop_assert!(committed.check(&honest, index).is_ok());
        let strip = committed.strip(index);
        prop_assert_eq!(honest.view().check(&strip, &Root(root)), Err(OpeningError::Root));
        let mut forged = honest.clone();
        let at = at.index(forged.bytes.len() + 32 * forged.siblings.len());
        match at.checked_sub(forged.bytes.len()) {
            None => forged.bytes[at] ^= 1 << bit,
            Some(at) => forged.siblings[at / 32][at % 32] ^= 1 << bit,
        }
        prop_assert_eq!(committed.check(&forged, index), Err(OpeningError::Root));
    }
}

/// A strip may have any number and place of rows, but an empty range or one
/// beyond the matrix is not a strip.
#[test]
#[allow(clippy::reversed_empty_ranges, reason = "these are refused")]
fn strips_of_any_rows_lie_in_their_matrix() {
    let opened = |rows, total, row_bytes| {
        Strip::of_rows(&rows, total, row_bytes).map(|strip| (strip.opened(), strip.own()))
    };
    for (rows, total, row_bytes) in [
        (3..3, 4, 128),
        (4..3, 4, 128),
        (0..5, 4, 128),
        (4..5, 4, 128),
        (0..4, 4, 0),
        (0..0, 0, 128),
        (0..u32::MAX, u32::MAX, u64::MAX),
    ] {
        assert_eq!(opened(rows.clone(), total, row_bytes), None, "{rows:?} of {total}");
    }
    // The whole matrix, to the end, within a chunk, across the ends of chunks.
    assert_eq!(opened(0..4, 4, 128), Some((0..512, 0..512)));
    assert_eq!(opened(3..4, 4, 128), Some((0..512, 384..512)));
    assert_eq!(opened(1..2, 100, 100), Some((0..1024, 100..200)));
    assert_eq!(opened(10..11, 100, 100), Some((0..2048, 1000..1100)));
    assert_eq!(opened(1..2, 4, 3000), Some((2048..6144, 952..3952)));
    assert_eq!(opened(8..16, 16, 128), Some((1024..2048, 0..1024)));
}

/// `of_groups` takes exactly the number of groups that the bytes have, at least
/// two.
#[test]
fn groups_are_as_many_as_the_bytes_have() {
    let groups = |count: usize| Tree::of_groups(2 * Tree::GROUP_BYTES, vec![[7; 32]; count]);
    assert_eq!([0, 1, 2, 3].map(|count| groups(count).is_some()), [false, false, true, false]);
    let of = |len: u64, count: usize| Tree::of_groups(len, vec![[7; 32]; count]).is_some();
    assert!(!of(0, 0) && !of(Tree::GROUP_BYTES, 1) && !of(1, 1));
    assert!(of(Tree::GROUP_BYTES + 1, 2) && of(2 * Tree::GROUP_BYTES + 1, 3));
}

/// A proof whose parts do not fit together cannot be encoded.
#[test]
fn bytes_of_misfits_are_refused() {
    let params = Params::CONSENSUS;
    let shape = Shape { m: 64, n: 32, k: 1024 };
    let opening = |rows: u32, index| {
        let bytes = vec![0; rows as usize * 1024];
        let strip = Strip::new(&params, rows, 1024, index).unwrap();
        Tree::new(&bytes).open(&bytes, &strip).unwrap()
    };
    let good = Proof {
        statement: Statement { shape, root_a: Root([1; 32]), root_b: Root([2; 32]) },
        tile: Tile { row: 1, column: 0 },
        transcript: Transcript([7; 16]),
        opening_a: opening(64, 1),
        opening_b: opening(32, 0),
    };
    let bytes = good.to_bytes();
    assert_eq!(Proof::from_bytes(&params, &bytes).unwrap(), good);
    let changed = |change: &dyn Fn(&mut Proof)| {
        let mut proof = good.clone();
        change(&mut proof);
        Proof::from_bytes(&params, &proof.to_bytes()).unwrap_err()
    };
    for change in [
        &(|proof: &mut Proof| proof.opening_a.bytes.push(0)) as &dyn Fn(&mut Proof),
        &|proof| proof.opening_a.siblings.push([0; 32]),
        &|proof| proof.opening_a.siblings.clear(),
        &|proof| proof.opening_b.bytes.truncate(1000),
        &|proof| proof.opening_b.siblings.push([0; 32]),
    ] {
        assert!(matches!(changed(change), DecodeError::Length { .. }));
    }
    for change in [
        &(|proof: &mut Proof| proof.tile.row = 2) as &dyn Fn(&mut Proof),
        &|proof| proof.tile.column = 1,
        &|proof| proof.statement.shape.m = 65,
        &|proof| proof.statement.shape.k = 0,
    ] {
        let refused = changed(change);
        assert!(matches!(refused, DecodeError::Shape(_) | DecodeError::Tile { .. }), "{refused}");
    }
}

/// The chunks of columns, found byte by byte.
fn chunks_of(rows: Range<u32>, columns: Range<u64>, row_bytes: u64) -> BTreeSet<u64> {
    let bytes = rows.flat_map(|row| {
        let first = u64::from(row) * row_bytes;
        first + columns.start..first + columns.end
    });
    bytes.map(|byte| byte / 1024).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// One opening of columns holds exactly the chunks with their bytes, and no
    /// other opening passes.
    #[test]
    fn openings_of_columns(
        total in 1..40u32, row_bytes in prop_oneof![1..300u64, 900..5000u64, Just(2048u64)],
        rows in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        columns in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        at in any::<prop::sample::Index>(), bit in 0..8u32,
    ) {
        let first = rows.0.index(total as usize) as u32;
        let rows = first..first + 1 + rows.1.index((total - first) as usize) as u32;
        let first = columns.0.index(row_bytes as usize) as u64;
        let columns = first..first + 1 + columns.1.index((row_bytes - first) as usize) as u64;
        let mut bytes = vec![0; total as usize * row_bytes as usize];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        let tree = Tree::new(&bytes);
        let chunks = Chunks::of_columns(&rows, &columns, total, row_bytes).unwrap();
        let opening = tree.open_chunks(&bytes, &chunks).unwrap();
        let check = |opening: &Opening| opening.view().check_chunks(&chunks, tree.root());
        prop_assert_eq!(check(&opening), Ok(()));
        prop_assert_eq!(opening.bytes.len() as u64, chunks.opened_len());
        prop_assert_eq!(opening.siblings.len() as u32, chunks.siblings());
        let held = chunks_of(rows.clone(), columns.clone(), row_bytes);
        let expected: Vec<u8> = bytes
            .chunks(1024)
            .enumerate()
            .filter(|(chunk, _)| held.contains(&(*chunk as u64)))
            .flat_map(|(_, chunk)| chunk.to_vec())
            .collect();
        prop_assert_eq!(&opening.bytes, &expected);
        // Every byte that was asked for is found, and no byte of another chunk.
        for row in 0..total {
            let start = u64::from(row) * row_bytes + columns.start;
            let end = start + columns.end - columns.start;
            let all_held = (start / 1024..end.div_ceil(1024)).all(|chunk| held.contains(&chunk));
            let found = chunks.find(&(start..end)).map(|found| &opening.bytes[found]);
            prop_assert_eq!(found, all_held.then(|| &bytes[start as usize..end as usize]));
        }
        // Whole rows are opened as a strip.
        let whole = Chunks::of_columns(&rows, &(0..row_bytes), total, row_bytes).unwrap();
        let strip = Strip::of_rows(&rows, total, row_bytes).unwrap();
        let of_strip = tree.open(&bytes, &strip).unwrap();
        prop_assert_eq!(tree.open_chunks(&bytes, &whole).unwrap(), of_strip);
        // Another bit, byte or sibling is refused.
        let mut forged = opening.clone();
        let at = at.index(forged.bytes.len() + 32 * forged.siblings.len());
        match at.checked_sub(forged.bytes.len()) {
            None => forged.bytes[at] ^= 1 << bit,
            Some(at) => forged.siblings[at / 32][at % 32] ^= 1 << bit,
        }
        prop_assert_eq!(check(&forged), Err(OpeningError::Root));
        let mut forged = opening.clone();
        forged.bytes.push(0);
        let refused = matches!(check(&forged), Err(OpeningError::Bytes { .. }));
        prop_assert!(refused);
        let mut forged = opening;
        forged.siblings.push([0; 32]);
        let refused = matches!(check(&forged), Err(OpeningError::Siblings { .. }));
        prop_assert!(refused);
    }
}

#[test]
#[allow(clippy::reversed_empty_ranges, reason = "these are refused")]
fn columns_lie_in_their_rows() {
    for (rows, columns, total, row_bytes) in [
        (3..3, 0..1, 4, 128),
        (4..3, 0..1, 4, 128),
        (0..5, 0..1, 4, 128),
        (0..4, 1..1, 4, 128),
        (0..4, 2..1, 4, 128),
        (0..4, 0..129, 4, 128),
        (0..4, 0..1, 4, 0),
        (0..1, 0..1, u32::MAX, u64::MAX),
    ] {
        let chunks = Chunks::of_columns(&rows, &columns, total, row_bytes);
        assert_eq!(chunks, None, "{rows:?} {columns:?} of {total}");
    }
    // Rows apart, rows in neighbouring chunks, rows in one chunk.
    let len = |columns, row_bytes| {
        let chunks = Chunks::of_columns(&(0..4), &columns, 32, row_bytes).unwrap();
        (chunks.opened_len(), chunks.siblings())
    };
    // Each of the first four groups of four chunks, of 32 groups, has one chunk
    // with two siblings or two chunks with one; three are beside the groups.
    assert_eq!(len(0..100, 4096), (4 * 1024, 4 * 2 + 3));
    assert_eq!(len(1000..1100, 4096), (4 * 2048, 4 + 3));
    assert_eq!(len(0..100, 1024), (4 * 1024, 3));
    assert_eq!(len(0..100, 128), (1024, 2));
}
