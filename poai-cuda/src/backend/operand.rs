//! An operand on the GPU: its entries and, under a challenge, its noise
//! (`kernels/commit.cu`, `kernels/noise.cu`).

use super::Cuda;
use crate::error::CudaError;
use crate::gpu::{Argument, Launch, Memory};
use poai_core::puzzle::commitment::Tree;
use poai_core::puzzle::noise::{RankStepNoise, RowNoise};
use poai_core::{Params, Seed};
use poai_engine::Operand;
use poai_engine::backend::Prepared;
use std::sync::Arc;

/// Threads of a block of the commit kernels: a block hashes as many chunks, or
/// merges as many nodes.
pub(crate) const COMMIT_THREADS: u64 = 256;
/// Levels of the tree that one launch makes.
pub(crate) const COMMIT_LEVELS: usize = 8;
pub(crate) const CHUNK_BYTES: u64 = 1024;
pub(crate) const NODE_BYTES: u64 = 32;
/// Rows that a block of the noise kernel processes.
pub(crate) const NOISE_ROWS: u32 = 8;
/// Columns that a block processes if rows alone do not fill the GPU.
pub(crate) const NOISE_COLUMNS: u32 = 1024;

/// A clean operand on the GPU, row-major. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Clean {
    pub(crate) matrix: Arc<Memory>,
}

/// A noised operand on the GPU.
#[derive(Debug)]
pub(crate) struct NoisedOnGpu {
    /// The noised entries, row-major.
    pub(crate) matrix: Memory,
    /// The clean entries.
    pub(crate) clean: Clean,
    /// L: r entries for each row.
    pub(crate) factors: Memory,
    /// The rows of the step factors: r words for each step.
    pub(crate) by_row: Memory,
}

impl AsRef<Memory> for Clean {
    fn as_ref(&self) -> &Memory {
        &self.matrix
    }
}

impl AsRef<Memory> for NoisedOnGpu {
    fn as_ref(&self) -> &Memory {
        &self.matrix
    }
}

/// The chaining values of a matrix on the GPU, and the range of its groups.
#[derive(Debug)]
pub(crate) struct Nodes {
    values: Memory,
    start: u64,
    count: u64,
    /// Bytes of the matrix.
    bytes: u64,
}

impl Cuda {
    /// Copies rows to the GPU without hashing them.
    pub(crate) fn hold(&self, rows: &[u8]) -> Result<Clean, CudaError> {
        Ok(Clean { matrix: Arc::new(self.upload(rows)?) })
    }

    /// Copies an operand to the GPU and hashes it there.
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

    /// Prepares an operand that is already on the GPU. Hashes it there if
    /// `tree` is `None`.
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

    /// Queues the hashing of a matrix on the GPU. Returns `None` for a matrix
    /// of one group or less, which the host hashes before a GPU would start.
    pub(crate) fn nodes(&self, matrix: &Memory, bytes: u64) -> Result<Option<Nodes>, CudaError> {
        if bytes <= Tree::GROUP_BYTES {
            return Ok(None);
        }
        // The first node of each level, and its number of nodes.
        let mut levels = vec![(0, bytes.div_ceil(CHUNK_BYTES))];
        while let Some(&(start, count @ 2..)) = levels.last() {
            levels.push((start + count, count.div_ceil(2)));
        }
        let nodes: u64 = levels.iter().map(|(_, count)| count).sum();
        let values = self.gpu.allocate(nodes * NODE_BYTES)?;
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
        unsafe { self.gpu.launch(&launch("commit_chunks", levels[0].1), &arguments)? };
        for &(start, count) in levels.iter().skip(COMMIT_LEVELS).step_by(COMMIT_LEVELS) {
            if count < 2 {
                break;
            }
            let arguments = [Argument::Memory(&values), Argument::U64(start), Argument::U64(count)];
            // SAFETY: commit_merge(values, level_start, count): the level was
            // written by the launch before.
            unsafe { self.gpu.launch(&launch("commit_merge", count), &arguments)? };
        }
        let height = (Tree::GROUP_BYTES / CHUNK_BYTES).trailing_zeros() as usize;
        let Some(&(start, count)) = levels.get(height) else { return Ok(None) };
        Ok(Some(Nodes { values, start, count, bytes }))
    }

    /// The tree over nodes that were queued.
    pub(crate) fn fetch_tree(&self, nodes: &Nodes) -> Result<Option<Tree>, CudaError> {
        let mut groups = vec![[0u8; NODE_BYTES as usize]; nodes.count as usize];
        self.gpu.download(&nodes.values, nodes.start * NODE_BYTES, groups.as_flattened_mut())?;
        Ok(Tree::of_groups(nodes.bytes, groups))
    }

    /// Noises `rows` clean rows from `first_row` on, under the seed of their
    /// operand.
    pub(crate) fn noised(
        &self,
        seed: &Seed,
        clean: &Clean,
        first_row: u32,
        [rows, k]: [u32; 2],
    ) -> Result<NoisedOnGpu, CudaError> {
        // Exact: 128.
        let rank = Params::CONSENSUS.rank() as u32;
        let steps = k / rank;
        let keys =
            [*RowNoise::new(seed).key(), *RankStepNoise::new(&Params::CONSENSUS, seed).key()];
        let keys = self.upload(keys.as_flattened())?;
        let factors = self.gpu.allocate(u64::from(rows) * u64::from(rank))?;
        let words = 4 * u64::from(steps) * u64::from(rank);
        let (columns, by_row) = (self.gpu.allocate(words)?, self.gpu.allocate(words)?);
        let matrix = self.gpu.allocate(u64::from(rows) * u64::from(k))?;
        let launch = |kernel, grid, block| Launch { file: "noise", kernel, grid, block, shared: 0 };

        // Exact: at most 2^32·2/128.
        let threads = u64::from(rows) * u64::from(rank / 64);
        let grid = [threads.div_ceil(128) as u32, 1, 1];
        let (first, rank) = (Argument::U32(first_row), Argument::U32(rank));
        let arguments =
            [Argument::At(&keys, 0), first, Argument::U32(rows), rank, Argument::Memory(&factors)];
        // SAFETY: noise_rows(key, first, rows, rank, factors): rows·rank bytes.
        unsafe { self.gpu.launch(&launch("noise_rows", grid, 128), &arguments)? };

        let (columns_at, by_row_at) = (Argument::Memory(&columns), Argument::Memory(&by_row));
        let arguments = [Argument::At(&keys, 32), Argument::U32(0), rank, columns_at, by_row_at];
        // SAFETY: noise_steps(key, first, rank, columns, by_row): steps·rank
        // words each.
        unsafe { self.gpu.launch(&launch("noise_steps", [steps, 1, 1], 32), &arguments)? };

        let down = rows.div_ceil(NOISE_ROWS);
        // If there are many rows, they fill the GPU, and each block builds one
        // table.
        let wanted = (8 * self.gpu.info().multiprocessors).div_ceil(down);
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
        unsafe { self.gpu.launch(&launch("noise_operand", grid, 256), &arguments)? };
        Ok(NoisedOnGpu { matrix, clean: clean.clone(), factors, by_row })
    }
}
