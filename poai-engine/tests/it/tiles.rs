//! How steps' outputs are cut into tiles, and where a wrong tile first differs
//! (docs/spec.md §14).

use poai_core::program::ops::{Local, Region, RowSource, StepError};
use poai_core::program::tensor::Rows;
use poai_core::program::training::{BlockKind, Shift};
use poai_core::program::{Clamp, ConstantId, DecoderOp, Dtype, Extent, Op, RunShape, TrainingOp};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// One op for each way of cutting tiles.
fn ops() -> [Op; 16] {
    let constant = ConstantId(0);
    let clamp = Clamp::full(Dtype::I8);
    [
        Op::Relu,
        Op::Linear { weights: constant, requantise: constant, shifts: [0; 3], clamp },
        Op::AttentionContext { heads: 1, scale: constant, shifts: [0; 2] },
        Op::AttentionWeights {
            heads: 1,
            alpha: constant,
            shift: 0,
            table: constant,
            causal: false,
        },
        Op::MeanPool,
        Op::Transpose,
        Op::GroupLinear {
            weights: constant,
            requantise: constant,
            groups: 1,
            shifts: [0; 3],
            clamp,
        },
        Op::Product { blocks: 1, shift: 0, clamp },
        Op::Training(TrainingOp::ScaledProduct {
            shift: Shift::fixed(0),
            bias: false,
            bias_shift: 0,
            clamp,
        }),
        Op::Training(TrainingOp::TransposeTiles),
        block(BlockKind::Mix),
        block(BlockKind::MixBack),
        block(BlockKind::Scores),
        Op::RelativeAttentionWeights {
            heads: 1,
            alpha: constant,
            shift: 0,
            table: constant,
            causal: false,
            bias: constant,
        },
        Op::Decoder(DecoderOp::Sample { table: constant, shift: 0 }),
        Op::Decoder(DecoderOp::Tail),
    ]
}

fn block(kind: BlockKind) -> Op {
    Op::Training(TrainingOp::Block {
        kind,
        heads: 1,
        shift: Shift::fixed(0),
        offset: 0,
        multiplier: 1,
        clamp: Clamp::full(Dtype::I8),
    })
}

fn local(op: &Op, output: Extent, run: RunShape) -> Local<'_> {
    Local { op, run, output, slots: vec![], inputs: 0, listed: false }
}

const ONE: RunShape = RunShape::new(1, 1);

fn extent() -> impl Strategy<Value = Extent> {
    let dtype = prop_oneof![Just(Dtype::I8), Just(Dtype::I16), Just(Dtype::I32)];
    let side = || prop_oneof![1u32..130, Just(32), Just(64), Just(33)];
    (side(), side(), dtype)
        .prop_map(|(rows, columns, dtype)| Extent::new(rows, columns, dtype).unwrap())
}

