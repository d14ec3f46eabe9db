//! Exact recovery on the processor: from the noise's factors to the product of
//! the clean operands, bit for bit.

use crate::puzzle::{
    DP4A, MMA, NARROW, Pair, RANK, THIN, Thin, VARIANTS, WGMMA, by_row, bytes, check_ticketed,
    dense, matrix, row_factors,
};
use poai_core::{Params, Seed};
use poai_engine::backend::reference::{self, PlainMatrix};
use poai_testing::emulated::{Arg, Kernels, ORDERS, Order, Shape, input, values};

const P: Params = Params::CONSENSUS;
const BASE: i32 = 255;

/// The side of a thin operand, as the kernel takes it.
const SIDE_A: u32 = 1;
const SIDE_B: u32 = 0;

/// Clean operands and their seeds.
struct Case {
    a: PlainMatrix,
    bt: PlainMatrix,
    seed_a: Seed,
    seed_b: Seed,
}

impl Case {
    fn new(a: PlainMatrix, bt: PlainMatrix) -> Case {
        Case { a, bt, seed_a: Seed([3; 32]), seed_b: Seed([5; 32]) }
    }

    fn random(m: usize, n: usize, k: usize) -> Case {
        let [a, bt] = [("clean a", m), ("clean b", n)].map(|(name, rows)| {
            let bytes = bytes(name, rows * k);
            matrix(rows, k, |i, j| (bytes[i * k + j] & 127) as i8 - 64)
        });
        Case::new(a, bt)
    }

    fn k(&self) -> usize {
        self.a.columns
    }

    fn noised(&self) -> Pair {
        Pair {
            a: reference::noised(&P, &self.seed_a, &self.a),
            bt: reference::noised(&P, &self.seed_b, &self.bt),
            seed_a: self.seed_a,
        }
    }
}

fn factors_on(kernels: &Kernels, seed: &Seed, k: usize) -> PlainMatrix {
    let expected = dense(&P, seed, k);
    let shape = Shape::new((k / RANK) as u32, RANK as u32);
    let words = by_row(&expected);
    let args = [input(&words), Arg::Out(RANK * k), Arg::U32(k as u32)];
    let out = kernels.run("recover_factors", shape, &args);
    let factors = PlainMatrix { rows: RANK, columns: k, entries: values(&out[0]) };
    assert!(factors == expected, "step factors of {k} columns");
    factors
}

/// A side's thin operand, and whether some third digit is not zero.
fn thin_on(kernels: &Kernels, product: &[i32], factors: &[i8], side: u32) -> (Vec<i8>, u32) {
    let rows = product.len() / RANK;
    let shape = Shape::new((rows * RANK / 4).div_ceil(256) as u32, 256);
    let args = [
        input(product),
        input(factors),
        Arg::Out(rows * THIN),
        Arg::InOut(&[0; 4]),
        Arg::U32(rows as u32),
        Arg::U32(side),
    ];
    let out = kernels.run("recover_digits", shape, &args);
    (values(&out[0]), values::<u32>(&out[1])[0])
}

/// `c − (P_A·L_Bᵀ + L_A·P_Bᵀ)` modulo 2^32.
fn corrected(c: &[i32], p_a: &[i32], l_a: &[i8], p_b: &[i32], l_b: &[i8]) -> Vec<i32> {
    let rows_b: Vec<_> = p_b.chunks(RANK).zip(l_b.chunks(RANK)).collect();
    let rows_a = p_a.chunks(RANK).zip(l_a.chunks(RANK));
    let sums = rows_a.flat_map(|(p_a, l_a)| {
        let dot = |p: &[i32], l: &[i8]| -> i64 {
            p.iter().zip(l).map(|(&p, &l)| i64::from(p) * i64::from(l)).sum()
        };
        rows_b.iter().map(move |(p_b, l_b)| dot(p_a, l_b) + dot(p_b, l_a)).collect::<Vec<_>>()
    });
    c.iter().zip(sums).map(|(&c, sum)| (i64::from(c) - sum) as i32).collect()
}

