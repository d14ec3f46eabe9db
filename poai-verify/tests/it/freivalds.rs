//! True products pass and false ones do not.
//!
//! The tests cover what decides each bit of the arithmetic: extreme operands,
//! wrapped entries, odd shapes.

use poai_core::Shape;
use poai_core::puzzle::statement::Dimension;
use poai_engine::operand::pseudorandom;
use poai_verify::freivalds::{
    FreivaldsError, ProductMatrix, Seed32, check_product, error_bits, vector,
};
use proptest::prelude::*;

const SEED: Seed32 = Seed32([7; 32]);

/// A product with its true C.
#[derive(Clone, Debug)]
struct Product {
    shape: Shape,
    a: Vec<i8>,
    bt: Vec<i8>,
    c: Vec<i32>,
}

impl Product {
    fn new(m: u32, n: u32, k: u32, a: Vec<i8>, bt: Vec<i8>) -> Product {
        let dot = |a: &[i8], b: &[i8]| -> i32 {
            let sum: i64 = a.iter().zip(b).map(|(&a, &b)| i64::from(a) * i64::from(b)).sum();
            i32::try_from(sum).expect("k is below 2^17")
        };
        let columns = || bt.chunks(k as usize);
        let c = a.chunks(k as usize).flat_map(|a| columns().map(move |b| dot(a, b))).collect();
        Product { shape: Shape { m, n, k }, a, bt, c }
    }

    /// Entries over the whole of i8.
    fn random(m: u32, n: u32, k: u32) -> Product {
        let bytes = |rows: u32, side: &[u8]| {
            let mut bytes = vec![0; rows as usize * k as usize];
            blake3::Hasher::new().update(side).finalize_xof().fill(&mut bytes);
            bytes.into_iter().map(|byte| byte as i8).collect()
        };
        Product::new(m, n, k, bytes(m, b"A"), bytes(n, b"B"))
    }

    /// A product in which all entries of a side are equal.
    fn constant(m: u32, n: u32, k: u32, a: i8, b: i8) -> Product {
        let side = |rows: u32, entry| vec![entry; rows as usize * k as usize];
        Product::new(m, n, k, side(m, a), side(n, b))
    }

    fn check(&self, seed: &Seed32, rounds: u32) -> Result<(), FreivaldsError> {
        check_product(self.shape, &self.a, &self.bt, &self.c, seed, rounds)
    }

    /// Changes an entry, and returns the result that the check must give.
    fn add(&mut self, row: u32, column: u32, difference: i32) -> Result<(), FreivaldsError> {
        let entry = &mut self.c[(row * self.shape.n + column) as usize];
        *entry = entry.wrapping_add(difference);
        Err(FreivaldsError::Wrong { row })
    }
}

#[test]
fn true_products_pass() {
    for m in [1, 2, 5, 33] {
        for n in [1, 3, 4, 7, 67, 300] {
            for k in [1, 2, 7, 8, 255, 256, 257, 1000] {
                let product = Product::random(m, n, k);
                for rounds in [1, 3, 4, 9] {
                    assert_eq!(product.check(&SEED, rounds), Ok(()), "{m} {n} {k} {rounds}");
                }
            }
        }
    }
}

#[test]
fn puzzle_operands_pass() {
    let side = |rows, seed: &[u8]| pseudorandom(seed, rows, 384).into_raw_vec_and_offset().0;
    let product = Product::new(96, 160, 384, side(96, b"A"), side(160, b"B"));
    assert_eq!(product.check(&SEED, 4), Ok(()));
}

/// The largest possible sums, at the largest k, with every limb and bias at its
/// limit.
#[test]
fn extreme_operands_at_the_largest_k() {
    let k = (1 << 17) - 1;
    for a in [-128, -64, -1, 63, 127] {
        for b in [-128, -64, 63, 127] {
            let mut product = Product::constant(2, 5, k, a, b);
            assert_eq!(product.check(&SEED, 5), Ok(()), "{a} {b}");
            let wrong = product.add(1, 4, i32::MIN);
            assert_eq!(product.check(&SEED, 1), wrong, "{a} {b}");
        }
    }
}

