//! Statistical tests of random draws.

/// Pearson's statistic of counts that should all be equal.
pub fn chi_square(counts: &[u64]) -> f64 {
    let expected = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
    assert!(expected >= 5.0, "too few draws for a chi-square test");
    counts.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum()
}

/// The number of σ that a chi-square value is above its expectation.
///
/// Its cube root is nearly normal (Wilson and Hilferty).
pub fn sigmas(statistic: f64, freedom: usize) -> f64 {
    let spread = 2.0 / (9.0 * freedom as f64);
    ((statistic / freedom as f64).cbrt() - (1.0 - spread)) / spread.sqrt()
}

/// Fails if the value is 5 σ away on either side. Counts that are too even are
/// not random either.
#[track_caller]
pub fn assert_chance(what: &str, statistic: f64, freedom: usize) {
    let sigmas = sigmas(statistic, freedom);
    println!("{what}: chi-square {statistic:.1} of {freedom}, {sigmas:+.2} sigma");
    assert!(sigmas.abs() < 5.0, "{what}: {statistic:.1} of {freedom} is {sigmas:+.2} sigma");
}

#[track_caller]
pub fn assert_uniform(what: &str, counts: &[u64]) {
    assert_chance(what, chi_square(counts), counts.len() - 1);
}

/// Pearson's statistic of a table of (element, position) over permutations.
///
/// A factor makes it comparable with a chi-square value of (r − 1)² degrees.
/// Rows and columns of the table have fixed sums. The deviations of a uniform
/// permutation matrix have the variance 1/(r − 1) in each of (r − 1)²
/// directions. Independent cells would have 1/r.
pub fn table_statistic(rank: usize, permutations: impl Iterator<Item = Vec<usize>>) -> f64 {
    let mut counts = vec![0; rank * rank];
    for permutation in permutations {
        for (position, element) in permutation.into_iter().enumerate() {
            counts[element * rank + position] += 1;
        }
    }
    chi_square(&counts) * (rank - 1) as f64 / rank as f64
}

/// Compares with published quantiles of the chi-square distribution.
#[test]
fn the_yardstick_knows_quantiles() {
    for (statistic, freedom, expected) in
        [(124.342, 100, 1.645), (149.449, 100, 3.090), (59.703, 30, 3.090), (13.787, 30, -2.576)]
    {
        let sigmas = sigmas(statistic, freedom);
        assert!((sigmas - expected).abs() < 0.02, "{statistic} of {freedom}: {sigmas}");
    }
}
