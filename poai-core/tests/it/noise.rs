//! Tests of the noise (spec §4).
//!
//! The noise fits i8, has the specified distribution, and the fast paths agree
//! with the plain reference.
//!
//! Every draw comes from fixed seeds, so every run has the same result. A
//! distribution is accepted within 5 σ of its expectation. With fresh seeds, a
//! right distribution would be refused with p = 5.7e-7 per figure. The figures
//! are printed with `--nocapture`.

use crate::chance::{assert_chance, assert_uniform, chi_square, sigmas, table_statistic};
use poai_core::digest::{Challenge, Root, Seed};
use poai_core::puzzle::noise::{RankStepFactor, RankStepNoise, RowNoise};
use poai_core::puzzle::seeds::Seeds;
use poai_core::{Params, Shape, Statement};
use poai_engine::backend::reference::{self, PlainMatrix};
use std::collections::HashSet;

const RANKS: [u16; 4] = [32, 64, 128, 256];

/// Indices of every byte length. The index is hashed as four bytes.
const INDICES: [u32; 8] = [0, 1, 2, 255, 256, 65_535, 1 << 24, u32::MAX];

fn params(rank: u16) -> Params {
    Params::new(rank, 32).expect("a permitted pair")
}

fn seed(number: u32) -> Seed {
    Seed(*blake3::hash(format!("noise test {number}").as_bytes()).as_bytes())
}

fn row(noise: &RowNoise, index: u32, rank: usize) -> Vec<i8> {
    let mut row = vec![0; rank];
    noise.row(index, &mut row);
    row
}

/// `len` entries in `low..=high`, the same in every run.
fn entries(number: u32, len: usize, low: i32, high: i32) -> Vec<i8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes.into_iter().map(|byte| (low + i32::from(byte) % (high - low + 1)) as i8).collect()
}

/// The factors of the first `steps` steps of a few seeds.
fn factors(params: &Params, seeds: u32, steps: u32) -> impl Iterator<Item = RankStepFactor> {
    (0..seeds).flat_map(move |number| {
        let noise = RankStepNoise::new(params, &seed(number));
        (0..steps).map(move |step| noise.factor(step))
    })
}

/// π of a factor. Its first entry of column c lies in row π[c].
fn permutation(params: &Params, factor: &RankStepFactor) -> Vec<usize> {
    (0..params.rank()).map(|c| factor.column(c)[0].0).collect()
}

/// The signs d1, then d2.
fn signs(params: &Params, factor: &RankStepFactor) -> Vec<i8> {
    let half = |half: usize| (0..params.rank()).map(move |c| factor.column(c)[half].1);
    half(0).chain(half(1)).collect()
}

// ---- The range --------------------------------------------------------------

/// `A' = A + E` of one step, in i32, by the definition of the columns.
fn noised_by_hand(factor: &RankStepFactor, row: &[i8], clean: &[i8]) -> Vec<i32> {
    let noise = |c: usize| -> i32 {
        factor.column(c).iter().map(|&(p, sign)| i32::from(sign) * i32::from(row[p])).sum()
    };
    clean.iter().enumerate().map(|(c, &entry)| i32::from(entry) + noise(c)).collect()
}

/// Adds the noise by the fast path and compares with the definition.
///
/// It returns the least and the greatest noised entry.
fn check_noising(factor: &RankStepFactor, row: &[i8], clean: &[i8]) -> [i32; 2] {
    let expected = noised_by_hand(factor, row, clean);
    let mut noised = clean.to_vec();
    factor.add_noise(row, &mut noised);
    assert!(noised.iter().map(|&entry| i32::from(entry)).eq(expected.iter().copied()));
    [*expected.iter().min().expect("entries"), *expected.iter().max().expect("entries")]
}

/// Four clean rows: one at each end of the range, and two mixed ones.
fn clean_rows(number: u32, rank: usize) -> [Vec<i8>; 4] {
    let alternating = (0..rank).map(|c| if c % 2 == 0 { -64 } else { 63 }).collect();
    [vec![-64; rank], vec![63; rank], alternating, entries(number, rank, -64, 63)]
}

#[test]
fn noised_entries_fit_i8() {
    for rank in RANKS {
        let params = params(rank);
        for number in 0..64 {
            let rows = RowNoise::new(&seed(number));
            let steps = RankStepNoise::new(&params, &seed(number));
            for index in 0..8 {
                let (row, factor) = (row(&rows, index, params.rank()), steps.factor(index));
                for clean in clean_rows(number, params.rank()) {
                    check_noising(&factor, &row, &clean);
                }
            }
        }
    }
}

