//! Tests that the noise has full rank (spec §1 and §4), computed exactly.
//!
//! Determinants are proved, not estimated. Ranks are computed modulo one large
//! prime, which never gives more than the true rank. Every lower bound below
//! therefore holds over the integers. Figures are printed with `--nocapture`.

use poai_core::digest::{Challenge, Root, Seed};
use poai_core::puzzle::noise::{RankStepFactor, RankStepNoise, RowNoise};
use poai_core::puzzle::seeds::Seeds;
use poai_core::{Params, Shape, Statement};
use poai_engine::backend::reference;

use crate::modular::{Dense, Field, PRIMES};

const RANKS: [u16; 4] = [32, 64, 128, 256];

fn params(rank: u16) -> Params {
    Params::new(rank, 32).expect("a permitted pair")
}

/// The seeds of both sides, derived as by a miner, one pair per `number`.
fn seeds(params: &Params, k: u32, number: u32) -> Seeds {
    let digest = |label| {
        let name = format!("rank test {label} {number}");
        *blake3::hash(name.as_bytes()).as_bytes()
    };
    let statement = Statement {
        shape: Shape { m: 4096, n: 4096, k },
        root_a: Root(digest("a")),
        root_b: Root(digest("b")),
    };
    Seeds::derive(params, &Challenge(digest("challenge")), &statement)
}

/// A generator of numbers, the same in every run.
struct Draws(blake3::OutputReader);

impl Draws {
    fn new(label: &str) -> Draws {
        let mut hasher = blake3::Hasher::new();
        Draws(hasher.update(label.as_bytes()).finalize_xof())
    }

    fn below(&mut self, end: usize) -> usize {
        let mut word = [0; 4];
        self.0.fill(&mut word);
        ((u64::from(u32::from_le_bytes(word)) * end as u64) >> 32) as usize
    }
}

fn zeros(rows: usize, columns: usize) -> Dense {
    vec![vec![0; columns]; rows]
}

/// A matrix from its columns, each a list of (row, value).
fn from_columns(rank: usize, column: impl Fn(usize) -> [(usize, i8); 2]) -> Dense {
    let mut dense = zeros(rank, rank);
    for (c, entries) in (0..rank).map(|c| (c, column(c))) {
        for (row, value) in entries {
            dense[row][c] += i32::from(value);
        }
    }
    dense
}

fn dense(params: &Params, factor: &RankStepFactor) -> Dense {
    from_columns(params.rank(), |c| factor.column(c))
}

fn transpose(matrix: &Dense) -> Dense {
    (0..matrix[0].len()).map(|c| matrix.iter().map(|row| row[c]).collect()).collect()
}

/// `left · rightᵀ`.
fn times_transposed(left: &Dense, right: &Dense) -> Dense {
    let dot = |row: &[i32], other: &[i32]| row.iter().zip(other).map(|(a, b)| a * b).sum();
    left.iter().map(|row| right.iter().map(|other| dot(row, other)).collect()).collect()
}

/// `left + sign · right`.
fn plus(left: &Dense, sign: i32, right: &Dense) -> Dense {
    let row = |(a, b): (&Vec<i32>, &Vec<i32>)| a.iter().zip(b).map(|(a, b)| a + sign * b).collect();
    left.iter().zip(right).map(row).collect()
}

/// `R_u · R'_uᵀ` for every step.
///
/// A miner of zero operands computes `L·(Σ R_u·R'_uᵀ)·L'ᵀ`.
fn step_products(params: &Params, k: u32, number: u32) -> Vec<Dense> {
    let seeds = seeds(params, k, number);
    let (a, b) = (RankStepNoise::new(params, &seeds.a), RankStepNoise::new(params, &seeds.b));
    (0..k / params.rank() as u32)
        .map(|step| {
            let [a, b] = [&a, &b].map(|side| dense(params, &side.factor(step)));
            times_transposed(&a, &b)
        })
        .collect()
}

fn large_field() -> Field {
    Field::new(PRIMES[0])
}

// ---- The tools --------------------------------------------------------------

/// The Miller-Rabin test. These bases decide every number below 2^64.
fn is_prime(n: u64) -> bool {
    let field = Field::new(n);
    let twos = (n - 1).trailing_zeros();
    [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37].into_iter().all(|base| {
        let mut x = field.power(base, (n - 1) >> twos);
        (0..twos).any(|i| {
            let start = x;
            x = field.times(x, x);
            start == n - 1 || i == 0 && start == 1
        })
    })
}

#[test]
fn the_moduli_are_primes() {
    assert!(PRIMES.into_iter().all(is_prime));
    assert!(!is_prime((1 << 61) - 3) && !is_prime(3_215_031_751));
}

