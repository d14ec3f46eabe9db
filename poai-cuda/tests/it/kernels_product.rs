//! The product kernels on the processor, compared bit for bit with the
//! reference.

use crate::puzzle::{
    Drawn, NARROW, Pair, RANK, TILE, VARIANTS, Variant, check_ticketed, matrix, room, ticketed,
    winners,
};
use poai_core::difficulty::Difficulty;
use poai_core::{Params, Ticket};
use poai_engine::backend::reference;
use poai_testing::emulated::{Arg, Kernels, ORDERS, Order};

/// Runs `check` with every variant that compiles here.
fn each(check: impl Fn(&Variant, &Kernels)) {
    for variant in &VARIANTS {
        let Some(kernels) = variant.compile() else { return };
        check(variant, kernels);
    }
}

/// Sizes around a tile, a block of each variant and a step, in every order of
/// threads.
#[test]
fn products_tickets_and_winners_are_the_references() {
    let sizes = [(32, 32, 128), (64, 96, 256), (160, 288, 384), (288, 288, 128), (32, 544, 256)];
    each(|variant, kernels| {
        for (m, n, k) in sizes {
            let pair = Pair::random(m, n, k);
            check_ticketed(kernels, variant, &pair, None, &pair.product(), &ORDERS);
        }
    });
}

/// With 17 and 33 steps, words of the transcript are folded into again.
#[test]
fn transcripts_wrap_around() {
    each(|variant, kernels| {
        for steps in [16, 17, 33] {
            let pair = Pair::random(64, 96, steps * RANK);
            let orders = [Order::Forward, Order::Random(4)];
            check_ticketed(kernels, variant, &pair, None, &pair.product(), &orders);
        }
    });
}

#[test]
fn extreme_operands_do_not_overflow() {
    let fills: [fn(usize, usize) -> i8; 4] = [
        |_, _| i8::MIN,
        |_, _| i8::MAX,
        |i, j| if (i + j) % 2 == 0 { i8::MIN } else { i8::MAX },
        |_, _| 0,
    ];
    each(|variant, kernels| {
        for (i, fill_a) in fills.iter().enumerate() {
            let (a, bt) = (matrix(96, 256, fill_a), matrix(64, 256, fills[(i + 1) % 4]));
            let pair = Pair { a, bt, seed_a: Pair::random(32, 32, 128).seed_a };
            check_ticketed(kernels, variant, &pair, None, &pair.product(), &[Order::Backward]);
        }
        let (a, bt) = (matrix(32, 2176, fills[0]), matrix(32, 2176, fills[0]));
        let pair = Pair { a, bt, seed_a: Pair::random(32, 32, 128).seed_a };
        assert_eq!(pair.product()[0], 2176 << 14);
        check_ticketed(kernels, variant, &pair, None, &pair.product(), &[Order::Forward]);
    });
}

/// Rows of tiles in parts: parts of A', C' and the tickets, while winners keep
/// their place in the whole product.
#[test]
fn rows_of_tiles_can_be_split() {
    each(|variant, kernels| {
        let whole = Pair::random(224, 96, 256);
        let drawn = whole.drawn();
        let mut won = Vec::new();
        for tiles in [0..1, 1..6, 6..7] {
            let rows = tiles.start * TILE..tiles.end * TILE;
            let a = matrix(rows.len(), 256, |i, j| whole.a.entries[(rows.start + i) * 256 + j]);
            let part = Pair { a, bt: whole.bt.clone(), seed_a: whole.seed_a };
            let limits = (Ticket([255; 32]), 15, tiles.start as u32);
            let left = ticketed(kernels, variant, &part, None, limits, Order::Random(5)).unwrap();
            assert!(left.c == part.product());
            won.extend(left.winners.1);
        }
        assert_eq!(won, drawn);
    });
}

