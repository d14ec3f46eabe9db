//! Products of noised operands: the inputs of the kernels, and the results of
//! poai-core's reference.
use poai_core::{Params, Seed, Ticket, Tile, Transcript};
use poai_engine::backend::reference::{self, PlainMatrix};
use poai_testing::emulated::{Arg, Failure, Kernels, Order, Shape, input, values};

pub const TILE: usize = 32;
pub const RANK: usize = 128;
/// Columns of a thin operand: three digits of [P | −L] or [−L | P].
pub const THIN: usize = 3 * 2 * RANK;

/// A product kernel, as the host launches it.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    pub file: &'static str,
    pub name: &'static str,
    /// Rows and columns of a block.
    pub block: (usize, usize),
    pub threads: u32,
    pub shared: u32,
    /// Whether operands are tensor maps and each block computes several blocks
    /// of sums.
    pub maps: bool,
}

pub const DP4A: Variant = Variant {
    file: "product_dp4a.cu",
    name: "product_dp4a",
    block: (128, 128),
    threads: 256,
    shared: 2 * 2 * 8 * 132 * 4,
    maps: false,
};

pub const MMA: Variant = Variant {
    file: "product_mma.cu",
    name: "product_mma",
    block: (128, 256),
    threads: 256,
    shared: 4 * (128 + 256) * 64,
    maps: false,
};

/// A block of the shim is a cluster of two (shim/hopper.hpp). Each block has
/// two stages, the parts of transcripts, barriers, and padding to a kibibyte.
pub const WGMMA: Variant = Variant {
    file: "product_wgmma.cu",
    name: "product_wgmma",
    block: (256, 256),
    threads: 768,
    shared: 2 * (2 * (128 + 256) * 128 + 4096 + 1024),
    maps: true,
};

/// All variants, and the kernel for few columns.
pub const VARIANTS: [Variant; 3] = [DP4A, MMA, WGMMA];
pub const NARROW: Variant = Variant {
    name: "product_mma_narrow",
    block: (64, 128),
    threads: 128,
    shared: 4 * (64 + 128) * 64,
    ..MMA
};

impl Variant {
    pub fn compile(&self) -> Option<&'static Kernels> {
        Kernels::compile(self.file)
    }

    pub fn shape(&self, m: usize, n: usize) -> Shape {
        let mut blocks = m.div_ceil(self.block.0) * n.div_ceil(self.block.1);
        if self.maps {
            // Each of the launch's blocks computes two of the product's, except
            // perhaps the last.
            blocks = blocks.div_ceil(2);
        }
        Shape::new(blocks as u32, self.threads).shared(self.shared)
    }

    /// The bytes of an operand, in the form that the kernel takes.
    pub fn operand(&self, entries: &[i8], columns: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.maps {
            bytes.extend((columns as u64).to_le_bytes());
            bytes.extend((entries.len() as u64 / columns as u64).to_le_bytes());
            bytes.extend([0; 8]);
        }
        bytes.extend(entries.iter().map(|&entry| entry as u8));
        bytes
    }

    /// The argument that passes an operand.
    pub fn handed<'a>(&self, operand: &'a [u8]) -> Arg<'a> {
        if self.maps { Arg::Map(operand) } else { Arg::In(operand) }
    }

    /// A plain product, in every order of threads.
    pub fn plain(
        &self,
        kernels: &Kernels,
        a: &PlainMatrix,
        bt: &PlainMatrix,
        orders: &[Order],
    ) -> Vec<i32> {
        let (m, n, k) = (a.rows, bt.rows, a.columns);
        let [a, bt] = [a, bt].map(|side| self.operand(&side.entries, k));
        let args = [
            self.handed(&a),
            self.handed(&bt),
            Arg::Out(m * n * 4),
            Arg::U32(m as u32),
            Arg::U32(n as u32),
            Arg::U32(k as u32),
        ];
        let name =
            if self.name.ends_with("narrow") { self.name } else { &format!("{}_plain", self.name) };
        let run = |&order: &Order| {
            let out = kernels.run_in(name, self.shape(m, n), &args, order);
            out.unwrap_or_else(|failure| panic!("{name} of {m}×{n}×{k}: {failure}")).remove(0)
        };
        let mut products: Vec<_> = orders.iter().map(run).collect();
        products.dedup();
        assert_eq!(products.len(), 1, "{name} of {m}×{n}×{k}: orders differ");
        values(&products[0])
    }
}