/// A row factor at the ends of its range gives noise of −64 and 64. The noised
/// entries then use the whole of i8, and any wider noise would overflow.
#[test]
fn the_extremes_of_i8_are_reached_and_not_passed() {
    for rank in RANKS {
        let params = params(rank);
        for (number, factor) in (0..).zip(factors(&params, 8, 8)) {
            let least = vec![-32; params.rank()];
            assert_eq!(
                check_noising(&factor, &least, &clean_rows(number, params.rank())[0])[0],
                -128
            );
            assert_eq!(
                check_noising(&factor, &least, &clean_rows(number, params.rank())[1])[1],
                127
            );
            let greatest = vec![31; params.rank()];
            for clean in clean_rows(number, params.rank()) {
                check_noising(&factor, &greatest, &clean);
            }
        }
    }
}

// ---- The row factor ---------------------------------------------------------

/// Calls `each` with the rows of a few seeds.
fn for_each_row(seeds: u32, rows: u32, rank: usize, mut each: impl FnMut(&[i8])) {
    for number in 0..seeds {
        let noise = RowNoise::new(&seed(number));
        (0..rows).for_each(|index| each(&row(&noise, index, rank)));
    }
}

/// The bin of an entry. Panics if the entry is outside −32..=31.
fn bin(entry: i8) -> usize {
    let bin = usize::try_from(i32::from(entry) + 32).expect("at least -32");
    assert!(bin < 64, "{entry} is above 31");
    bin
}

#[test]
fn row_factor_entries_are_uniform() {
    for rank in RANKS.map(usize::from) {
        let mut counts = [0; 64];
        for_each_row(16, 512, rank, |row| row.iter().for_each(|&entry| counts[bin(entry)] += 1));
        assert_uniform(&format!("entries of rows of {rank}"), &counts);
    }
}

/// Every column of the factor is uniform by itself. The pooled count of many
/// columns would hide a constant column.
#[test]
fn row_factor_entries_are_uniform_in_every_column() {
    let rank = 128;
    let mut counts = vec![0; rank * 64];
    for_each_row(8, 512, rank, |row| {
        row.iter().enumerate().for_each(|(c, &entry)| counts[c * 64 + bin(entry)] += 1);
    });
    // Each column's counts add up to the number of rows, so 63 are free.
    assert_chance("entries by column", chi_square(&counts), rank * 63);
}

#[test]
fn neighbouring_row_factor_entries_are_independent() {
    let mut counts = vec![0; 64 * 64];
    for_each_row(8, 512, 128, |row| {
        row.chunks(2).for_each(|pair| counts[bin(pair[0]) * 64 + bin(pair[1])] += 1);
    });
    assert_uniform("pairs of entries", &counts);
}

// ---- The shuffle ------------------------------------------------------------

#[test]
fn the_shuffle_puts_every_element_everywhere_alike() {
    for (rank, seeds) in [(32, 40), (64, 40), (128, 8), (256, 8)] {
        let params = params(rank);
        let permutations = factors(&params, seeds, 512).map(|factor| {
            let permutation = permutation(&params, &factor);
            let elements: HashSet<_> = permutation.iter().collect();
            assert_eq!(elements.len(), params.rank(), "a permutation names each row once");
            permutation
        });
        let statistic = table_statistic(params.rank(), permutations);
        assert_chance(&format!("positions at rank {rank}"), statistic, (params.rank() - 1).pow(2));
    }
}

/// Tests ordered pairs, because a random rotation would pass the table of
/// positions.
#[test]
fn pairs_of_elements_of_the_shuffle_are_uniform() {
    let params = params(32);
    for (first, second) in [(0, 1), (0, 31), (15, 16), (30, 31)] {
        let mut counts = vec![0; 32 * 31];
        for factor in factors(&params, 40, 512) {
            let permutation = permutation(&params, &factor);
            let (p, q) = (permutation[first], permutation[second]);
            counts[p * 31 + if q < p { q } else { q - 1 }] += 1;
        }
        assert_uniform(&format!("rows of positions {first} and {second}"), &counts);
    }
}

/// The table detects the naive shuffle, which is biased and far outside of 5 σ.
///
/// The naive shuffle swaps each position with any other, instead of with an
/// earlier one.
#[test]
fn the_table_of_positions_refuses_a_naive_shuffle() {
    let naive = |number: u32| {
        let mut permutation: Vec<usize> = (0..32).collect();
        let words = entries(number, 32, 0, 31);
        (0..32).for_each(|i| permutation.swap(i, words[i] as usize));
        permutation
    };
    let sigmas = sigmas(table_statistic(32, (0..20_480).map(naive)), 31 * 31);
    println!("a naive shuffle is {sigmas:+.0} sigma away");
    assert!(sigmas > 20.0, "{sigmas}");
}

