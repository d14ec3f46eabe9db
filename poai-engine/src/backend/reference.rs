//! A second implementation of the puzzle, as plain as possible. Read it beside
//! `docs/spec.md`, section by section.
//!
//! It shares only type definitions with the fast paths. It allocates freely and
//! follows the order of the spec on one thread. Tests compare every fast path
//! with it. As a backend its name is `reference`, and it supports every
//! permitted (rank, tile) pair.

use super::{
    Backend, BackendError, Completion, Multiplication, Noised, Output, Plain, Prepared, REFERENCE,
    Unsupported, Watch, Winner, check_memory, shape_of,
};
use crate::Operand;
use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use core::ops::{ControlFlow, Range};
use poai_core::puzzle::commitment::Tree;
use poai_core::{Challenge, Params, Root, Seed, Shape, Statement, Ticket, Tile, Transcript};

/// A matrix of i8, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainMatrix {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// `rows·columns` entries.
    pub entries: Vec<i8>,
}

impl PlainMatrix {
    /// The matrix of an operand.
    pub fn of(operand: &Operand) -> PlainMatrix {
        PlainMatrix {
            rows: operand.rows() as usize,
            columns: operand.k() as usize,
            entries: operand.as_slice().to_vec(),
        }
    }

    fn at(&self, row: usize, column: usize) -> i32 {
        i32::from(self.entries[row * self.columns + column])
    }

    fn bytes(&self) -> Vec<u8> {
        self.entries.iter().map(|&entry| entry as u8).collect()
    }
}

// ---- §2 Notation ------------------------------------------------------------

/// `H(label, message)`.
fn h(label: &str, message: &[u8]) -> [u8; 32] {
    blake3::derive_key(&format!("poai-1 {label}"), message)
}

/// `keyed(key, message)[..len]`.
fn keyed(key: [u8; 32], message: &[u8], len: usize) -> Vec<u8> {
    let mut output = vec![0; len];
    let mut hasher = blake3::Hasher::new_keyed(&key);
    hasher.update(message).finalize_xof().fill(&mut output);
    output
}

// ---- §3 Operands and commitments --------------------------------------------

/// The root of a matrix.
pub fn root(matrix: &PlainMatrix) -> Root {
    Root(*blake3::hash(&matrix.bytes()).as_bytes())
}

/// The opening of a strip: its bytes, in whole chunks, and its siblings.
pub fn open(params: &Params, matrix: &PlainMatrix, strip: u32) -> (Vec<u8>, Vec<[u8; 32]>) {
    let bytes = matrix.bytes();
    let strip_len = params.tile() * matrix.columns;
    let start = strip as usize * strip_len;
    let first = start / 1024;
    let last = (start + strip_len).div_ceil(1024);
    let mut siblings = Vec::new();
    let all = 0..bytes.len().div_ceil(1024);
    collect_siblings(&bytes, all, &(first..last), &mut siblings);
    (bytes[first * 1024..bytes.len().min(last * 1024)].to_vec(), siblings)
}

fn collect_siblings(
    bytes: &[u8],
    node: Range<usize>,
    strip: &Range<usize>,
    to: &mut Vec<[u8; 32]>,
) {
    if node.end <= strip.start || node.start >= strip.end {
        to.push(chaining_value(bytes, node));
    } else if node.start < strip.start || node.end > strip.end {
        let middle = node.start + left_chunks(node.len());
        collect_siblings(bytes, node.start..middle, strip, to);
        collect_siblings(bytes, middle..node.end, strip, to);
    }
}

/// The largest power of two below `chunks`, which is at least 2.
fn left_chunks(chunks: usize) -> usize {
    let mut left = 1;
    while left * 2 < chunks {
        left *= 2;
    }
    left
}

/// The chaining value of a subtree, chunk by chunk.
fn chaining_value(bytes: &[u8], node: Range<usize>) -> [u8; 32] {
    if node.len() == 1 {
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(node.start as u64 * 1024);
        hasher.update(&bytes[node.start * 1024..bytes.len().min(node.end * 1024)]);
        return hasher.finalize_non_root();
    }
    let middle = node.start + left_chunks(node.len());
    let left = chaining_value(bytes, node.start..middle);
    let right = chaining_value(bytes, middle..node.end);
    merge_subtrees_non_root(&left, &right, Mode::Hash)
}

