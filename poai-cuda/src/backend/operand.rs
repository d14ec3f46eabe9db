//! What is kept of an operand on the card: its entries, and under a challenge
//! its noise (`kernels/commit.cu`, `kernels/noise.cu`).

use super::Cuda;
use crate::card::{Argument, Launch, Memory};
use crate::error::CudaError;
use poai_core::puzzle::commitment::Tree;
use poai_core::puzzle::noise::{RankStepNoise, RowNoise};
use poai_core::{Params, Seed};
use poai_engine::Operand;
use poai_engine::backend::Prepared;
use std::sync::Arc;

/// Chunks that a block hashes, and nodes that it merges.
pub(crate) const COMMIT_THREADS: u64 = 256;
/// Levels that a launch makes.
pub(crate) const COMMIT_LEVELS: usize = 8;
pub(crate) const CHUNK_BYTES: u64 = 1024;
pub(crate) const NODE_BYTES: u64 = 32;
/// Rows that a block noises.
pub(crate) const NOISE_ROWS: u32 = 8;
/// Columns that a block goes along where rows alone do not fill the card.
pub(crate) const NOISE_COLUMNS: u32 = 1024;

/// A clean operand on the card, row-major. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Clean {
    pub(crate) matrix: Arc<Memory>,
}

/// A noised operand on the card.
#[derive(Debug)]
pub(crate) struct NoisedOnCard {
    /// The noised entries, row-major.
    pub(crate) matrix: Memory,
    /// The clean ones.
    pub(crate) clean: Clean,
    /// L: a row of r entries for each row.
    pub(crate) factors: Memory,
    /// The rows of the step factors: r words for each step.
    pub(crate) by_row: Memory,
}

impl AsRef<Memory> for Clean {
    fn as_ref(&self) -> &Memory {
        &self.matrix
    }
}

impl AsRef<Memory> for NoisedOnCard {
    fn as_ref(&self) -> &Memory {
        &self.matrix
    }
}

/// A matrix's chaining values on the card, and where its groups' begin.
#[derive(Debug)]
pub(crate) struct Nodes {
    values: Memory,
    start: u64,
    count: u64,
    /// The matrix's length.
    bytes: u64,
}

impl Cuda {
    /// Brings rows onto the card, and hashes nothing.
    pub(crate) fn hold(&self, rows: &[u8]) -> Result<Clean, CudaError> {
        Ok(Clean { matrix: Arc::new(self.upload(rows)?) })
    }

    /// Brings an operand onto the card and hashes it there.
    pub(crate) fn commit(&self, operand: &Operand) -> Result<(Clean, Tree), CudaError> {
        let bytes = operand.as_bytes();
        let matrix = self.upload(bytes)?;
        let tree = match self.nodes(&matrix, bytes.len() as u64)? {
            Some(nodes) => self.fetch_tree(&nodes)?,
            None => None,
        };
        let tree = tree.unwrap_or_else(|| Tree::new(bytes));
        Ok((Clean { matrix: Arc::new(matrix) }, tree))
    }

    /// An operand that is on the card already, hashed there unless it has been.
    pub(crate) fn resident_operand(
        &self,
        operand: Operand,
        matrix: Arc<Memory>,
        tree: Option<Tree>,
    ) -> Result<Prepared, CudaError> {
        let bytes = operand.as_bytes();
        let tree = match (tree, self.nodes(&matrix, bytes.len() as u64)?) {
            (Some(tree), _) => Some(tree),
            (None, Some(nodes)) => self.fetch_tree(&nodes)?,
            (None, None) => None,
        };
        let tree = tree.unwrap_or_else(|| Tree::new(bytes));
        Ok(Prepared::new(self.variant.name(), operand, tree, Clean { matrix }))
    }