// ---- The shift --------------------------------------------------------------

/// δ of a factor, from its columns. The second entry of column c lies in row
/// π[(c + δ) mod r].
fn shift(params: &Params, factor: &RankStepFactor) -> usize {
    let (rank, permutation) = (params.rank(), permutation(params, factor));
    let target = factor.column(0)[1].0;
    let delta = permutation.iter().position(|&p| p == target).expect("a row of the factor");
    for c in 0..rank {
        assert_eq!(factor.column(c)[1].0, permutation[(c + delta) % rank], "one δ for all columns");
    }
    delta
}

#[test]
fn the_shift_is_odd_and_uniform() {
    for rank in RANKS {
        let params = params(rank);
        let mut counts = vec![0; params.rank() / 2];
        for factor in factors(&params, 8, 512) {
            let delta = shift(&params, &factor);
            assert!(delta % 2 == 1, "δ = {delta} is even: the cycle falls apart");
            counts[delta / 2] += 1;
        }
        assert_uniform(&format!("shifts at rank {rank}"), &counts);
    }
}

// ---- The signs --------------------------------------------------------------

#[test]
fn the_product_of_all_signs_is_minus_one() {
    for rank in RANKS {
        let params = params(rank);
        for factor in factors(&params, 16, 64) {
            let signs = signs(&params, &factor);
            assert!(signs.iter().all(|sign| sign.abs() == 1));
            assert_eq!(signs.iter().product::<i8>(), -1);
        }
    }
}

/// Each of the 2r signs is −1 about half of the time, including the corrected
/// last one.
///
/// Any 2r − 1 signs are independent. The 2r squared deviations, each in units
/// of its σ, therefore add up to a chi-square value of 2r degrees.
#[test]
fn every_sign_is_minus_one_half_of_the_time() {
    for rank in RANKS {
        let params = params(rank);
        let (mut sums, mut draws) = (vec![0i32; 2 * params.rank()], 0);
        for factor in factors(&params, 8, 512) {
            let signs = signs(&params, &factor);
            sums.iter_mut().zip(signs).for_each(|(sum, sign)| *sum += i32::from(sign));
            draws += 1;
        }
        let squares = |sum: &i32| f64::from(*sum).powi(2) / f64::from(draws);
        let statistic = sums.iter().map(squares).sum();
        assert_chance(&format!("signs at rank {rank}"), statistic, sums.len());
    }
}

/// Signs at every distance from each other agree half of the time.
///
/// This shows that no half repeats the other, and that no word repeats.
/// Products of different pairs are uncorrelated, so each distance adds one
/// squared deviation.
#[test]
fn signs_at_every_distance_are_independent() {
    for rank in RANKS {
        let params = params(rank);
        let len = 2 * params.rank();
        let (mut sums, mut draws) = (vec![0i32; len], 0);
        for factor in factors(&params, 4, 128) {
            let signs = signs(&params, &factor);
            for (distance, sum) in sums.iter_mut().enumerate().skip(1) {
                *sum += signs
                    .iter()
                    .zip(&signs[distance..])
                    .map(|(a, b)| i32::from(a * b))
                    .sum::<i32>();
            }
            draws += 1;
        }
        let squares = |(distance, sum): (usize, &i32)| {
            f64::from(*sum).powi(2) / (draws * (len - distance)) as f64
        };
        let statistic = sums.iter().enumerate().skip(1).map(squares).sum();
        assert_chance(&format!("pairs of signs at rank {rank}"), statistic, len - 1);
    }
}

// ---- The reference ----------------------------------------------------------

#[test]
fn rows_agree_with_the_reference() {
    for rank in RANKS {
        let params = params(rank);
        for number in 0..32 {
            let noise = RowNoise::new(&seed(number));
            for index in INDICES {
                let fast: Vec<i32> =
                    row(&noise, index, params.rank()).into_iter().map(i32::from).collect();
                assert_eq!(fast, reference::row_factor(&params, &seed(number), index));
            }
        }
    }
}

/// Compares thousands of factors, because the low bytes of the shuffle's words
/// seldom matter.
///
/// At rank 256, about one factor in 1 000 differs if the lowest byte is zero.
#[test]
fn steps_agree_with_the_reference() {
    for rank in RANKS {
        let params = params(rank);
        for number in 0..8 {
            let noise = RankStepNoise::new(&params, &seed(number));
            for step in (0..512).chain(INDICES) {
                let mut dense = reference::step_factor(&params, &seed(number), step);
                let factor = noise.factor(step);
                for (c, column) in (0..params.rank()).map(|c| (c, factor.column(c))) {
                    for (p, sign) in column {
                        dense[p][c] -= i32::from(sign);
                    }
                }
                let agree = dense.iter().flatten().all(|&entry| entry == 0);
                assert!(agree, "rank {rank}, seed {number}, step {step}");
            }
        }
    }
}