/// The root of a matrix of two chunks or more, from its chunks.
pub fn root_from_chunks(matrix: &PlainMatrix) -> Root {
    let bytes = matrix.bytes();
    let chunks = bytes.len().div_ceil(1024);
    let left = chaining_value(&bytes, 0..left_chunks(chunks));
    let right = chaining_value(&bytes, left_chunks(chunks)..chunks);
    Root(*merge_subtrees_root(&left, &right, Mode::Hash).as_bytes())
}

/// `seed_b`, then `seed_a`.
pub fn seeds(params: &Params, challenge: &Challenge, statement: &Statement) -> (Seed, Seed) {
    let mut message = challenge.0.to_vec();
    message.extend(statement.shape.n.to_le_bytes());
    message.extend(statement.shape.k.to_le_bytes());
    message.extend((params.rank() as u16).to_le_bytes());
    message.extend((params.tile() as u16).to_le_bytes());
    message.extend(statement.root_b.0);
    let seed_b = h("seed b", &message);

    let mut message = seed_b.to_vec();
    message.extend(statement.shape.m.to_le_bytes());
    message.extend(statement.root_a.0);
    (Seed(seed_b), Seed(h("seed a", &message)))
}

// ---- §4 Noise ---------------------------------------------------------------

/// Row `i` of the row factor.
pub fn row_factor(params: &Params, seed: &Seed, i: u32) -> Vec<i32> {
    keyed(h("noise rows", &seed.0), &i.to_le_bytes(), params.rank())
        .into_iter()
        .map(|byte| i32::from(byte & 63) - 32)
        .collect()
}

/// The step factor `R_ℓ` as a dense r×r matrix, `factor[p][c]`.
pub fn step_factor(params: &Params, seed: &Seed, step: u32) -> Vec<Vec<i32>> {
    let r = params.rank();
    let raw = keyed(h("noise steps", &seed.0), &step.to_le_bytes(), 4 * r + 2 + r / 4);
    let word =
        |i: usize| u32::from_le_bytes([raw[4 * i], raw[4 * i + 1], raw[4 * i + 2], raw[4 * i + 3]]);

    let mut pi: Vec<usize> = (0..r).collect();
    for i in (1..r).rev() {
        let j = (u64::from(word(i)) * (i as u64 + 1)) >> 32;
        pi.swap(i, j as usize);
    }
    let d = usize::from(u16::from_le_bytes([raw[4 * r], raw[4 * r + 1]]));
    let delta = 2 * (d % (r / 2)) + 1;
    let mut signs: Vec<i32> = (0..2 * r)
        .map(|bit| if raw[4 * r + 2 + bit / 8] >> (bit % 8) & 1 == 1 { -1 } else { 1 })
        .collect();
    if signs.iter().filter(|&&sign| sign == -1).count() % 2 == 0 {
        signs[2 * r - 1] = -signs[2 * r - 1];
    }

    let mut factor = vec![vec![0; r]; r];
    for c in 0..r {
        factor[pi[c]][c] += signs[c];
        factor[pi[(c + delta) % r]][c] += signs[r + c];
    }
    factor
}

/// A matrix with one side's noise on it.
pub fn noised(params: &Params, seed: &Seed, clean: &PlainMatrix) -> PlainMatrix {
    let r = params.rank();
    let mut noised = clean.clone();
    let factors: Vec<_> =
        (0..clean.columns / r).map(|step| step_factor(params, seed, step as u32)).collect();
    for i in 0..clean.rows {
        let row = row_factor(params, seed, i as u32);
        for column in 0..clean.columns {
            let factor = &factors[column / r];
            let noise: i32 = (0..r).map(|p| row[p] * factor[p][column % r]).sum();
            let entry = clean.at(i, column) + noise;
            assert!((-128..=127).contains(&entry), "noised entries fit i8");
            noised.entries[i * clean.columns + column] = entry as i8;
        }
    }
    noised
}

// ---- §5 Product, transcript, ticket -----------------------------------------

/// `A·Bᵀᵀ`, row-major, with 64-bit sums to show that 32 bits are enough.
pub fn product(a: &PlainMatrix, bt: &PlainMatrix) -> Vec<i32> {
    let mut product = Vec::with_capacity(a.rows * bt.rows);
    for i in 0..a.rows {
        for j in 0..bt.rows {
            let sum: i64 = (0..a.columns).map(|c| i64::from(a.at(i, c) * bt.at(j, c))).sum();
            product.push(i32::try_from(sum).expect("sums stay within i32 below k = 2^17"));
        }
    }
    product
}