/// A pair of noised operands, and the seed that keys their tickets.
pub struct Pair {
    pub a: PlainMatrix,
    pub bt: PlainMatrix,
    pub seed_a: Seed,
}

/// A tile as the reference computes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drawn {
    pub tile: (u32, u32),
    pub transcript: [u32; 16],
    pub ticket: [u8; 32],
}

/// Bytes without a pattern.
pub fn bytes(seed: &str, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

pub fn matrix(rows: usize, columns: usize, fill: impl Fn(usize, usize) -> i8) -> PlainMatrix {
    let entries = (0..rows * columns).map(|i| fill(i / columns, i % columns)).collect();
    PlainMatrix { rows, columns, entries }
}

/// The step factors of a side, side by side: r rows and k columns.
pub fn dense(params: &Params, seed: &Seed, k: usize) -> PlainMatrix {
    let r = params.rank();
    let steps: Vec<_> =
        (0..k / r).map(|l| reference::step_factor(params, seed, l as u32)).collect();
    matrix(r, k, |p, c| steps[c / r][p][c % r] as i8)
}

/// The step factors as the noise kernel leaves them: a word for each row of
/// each step.
pub fn by_row(dense: &PlainMatrix) -> Vec<u32> {
    let rank = dense.rows;
    let mut words = Vec::new();
    for step in 0..dense.columns / rank {
        for p in 0..rank {
            let row = &dense.entries[p * dense.columns + step * rank..][..rank];
            let entries: Vec<u32> = (0..rank)
                .filter(|&c| row[c] != 0)
                .map(|c| c as u32 | if row[c] < 0 { 256 } else { 0 })
                .collect();
            let [first, second] = entries[..] else { panic!("two entries a row") };
            words.push(first | second << 16);
        }
    }
    words
}

/// The row factors of a side.
pub fn row_factors(params: &Params, seed: &Seed, rows: usize) -> PlainMatrix {
    let factors: Vec<_> =
        (0..rows).map(|i| reference::row_factor(params, seed, i as u32)).collect();
    matrix(rows, params.rank(), |i, p| factors[i][p] as i8)
}

impl Pair {
    /// A pair with all i8 values, without a pattern.
    pub fn random(m: usize, n: usize, k: usize) -> Pair {
        let [a, bt] = [("a", m), ("b", n)].map(|(side, rows)| {
            let bytes = bytes(&format!("{side} {m} {n} {k}"), rows * k);
            matrix(rows, k, |i, j| bytes[i * k + j] as i8)
        });
        Pair { a, bt, seed_a: Seed([m as u8; 32]) }
    }

    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.a.rows, self.bt.rows, self.a.columns)
    }

    /// `A'·B'`.
    pub fn product(&self) -> Vec<i32> {
        reference::product(&self.a, &self.bt)
    }

    /// All tiles, by row, then by column.
    pub fn drawn(&self) -> Vec<Drawn> {
        let mut drawn = Vec::new();
        for row in 0..(self.a.rows / TILE) as u32 {
            for column in 0..(self.bt.rows / TILE) as u32 {
                let tile = Tile { row, column };
                let transcript = reference::transcript(&Params::CONSENSUS, &self.a, &self.bt, tile);
                let ticket = reference::ticket(&self.seed_a, &transcript);
                let Transcript(transcript) = transcript;
                drawn.push(Drawn { tile: (row, column), transcript, ticket: ticket.0 });
            }
        }
        drawn
    }

    /// The bytes that tickets are drawn with: the key, and the largest winning
    /// ticket from its highest word down.
    pub fn draw(&self, largest: &Ticket) -> Vec<u8> {
        let mut draw = blake3::derive_key("poai-1 ticket", &self.seed_a.0).to_vec();
        for word in largest.0.chunks_exact(4) {
            draw.extend(word.iter().rev());
        }
        draw
    }
}

/// Room for `capacity` winners.
pub fn room(capacity: usize) -> Vec<u8> {
    let mut room = vec![0; 8 + 104 * capacity];
    room[4..8].copy_from_slice(&(capacity as u32).to_le_bytes());
    room
}