/// Checks the elimination itself against known determinants and ranks.
#[test]
fn the_elimination_knows_determinants_and_ranks() {
    // The Vandermonde matrix of 1..=6 has the determinant 1!·2!·3!·4!·5!.
    let vandermonde: Dense =
        (1..=6i32).map(|x| (0..6).map(|power| x.pow(power)).collect()).collect();
    // A cyclic shift of six is an odd permutation, so the sign changes.
    let shifted: Dense = (0..6).map(|row| vandermonde[(row + 1) % 6].clone()).collect();
    for prime in PRIMES {
        let field = Field::new(prime);
        assert_eq!(field.determinant(&vandermonde), 34_560);
        assert_eq!(field.determinant(&shifted), prime - 34_560);
    }
    let two_terms: Dense =
        (0..9).map(|i| (0..7).map(|j| (i - 4) * (j + 1) + (i % 3) * j * j).collect()).collect();
    assert_eq!(large_field().rank(&two_terms), 2);
    assert_eq!(large_field().rank(&transpose(&two_terms)), 2);
    assert_eq!(Field::new(2).rank(&vec![vec![1, 2, 3], vec![3, 5, 7], vec![4, 7, 10]]), 2);
}

// ---- One step factor --------------------------------------------------------

/// The determinant of a step factor, if it is 2 or −2.
///
/// The result is exact. Each column has the norm √2, so |det| ≤ 2^(r/2) ≤ 2^128
/// (Hadamard). If two numbers of that size agree modulo three primes above
/// 2^60, they differ by a multiple of the primes' product. The product is above
/// 2^180, so the numbers are equal.
fn determinant_of_two(factor: &Dense) -> Option<i32> {
    let norms = transpose(factor).into_iter().map(|column| column.iter().map(|x| x * x).sum());
    assert!(norms.into_iter().all(|norm: i32| norm == 2), "Hadamard's bound needs norms of √2");
    [2, -2].into_iter().find(|&value| {
        PRIMES.into_iter().all(|prime| {
            let field = Field::new(prime);
            field.determinant(factor) == field.of(value.into())
        })
    })
}

/// A few hundred step factors of a rank, as matrices.
fn sample(params: &Params) -> impl Iterator<Item = (Seed, u32, Dense)> {
    (0..12).flat_map(move |number| {
        let Seeds { a, b } = seeds(params, 4096, number);
        [a, b].into_iter().flat_map(move |seed| {
            let noise = RankStepNoise::new(params, &seed);
            (0..16).map(move |step| (seed, step, dense(params, &noise.factor(step))))
        })
    })
}

#[test]
fn every_step_factor_has_determinant_plus_or_minus_two() {
    for rank in RANKS {
        let params = params(rank);
        let mut seen = [0, 0];
        for (seed, step, factor) in sample(&params) {
            let determinant = determinant_of_two(&factor);
            assert!(determinant.is_some(), "rank {rank}, seed {seed}, step {step}");
            seen[usize::from(determinant == Some(2))] += 1;
        }
        // Each sign occurs in half of the 384 draws, within 6 σ (59).
        assert!(seen.iter().all(|&count| (133..=251).contains(&count)), "{seen:?}");
        println!("rank {rank}: {} factors of determinant -2, {} of 2", seen[0], seen[1]);
    }
}

/// Every column has an even sum, so the rows add up to zero modulo 2. No more
/// rank is lost, because the columns are the edges of one cycle through all
/// rows.
#[test]
fn every_step_factor_loses_one_rank_modulo_two() {
    for rank in RANKS {
        for (seed, step, factor) in sample(&params(rank)) {
            let modulo_two = Field::new(2).rank(&factor);
            assert_eq!(modulo_two, usize::from(rank) - 1, "seed {seed}, step {step}");
        }
    }
}

/// The rule that makes the product of signs −1 is necessary. If one sign
/// changes, the determinant is zero, and these tests would detect it.
#[test]
fn one_sign_turned_makes_a_factor_singular() {
    for rank in RANKS {
        for (seed, step, mut factor) in sample(&params(rank)).step_by(16) {
            let entry = factor[3].iter_mut().find(|entry| **entry != 0).expect("a nonzero row");
            *entry = -*entry;
            assert_eq!(determinant_of_two(&factor), None, "seed {seed}, step {step}");
            assert_eq!(large_field().rank(&factor), usize::from(rank) - 1);
        }
    }
}

#[test]
fn columns_agree_with_the_dense_reference() {
    for rank in RANKS {
        let params = params(rank);
        for (seed, step, factor) in sample(&params) {
            assert_eq!(factor, reference::step_factor(&params, &seed, step), "{seed}, step {step}");
        }
    }
}

// ---- Several steps together -------------------------------------------------

/// Checks that rank(Σ_{u≤ℓ} R_u·R'_uᵀ) = r for each ℓ.
fn check_every_partial_sum(k: u32, numbers: std::ops::Range<u32>) {
    let params = Params::CONSENSUS;
    let rank = params.rank();
    for number in numbers {
        let mut sum = zeros(rank, rank);
        for (step, product) in step_products(&params, k, number).iter().enumerate() {
            sum = plus(&sum, 1, product);
            let measured = large_field().rank(&sum);
            assert_eq!(measured, rank, "k = {k}, seed pair {number}, steps 0..={step}");
        }
    }
}