#[test]
fn step_factors_become_dense() {
    let Some(kernels) = Kernels::compile("recover.cu") else { return };
    for (seed, k) in [(1, 128), (2, 384), (3, 2176)] {
        factors_on(kernels, &Seed([seed; 32]), k);
    }
}

/// `recover_factors` takes what the noise kernel leaves.
#[test]
fn the_noise_kernels_rows_are_taken() {
    let [Some(noise), Some(kernels)] = ["noise.cu", "recover.cu"].map(Kernels::compile) else {
        return;
    };
    let (seed, steps) = (Seed([11; 32]), 3);
    let key = blake3::derive_key("poai-1 noise steps", &seed.0);
    let (words, k) = (steps * RANK, steps * RANK);
    let args = [
        Arg::In(&key),
        Arg::U32(0),
        Arg::U32(RANK as u32),
        Arg::Out(words * 4),
        Arg::Out(words * 4),
    ];
    let out = noise.run("noise_steps", Shape::new(steps as u32, 32), &args);
    let args = [Arg::In(&out[1]), Arg::Out(RANK * k), Arg::U32(k as u32)];
    let shape = Shape::new(steps as u32, RANK as u32);
    let out = kernels.run("recover_factors", shape, &args);
    assert!(values::<i8>(&out[0]) == dense(&P, &seed, k).entries);
}

/// Every edge of one, two and three digits, and all values near zero.
#[test]
fn digits_hold_thin_products() {
    let Some(kernels) = Kernels::compile("recover.cu") else { return };
    let edges = [126, 127, 128, 255, 382, 383, 32511, 32512, 1 << 14, 1 << 15, 1 << 17, 1 << 18];
    let mut entries: Vec<i32> = edges.into_iter().flat_map(|edge| [edge, -edge]).collect();
    entries.extend(-400..400);
    entries.resize(7 * RANK, 0);
    let factors: Vec<i8> = (0..entries.len()).map(|i| (i % 64) as i8 - 32).collect();
    for side in [SIDE_A, SIDE_B] {
        let (thin, wide) = thin_on(kernels, &entries, &factors, side);
        assert_eq!(wide, 1);
        for (i, (&p, &l)) in entries.iter().zip(&factors).enumerate() {
            let at = |digit: usize, second: u32| {
                let half = if second == side { RANK } else { 0 };
                i32::from(thin[i / RANK * THIN + digit * 2 * RANK + half + i % RANK])
            };
            let digits = [0, 1, 2].map(|digit| at(digit, 0));
            assert!(digits.iter().all(|digit| (-127..=127).contains(digit)));
            assert_eq!(digits.iter().fold(0, |p, digit| p * BASE + digit), p);
            assert!((0..3).all(|digit| at(digit, 1) == -i32::from(l)));
        }
    }
    // One entry sets the flag; entries that two digits hold do not.
    for (entry, expected) in [(32512, 0), (-32512, 0), (32513, 1), (-32513, 1), (1 << 15, 1)] {
        let mut entries = vec![32512; 3 * RANK];
        entries[200] = entry;
        let factors = vec![0; entries.len()];
        assert_eq!(thin_on(kernels, &entries, &factors, SIDE_B).1, expected, "{entry}");
    }
}

