//! Exact ranks and determinants of small integer matrices, modulo a prime.

/// A matrix by rows.
pub type Dense = Vec<Vec<i32>>;

/// The three largest primes below 2^61.
pub const PRIMES: [u64; 3] = [(1 << 61) - 1, (1 << 61) - 31, (1 << 61) - 45];

/// The integers modulo a prime just below a power of two.
#[derive(Clone, Copy)]
pub struct Field {
    prime: u64,
    bits: u32,
}

impl Field {
    /// The field of `prime` elements; `prime` is below 2^61.
    pub fn new(prime: u64) -> Field {
        assert!((2..1 << 61).contains(&prime));
        Field { prime, bits: prime.next_power_of_two().ilog2() }
    }

    /// Reduces modulo the prime, by 2^bits = prime + excess ≡ excess.
    fn reduce(self, mut value: u128) -> u64 {
        let excess = u128::from((1 << self.bits) - self.prime);
        let low = (1u128 << self.bits) - 1;
        while value > low {
            value = (value >> self.bits) * excess + (value & low);
        }
        // At most one subtraction is left, because the prime is above 2^(bits −
        // 1).
        let value = value as u64;
        if value >= self.prime { value - self.prime } else { value }
    }

    /// The product of two elements.
    pub fn times(self, a: u64, b: u64) -> u64 {
        self.reduce(u128::from(a) * u128::from(b))
    }

    /// The element that `value` is congruent to.
    pub fn of(self, value: i64) -> u64 {
        value.rem_euclid(self.prime as i64) as u64
    }

    fn negative(self, a: u64) -> u64 {
        if a == 0 { 0 } else { self.prime - a }
    }

    /// `a` to the power of `exponent`.
    pub fn power(self, mut a: u64, mut exponent: u64) -> u64 {
        let mut result = 1;
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = self.times(result, a);
            }
            a = self.times(a, a);
            exponent >>= 1;
        }
        result
    }

    /// The rank modulo the prime.
    ///
    /// It is never above the rank over the rationals, because a minor that is
    /// not 0 modulo the prime is not 0.
    pub fn rank(self, matrix: &Dense) -> usize {
        self.eliminate(matrix).0
    }

    /// The determinant of a square matrix, modulo the prime.
    pub fn determinant(self, matrix: &Dense) -> u64 {
        assert!(matrix.iter().all(|row| row.len() == matrix.len()));
        self.eliminate(matrix).1
    }

    /// Gaussian elimination. It returns the rank, and the determinant if the
    /// matrix is square.
    fn eliminate(self, matrix: &Dense) -> (usize, u64) {
        let mut rows: Vec<Vec<u64>> = matrix
            .iter()
            .map(|row| row.iter().map(|&entry| self.of(entry.into())).collect())
            .collect();
        let (mut rank, mut determinant) = (0, 1);
        for column in 0..rows[0].len() {
            let Some(pivot) = (rank..rows.len()).find(|&row| rows[row][column] != 0) else {
                determinant = 0;
                continue;
            };
            if pivot != rank {
                rows.swap(pivot, rank);
                determinant = self.negative(determinant);
            }
            determinant = self.times(determinant, rows[rank][column]);
            self.clear_below(&mut rows[rank..], column);
            rank += 1;
        }
        (rank, determinant)
    }

    /// Makes `column` zero in all rows below the first.
    fn clear_below(self, rows: &mut [Vec<u64>], column: usize) {
        let (pivot, below) = rows.split_first_mut().expect("the pivot's row");
        let inverse = self.power(pivot[column], self.prime - 2);
        for row in below {
            if row[column] == 0 {
                continue;
            }
            let factor = u128::from(self.negative(self.times(row[column], inverse)));
            for (entry, &over) in row[column..].iter_mut().zip(&pivot[column..]) {
                *entry = self.reduce(u128::from(*entry) + factor * u128::from(over));
            }
        }
    }
}
