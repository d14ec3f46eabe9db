//! Noised products, band by band: winners, and what is left of the product
//! (`kernels/product_*.cu`, `kernels/recover.cu`).

use super::operand::NoisedOnCard;
use super::{BAND_BYTES, Cuda};
use crate::card::{Argument, Launch, Memory, Rows};
use crate::error::CudaError;
use poai_core::backend::{BackendError, Completion, Job, Output, Watch, Winner};
use poai_core::difficulty::Target;
use poai_core::ticket::TicketKey;
use poai_core::{Params, Seed, Shape, Ticket, Tile, Transcript};

pub(crate) const TILE: u32 = Params::CONSENSUS.tile() as u32;
pub(crate) const RANK: u32 = Params::CONSENSUS.rank() as u32;

/// Words of a winner: two for the tile, the transcript, the ticket.
pub(crate) const WINNER_WORDS: usize = 2 + 16 + 8;
/// Winners of a band that are fetched at once. More are drawn again with more
/// room.
const ROOM: u32 = 1024;

/// Bytes of a row of a thin operand: three digits of 2r columns.
pub(crate) const THIN_BYTES: u32 = 3 * 2 * RANK;

/// What makes a product exact: both sides' thin operands, and whether their
/// third digit counts.
#[derive(Debug)]
pub(crate) struct Thin {
    pub(crate) a: Memory,
    pub(crate) b: Memory,
    pub(crate) wide: Memory,
}

/// Room for winners on the card.
struct Room {
    memory: Memory,
    capacity: u32,
}

impl Cuda {
    /// Goes through all bands.
    pub(super) fn draw(
        &self,
        job: &Job<'_>,
        output: Output<'_>,
        watch: &dyn Watch,
    ) -> Result<Completion, BackendError> {
        let shape = job.shape()?;
        let a: &NoisedOnCard = job.a.data(self.variant.name())?;
        let b: &NoisedOnCard = job.b.data(self.variant.name())?;
        let draw = self.upload(&draw(job.a.seed(), &job.target))?;
        let mut room = self.room(ROOM)?;
        let (mut product, exact) = match output {
            Output::Tickets => (None, false),
            Output::Noised(product) => (Some(product), false),
            Output::Exact(product) => (Some(product), true),
        };
        let thin = if exact { Some(self.thin(a, b, &shape)?) } else { None };
        let bytes = product.as_ref().map(|_| BAND_BYTES);
        let multiprocessors = self.card.device().multiprocessors;
        let band = self.variant.band(shape.n, multiprocessors, bytes).min(shape.m);
        let c = match &product {
            Some(_) => Some(self.card.allocate(4 * u64::from(band) * u64::from(shape.n))?),
            None => None,
        };
        for first in (0..shape.m).step_by(band as usize) {
            let rows = band.min(shape.m - first);
            let part = Band { a, b, draw: &draw, thin: thin.as_ref(), c: c.as_ref(), first, rows };
            for winner in self.band(&part, &shape, &mut room)? {
                watch.winner(winner);
            }
            if let (Some(product), Some(c)) = (&mut product, &c) {
                let start = first as usize * shape.n as usize;
                let entries = &mut product[start..][..rows as usize * shape.n as usize];
                self.card.download(c, 0, bytemuck::cast_slice_mut(entries))?;
            }
            let tiles = u64::from(rows / TILE) * u64::from(shape.n / TILE);
            if watch.advance(tiles).is_break() {
                return Ok(Completion::Stopped);
            }
        }
        Ok(Completion::Complete)
    }

    fn room(&self, capacity: u32) -> Result<Room, CudaError> {
        let bytes = 8 + 4 * WINNER_WORDS as u64 * u64::from(capacity);
        Ok(Room { memory: self.card.allocate(bytes)?, capacity })
    }

    /// One band's winners; `c` has its product afterwards.
    fn band(
        &self,
        part: &Band<'_>,
        shape: &Shape,
        room: &mut Room,
    ) -> Result<Vec<Winner>, CudaError> {
        loop {
            let head = [0, room.capacity];
            self.card.upload(bytemuck::cast_slice(&head), &room.memory, 0)?;
            self.launch_band(part, shape, room)?;
            let mut count = [0; 4];
            self.card.download(&room.memory, 0, &mut count)?;
            let count = u32::from_le_bytes(count);
            if count > room.capacity {
                // The same again: the card forgot those that had no room.
                *room = self.room(count)?;
                continue;
            }
            let mut words = vec![0u32; WINNER_WORDS * count as usize];
            if count > 0 {
                self.card.download(&room.memory, 8, bytemuck::cast_slice_mut(&mut words))?;
            }
            return Ok(words.as_chunks::<WINNER_WORDS>().0.iter().map(winner).collect());
        }
    }