#[test]
fn every_partial_sum_of_steps_has_full_rank() {
    check_every_partial_sum(4096, 0..6);
}

#[test]
fn every_partial_sum_of_steps_has_full_rank_at_the_largest_k() {
    check_every_partial_sum(16384, 100..102);
}

/// rank(R_i·R'_iᵀ ± R_j·R'_jᵀ) ≥ r − 2, so one step of zero operands does not
/// help with another.
#[test]
fn sampled_pairs_of_steps_keep_their_rank() {
    let params = Params::CONSENSUS;
    let rank = params.rank();
    let mut draws = Draws::new("pairs of steps");
    let mut measured = Vec::new();
    for number in 0..8 {
        let products = step_products(&params, 4096, number);
        for _ in 0..40 {
            let i = draws.below(products.len());
            let j = (i + 1 + draws.below(products.len() - 1)) % products.len();
            for sign in [1, -1] {
                let pair = large_field().rank(&plus(&products[i], sign, &products[j]));
                assert!(pair >= rank - 2, "seed pair {number}, steps {i} and {j}, sign {sign}");
                measured.push(pair);
            }
        }
    }
    let least = measured.iter().min().expect("pairs");
    println!("{} sums and differences of two steps, least rank {least}", measured.len());
}

// ---- Zero operands ----------------------------------------------------------

/// The noised rows of a zero operand, at one step.
fn noised_zeros(params: &Params, seed: &Seed, step: u32, rows: u32) -> Dense {
    let (rank, noise) = (params.rank(), RowNoise::new(seed));
    let factor = RankStepNoise::new(params, seed).factor(step);
    (0..rows)
        .map(|index| {
            let (mut row, mut entries) = (vec![0; rank], vec![0; rank]);
            noise.row(index, &mut row);
            factor.add_noise(&row, &mut entries);
            entries.into_iter().map(i32::from).collect()
        })
        .collect()
}

/// Checks that a zero operand saves no work.
///
/// If m = n = 2r, the product of one step has at most the rank r. It has to
/// have exactly r.
fn check_zero_operands(rank: u16, steps: std::ops::Range<u32>) {
    let params = params(rank);
    let rows = 2 * u32::from(rank);
    let seeds = seeds(&params, 4096, 200);
    for step in steps {
        let [e, ft] = [&seeds.a, &seeds.b].map(|seed| noised_zeros(&params, seed, step, rows));
        let product = large_field().rank(&times_transposed(&e, &ft));
        assert_eq!(product, params.rank(), "rank {rank}, step {step}");
    }
}

#[test]
fn noised_zero_operands_multiply_at_full_rank() {
    check_zero_operands(32, 0..128);
    check_zero_operands(64, 0..64);
    check_zero_operands(128, 0..32);
    check_zero_operands(256, 0..4);
}

// ---- The noise that this design replaces ------------------------------------

/// Low-rank noise of other projects: one 1 and one −1 per column, in two random
/// different rows.
fn one_of_each_sign(rank: usize, draws: &mut Draws) -> Dense {
    let columns: Vec<_> = (0..rank)
        .map(|_| {
            let plus = draws.below(rank);
            [(plus, 1), ((plus + 1 + draws.below(rank - 1)) % rank, -1)]
        })
        .collect();
    from_columns(rank, |c| columns[c])
}

/// The tools that find full rank above have to find the rank loss of this
/// noise.
///
/// Such a column is an edge of a graph on the r rows, so the rank is r minus
/// the number of the graph's components. With r random edges this is about
/// 0.838 r (1 + T²/4 − T/2 with T·e^−T = 2·e^−2). The product of both sides has
/// less.
#[test]
fn one_of_each_sign_per_column_loses_rank_and_is_noticed() {
    let rank = Params::CONSENSUS.rank();
    let mut draws = Draws::new("one of each sign");
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for _ in 0..128 {
        let [a, b] = [0, 1].map(|_| one_of_each_sign(rank, &mut draws));
        alone.push(large_field().rank(&a) as f64 / rank as f64);
        together.push(large_field().rank(&times_transposed(&a, &b)) as f64 / rank as f64);
    }
    for (what, fractions) in [("a factor", alone), ("a step", together)] {
        let mean = fractions.iter().sum::<f64>() / fractions.len() as f64;
        let least = fractions.iter().copied().fold(f64::INFINITY, f64::min);
        let most = fractions.iter().copied().fold(0.0, f64::max);
        println!("{what} keeps {mean:.4} of the rank ({least:.3} to {most:.3})");
        assert!((0.75..0.9).contains(&mean), "{what}: {mean}");
        assert!(most < 0.95, "{what} of {most} comes near full rank");
    }
}