/// From clean operands to their product, by the kernels except for the noise:
/// thin products, digits, and both ways to remove noise.
fn recover(case: &Case, orders: &[Order]) {
    let Some(kernels) = Kernels::compile("recover.cu") else { return };
    let (m, n, k) = (case.a.rows, case.bt.rows, case.k());
    let (noised, exact) = (case.noised(), reference::product(&case.a, &case.bt));
    let [factors_a, factors_b] =
        [&case.seed_a, &case.seed_b].map(|seed| factors_on(kernels, seed, k));
    let [l_a, l_b] = [row_factors(&P, &case.seed_a, m), row_factors(&P, &case.seed_b, n)];
    for (variant, of_few_columns) in [(DP4A, DP4A), (MMA, NARROW), (WGMMA, WGMMA)] {
        let Some(products) = variant.compile() else { return };
        let thin_product = |rows: &PlainMatrix, factors: &PlainMatrix| {
            of_few_columns.plain(products, rows, factors, &orders[..1])
        };
        // A is clean, B is noised.
        let p_a = thin_product(&case.a, &factors_b);
        let p_b = thin_product(&noised.bt, &factors_a);
        let (thin_a, wide_a) = thin_on(kernels, &p_a, &l_a.entries, SIDE_A);
        let (thin_b, wide_b) = thin_on(kernels, &p_b, &l_b.entries, SIDE_B);
        assert_eq!(wide_a | wide_b, 0, "two digits are enough");
        // The third digit is zero; the kernel must handle it as well.
        for wide in [0, 1] {
            let thin = Thin { a: &thin_a, b: &thin_b, wide };
            check_ticketed(products, &variant, &noised, Some(&thin), &exact, orders);
        }

        let product = noised.product();
        let args = [
            Arg::InOut(bytemuck::cast_slice(&product)),
            input(&p_a),
            input(&l_a.entries),
            input(&p_b),
            input(&l_b.entries),
            Arg::U32(m as u32),
            Arg::U32(n as u32),
            Arg::U32(RANK as u32),
        ];
        let shape = Shape::new((m / 8 * (n / 32)) as u32, 256).block(32, 8, 1);
        let out = kernels.run("recover_apply", shape, &args);
        assert!(values::<i32>(&out[0]) == exact, "in full width");
    }
}

#[test]
fn products_are_recovered() {
    for (m, n, k) in [(32, 32, 128), (160, 96, 384), (32, 288, 256)] {
        recover(&Case::random(m, n, k), &ORDERS);
    }
}

#[test]
fn extreme_operands_are_recovered() {
    let fills: [fn(usize, usize) -> i8; 3] =
        [|_, _| -64, |_, _| 63, |i, j| if (i + j) % 2 == 0 { -64 } else { 63 }];
    for (i, fill) in fills.iter().enumerate() {
        let (a, bt) = (matrix(64, 640, fill), matrix(32, 640, fills[(i + 1) % 3]));
        recover(&Case::new(a, bt), &[Order::Random(6)]);
    }
    let (a, bt) = (matrix(32, 2176, fills[0]), matrix(32, 2176, fills[0]));
    recover(&Case::new(a, bt), &[Order::Backward]);
}

/// Thin products as large as any permitted k makes them; operands small enough
/// to test do not reach that. The intermediate sums wrap around.
#[test]
fn the_widest_thin_products_are_taken_off() {
    let Some(kernels) = Kernels::compile("recover.cu") else { return };
    for largest in [32512, 1 << 15, 1 << 18] {
        let fill = |seed: &str, rows: usize| -> Vec<i32> {
            let choose = |byte: &u8| match byte % 4 {
                0 => largest,
                1 => -largest,
                2 => largest - i32::from(*byte),
                _ => i32::from(*byte) * 77 - largest,
            };
            bytes(seed, rows * RANK).iter().map(choose).collect()
        };
        let (m, n) = (96, 64);
        let (p_a, p_b) = (fill("wide a", m), fill("wide b", n));
        let [l_a, l_b] = [m, n].map(|rows| row_factors(&P, &Seed([9; 32]), rows).entries);
        let (thin_a, wide_a) = thin_on(kernels, &p_a, &l_a, SIDE_A);
        let (thin_b, wide_b) = thin_on(kernels, &p_b, &l_b, SIDE_B);
        assert_eq!(wide_a | wide_b, u32::from(largest > 32512));
        let pair = Pair::random(m, n, 256);
        let expected = corrected(&pair.product(), &p_a, &l_a, &p_b, &l_b);
        for variant in VARIANTS {
            let Some(products) = variant.compile() else { return };
            let thin = Thin { a: &thin_a, b: &thin_b, wide: wide_a | wide_b };
            let orders = [Order::Forward, Order::Random(7)];
            check_ticketed(products, &variant, &pair, Some(&thin), &expected, &orders);
        }
    }
}