/// The transcript of a tile of the noised operands.
pub fn transcript(params: &Params, a: &PlainMatrix, bt: &PlainMatrix, tile: Tile) -> Transcript {
    let (t, r) = (params.tile(), params.rank());
    let mut sums = vec![0i32; t * t];
    let mut words = [0u32; 16];
    for step in 0..a.columns / r {
        let mut x = 0;
        for i in 0..t {
            for j in 0..t {
                for c in step * r..(step + 1) * r {
                    let (row, column) = (tile.row as usize * t + i, tile.column as usize * t + j);
                    sums[i * t + j] += a.at(row, c) * bt.at(column, c);
                }
                x ^= sums[i * t + j] as u32;
            }
        }
        words[step % 16] = words[step % 16].rotate_left(13) ^ x;
    }
    Transcript(words)
}

/// The ticket of a transcript.
pub fn ticket(seed_a: &Seed, transcript: &Transcript) -> Ticket {
    let message: Vec<u8> = transcript.0.iter().flat_map(|word| word.to_le_bytes()).collect();
    let bytes = keyed(h("ticket", &seed_a.0), &message, 32);
    Ticket(core::array::from_fn(|i| bytes[i]))
}

/// The exact product from the noised one: `A·B = C' − A·F − E·B'`, where
/// `F = B' − B` and `E = A' − A`.
pub fn recover(
    params: &Params,
    seeds: (&Seed, &Seed),
    a: &PlainMatrix,
    noised_bt: &PlainMatrix,
    noised: &[i32],
) -> Vec<i32> {
    let (seed_b, seed_a) = seeds;
    let (r, k, n) = (params.rank(), a.columns, noised_bt.rows);
    let steps = |seed| -> Vec<_> {
        (0..k / r).map(|step| step_factor(params, seed, step as u32)).collect()
    };
    let (steps_a, steps_b) = (steps(seed_a), steps(seed_b));
    // A·F_L (m×r) and, transposed, E_R·B' (n×r): thin.
    let thin = |matrix: &PlainMatrix, factors: &[Vec<Vec<i32>>], row: usize| -> Vec<i32> {
        (0..r).map(|p| (0..k).map(|c| factors[c / r][p][c % r] * matrix.at(row, c)).sum()).collect()
    };
    let columns: Vec<_> = (0..n)
        .map(|j| (thin(noised_bt, &steps_a, j), row_factor(params, seed_b, j as u32)))
        .collect();
    let mut exact = noised.to_vec();
    for i in 0..a.rows {
        let a_times_f = thin(a, &steps_b, i);
        let e = row_factor(params, seed_a, i as u32);
        for (j, (e_times_b, f)) in columns.iter().enumerate() {
            for p in 0..r {
                exact[i * n + j] -= a_times_f[p] * f[p] + e[p] * e_times_b[p];
            }
        }
    }
    exact
}

// ---- §6 Difficulty ----------------------------------------------------------

/// `ticket · difficulty < t·t·k · 2^256`, byte by byte.
pub fn wins(params: &Params, k: u32, difficulty: u128, ticket: &Ticket) -> bool {
    // 384 bits, least significant byte first.
    let mut left = [0u32; 49];
    for (i, &x) in ticket.0.iter().rev().enumerate() {
        let mut carry = 0;
        for (j, y) in difficulty.to_le_bytes().into_iter().enumerate() {
            let sum = left[i + j] + u32::from(x) * u32::from(y) + carry;
            left[i + j] = sum & 255;
            carry = sum >> 8;
        }
        left[i + 16] += carry;
    }
    let mut right = [0u32; 49];
    let macs = params.tile() as u64 * params.tile() as u64 * u64::from(k);
    for (byte, value) in right[32..].iter_mut().zip(macs.to_le_bytes()) {
        *byte = u32::from(value);
    }
    left.iter().rev().lt(right.iter().rev())
}

// ---- §7 Proof ---------------------------------------------------------------

/// The bytes of a proof.
pub fn proof_bytes(
    params: &Params,
    statement: &Statement,
    tile: Tile,
    transcript: &Transcript,
    a: &PlainMatrix,
    bt: &PlainMatrix,
) -> Vec<u8> {
    let shape = statement.shape;
    let mut bytes = Vec::new();
    bytes.extend([shape.m, shape.n, shape.k].iter().flat_map(|value| value.to_le_bytes()));
    bytes.extend(statement.root_a.0);
    bytes.extend(statement.root_b.0);
    bytes.extend(tile.row.to_le_bytes());
    bytes.extend(tile.column.to_le_bytes());
    bytes.extend(transcript.0.iter().flat_map(|word| word.to_le_bytes()));
    for (matrix, strip) in [(a, tile.row), (bt, tile.column)] {
        let (opened, siblings) = open(params, matrix, strip);
        bytes.extend(opened);
        bytes.extend(siblings.concat());
    }
    bytes
}

