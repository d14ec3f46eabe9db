//! Tests of paths in the tree over a trace's records (spec §13).

use poai_core::Root;
use poai_core::program::{Builder, Dim, Dtype, Form, Op, RunShape, ValueId};
use poai_core::trace::record::{path, path_len, path_root, paths, records_root};
use poai_core::trace::unclean::accuse_input;
use poai_core::trace::{RecordBytes, TraceHeader};

fn leaf(number: u64) -> [u8; 32] {
    *blake3::hash(&number.to_le_bytes()).as_bytes()
}

/// The tree as the specification defines it.
///
/// The left subtree has the largest power of two of leaves that is below their
/// number.
fn plain(leaves: &[[u8; 32]]) -> [u8; 32] {
    let [leaf] = leaves else {
        let left = (leaves.len().next_power_of_two() / 2).max(1);
        let (left, right) = leaves.split_at(left);
        return blake3::derive_key("poai-1 trace node", &[plain(left), plain(right)].concat());
    };
    *leaf
}

#[test]
fn paths_lead_to_the_root_from_their_place_alone() {
    for count in 1..=20u64 {
        let leaves: Vec<[u8; 32]> = (0..count).map(leaf).collect();
        let root = plain(&leaves);
        assert_eq!(records_root(&leaves), root, "{count} leaves");
        for index in 0..count {
            let siblings = path(&leaves, index);
            assert_eq!(siblings.len(), path_len(count, index));
            let lead = |index, siblings: &[[u8; 32]]| {
                path_root(leaves[index as usize], count, index, siblings)
            };
            assert_eq!(lead(index, &siblings), Some(root));
            // The wrong number of siblings at a valid place.
            assert_eq!(lead(index, &[&siblings[..], &[[0; 32]]].concat()), None);
            if let Some((_, fewer)) = siblings.split_last() {
                assert_eq!(lead(index, fewer), None);
            }
        }
        // Paths made together, in any order and repeated, are the same.
        let indices = (0..count).rev().chain([count / 2]);
        let single: Vec<_> = indices.clone().map(|index| path(&leaves, index)).collect();
        assert_eq!(paths(&leaves, indices), single);
        // Beyond the leaves, a path is invalid with any number of siblings.
        for index in [count, count + 1, u64::MAX] {
            for siblings in 0..7 {
                assert_eq!(path_root(leaves[0], count, index, &vec![[0; 32]; siblings]), None);
            }
        }
    }
}

/// A program of four steps without multiply-accumulates, of equal weight.
fn relus() -> poai_core::program::Program {
    let mut builder = Builder::new(&[Form::new(Dim::fixed(70), Dim::fixed(5), Dtype::I8)]);
    for value in 0..4 {
        builder.step("relu", Op::Relu, &[ValueId(value)]).unwrap();
    }
    builder.finish().unwrap()
}

const RUN: RunShape = RunShape::new(1, 1);

/// Only inputs can be accused by their bytes, because the values of steps have
/// tiles.
#[test]
fn what_a_step_made_is_not_accused_as_an_input() {
    let program = relus();
    let extent = program.extents(&RUN).unwrap()[0];
    let header = TraceHeader {
        program: program.program_id(),
        run: RUN,
        input: Root([1; 32]),
        output: Root([0; 32]),
        macs: 0,
        records: [0; 32],
    };
    let records = vec![RecordBytes(vec![0; 100]); 5];
    let dirty = vec![0x7f; extent.bytes() as usize];
    let accuse = |value| accuse_input(&program, &header, &records, ValueId(value), &dirty);
    assert!(accuse(0).is_some());
    for value in [1, 4, 5] {
        assert_eq!(accuse(value), None);
    }
}