proptest! {
    /// A tile is 32×32 for products with weights, attention context, product,
    /// scaled product, transpose by tiles, and both mixes of blocks. It is one
    /// row for mean pool and sample, and 32 whole rows for the others. The last tiles
    /// extend over the padding.
    #[test]
    fn tiles_are_counted_row_by_row(which in 0usize..16, output in extent()) {
        let ops = ops();
        let local = local(&ops[which], output, ONE);
        let grid = local.grid();
        let (tile_rows, tile_columns) = match which {
            1 | 2 | 6..=11 => (32, 32),
            4 | 14 => (1, output.columns),
            _ => (32, output.columns),
        };
        let (down, across) =
            (output.rows.div_ceil(tile_rows), output.columns.div_ceil(tile_columns));
        prop_assert_eq!((grid.down, grid.across), (down, across));
        prop_assert_eq!(grid.tiles(), u64::from(down) * u64::from(across));
        let mut held = vec![0u32; grid.tiles() as usize];
        let mut regions: Vec<Region> = vec![];
        for index in 0..grid.tiles() {
            regions.push(grid.tile(index).unwrap());
        }
        for row in 0..output.padded_rows() {
            for column in 0..output.padded_columns() {
                let true_row = row.min(output.rows - 1);
                let true_column = column.min(output.columns - 1);
                let tile = true_row / tile_rows * across + true_column / tile_columns;
                prop_assert_eq!(grid.at(row, column), Some(u64::from(tile)));
                let region = &regions[tile as usize];
                prop_assert!(region.rows.contains(&row) && region.columns.contains(&column));
                held[tile as usize] += 1;
            }
        }
        // No region is larger than the entries counted for it, so regions do
        // not overlap.
        for (region, held) in regions.iter().zip(held) {
            prop_assert_eq!(region.rows.len() * region.width(), held as usize);
        }
        prop_assert_eq!(grid.tile(grid.tiles()), None);
        prop_assert_eq!(grid.tile(u64::MAX), None);
        for (row, column) in [
            (output.padded_rows(), 0),
            (0, output.padded_columns()),
            (output.padded_rows(), output.padded_columns()),
            (u32::MAX, u32::MAX),
        ] {
            prop_assert_eq!(grid.at(row, column), None);
        }
    }

    #[test]
    fn what_is_no_padding_is_within(
        output in extent(), rows in (0u32..200, 0u32..200), columns in (0u32..200, 0u32..200),
    ) {
        let op = Op::Relu;
        let local = local(&op, output, ONE);
        let region = Region { rows: rows.0..rows.1, columns: columns.0..columns.1 };
        let own: BTreeSet<u32> = region.rows.clone().filter(|&row| row < output.rows).collect();
        let across: BTreeSet<u32> =
            region.columns.clone().filter(|&column| column < output.columns).collect();
        let range = |of: &BTreeSet<u32>| Some(*of.first()?..*of.last()? + 1);
        let expected = range(&own)
            .zip(range(&across))
            .map(|(rows, columns)| Region { rows, columns });
        prop_assert_eq!(local.within(&region), expected);
    }

    /// Finds the first difference of a tile, entry by entry. No difference exists
    /// if the committed rows equal the computed rows and are zero in the padding.
    #[test]
    fn the_first_difference_is_found(
        output in extent(),
        which in 0usize..16,
        tile: prop::sample::Index,
        spoiled in prop::collection::vec((any::<prop::sample::Index>(), 1i32..60), 0..3),
        absent: bool,
        first in 0u32..3,
    ) {
        let ops = ops();
        let local = local(&ops[which], output, ONE);
        let region = local.grid().tile(tile.index(local.grid().tiles() as usize) as u64).unwrap();
        let within = local.within(&region).unwrap();
        let size = output.dtype.size();
        let value = |row: u32, column: u32| (row * 7 + column * 3) as i32 % 50 + 1;
        let mut rows: Vec<Vec<i32>> = region
            .rows
            .clone()
            .map(|row| {
                (0..output.padded_columns())
                    .map(|column| {
                        let padding = row >= output.rows || column >= output.columns;
                        if padding { 0 } else { value(row, column) }
                    })
                    .collect()
            })
            .collect();
        // The source may have rows before the region, and may lack rows at its
        // end.
        let before = first.min(region.rows.start);
        let kept = region.rows.len() - usize::from(absent);
        let mut changed = BTreeSet::new();
        for (at, by) in &spoiled {
            let at = at.index(kept.max(1) * output.padded_columns() as usize) as u32;
            let (row, column) = (at / output.padded_columns(), at % output.padded_columns());
            rows[row as usize][column as usize] -= by;
            changed.insert((region.rows.start + row, column));
        }
        let mut bytes = vec![0x55; before as usize * output.row_bytes()];
        for entry in rows[..kept].iter().flatten() {
            bytes.extend(&entry.to_le_bytes()[..size]);
        }
        let committed = Rows { extent: output, first: region.rows.start - before, bytes: &bytes };
        let own: Vec<i32> = within
            .rows
            .clone()
            .flat_map(|row| within.columns.clone().map(move |column| value(row, column)))
            .collect();
        let mut expected = None;
        for row in region.rows.clone() {
            for column in region.columns.clone() {
                let there = (row - region.rows.start) < kept as u32;
                let true_entry = row < output.rows && column < output.columns;
                let is = match there {
                    true => rows[(row - region.rows.start) as usize][column as usize],
                    false => 0,
                };
                let ought = if true_entry { value(row, column) } else { 0 };
                if is != ought && expected.is_none() {
                    expected = Some((row, column));
                }
            }
        }
        prop_assert_eq!(local.first_difference(&region, &own, &committed), expected);
        // Changes of an entry never cancel, so the first changed entry within the region is found.
        let seen = changed.iter().find(|(_, column)| region.columns.contains(column));
        if let (false, Some(first)) = (absent, seen) {
            prop_assert_eq!(expected, Some(*first));
        }
    }
}

/// Rows that read the same rows are computed together.
#[test]
fn blocks_of_rows() {
    let output = Extent::new(120, 7, Dtype::I16).unwrap();
    let run = RunShape::new(3, 20);
    let blocks = ops().each_ref().map(|op| local(op, output, run).block_rows());
    // Those of block products are items of inputs, and these have none.
    assert_eq!(blocks, [32, 32, 20, 20, 1, 40, 32, 32, 32, 32, 1, 1, 1, 20, 1, 32]);
}

/// A source of zeros.
struct Zeros;

impl RowSource for Zeros {
    fn read(&self, _: usize, _: u32, to: &mut [i32]) -> Result<(), StepError> {
        to.fill(0);
        Ok(())
    }
}

#[test]
fn regions_and_memory_must_fit() {
    let op = Op::Relu;
    let extent = Extent::new(40, 5, Dtype::I16).unwrap();
    let local =
        Local { op: &op, run: ONE, output: extent, slots: vec![extent], inputs: 1, listed: false };
    let compute = |rows: u32, columns: u32, sums: Option<usize>, out: usize| {
        let region = Region { rows: rows - 2..rows, columns: columns - 2..columns };
        let sums = sums.map(|sums| vec![0; sums]);
        local.compute(&Zeros, &region, sums.as_deref(), &mut vec![0; out])
    };
    assert_eq!(compute(40, 5, None, 4), Ok(()));
    assert_eq!(compute(40, 5, Some(4), 4), Ok(()));
    for (rows, columns, sums, out) in [
        (41, 5, None, 4),
        (40, 6, None, 4),
        (41, 6, None, 4),
        (40, 5, None, 3),
        (40, 5, None, 5),
        (40, 5, Some(3), 4),
        (40, 5, Some(5), 4),
        (40, 5, Some(5), 5),
    ] {
        let region = Err(StepError::Region);
        assert_eq!(compute(rows, columns, sums, out), region, "{rows} {columns} {sums:?} {out}");
    }
    let none = Region { rows: 3..3, columns: 0..2 };
    assert_eq!(local.compute(&Zeros, &none, None, &mut []), Err(StepError::Region));
}

