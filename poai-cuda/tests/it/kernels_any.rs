//! Products, tickets and recovery for every permitted rank and tile.

use crate::puzzle::{Drawn, Pair, by_row, bytes, dense, matrix, room, row_factors, winners};
use poai_core::{Params, Seed, Ticket, Tile, Transcript};
use poai_engine::backend::reference::{self, PlainMatrix};
use poai_testing::emulated::{Arg, Kernels, ORDERS, Shape, input, values};

/// Clean operands, noised operands and the seeds of both sides.
struct Case {
    params: Params,
    clean: [PlainMatrix; 2],
    noised: Pair,
    seeds: [Seed; 2],
}

impl Case {
    /// A case of `tiles` tiles of rows and of columns, and `steps` rank-steps.
    fn new(params: Params, tiles: [usize; 2], steps: usize) -> Case {
        let k = steps * params.rank();
        let seeds = [Seed([1; 32]), Seed([2; 32])];
        let clean = [0, 1].map(|side| {
            let rows = tiles[side] * params.tile();
            let bytes = bytes(&format!("{params:?} {side}"), rows * k);
            matrix(rows, k, |i, j| (bytes[i * k + j] & 127) as i8 - 64)
        });
        let [a, bt] = [0, 1].map(|side| reference::noised(&params, &seeds[side], &clean[side]));
        Case { params, clean, noised: Pair { a, bt, seed_a: seeds[0] }, seeds }
    }

    fn drawn(&self) -> Vec<Drawn> {
        let (m, n, _) = self.noised.sizes();
        let tiles = |rows: usize| 0..(rows / self.params.tile()) as u32;
        let draw = |row, column| {
            let tile = Tile { row, column };
            let (a, bt) = (&self.noised.a, &self.noised.bt);
            let transcript = reference::transcript(&self.params, a, bt, tile);
            let ticket = reference::ticket(&self.noised.seed_a, &transcript).0;
            let Transcript(transcript) = transcript;
            Drawn { tile: (row, column), transcript, ticket }
        };
        tiles(m).flat_map(|row| tiles(n).map(move |column| draw(row, column))).collect()
    }
}

fn all_pairs() -> impl Iterator<Item = Params> {
    let pair = |rank| [16, 32, 48, 64].map(|tile| Params::new(rank, tile).expect("permitted"));
    [32, 64, 128, 256].into_iter().flat_map(pair)
}

#[test]
fn every_pair_draws_the_references_tickets() {
    let Some(kernels) = Kernels::compile("product_any.cu") else { return };
    let more = [([3, 2], 17), ([1, 1], 33)].map(|(tiles, steps)| (Params::CONSENSUS, tiles, steps));
    let each = all_pairs().map(|params| (params, [2, 1], 3)).chain(more);
    for (params, tiles, steps) in each {
        let case = Case::new(params, tiles, steps);
        let (m, n, k) = case.noised.sizes();
        let drawn = case.drawn();
        // The first tile's ticket is the largest winner.
        let largest = drawn[0].ticket;
        let won: Vec<_> = drawn.iter().filter(|drawn| drawn.ticket <= largest).copied().collect();
        let (draw, room) = (case.noised.draw(&Ticket(largest)), room(drawn.len()));
        let args = [
            input(&case.noised.a.entries),
            input(&case.noised.bt.entries),
            Arg::Out(m * n * 4),
            Arg::U32(m as u32),
            Arg::U32(n as u32),
            Arg::U32(k as u32),
            Arg::In(&draw),
            Arg::InOut(&room),
            Arg::Out(drawn.len() * 32),
            Arg::U32(0),
            Arg::U32(params.rank() as u32),
            Arg::U32(params.tile() as u32),
        ];
        let shape = Shape::new(drawn.len() as u32, 256);
        for order in ORDERS {
            let out = kernels.run_in("product_any", shape, &args, order).unwrap();
            assert!(values::<i32>(&out[0]) == case.noised.product(), "{params:?}");
            assert_eq!(winners(&out[1]), (won.len() as u32, won.clone()), "{params:?}");
            let tickets: Vec<u8> = drawn.iter().flat_map(|drawn| drawn.ticket).collect();
            assert_eq!(out[2], tickets, "{params:?}");
        }
    }
}

/// A product without tickets; rows and columns are multiples of 16.
fn plain(kernels: &Kernels, a: &PlainMatrix, bt: &PlainMatrix) -> Vec<i32> {
    let (m, n, k) = (a.rows, bt.rows, a.columns);
    let args = [
        input(&a.entries),
        input(&bt.entries),
        Arg::Out(m * n * 4),
        Arg::U32(m as u32),
        Arg::U32(n as u32),
        Arg::U32(k as u32),
        Arg::Null,
        Arg::Null,
        Arg::Null,
        Arg::U32(0),
        Arg::U32(32),
        Arg::U32(16),
    ];
    let shape = Shape::new((m / 16 * (n / 16)) as u32, 256);
    values(&kernels.run("product_any", shape, &args)[0])
}

#[test]
fn every_pair_is_recovered() {
    let [Some(products), Some(recover)] = ["product_any.cu", "recover.cu"].map(Kernels::compile)
    else {
        return;
    };
    for params in all_pairs() {
        let case = Case::new(params, [1, 2], 2);
        let ((m, n, k), rank) = (case.noised.sizes(), params.rank());
        let factors = case.seeds.map(|seed| {
            let words = by_row(&dense(&params, &seed, k));
            let shape = Shape::new((k / rank) as u32, rank as u32);
            let args = [input(&words), Arg::Out(rank * k), Arg::U32(k as u32)];
            let out = recover.run("recover_factors", shape, &args);
            PlainMatrix { rows: rank, columns: k, entries: values(&out[0]) }
        });
        let product_a = plain(products, &case.clean[0], &factors[1]);
        let product_b = plain(products, &case.noised.bt, &factors[0]);
        let rows = [m, n];
        let row_factors = [0, 1].map(|side| row_factors(&params, &case.seeds[side], rows[side]));
        let product = plain(products, &case.noised.a, &case.noised.bt);
        let args = [
            Arg::InOut(bytemuck::cast_slice(&product)),
            input(&product_a),
            input(&row_factors[0].entries),
            input(&product_b),
            input(&row_factors[1].entries),
            Arg::U32(m as u32),
            Arg::U32(n as u32),
            Arg::U32(rank as u32),
        ];
        let shape = Shape::new((m / 8 * n.div_ceil(32)) as u32, 256).block(32, 8, 1);
        let out = recover.run("recover_apply", shape, &args);
        let exact = reference::product(&case.clean[0], &case.clean[1]);
        assert!(values::<i32>(&out[0]) == exact, "{params:?}");
    }
}