    /// Queues the hashing of a matrix on the card. `None` for what one group
    /// holds, which the host hashes before a card has begun.
    pub(crate) fn nodes(&self, matrix: &Memory, bytes: u64) -> Result<Option<Nodes>, CudaError> {
        if bytes <= Tree::GROUP_BYTES {
            return Ok(None);
        }
        // Where each level begins, in nodes, and how many it has.
        let mut levels = vec![(0, bytes.div_ceil(CHUNK_BYTES))];
        while let Some(&(start, count @ 2..)) = levels.last() {
            levels.push((start + count, count.div_ceil(2)));
        }
        let nodes: u64 = levels.iter().map(|(_, count)| count).sum();
        let values = self.card.allocate(nodes * NODE_BYTES)?;
        let blocks = |count: u64| [count.div_ceil(COMMIT_THREADS) as u32, 1, 1];
        let launch = |kernel, count| Launch {
            file: "commit",
            kernel,
            grid: blocks(count),
            block: COMMIT_THREADS as u32,
            shared: 0,
        };
        let arguments = [Argument::Memory(matrix), Argument::U64(bytes), Argument::Memory(&values)];
        // SAFETY: commit_chunks(matrix, bytes, values): `values` has room for
        // the nodes of every level.
        unsafe { self.card.launch(&launch("commit_chunks", levels[0].1), &arguments)? };
        for &(start, count) in levels.iter().skip(COMMIT_LEVELS).step_by(COMMIT_LEVELS) {
            if count < 2 {
                break;
            }
            let arguments = [Argument::Memory(&values), Argument::U64(start), Argument::U64(count)];
            // SAFETY: commit_merge(values, level_start, count), of a level that
            // the launch before wrote.
            unsafe { self.card.launch(&launch("commit_merge", count), &arguments)? };
        }
        let height = (Tree::GROUP_BYTES / CHUNK_BYTES).trailing_zeros() as usize;
        let Some(&(start, count)) = levels.get(height) else { return Ok(None) };
        Ok(Some(Nodes { values, start, count, bytes }))
    }

    /// The tree over nodes that were queued.
    pub(crate) fn fetch_tree(&self, nodes: &Nodes) -> Result<Option<Tree>, CudaError> {
        let mut groups = vec![[0u8; NODE_BYTES as usize]; nodes.count as usize];
        self.card.download(&nodes.values, nodes.start * NODE_BYTES, groups.as_flattened_mut())?;
        Ok(Tree::of_groups(nodes.bytes, groups))
    }

    /// Noises clean rows under the seed of their operand, of which they are
    /// `rows` from `first_row` on.
    pub(crate) fn noised(
        &self,
        seed: &Seed,
        clean: &Clean,
        first_row: u32,
        [rows, k]: [u32; 2],
    ) -> Result<NoisedOnCard, CudaError> {
        // Exact: 128.
        let rank = Params::CONSENSUS.rank() as u32;
        let steps = k / rank;
        let keys =
            [*RowNoise::new(seed).key(), *RankStepNoise::new(&Params::CONSENSUS, seed).key()];
        let keys = self.upload(keys.as_flattened())?;
        let factors = self.card.allocate(u64::from(rows) * u64::from(rank))?;
        let words = 4 * u64::from(steps) * u64::from(rank);
        let (columns, by_row) = (self.card.allocate(words)?, self.card.allocate(words)?);
        let matrix = self.card.allocate(u64::from(rows) * u64::from(k))?;
        let launch = |kernel, grid, block| Launch { file: "noise", kernel, grid, block, shared: 0 };

        // Exact: at most 2^32·2/128.
        let threads = u64::from(rows) * u64::from(rank / 64);
        let grid = [threads.div_ceil(128) as u32, 1, 1];
        let (first, rank) = (Argument::U32(first_row), Argument::U32(rank));
        let arguments =
            [Argument::At(&keys, 0), first, Argument::U32(rows), rank, Argument::Memory(&factors)];
        // SAFETY: noise_rows(key, first, rows, rank, factors): rows·rank bytes.
        unsafe { self.card.launch(&launch("noise_rows", grid, 128), &arguments)? };

        let (columns_at, by_row_at) = (Argument::Memory(&columns), Argument::Memory(&by_row));
        let arguments = [Argument::At(&keys, 32), Argument::U32(0), rank, columns_at, by_row_at];
        // SAFETY: noise_steps(key, first, rank, columns, by_row): steps·rank
        // words each.
        unsafe { self.card.launch(&launch("noise_steps", [steps, 1, 1], 32), &arguments)? };

        let down = rows.div_ceil(NOISE_ROWS);
        // Rows alone fill a card of many rows; each block then builds one table.
        let wanted = (8 * self.card.device().multiprocessors).div_ceil(down);
        let grid = [down, wanted.clamp(1, k.div_ceil(NOISE_COLUMNS)), 1];
        let arguments = [
            Argument::Memory(&clean.matrix),
            Argument::Memory(&factors),
            columns_at,
            Argument::Memory(&matrix),
            Argument::U32(rows),
            Argument::U32(k),
            rank,
        ];
        // SAFETY: noise_operand(clean, factors, columns, noised, rows, k,
        // rank): rows·k bytes each of clean and noised.
        unsafe { self.card.launch(&launch("noise_operand", grid, 256), &arguments)? };
        Ok(NoisedOnCard { matrix, clean: clean.clone(), factors, by_row })
    }
}
