//! Systems of rank-1 constraints, and the digest that names one.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInteger, FftField, PrimeField};
use rayon::prelude::*;
use std::borrow::Cow;
use std::fmt;

/// One linear combination: coefficients and the variables that they multiply.
pub type Row = Vec<(Fr, usize)>;

/// Number of rows that one thread encodes at a time for the digest, and number
/// of such blocks that are in memory at once.
const DIGEST_BLOCK: (usize, usize) = (1 << 12, 16);

/// Rank-1 constraints over an assignment z.
///
/// Constraint i states that ⟨a_i, z⟩ · ⟨b_i, z⟩ = ⟨c_i, z⟩. The assignment z
/// holds the constant one, then the signals, which the verifier sees, then the
/// witnesses, which it does not see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matrices {
    /// The left factors, one row for each constraint.
    pub a: Vec<Row>,
    /// The right factors.
    pub b: Vec<Row>,
    /// The products.
    pub c: Vec<Row>,
    /// Number of public signals, without the constant one.
    pub signals: usize,
    /// Number of variables: the one, the signals and the witnesses.
    pub variables: usize,
}

/// Why matrices are not a system that can have a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MatricesError {
    /// The three matrices differ in their number of rows.
    #[error("expected as many rows in B and C as in A, got {a}, {b} and {c}")]
    Rows {
        /// Rows of A.
        a: usize,
        /// Rows of B.
        b: usize,
        /// Rows of C.
        c: usize,
    },
    /// There are fewer variables than the one and the signals need.
    #[error(
        "expected more variables than signals, got {signals} signals and {variables} variables"
    )]
    Signals {
        /// Number of signals, without the one.
        signals: usize,
        /// Number of all variables.
        variables: usize,
    },
    /// A row names a variable that does not exist.
    #[error("expected a variable below {variables} in row {row} of {matrix}, got {variable}")]
    Variable {
        /// `A`, `B` or `C`.
        matrix: char,
        /// Index of the row.
        row: usize,
        /// The variable that the row names.
        variable: usize,
        /// Number of variables.
        variables: usize,
    },
    /// No constraint uses this signal, so its value would state nothing.
    #[error("expected every signal in a constraint, got signal {signal} in none")]
    UnusedSignal {
        /// Index of the signal, counted from 0 without the one.
        signal: usize,
    },
    /// The field has no domain for this number of constraints and signals.
    #[error("expected at most 2^{log_max} constraints and signals, got {rows} and {signals}")]
    TooLarge {
        /// Number of constraints.
        rows: usize,
        /// Number of signals, without the one.
        signals: usize,
        /// Logarithm to base 2 of the largest domain.
        log_max: u32,
    },
}

impl Matrices {
    /// The three matrices with their names.
    pub(crate) fn named(&self) -> [(char, &[Row]); 3] {
        [('A', &self.a), ('B', &self.b), ('C', &self.c)]
    }

    /// Number of constraints.
    pub fn rows(&self) -> usize {
        self.a.len()
    }

    /// Number of variables that the verifier does not see.
    pub fn witnesses(&self) -> usize {
        self.variables.saturating_sub(self.signals).saturating_sub(1)
    }

    /// Checks the shape: all matrices have the same number of rows, and every
    /// variable is in range.
    ///
    /// # Errors
    /// [`MatricesError`] states what is wrong.
    pub fn check(&self) -> Result<(), MatricesError> {
        let (a, b, c) = (self.a.len(), self.b.len(), self.c.len());
        if a != b || a != c {
            return Err(MatricesError::Rows { a, b, c });
        }
        let (signals, variables) = (self.signals, self.variables);
        if signals >= variables {
            return Err(MatricesError::Signals { signals, variables });
        }
        for (matrix, rows) in self.named() {
            for (row, terms) in rows.iter().enumerate() {
                if let Some(&(_, variable)) = terms.iter().find(|(_, at)| *at >= variables) {
                    return Err(MatricesError::Variable { matrix, row, variable, variables });
                }
            }
        }
        self.domain().map(|_| ())
    }