// ---- The backend ------------------------------------------------------------

/// The plain reference as a backend, for tests and not for mining.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

impl Backend for Reference {
    fn name(&self) -> &'static str {
        REFERENCE
    }

    fn supports(&self, _: &Params) -> Result<(), Unsupported> {
        Ok(())
    }

    fn memory_bytes(&self, params: &Params, shape: &Shape) -> u64 {
        let [m, n, k] = [shape.m, shape.n, shape.k].map(u128::from);
        let rank = params.rank() as u128;
        // Copies, clean and noised, and the tree of each matrix.
        let matrices = (m + n) * (2 * k + k / 8);
        // The thin factors of both sides, in 32-bit numbers.
        let thin = (n + 1) * (8 * rank + 64);
        // Dense step factors of both sides, in 32-bit numbers.
        let factors = 2 * (k / rank) * rank * (4 * rank + 32);
        // The product, noised and exact: one copy grows, and one is the caller's.
        let products = 4 * m * n * 4;
        u64::try_from(matrices + thin + factors + products + (1 << 16)).unwrap_or(u64::MAX)
    }

    fn prepare(&self, operand: Operand) -> Result<Prepared, BackendError> {
        // Every backend's handle has this tree. Tests compare openings with
        // `open` above instead.
        let tree = Tree::new(operand.as_bytes());
        let matrix = PlainMatrix::of(&operand);
        Ok(Prepared::new(REFERENCE, operand, tree, matrix))
    }

    fn noise(&self, seed: &Seed, prepared: &Prepared) -> Result<Noised, BackendError> {
        let clean: &PlainMatrix = prepared.data(REFERENCE)?;
        Ok(Noised::new(prepared, seed, noised(prepared.operand().params(), seed, clean)))
    }

    fn pack(&self, prepared: &Prepared) -> Result<Plain, BackendError> {
        Ok(Plain::new(prepared, prepared.data::<PlainMatrix>(REFERENCE)?.clone()))
    }

    fn product(&self, a: &Plain, b: &Plain, memory: &mut [i32]) -> Result<(), BackendError> {
        check_memory(&shape_of(a.operand(), b.operand())?, memory)?;
        memory.copy_from_slice(&product(a.data(REFERENCE)?, b.data(REFERENCE)?));
        Ok(())
    }

    fn noised_entries(&self, noised: &Noised) -> Result<Vec<i8>, BackendError> {
        Ok(noised.data::<PlainMatrix>(REFERENCE)?.entries.clone())
    }

    fn multiply(
        &self,
        multiplication: &Multiplication<'_>,
        output: Output<'_>,
        watch: &dyn Watch,
    ) -> Result<Completion, BackendError> {
        let shape = multiplication.shape()?;
        multiplication.check_output(&shape, &output)?;
        let (a, bt): (&PlainMatrix, &PlainMatrix) =
            (multiplication.a.data(REFERENCE)?, multiplication.b.data(REFERENCE)?);
        let (rows, columns) = shape.tiles(multiplication.params());
        for row in 0..rows {
            for column in 0..columns {
                let tile = Tile { row, column };
                let transcript = transcript(multiplication.params(), a, bt, tile);
                let ticket = ticket(multiplication.a.seed(), &transcript);
                if ticket <= *multiplication.target.largest() {
                    watch.winner(Winner { tile, transcript, ticket });
                }
                if let ControlFlow::Break(()) = watch.advance(1) {
                    return Ok(Completion::Stopped);
                }
            }
        }
        match output {
            Output::Tickets => {}
            Output::Noised(memory) => memory.copy_from_slice(&product(a, bt)),
            Output::Exact(memory) => {
                let clean: &PlainMatrix = multiplication.a.prepared().data(REFERENCE)?;
                let seeds = (multiplication.b.seed(), multiplication.a.seed());
                memory.copy_from_slice(&recover(
                    multiplication.params(),
                    seeds,
                    clean,
                    bt,
                    &product(a, bt),
                ));
            }
        }
        Ok(Completion::Complete)
    }
}