#[test]
fn noised_matrices_agree_with_the_reference() {
    for rank in RANKS {
        let params = params(rank);
        let (rows, columns) = (32, 4 * params.rank());
        let clean =
            PlainMatrix { rows, columns, entries: entries(rank.into(), rows * columns, -64, 63) };
        let expected = reference::noised(&params, &seed(0), &clean);
        let (row_noise, steps) = (RowNoise::new(&seed(0)), RankStepNoise::new(&params, &seed(0)));
        let mut fast = clean.entries.clone();
        for (index, entries) in (0..).zip(fast.chunks_mut(columns)) {
            let row = row(&row_noise, index, params.rank());
            for (step, entries) in (0..).zip(entries.chunks_mut(params.rank())) {
                steps.factor(step).add_noise(&row, entries);
            }
        }
        assert!(fast != clean.entries && fast == expected.entries, "rank {rank}");
    }
}

/// `project` adds `R_ℓ · entries` to existing sums. Its entries may be noised
/// ones, anywhere in i8.
#[test]
fn project_agrees_with_the_dense_product() {
    for rank in RANKS {
        let params = params(rank);
        for number in 0..32 {
            let dense = reference::step_factor(&params, &seed(number), number);
            let entries = match number {
                0 => vec![-128; params.rank()],
                1 => vec![127; params.rank()],
                _ => entries(number, params.rank(), -128, 127),
            };
            let start: Vec<i32> = (0..i32::from(rank)).map(|p| 1000 * p - 7).collect();
            let mut sums = start.clone();
            RankStepNoise::new(&params, &seed(number)).factor(number).project(&entries, &mut sums);
            for (p, sum) in sums.into_iter().enumerate() {
                let dot = dense[p].iter().zip(&entries).map(|(a, &b)| a * i32::from(b));
                assert_eq!(sum, start[p] + dot.sum::<i32>(), "rank {rank}, row {p}");
            }
        }
    }
}

// ---- Nothing repeats --------------------------------------------------------

/// The seeds of a few statements, some of which differ in only one number.
fn derived_seeds(params: &Params) -> Vec<Seed> {
    let shapes = [(32, 32), (64, 32), (32, 64)].map(|(m, n)| Shape { m, n, k: 1024 });
    let mut seeds = Vec::new();
    for (shape, challenge) in shapes.into_iter().flat_map(|shape| [(shape, 0), (shape, 1)]) {
        // Both operands are equal, so only the side distinguishes their noise.
        let root = Root([7; 32]);
        let statement = Statement { shape, root_a: root, root_b: root };
        let Seeds { a, b } = Seeds::derive(params, &Challenge([challenge; 32]), &statement);
        seeds.extend([a, b]);
    }
    // Side B's seed does not depend on m by design, because B is noised before
    // A exists.
    seeds.sort();
    seeds.dedup();
    assert_eq!(seeds.len(), 6 + 4);
    seeds
}

/// A row has 32 entries of 6 bits, so two rows agree by chance with p = 2^-192.
#[test]
fn every_seed_side_and_row_has_its_own_row_factor() {
    let params = params(32);
    let (mut seen, mut rows) = (HashSet::new(), 0);
    for seed in derived_seeds(&params) {
        let noise = RowNoise::new(&seed);
        for index in (0..1000).chain([65_536, 1 << 24, u32::MAX]) {
            assert!(seen.insert(row(&noise, index, 32)), "seed {seed}, row {index}");
            rows += 1;
        }
    }
    assert_eq!(seen.len(), rows);
}

/// π and the signs must not repeat, but δ has only r/2 values and does.
///
/// At the smallest rank there are 32! values of π, and 63 free bits of signs.
#[test]
fn every_seed_side_and_step_has_its_own_step_factor() {
    for rank in RANKS {
        let params = params(rank);
        let (mut permutations, mut all_signs) = (HashSet::new(), HashSet::new());
        for seed in derived_seeds(&params) {
            let noise = RankStepNoise::new(&params, &seed);
            for step in (0..512).chain([65_536, 1 << 24, u32::MAX]) {
                let factor = noise.factor(step);
                let new = permutations.insert(permutation(&params, &factor));
                assert!(new, "seed {seed}, step {step}");
                // Among 5 150 sets of 63 bits, a repetition has p = 1.4e-12.
                assert!(all_signs.insert(signs(&params, &factor)), "seed {seed}, step {step}");
            }
        }
    }
}