    /// Number of points of a key's evaluation domain.
    ///
    /// It is the least power of two that holds every constraint, the one and
    /// the signals.
    ///
    /// # Errors
    /// [`MatricesError::TooLarge`] if the field has no such domain.
    pub fn domain(&self) -> Result<usize, MatricesError> {
        let (rows, signals) = (self.rows(), self.signals);
        // The odd coset needs a root of unity of twice the order.
        let log_max = Fr::TWO_ADICITY - 1;
        let points = rows.checked_add(signals).and_then(|sum| sum.checked_add(1));
        points
            .and_then(usize::checked_next_power_of_two)
            .filter(|points| *points <= 1 << log_max)
            .ok_or(MatricesError::TooLarge { rows, signals, log_max })
    }

    /// Checks that every signal has a nonzero coefficient in some row.
    ///
    /// # Errors
    /// [`MatricesError::UnusedSignal`] names the first signal that has no such
    /// coefficient.
    pub fn check_signals(&self) -> Result<(), MatricesError> {
        let mut used = vec![false; self.signals];
        for row in self.named().iter().flat_map(|(_, rows)| rows.iter()) {
            for &(_, variable) in canonical(row).iter() {
                if let Some(used) = variable.checked_sub(1).and_then(|at| used.get_mut(at)) {
                    *used = true;
                }
            }
        }
        match used.iter().position(|used| !used) {
            Some(signal) => Err(MatricesError::UnusedSignal { signal }),
            None => Ok(()),
        }
    }

    /// The digest of the constraints.
    ///
    /// Rows with the same meaning have the same digest: terms are sorted and
    /// merged, and terms with coefficient zero are omitted. The order of
    /// constraints and of variables counts, as it does for a key.
    pub fn digest(&self) -> ConstraintDigest {
        let mut hasher = blake3::Hasher::new_derive_key("poai-1 constraints");
        for count in [self.signals, self.variables, self.a.len(), self.b.len(), self.c.len()] {
            hasher.update(&(count as u64).to_le_bytes());
        }
        let (block, blocks) = DIGEST_BLOCK;
        for (_, rows) in self.named() {
            for rows in rows.chunks(block * blocks) {
                let encoded: Vec<Vec<u8>> = rows.par_chunks(block).map(encode).collect();
                for bytes in &encoded {
                    hasher.update_rayon(bytes);
                }
            }
        }
        ConstraintDigest(*hasher.finalize().as_bytes())
    }
}

/// Encodes rows for the digest: for each row the number of terms, then the
/// variable and the coefficient of each term, all little-endian.
fn encode(rows: &[Row]) -> Vec<u8> {
    let mut bytes = vec![];
    for row in rows {
        let row = canonical(row);
        bytes.extend_from_slice(&(row.len() as u64).to_le_bytes());
        for (coefficient, variable) in row.iter() {
            bytes.extend_from_slice(&(*variable as u64).to_le_bytes());
            bytes.extend_from_slice(&coefficient.into_bigint().to_bytes_le());
        }
    }
    bytes
}

/// The row with its terms sorted by variable and merged, without zeros.
pub(crate) fn canonical(row: &[(Fr, usize)]) -> Cow<'_, [(Fr, usize)]> {
    let sorted = row.windows(2).all(|pair| matches!(pair, [(_, x), (_, y)] if x < y));
    if sorted && row.iter().all(|(coefficient, _)| *coefficient != Fr::ZERO) {
        return Cow::Borrowed(row);
    }
    let mut terms = row.to_vec();
    terms.sort_by_key(|(_, variable)| *variable);
    terms.dedup_by(|(added, at), (kept, before)| {
        let same = at == before;
        if same {
            *kept += *added;
        }
        same
    });
    terms.retain(|(coefficient, _)| *coefficient != Fr::ZERO);
    Cow::Owned(terms)
}

/// The name of a system of constraints: BLAKE3 of its canonical matrices.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConstraintDigest(pub [u8; 32]);

impl fmt::Display for ConstraintDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ConstraintDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConstraintDigest({self})")
    }
}