/// The least ticket wins if the target equals it and loses if the target is
/// lower, at any byte. Difficulties select the winners of spec §6.
#[test]
fn targets_are_exact() {
    each(|variant, kernels| {
        let pair = Pair::random(160, 96, 128);
        let drawn = pair.drawn();
        let win = |largest: Ticket| {
            let limits = (largest, drawn.len(), 0);
            let left = ticketed(kernels, variant, &pair, None, limits, Order::Forward).unwrap();
            left.winners.1
        };
        let up_to = |largest: &Ticket| -> Vec<Drawn> {
            drawn.iter().filter(|drawn| drawn.ticket <= largest.0).copied().collect()
        };
        for byte in [0, 1, 3, 4, 15, 30, 31] {
            // The ticket of some tile, and its neighbours in one byte.
            let ticket = drawn[byte % drawn.len()].ticket;
            for change in [0, 1, 255] {
                let mut largest = Ticket(ticket);
                largest.0[byte] = largest.0[byte].wrapping_add(change);
                assert_eq!(win(largest), up_to(&largest), "{} byte {byte}", variant.name);
            }
        }
        for difficulty in [1, 1 << 17, 3 << 17, 1 << 20, u128::MAX] {
            let target = Difficulty::new(difficulty).unwrap().target(&Params::CONSENSUS, 128);
            let wins = |drawn: &&Drawn| {
                reference::wins(&Params::CONSENSUS, 128, difficulty, &Ticket(drawn.ticket))
            };
            let expected: Vec<_> = drawn.iter().filter(wins).copied().collect();
            assert_eq!(win(*target.largest()), expected, "difficulty {difficulty}");
        }
        assert_eq!(win(Ticket([0; 32])), []);
    });
}

/// With more winners than room, all are counted, the stored ones are right, and
/// nothing is written after them (the harness checks).
#[test]
fn winners_beyond_the_room_are_counted() {
    each(|variant, kernels| {
        let pair = Pair::random(160, 96, 128);
        let drawn = pair.drawn();
        for capacity in [0, 1, 4, 15, 16] {
            for order in ORDERS {
                let limits = (Ticket([255; 32]), capacity, 0);
                let left = ticketed(kernels, variant, &pair, None, limits, order).unwrap();
                let (count, mut kept) = left.winners;
                assert_eq!((count, kept.len()), (15, capacity.min(15)));
                kept.dedup();
                assert_eq!(kept.len(), capacity.min(15), "every winner once");
                assert!(kept.iter().all(|winner| drawn.contains(winner)));
            }
        }
    });
}

/// The caller may omit the product and the tickets.
#[test]
fn outputs_can_be_left_out() {
    each(|variant, kernels| {
        let pair = Pair::random(96, 64, 256);
        let (draw, room) = (pair.draw(&Ticket([255; 32])), room(6));
        let [a, bt] = [&pair.a, &pair.bt].map(|side| variant.operand(&side.entries, 256));
        let args = [
            variant.handed(&a),
            variant.handed(&bt),
            Arg::Null,
            Arg::U32(96),
            Arg::U32(64),
            Arg::U32(256),
            Arg::In(&draw),
            Arg::InOut(&room),
            Arg::Null,
            Arg::U32(0),
        ];
        let name = format!("{}_ticket", variant.name);
        let out = kernels.run_in(&name, variant.shape(96, 64), &args, Order::Forward).unwrap();
        assert_eq!(winners(&out[0]), (6, pair.drawn()));
    });
}

/// Products without transcripts, and products of few columns.
#[test]
fn plain_products_are_the_references() {
    for variant in VARIANTS.iter().chain([&NARROW]) {
        let Some(kernels) = variant.compile() else { return };
        for (m, n, k) in [(32, 32, 128), (96, 160, 384), (288, 128, 256), (32, 288, 1152)] {
            let pair = Pair::random(m, n, k);
            let product = variant.plain(kernels, &pair.a, &pair.bt, &ORDERS);
            assert!(product == pair.product(), "{} {m}×{n}×{k}", variant.name);
        }
    }
}