/// A step's slots with pseudo-random entries, so that places seldom agree by
/// chance.
struct Mixed;

impl RowSource for Mixed {
    fn read(&self, slot: usize, row: u32, to: &mut [i32]) -> Result<(), StepError> {
        for (column, to) in (0u64..).zip(to) {
            let place = (slot as u64) << 40 | u64::from(row) << 16 | column;
            *to = (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 57) as i32 - 64;
        }
        Ok(())
    }
}

/// Heads may begin and end within a tile; each tile has the entries of its
/// position.
#[test]
fn heads_may_begin_anywhere_in_a_tile() {
    let (heads, width, run) = (5, 16, RunShape::new(2, 21));
    let op = Op::AttentionContext { heads, scale: ConstantId(0), shifts: [14, 2] };
    let extent = |rows, columns, dtype| Extent::new(rows, columns, dtype).unwrap();
    let output = extent(run.batch * run.sequence, heads * width, Dtype::I16);
    let slots = vec![
        extent(run.batch * heads * run.sequence, run.sequence, Dtype::I8),
        extent(run.batch * heads * width, run.sequence, Dtype::I8),
        extent(heads * width, 1, Dtype::I32),
    ];
    let local = Local { op: &op, run, output, slots, inputs: 2, listed: false };
    let compute = |region: &Region| {
        let mut out = vec![0; region.rows.len() * region.width()];
        local.compute(&Mixed, region, None, &mut out).unwrap();
        out
    };
    let mut seen = BTreeSet::new();
    for tile in 0..local.grid().tiles() {
        let region = local.within(&local.grid().tile(tile).unwrap()).unwrap();
        let mut single = vec![];
        for row in region.rows.clone() {
            for column in region.columns.clone() {
                single.extend(compute(&Region { rows: row..row + 1, columns: column..column + 1 }));
            }
        }
        assert_eq!(compute(&region), single, "tile {tile}");
        seen.extend(single);
    }
    assert!(seen.len() > 100, "too few entries are distinct");
}

/// A tile of grouped attention lies in one head: its columns divide the head's.
#[test]
fn tiles_of_grouped_attention_lie_in_one_head() {
    let constant = ConstantId(0);
    let expected = [(1, 1), (8, 8), (32, 32), (64, 32), (80, 20), (37, 1), (96, 32), (62, 31)];
    for (width, columns) in expected {
        let (heads, run) = (3, RunShape::new(2, 40));
        let op = Op::Decoder(DecoderOp::Attention {
            heads,
            key_heads: 1,
            window: 5,
            alpha: constant,
            table: constant,
            scale: constant,
            shifts: [2, 0, 4, 14],
        });
        let extent = |rows, columns, dtype| Extent::new(rows, columns, dtype).unwrap();
        let (i8, i32) = (Dtype::I8, Dtype::I32);
        let tokens = run.batch * run.sequence;
        let slots = vec![
            extent(heads * tokens, width, i8),
            extent(heads * tokens, 1, i32),
            extent(tokens, width, i8),
            extent(tokens, 1, i32),
            extent(run.batch * width, run.sequence, i8),
            extent(heads, 1, i32),
            extent(256, 1, i32),
            extent(heads * width, 1, i32),
        ];
        let output = extent(tokens, heads * width, Dtype::I16);
        let local = Local { op: &op, run, output, slots, inputs: 5, listed: false };
        let grid = local.grid();
        assert_eq!((grid.tile_rows, grid.tile_columns), (32, columns));
        assert_eq!(grid.across, heads * width / columns);
        // Each tile has the entries of the whole.
        let compute = |region: &Region| {
            let mut out = vec![0; region.rows.len() * region.width()];
            local.compute(&Mixed, region, None, &mut out).unwrap();
            out
        };
        let all = compute(&Region { rows: 0..output.rows, columns: 0..output.columns });
        for tile in 0..grid.tiles() {
            let region = local.within(&grid.tile(tile).unwrap()).unwrap();
            let heads: BTreeSet<u32> = region.columns.clone().map(|at| at / width).collect();
            assert_eq!(heads.len(), 1);
            let whole = region.rows.clone().flat_map(|row| {
                let first = (row * output.columns) as usize;
                region.columns.clone().map(move |column| first + column as usize)
            });
            let whole: Vec<i32> = whole.map(|at| all[at]).collect();
            assert_eq!(compute(&region), whole, "tile {tile}");
        }
        assert!(all.iter().collect::<BTreeSet<_>>().len() > 100, "too few entries are distinct");
    }
}
