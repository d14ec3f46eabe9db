//! Noised products, band by band: the winners, and the product if it is wanted
//! (`kernels/product_*.cu`, `kernels/recover.cu`). The host reads a band while
//! the GPU computes the next.

use super::operand::NoisedOnGpu;
use super::{BAND_BYTES, Cuda};
use crate::error::CudaError;
use crate::gpu::{Argument, Fetch, Launch, Memory, OpenGpu, Rows};
use poai_core::difficulty::Target;
use poai_core::puzzle::ticket::TicketKey;
use poai_core::{Params, Seed, Shape, Ticket, Tile, Transcript};
use poai_engine::backend::{BackendError, Completion, Output, Watch, Winner};

pub(crate) const TILE: u32 = Params::CONSENSUS.tile() as u32;
pub(crate) const RANK: u32 = Params::CONSENSUS.rank() as u32;

/// Words of a winner: two for the tile, 16 for the transcript, 8 for the
/// ticket.
pub(crate) const WINNER_WORDS: usize = 2 + 16 + 8;
/// Winners of a band that are fetched at once. A band with more winners is
/// computed again with more room.
const ROOM: u32 = 1024;

/// Bytes of a row of a thin operand: three digits of 2r columns, r being the
/// rank.
pub(crate) const THIN_BYTES: u32 = 3 * 2 * RANK;

/// A noised product on one GPU: the whole product, or this GPU's rows of it.
pub(crate) struct Work<'a> {
    pub(crate) a: &'a NoisedOnGpu,
    pub(crate) b: &'a NoisedOnGpu,
    /// The shape of what is multiplied here.
    pub(crate) shape: Shape,
    /// The first row's number in the whole product, a multiple of the tile.
    pub(crate) first: u32,
    /// The seed of side A, which keys the tickets.
    pub(crate) seed: &'a Seed,
    pub(crate) target: Target,
}

/// The data that makes a product exact: both sides' thin operands, and a flag
/// that says whether their third digit counts.
#[derive(Debug)]
pub(crate) struct Thin {
    pub(crate) a: Memory,
    pub(crate) b: Memory,
    pub(crate) wide: Memory,
}

/// Room for winners on the GPU.
struct Room {
    memory: Memory,
    capacity: u32,
}

impl Room {
    /// Bytes of the two counts (winners found, and room) and of the winners.
    const fn bytes(capacity: u32) -> u64 {
        8 + 4 * WINNER_WORDS as u64 * capacity as u64
    }
}

/// What the GPU writes of a band. Two lanes alternate, so that the host reads
/// one while the GPU writes the other.
struct Lane {
    room: Room,
    c: Option<Memory>,
}

/// A band that was launched and whose results were requested.
struct Drawn<'a> {
    first: u32,
    rows: u32,
    lane: usize,
    winners: Fetch<'a>,
    product: Option<Fetch<'a>>,
}