/// The largest possible difference between an i32 and an entry of a product.
#[test]
fn the_largest_difference() {
    let mut product = Product::constant(1, 3, (1 << 17) - 1, -128, -128);
    for claimed in [i32::MIN, i32::MAX, 0] {
        product.c[1] = claimed;
        assert_eq!(product.check(&SEED, 1), Err(FreivaldsError::Wrong { row: 0 }), "{claimed}");
    }
}

#[test]
fn every_entry_counts() {
    let honest = Product::random(5, 9, 11);
    for row in 0..5 {
        for column in 0..9 {
            for bit in 0..32 {
                let mut product = honest.clone();
                let wrong = product.add(row, column, 1 << bit);
                assert_eq!(product.check(&SEED, 1), wrong, "{row} {column} {bit}");
            }
        }
    }
}

/// Changes that keep the sum of a row, of a column, or of everything.
#[test]
fn cancelling_changes() {
    for difference in [1, -1, 1 << 16, 1 << 30, i32::MIN, i32::MAX] {
        let honest = Product::random(6, 10, 17);
        for (row, column, other_row, other) in [(2, 3, 2, 8), (2, 3, 4, 3), (1, 0, 5, 9)] {
            let mut product = honest.clone();
            let wrong = product.add(row, column, difference);
            let _ = product.add(other_row, other, difference.wrapping_neg());
            assert_eq!(product.check(&SEED, 1), wrong, "{difference}");
        }
        // Exchanged entries, exchanged rows, and the product of other operands.
        let mut product = honest.clone();
        product.c.swap(10, 11);
        assert_eq!(product.check(&SEED, 1), Err(FreivaldsError::Wrong { row: 1 }));
        let mut product = honest.clone();
        product.a[17 * 3] ^= 1;
        assert_eq!(product.check(&SEED, 1), Err(FreivaldsError::Wrong { row: 3 }));
        let mut product = honest;
        product.bt[5] ^= 1;
        assert_eq!(product.check(&SEED, 1), Err(FreivaldsError::Wrong { row: 0 }));
    }
}

/// A party that knows the seed makes a false product that passes. Another round
/// or another seed detects it.
#[test]
fn a_known_seed_lets_a_false_product_pass() {
    let mut product = Product::random(4, 600, 8);
    let x = vector(&SEED, 0, 600);
    // Two entries of x that fit i32. Each is the difference for the other's
    // column, and with these operands the sums do not wrap.
    let fits = |column: u32| Some((column, i32::try_from(x[column as usize]).ok()?));
    let small: Vec<(u32, i32)> = (0..600).filter_map(fits).take(2).collect();
    let _ = product.add(2, small[0].0, small[1].1);
    let wrong = product.add(2, small[1].0, -small[0].1);
    assert_eq!(product.check(&SEED, 1), Ok(()));
    assert_eq!(product.check(&SEED, 2), wrong);
    assert_eq!(product.check(&Seed32([8; 32]), 1), wrong);
}

/// The check reports the first wrong row, on any number of threads.
#[test]
fn the_first_wrong_row() {
    let mut product = Product::random(400, 300, 20);
    let _ = product.add(399, 0, 1);
    let _ = product.add(211, 299, -1);
    assert_eq!(product.check(&SEED, 4), Err(FreivaldsError::Wrong { row: 211 }));
}

