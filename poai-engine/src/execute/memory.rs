//! How much memory a run takes, computed before it starts.

use super::error::RunError;
use super::options::{RunOptions, last_uses, mineable};
use super::session::Session;
use super::task::GROUP_ROWS;
use crate::backend::PRODUCT_ROWS;
use poai_core::params::Params;
use poai_core::program::ops::Local;
use poai_core::program::{DecoderOp, Extent, Op, RunShape, ValueId};

/// Bytes of small things: records, names, blocks of rows.
const BASE: u64 = 1 << 20;

impl Session {
    /// A bound of the memory in bytes that [`Session::run_with`] takes at its
    /// peak for a run of this shape, beyond the session itself: tensors, sums
    /// and scratch.
    ///
    /// It is for steps on the processor. A device that runs whole programs
    /// holds the tensors in its own memory instead.
    ///
    /// # Errors
    /// [`RunError::Run`] if the program has no run of this shape.
    pub fn memory_bytes(&self, run: &RunShape, options: &RunOptions) -> Result<u64, RunError> {
        self.bound(run, options, false)
    }

    /// The same bound for [`Session::trace_with`], with all tensors and their
    /// trees.
    ///
    /// # Errors
    /// As for [`Session::memory_bytes`].
    pub fn trace_memory_bytes(
        &self,
        run: &RunShape,
        options: &RunOptions,
    ) -> Result<u64, RunError> {
        self.bound(run, options, true)
    }

    fn bound(&self, run: &RunShape, options: &RunOptions, traced: bool) -> Result<u64, RunError> {
        let program = self.program();
        let extents = program.extents(run)?;
        let inputs = program.inputs().len();
        let last = last_uses(program);
        let held = |extent: &Extent| match traced {
            // BLAKE3 keeps two chaining values of 32 bytes for each chunk of
            // 1024.
            true => extent.bytes() + extent.bytes() / 16 + 1024,
            false => extent.bytes(),
        };
        let mut live: u64 = extents.iter().take(inputs).map(held).sum();
        let mut peak = live;
        for (index, extent) in extents.iter().enumerate().skip(inputs) {
            // Exact: at most 2^16 + 16 values.
            let value = ValueId(index as u32);
            let local = Local::new(program, &extents, *run, value).ok_or(RunError::Layout)?;
            let sums = product_entries(&local) * 4;
            live += held(extent);
            if traced && options.keeps_sums_if_traced() {
                live += sums;
            }
            let mined = options.mining().is_some() && mineable(&local);
            peak = peak.max(live + if mined { mined_bytes(&local) } else { scratch(&local) });
            if mined {
                live += kept_bytes(&local, options);
            }
            if !traced {
                let read = program.step_of(value).map_or(&[][..], |step| &step.inputs);
                let mut freed: Vec<ValueId> = read.to_vec();
                freed.sort_unstable();
                freed.dedup();
                let done =
                    freed.iter().filter(|input| last.get(input.0 as usize) == Some(&value.0));
                let freed = done.filter_map(|input| extents.get(input.0 as usize)).map(held);
                live = live.saturating_sub(freed.sum());
            }
        }
        Ok(BASE + peak + peak / 16)
    }
}

/// Padded entries of a product with weights.
fn product_entries(local: &Local<'_>) -> u64 {
    match local.op {
        Op::Linear { .. } => {
            let (a, b) = (local.slot(0), local.slot(local.inputs));
            u64::from(a.padded_rows()) * u64::from(b.padded_rows())
        }
        _ => 0,
    }
}

/// Bytes of mining a product: A as an operand and noised, noised B, the sums,
/// and one eighth for trees and thin factors.
fn mined_bytes(local: &Local<'_>) -> u64 {
    let (a, b) = (local.slot(0).bytes(), local.slot(local.inputs).bytes());
    let bytes = 3 * a + 2 * b + 4 * product_entries(local);
    bytes + bytes / 8
}

/// Bytes of a mined product's result until the run ends: A with its tree in a
/// backend's layout, and the winners.
fn kept_bytes(local: &Local<'_>, options: &RunOptions) -> u64 {
    let a = local.slot(0).bytes();
    let tile = u64::from(Params::CONSENSUS.tile() as u32);
    let tiles = product_entries(local) / (tile * tile);
    let limit = options.mining().map_or(0, |mining| mining.options.keep.limit());
    let winners = tiles.min(u64::try_from(limit).unwrap_or(u64::MAX));
    2 * a + a / 16 + 1024 + 512 * winners
}

/// Bytes of computing a step: a block of a product, or a block of rows for each
/// thread.
fn scratch(local: &Local<'_>) -> u64 {
    let threads = rayon::current_num_threads() as u64;
    let columns = |extent: &Extent| u64::from(extent.padded_columns());
    let own = columns(&local.output) * 4;
    if let Op::Linear { .. } = local.op {
        let (a, b) = (local.slot(0), local.slot(local.inputs));
        let rows = u64::from(a.padded_rows()).min(PRODUCT_ROWS as u64);
        let block = rows * (2 * columns(&a) + 4 * u64::from(b.padded_rows()));
        // Scales of rows, locks of strips, and the numbers of channels.
        let shared = 5 * u64::from(a.padded_rows()) + 16 * u64::from(b.padded_rows());
        // A few packed strips, and a column of tiles.
        let packed = 256 * (columns(&a) + columns(&a) / 16) + (1 << 16);
        return block + shared + threads * (64 * own + packed);
    }
    let rows = u64::from(local.block_rows());
    // Biases of attention are read once, and spread over the sequence's
    // distances.
    let biases = match local.op {
        Op::RelativeAttentionWeights { .. } => local.slots.last().map_or(0, columns),
        _ => 0,
    };
    let read = local.slots.iter().map(columns).sum::<u64>() - biases;
    // Attention copies its operands, and holds the sums of one item.
    let sequence = u64::from(local.run.sequence);
    let product = match local.op {
        Op::AttentionWeights { .. }
        | Op::RelativeAttentionWeights { .. }
        | Op::AttentionContext { .. } => sequence * (2 * read + own + 5 * sequence),
        // Dense operands, the sums of a group and those of all groups.
        Op::GroupLinear { .. } => GROUP_ROWS as u64 * (columns(&local.slot(0)) + 3 * own),
        // Dense operands, the sums, and the entries.
        Op::Product { .. } => {
            let k = columns(&local.slot(0));
            PRODUCT_ROWS as u64 * (k + 2 * own) + u64::from(local.output.columns) * k
        }
        // A rank of each entry of a row.
        Op::Decoder(DecoderOp::Sample { .. }) => 8 * columns(&local.slot(0)),
        _ => 0,
    };
    let shared = match local.op {
        Op::GroupLinear { .. } => local.slot(local.inputs).bytes(),
        Op::RelativeAttentionWeights { heads, .. } => {
            4 * u64::from(*heads) * (biases + 2 * sequence)
        }
        _ => 0,
    };
    shared + threads * (rows * (own + 4 * read) + product)
}