/// The destination of a product.
pub(crate) enum Place<'a> {
    /// The host, if the product is wanted at all.
    Host(Output<'a>),
    /// Memory of m·n entries on the GPU, for the exact product.
    Gpu(&'a Memory),
}

impl Cuda {
    /// Computes all bands, reports their winners and stores the product.
    pub(crate) fn draw(
        &self,
        work: &Work<'_>,
        place: Place<'_>,
        watch: &dyn Watch,
    ) -> Result<Completion, BackendError> {
        let shape = &work.shape;
        let draw = self.upload(&draw(work.seed, &work.target))?;
        let (mut product, kept, exact) = match place {
            Place::Host(Output::Tickets) => (None, None, false),
            Place::Host(Output::Noised(product)) => (Some(product), None, false),
            Place::Host(Output::Exact(product)) => (Some(product), None, true),
            Place::Gpu(kept) => (None, Some(kept), true),
        };
        let entries = u64::from(shape.m) * u64::from(shape.n);
        if kept.is_some_and(|kept| kept.bytes() < 4 * entries) {
            return Err(CudaError::Bounds.into());
        }
        let thin = if exact { Some(self.thin(work.a, work.b, shape)?) } else { None };
        let bytes = product.as_ref().map(|_| BAND_BYTES);
        let multiprocessors = self.gpu.info().multiprocessors;
        let band = self.variant.band(shape.n, multiprocessors, bytes).min(shape.m);
        let mut lanes = self.lanes(shape, band, product.is_some())?;
        let sides = Sides { work, draw: &draw, thin: thin.as_ref(), kept };

        let mut before: Option<Drawn<'_>> = None;
        let starts = (0..shape.m).step_by(band as usize);
        // One more turn at the end, to read the last band.
        for (turn, first) in starts.map(Some).chain([None]).enumerate() {
            let lane = turn % lanes.len();
            let rows = first.map_or(0, |first| band.min(shape.m - first));
            if let Some(first) = first {
                self.launch_band(&sides, first, rows, &lanes[lane])?;
            }
            if let Some(drawn) = before.take() {
                let tiles = u64::from(drawn.rows / TILE) * u64::from(shape.n / TILE);
                let lane = &mut lanes[drawn.lane];
                self.read_band(drawn, &sides, lane, product.as_deref_mut(), watch)?;
                if watch.advance(tiles).is_break() {
                    return Ok(Completion::Stopped);
                }
            }
            if let Some(first) = first {
                before = Some(self.fetch_band(first, rows, shape, lane, &lanes[lane])?);
            }
        }
        Ok(Completion::Complete)
    }

    /// Two lanes, or one if there is only one band.
    fn lanes(&self, shape: &Shape, band: u32, product: bool) -> Result<Vec<Lane>, CudaError> {
        let tiles = u64::from(band / TILE) * u64::from(shape.n / TILE);
        // A band has at most as many winners as tiles.
        let capacity = ROOM.min(u32::try_from(tiles).unwrap_or(ROOM));
        let entries = u64::from(band) * u64::from(shape.n);
        let lane = |_| {
            let c = match product {
                true => Some(self.gpu.allocate(4 * entries)?),
                false => None,
            };
            Ok(Lane { room: self.room(capacity)?, c })
        };
        (0..if band < shape.m { 2 } else { 1 }).map(lane).collect()
    }

    fn room(&self, capacity: u32) -> Result<Room, CudaError> {
        let memory = self.gpu.allocate(Room::bytes(capacity))?;
        // All of it is fetched, including parts that the kernel did not write.
        self.gpu.clear(&memory)?;
        self.gpu.upload(&capacity.to_le_bytes(), &memory, 4)?;
        Ok(Room { memory, capacity })
    }

    /// Requests the results of a band.
    fn fetch_band(
        &self,
        first: u32,
        rows: u32,
        shape: &Shape,
        lane: usize,
        Lane { room, c }: &Lane,
    ) -> Result<Drawn<'_>, CudaError> {
        let bytes = 4 * u64::from(rows) * u64::from(shape.n);
        // Requested first: the wait for the winners then covers a small
        // product.
        let product = match c {
            Some(c) => Some(self.gpu.fetch(c, 0, bytes)?),
            None => None,
        };
        let winners = self.gpu.fetch(&room.memory, 0, Room::bytes(room.capacity))?;
        Ok(Drawn { first, rows, lane, winners, product })
    }

    /// Reports a band's winners and copies its product to its place.
    fn read_band(
        &self,
        drawn: Drawn<'_>,
        sides: &Sides<'_>,
        lane: &mut Lane,
        product: Option<&mut [i32]>,
        watch: &dyn Watch,
    ) -> Result<(), CudaError> {
        let Drawn { first, rows, mut winners, product: entries, .. } = drawn;
        let n = sides.work.shape.n as usize;
        let place =
            product.and_then(|all| all.get_mut(first as usize * n..(first + rows) as usize * n));
        let mut product = entries.zip(place);
        loop {
            let mut bytes = vec![0; Room::bytes(lane.room.capacity) as usize];
            winners.finish(&mut bytes)?;
            let words: Vec<u32> =
                bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
            let count = words.first().copied().unwrap_or(0);
            if count <= lane.room.capacity {
                let found = words.get(2..).unwrap_or(&[]).as_chunks::<WINNER_WORDS>().0;
                found.iter().take(count as usize).for_each(|words| watch.winner(winner(words)));
                break;
            }
            // Copied now, because computing the band again overwrites it.
            if let Some((entries, place)) = product.take() {
                entries.finish(bytemuck::cast_slice_mut(place))?;
            }
            // Compute the band again, queued after the band in progress: the
            // GPU kept only the winners that had room.
            lane.room = self.room(count)?;
            self.launch_band(sides, first, rows, lane)?;
            let size = Room::bytes(lane.room.capacity);
            winners = self.gpu.fetch(&lane.room.memory, 0, size)?;
        }
        // Read after the winners, whose wait covers a small product.
        if let Some((entries, place)) = product {
            entries.finish(bytemuck::cast_slice_mut(place))?;
        }
        Ok(())
    }

    /// Launches `rows` rows of the work from `first` on, a multiple of the
    /// tile.
    fn launch_band(
        &self,
        sides: &Sides<'_>,
        first: u32,
        rows: u32,
        Lane { room, c }: &Lane,
    ) -> Result<(), CudaError> {
        let &Work { a, b, ref shape, first: before, .. } = sides.work;
        self.gpu.clear_part(&room.memory, 0, 4)?;
        let multiprocessors = self.gpu.info().multiprocessors;
        let left =
            |memory, columns| Cuda::rows(self.variant, Rows { memory, first, rows, columns });
        let right = |memory, columns| {
            Cuda::rows(self.variant, Rows { memory, first: 0, rows: shape.n, columns })
        };
        let entries = u64::from(first) * u64::from(shape.n);
        let c = match (c, sides.kept) {
            (Some(c), _) => Argument::Memory(c),
            (None, Some(kept)) => Argument::At(kept, 4 * entries),
            (None, None) => Argument::Null,
        };
        let mut arguments = vec![
            left(&a.matrix, shape.k),
            right(&b.matrix, shape.k),
            c,
            Argument::U32(rows),
            Argument::U32(shape.n),
            Argument::U32(shape.k),
            Argument::Memory(sides.draw),
            Argument::Memory(&room.memory),
            // The kernel stores no tickets but the winners'.
            Argument::Null,
            Argument::U32((before + first) / TILE),
        ];
        let launch = match sides.thin {
            Some(thin) => {
                let (a, b) = (left(&thin.a, THIN_BYTES), right(&thin.b, THIN_BYTES));
                arguments.extend([a, b, Argument::Memory(&thin.wide)]);
                self.variant.exact([rows, shape.n], multiprocessors)
            }
            None => self.variant.ticket([rows, shape.n], multiprocessors),
        };
        // SAFETY: product_…(a, bt, c, m, n, k, draw, winners, tickets,
        // first_row, thin_a, thin_b, wide): rows `first` and on of a and
        // thin_a, all of bt and thin_b, m·n entries of c, room for as many
        // winners as the memory says. `forced` opened a variant with maps only
        // after it found the driver's function for them.
        unsafe { self.gpu.launch(&launch, &arguments) }
    }

    /// The thin operands: A·F_L and B'ᵀ·E_Rᵀ in digits, beside row factors. B's
    /// runs beside A's, because neither fills the GPU at its end.
    pub(crate) fn thin(
        &self,
        a: &NoisedOnGpu,
        b: &NoisedOnGpu,
        &Shape { m, n, k }: &Shape,
    ) -> Result<Thin, CudaError> {
        let wide = self.gpu.allocate(4)?;
        self.gpu.clear(&wide)?;
        let (of_a, of_b) = (self.step_factors(&a.by_row, k)?, self.step_factors(&b.by_row, k)?);
        let side_b = Digits {
            matrix: &b.matrix,
            steps: &of_a,
            factors: &b.factors,
            sizes: [n, RANK, k],
            product_first: false,
        };
        let side_a = Digits {
            matrix: &a.clean.matrix,
            steps: &of_b,
            factors: &a.factors,
            sizes: [m, RANK, k],
            product_first: true,
        };
        let ([product_a, thin_a], [product_b, thin_b]) =
            (self.thin_memory(m)?, self.thin_memory(n)?);
        self.digits(&side_b, &product_b, &thin_b, &wide, OpenGpu::launch_beside)?;
        self.digits(&side_a, &product_a, &thin_a, &wide, OpenGpu::launch)?;
        Ok(Thin { a: thin_a, b: thin_b, wide })
    }

    /// Memory for a side's thin product and its thin operand.
    fn thin_memory(&self, rows: u32) -> Result<[Memory; 2], CudaError> {
        let bytes = |columns: u32| u64::from(rows) * u64::from(columns);
        Ok([self.gpu.allocate(bytes(4 * RANK))?, self.gpu.allocate(bytes(THIN_BYTES))?])
    }

    /// A side's step factors, as a dense matrix of r rows.
    fn step_factors(&self, by_row: &Memory, k: u32) -> Result<Memory, CudaError> {
        let factors = self.gpu.allocate(u64::from(RANK) * u64::from(k))?;
        let launch = Launch {
            file: "recover",
            kernel: "recover_factors",
            grid: [k / RANK, 1, 1],
            block: RANK,
            shared: 0,
        };
        let arguments = [Argument::Memory(by_row), Argument::Memory(&factors), Argument::U32(k)];
        // SAFETY: recover_factors(by_row, factors, k): k words and r·k bytes.
        unsafe { self.gpu.launch(&launch, &arguments)? };
        Ok(factors)
    }

    /// Makes the thin operand of a side: the digits of its product with the
    /// other side's step factors, and its own row factors.
    fn digits(
        &self,
        side: &Digits<'_>,
        product: &Memory,
        thin: &Memory,
        wide: &Memory,
        ask: Ask,
    ) -> Result<(), CudaError> {
        let &Digits { matrix, steps, factors, sizes, product_first } = side;
        let (plain, arguments) = self.plain_launch(matrix, 0, steps, product, sizes);
        // SAFETY: as in `Cuda::plain`: `product` has r i32 for each row.
        unsafe { ask(&self.gpu, &plain, &arguments)? };
        let [rows, ..] = sizes;
        let launch = Launch {
            file: "recover",
            kernel: "recover_digits",
            // Exact: 32 threads a row, at most 2^29 blocks.
            grid: [(u64::from(rows) * 32).div_ceil(256) as u32, 1, 1],
            block: 256,
            shared: 0,
        };
        let arguments = [
            Argument::Memory(product),
            Argument::Memory(factors),
            Argument::Memory(thin),
            Argument::Memory(wide),
            Argument::U32(rows),
            Argument::U32(product_first.into()),
        ];
        // SAFETY: recover_digits(product, row_factors, thin, wide, rows,
        // product_first): rows of r i32, r bytes and 6r bytes, one word.
        unsafe { ask(&self.gpu, &launch, &arguments) }
    }
}

/// The method that queues a launch: [`OpenGpu::launch`] or
/// [`OpenGpu::launch_beside`].
type Ask = unsafe fn(&OpenGpu, &Launch, &[Argument<'_>]) -> Result<(), CudaError>;

/// The inputs of one side's thin operand.
struct Digits<'a> {
    matrix: &'a Memory,
    /// The other side's step factors.
    steps: &'a Memory,
    /// This side's row factors.
    factors: &'a Memory,
    /// The rows, the rank and k.
    sizes: [u32; 3],
    product_first: bool,
}

/// The inputs that all bands of a product share.
struct Sides<'a> {
    work: &'a Work<'a>,
    draw: &'a Memory,
    thin: Option<&'a Thin>,
    /// Memory on the GPU that receives the whole product.
    kept: Option<&'a Memory>,
}

/// The key of the tickets, and the largest winning ticket from its highest word
/// down.
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