    fn launch_band(&self, part: &Band<'_>, shape: &Shape, room: &Room) -> Result<(), CudaError> {
        let multiprocessors = self.card.device().multiprocessors;
        let left = |memory, columns| {
            let rows = Rows { memory, first: part.first, rows: part.rows, columns };
            Cuda::rows(self.variant, rows)
        };
        let right = |memory, columns| {
            Cuda::rows(self.variant, Rows { memory, first: 0, rows: shape.n, columns })
        };
        let c = part.c.map_or(Argument::Null, Argument::Memory);
        let mut arguments = vec![
            left(&part.a.matrix, shape.k),
            right(&part.b.matrix, shape.k),
            c,
            Argument::U32(part.rows),
            Argument::U32(shape.n),
            Argument::U32(shape.k),
            Argument::Memory(part.draw),
            Argument::Memory(&room.memory),
            // No ticket is kept beside the winners'.
            Argument::Null,
            Argument::U32(part.first / TILE),
        ];
        let launch = match part.thin {
            Some(thin) => {
                let (a, b) = (left(&thin.a, THIN_BYTES), right(&thin.b, THIN_BYTES));
                arguments.extend([a, b, Argument::Memory(&thin.wide)]);
                self.variant.exact([part.rows, shape.n], multiprocessors)
            }
            None => self.variant.ticket([part.rows, shape.n], multiprocessors),
        };
        // SAFETY: product_…(a, bt, c, m, n, k, draw, winners, tickets,
        // first_row, thin_a, thin_b, wide): rows `first` and on of a and
        // thin_a, all of bt and thin_b, m·n entries of c, room as it says. A
        // variant with maps was opened by `forced`, which looked for them.
        unsafe { self.card.launch(&launch, &arguments) }
    }

    /// The thin operands: A·F_L and B'ᵀ·E_Rᵀ in digits, beside row factors.
    pub(crate) fn thin(
        &self,
        a: &NoisedOnCard,
        b: &NoisedOnCard,
        shape: &Shape,
    ) -> Result<Thin, CudaError> {
        let &Shape { m, n, k } = shape;
        let wide = self.card.allocate(4)?;
        self.card.clear(&wide)?;
        let (of_a, of_b) = (self.step_factors(&a.by_row, k)?, self.step_factors(&b.by_row, k)?);
        let thin_a = self.digits((&a.clean.matrix, &of_b), &a.factors, [m, k], true, &wide)?;
        let thin_b = self.digits((&b.matrix, &of_a), &b.factors, [n, k], false, &wide)?;
        Ok(Thin { a: thin_a, b: thin_b, wide })
    }

    /// A side's step factors as a dense matrix of r rows.
    fn step_factors(&self, by_row: &Memory, k: u32) -> Result<Memory, CudaError> {
        let factors = self.card.allocate(u64::from(RANK) * u64::from(k))?;
        let launch = Launch {
            file: "recover",
            kernel: "recover_factors",
            grid: [k / RANK, 1, 1],
            block: RANK,
            shared: 0,
        };
        let arguments = [Argument::Memory(by_row), Argument::Memory(&factors), Argument::U32(k)];
        // SAFETY: recover_factors(by_row, factors, k): k words and r·k bytes.
        unsafe { self.card.launch(&launch, &arguments)? };
        Ok(factors)
    }

    /// The thin operand of a side of `rows`: the digits of its product with the
    /// other's step factors, and its own row factors.
    fn digits(
        &self,
        (matrix, steps): (&Memory, &Memory),
        factors: &Memory,
        [rows, k]: [u32; 2],
        product_first: bool,
        wide: &Memory,
    ) -> Result<Memory, CudaError> {
        let product = self.card.allocate(4 * u64::from(rows) * u64::from(RANK))?;
        self.plain(matrix, 0, steps, &product, [rows, RANK, k])?;
        let thin = self.card.allocate(u64::from(rows) * u64::from(THIN_BYTES))?;
        let launch = Launch {
            file: "recover",
            kernel: "recover_digits",
            // Exact: 32 threads a row, at most 2^29 blocks.
            grid: [(u64::from(rows) * 32).div_ceil(256) as u32, 1, 1],
            block: 256,
            shared: 0,
        };
        let arguments = [
            Argument::Memory(&product),
            Argument::Memory(factors),
            Argument::Memory(&thin),
            Argument::Memory(wide),
            Argument::U32(rows),
            Argument::U32(product_first.into()),
        ];
        // SAFETY: recover_digits(product, row_factors, thin, wide, rows,
        // product_first): rows of r i32, r bytes and 6r bytes, one word.
        unsafe { self.card.launch(&launch, &arguments)? };
        Ok(thin)
    }
}

/// One band of a product.
struct Band<'a> {
    a: &'a NoisedOnCard,
    b: &'a NoisedOnCard,
    draw: &'a Memory,
    thin: Option<&'a Thin>,
    c: Option<&'a Memory>,
    /// Its first row, a multiple of the tile.
    first: u32,
    rows: u32,
}

/// The key that tickets are drawn with, and the largest winning one from its
/// highest word down.
pub(crate) fn draw(seed_a: &Seed, target: &Target) -> Vec<u8> {
    let mut bytes = TicketKey::new(seed_a).as_bytes().to_vec();
    for word in target.largest().0.as_chunks::<4>().0 {
        bytes.extend(word.iter().rev());
    }
    bytes
}

pub(crate) fn winner(words: &[u32; WINNER_WORDS]) -> Winner {
    let (mut transcript, mut ticket) = ([0; 16], [0; 32]);
    transcript.copy_from_slice(&words[2..18]);
    for (to, word) in ticket.as_chunks_mut::<4>().0.iter_mut().zip(&words[18..]) {
        *to = word.to_le_bytes();
    }
    let tile = Tile { row: words[0], column: words[1] };
    Winner { tile, transcript: Transcript(transcript), ticket: Ticket(ticket) }
}