/// The count of winners, and the stored winners, by tile.
pub fn winners(room: &[u8]) -> (u32, Vec<Drawn>) {
    let words: Vec<u32> = values(room);
    let kept = words[0].min(words[1]) as usize;
    let mut winners: Vec<_> = words[2..].chunks_exact(26).take(kept).map(drawn).collect();
    winners.sort();
    (words[0], winners)
}

fn drawn(words: &[u32]) -> Drawn {
    Drawn {
        tile: (words[0], words[1]),
        transcript: words[2..18].try_into().unwrap(),
        ticket: bytemuck::cast_slice(&words[18..26]).try_into().unwrap(),
    }
}

/// The results of a launch with tickets.
pub struct Left {
    pub c: Vec<i32>,
    pub tickets: Vec<[u8; 32]>,
    pub winners: (u32, Vec<Drawn>),
}

/// The thin operands of an exact product.
pub struct Thin<'a> {
    pub a: &'a [i8],
    pub b: &'a [i8],
    pub wide: u32,
}

/// Launches `variant` with tickets, in one order of threads, over all rows of
/// the pair's A'. These begin at row of tiles `first_row` of a larger product.
pub fn ticketed(
    kernels: &Kernels,
    variant: &Variant,
    pair: &Pair,
    thin: Option<&Thin>,
    (largest, capacity, first_row): (Ticket, usize, u32),
    order: Order,
) -> Result<Left, Failure> {
    let (m, n, k) = pair.sizes();
    let (draw, room) = (pair.draw(&largest), room(capacity));
    let [a, bt] = [&pair.a, &pair.bt].map(|side| variant.operand(&side.entries, k));
    let thin = thin.map(|thin| {
        let [a, b] = [thin.a, thin.b].map(|side| variant.operand(side, THIN));
        (a, b, [thin.wide])
    });
    let mut args = vec![
        variant.handed(&a),
        variant.handed(&bt),
        Arg::Out(m * n * 4),
        Arg::U32(m as u32),
        Arg::U32(n as u32),
        Arg::U32(k as u32),
        Arg::In(&draw),
        Arg::InOut(&room),
        Arg::Out(m / TILE * (n / TILE) * 32),
        Arg::U32(first_row),
    ];
    let kind = match &thin {
        Some((a, b, wide)) => {
            args.extend([variant.handed(a), variant.handed(b), input(wide)]);
            "exact"
        }
        None => "ticket",
    };
    let name = format!("{}_{kind}", variant.name);
    let out = kernels.run_in(&name, variant.shape(m, n), &args, order)?;
    Ok(Left {
        c: values(&out[0]),
        winners: winners(&out[1]),
        tickets: out[2].chunks_exact(32).map(|ticket| ticket.try_into().unwrap()).collect(),
    })
}

/// Launches with tickets in every order; all orders must give the expected
/// result.
pub fn check_ticketed(
    kernels: &Kernels,
    variant: &Variant,
    pair: &Pair,
    thin: Option<&Thin>,
    expected: &[i32],
    orders: &[Order],
) {
    let (m, n, k) = pair.sizes();
    let context = format!("{} of {m}×{n}×{k}", variant.name);
    let drawn = pair.drawn();
    let mut tickets: Vec<_> = drawn.iter().map(|drawn| drawn.ticket).collect();
    tickets.sort();
    let largest = tickets[tickets.len() / 2];
    let won: Vec<_> = drawn.iter().filter(|drawn| drawn.ticket <= largest).copied().collect();
    for &order in orders {
        let limits = (Ticket(largest), drawn.len(), 0);
        let left = ticketed(kernels, variant, pair, thin, limits, order)
            .unwrap_or_else(|failure| panic!("{context}: {failure}"));
        let wrong = left.c.iter().zip(expected).position(|(got, expected)| got != expected);
        if let Some(at) = wrong {
            let (row, column) = (at / n, at % n);
            panic!("{context}, {order:?}: {} at ({row}, {column})", left.c[at]);
        }
        assert!(left.tickets.iter().eq(drawn.iter().map(|drawn| &drawn.ticket)), "{context}");
        assert_eq!(left.winners, (won.len() as u32, won.clone()), "{context}, {order:?}");
    }
}