#[test]
fn shapes_that_do_not_fit() {
    let product = Product::random(2, 3, 4);
    let Product { shape, a, bt, c } = &product;
    let check = |shape, a: &[i8], bt: &[i8], c: &[i32]| check_product(shape, a, bt, c, &SEED, 1);
    assert_eq!(product.check(&SEED, 0), Err(FreivaldsError::NoRounds));
    for (dimension, empty) in [
        (Dimension::M, Shape { m: 0, ..*shape }),
        (Dimension::N, Shape { n: 0, ..*shape }),
        (Dimension::K, Shape { k: 0, ..*shape }),
    ] {
        assert_eq!(check(empty, &[], &[], &[]), Err(FreivaldsError::Empty { dimension }));
    }
    for value in [1 << 17, u32::MAX] {
        let deep = Shape { k: value, ..*shape };
        assert_eq!(check(deep, a, bt, c), Err(FreivaldsError::Deep { value }));
    }
    let length = |matrix, expected, got| Err(FreivaldsError::Length { matrix, expected, got });
    assert_eq!(check(*shape, &a[1..], bt, c), length(ProductMatrix::A, 8, 7));
    assert_eq!(check(*shape, a, &[&bt[..], &[0]].concat(), c), length(ProductMatrix::Bt, 12, 13));
    assert_eq!(check(*shape, a, bt, &[]), length(ProductMatrix::C, 6, 0));
    for (matrix, name) in
        [(ProductMatrix::A, "A"), (ProductMatrix::Bt, "Bᵀ"), (ProductMatrix::C, "C")]
    {
        let error = FreivaldsError::Length { matrix, expected: 8, got: 7 };
        let text = format!("expected 8 entries of {name}, got 7");
        assert_eq!(error.to_string(), text);
    }
    // Nothing is allocated for entries that do not exist.
    let (m, n) = (u32::MAX, u32::MAX);
    let vast = u64::from(u32::MAX) * 4;
    assert_eq!(check(Shape { m, ..*shape }, a, bt, c), length(ProductMatrix::A, vast, 8));
    assert_eq!(check(Shape { n, ..*shape }, a, bt, c), length(ProductMatrix::Bt, vast, 12));
}

#[test]
fn bits_of_the_bound() {
    assert_eq!([0, 1, 4].map(error_bits), [0, 32, 128]);
    assert_eq!(error_bits(u32::MAX), u32::MAX);
}

/// Known random vectors, so that implementations agree.
#[test]
fn known_vectors() {
    let seed = Seed32(std::array::from_fn(|index| index as u8));
    assert_eq!(vector(&seed, 0, 4), KNOWN[0]);
    assert_eq!(vector(&seed, 1, 4), KNOWN[1]);
    assert_eq!(vector(&seed, u32::MAX, 4), KNOWN[2]);
    // A shorter vector is a prefix of a longer one.
    let long = vector(&seed, 0, 1000);
    assert_eq!(long.len(), 1000);
    assert_eq!(long[999], KNOWN_LAST);
    for n in [0, 1, 255, 256, 257] {
        assert_eq!(vector(&seed, 0, n), long[..n]);
    }
}

/// Computed with another implementation of BLAKE3's key derivation.
const KNOWN: [[u32; 4]; 3] = [
    [0xa8c5_cfce, 0x02a6_0735, 0x61fa_d752, 0x5945_00e6],
    [0x703a_582e, 0xc0f6_3d84, 0x4a06_8919, 0xdb9e_0fde],
    [0x5edb_d867, 0x9123_e89f, 0xbffa_03d5, 0x359d_0eb7],
];
const KNOWN_LAST: u32 = 0x96c6_6138;

#[test]
fn debug_shows_nothing_of_the_seed() {
    assert_eq!(format!("{SEED:?}"), "Seed32(..)");
}

fn products() -> impl Strategy<Value = Product> {
    let entries = |length: u32| proptest::collection::vec(any::<i8>(), length as usize);
    (1..=9u32, 1..=41u32, 1..=300u32)
        .prop_flat_map(move |(m, n, k)| (Just((m, n, k)), entries(m * k), entries(n * k)))
        .prop_map(|((m, n, k), a, bt)| Product::new(m, n, k, a, bt))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_true_product_passes(product in products(), seed: [u8; 32], rounds in 1..10u32) {
        prop_assert_eq!(product.check(&Seed32(seed), rounds), Ok(()));
    }

    #[test]
    fn any_changed_entry_is_found(
        product in products(),
        seed: [u8; 32],
        row: prop::sample::Index,
        column: prop::sample::Index,
        difference in prop_oneof![Just(1), Just(-1), Just(i32::MIN), any::<i32>()],
    ) {
        prop_assume!(difference != 0);
        let mut product = product;
        let (row, column) =
            (row.index(product.shape.m as usize), column.index(product.shape.n as usize));
        let wrong = product.add(row as u32, column as u32, difference);
        prop_assert_eq!(product.check(&Seed32(seed), 1), wrong);
    }
}
