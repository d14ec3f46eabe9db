//! Checks of a GPU's results: samples are computed again on the CPU.

use poai_benches::Failure;
use poai_benches::workload::P;
use poai_core::puzzle::seeds::Seeds;
use poai_core::puzzle::ticket::TicketKey;
use poai_core::{Shape, Ticket, Tile, recompute};
use poai_cuda::measure::{Measure, OnGpu};
use poai_engine::Operand;

/// Sampled entries of a product that are computed again.
pub const ENTRIES: u64 = 256;
/// Sampled tiles whose tickets are drawn again.
pub const TILES: u64 = 16;

/// Pseudo-random numbers derived from a name.
pub struct Numbers(blake3::OutputReader);

impl Numbers {
    /// The numbers of this name.
    pub fn new(name: &str) -> Numbers {
        Numbers(blake3::Hasher::new().update(name.as_bytes()).finalize_xof())
    }

    /// A number in 0..end with almost equal probabilities; 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % end.max(1)
    }

    /// A number in 0..end.
    pub fn below_u32(&mut self, end: u32) -> u32 {
        // Exact: below a u32.
        self.below(end.into()) as u32
    }
}

/// Row `row` of an operand.
fn row(operand: &Operand, row: u32) -> &[i8] {
    let k = operand.k() as usize;
    &operand.as_slice()[row as usize * k..][..k]
}

/// The rows of one tile on one side.
pub fn strip(operand: &Operand, index: u32) -> &[u8] {
    let bytes = P.tile() * operand.k() as usize;
    &operand.as_bytes()[index as usize * bytes..][..bytes]
}

/// Compares sampled entries of A·B and its four corners with the CPU's.
///
/// # Errors
/// The first wrong entry, or the driver's error.
pub fn product(measure: &Measure, a: &Operand, bt: &Operand, c: &OnGpu) -> Result<(), Failure> {
    let (m, n) = (a.rows(), bt.rows());
    let mut numbers = Numbers::new("entries of a product");
    let corners = [(0, 0), (0, n - 1), (m - 1, 0), (m - 1, n - 1)];
    let drawn: Vec<_> =
        (0..ENTRIES).map(|_| (numbers.below_u32(m), numbers.below_u32(n))).collect();
    for (i, j) in corners.into_iter().chain(drawn) {
        let mut bytes = [0; 4];
        measure.download(c, 4 * (u64::from(i) * u64::from(n) + u64::from(j)), &mut bytes)?;
        let pairs = row(a, i).iter().zip(row(bt, j));
        let expected: i32 = pairs.map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
        let got = i32::from_le_bytes(bytes);
        if got != expected {
            return Err(format!(
                "wrong product: row {i}, column {j}: expected {expected}, got {got}"
            )
            .into());
        }
    }
    Ok(())
}

/// The ticket of one tile, drawn by the CPU from clean operands.
///
/// # Errors
/// Fails only for tiles outside the product.
pub fn ticket(seeds: &Seeds, a: &Operand, bt: &Operand, tile: Tile) -> Result<Ticket, Failure> {
    let strips = (strip(a, tile.row), strip(bt, tile.column));
    let transcript = recompute::transcript(&P, seeds, tile, a.k(), strips.0, strips.1)?;
    Ok(TicketKey::new(&seeds.a).ticket(&transcript))
}

/// Compares sampled tickets of all tiles, row by row, with the CPU's.
///
/// # Errors
/// The first wrong ticket.
pub fn tickets(
    seeds: &Seeds,
    a: &Operand,
    bt: &Operand,
    tickets: &[Ticket],
) -> Result<(), Failure> {
    let shape = Shape { m: a.rows(), n: bt.rows(), k: a.k() };
    let (rows, columns) = shape.tiles(&P);
    if tickets.len() as u64 != u64::from(rows) * u64::from(columns) {
        return Err(format!(
            "expected tickets of {rows}×{columns} tiles, got {} tickets",
            tickets.len()
        )
        .into());
    }
    let mut numbers = Numbers::new("tiles of a product");
    for _ in 0..TILES {
        let tile = Tile { row: numbers.below_u32(rows), column: numbers.below_u32(columns) };
        let got = tickets[tile.row as usize * columns as usize + tile.column as usize];
        let expected = ticket(seeds, a, bt, tile)?;
        if got != expected {
            return Err(format!("wrong ticket of {tile:?}: expected {expected}, got {got}").into());
        }
    }
    Ok(())
}
