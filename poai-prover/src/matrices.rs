//! Systems of rank-1 constraints, and the digest that names one.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInteger, FftField, PrimeField};
use rayon::prelude::*;
use std::borrow::Cow;
use std::fmt;

/// One linear combination: coefficients and the variables that they multiply.
pub type Row = Vec<(Fr, usize)>;

/// Rows that one thread encodes at a time for the digest, and how many such
/// blocks are in memory at once.
const DIGEST_BLOCK: (usize, usize) = (1 << 12, 16);

/// Rank-1 constraints over an assignment z: constraint i says that
/// ⟨a_i, z⟩ · ⟨b_i, z⟩ = ⟨c_i, z⟩.
///
/// z holds the constant one, then the signals, which the verifier sees, then
/// the witnesses, which it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matrices {
    /// The left factors, one row a constraint.
    pub a: Vec<Row>,
    /// The right factors.
    pub b: Vec<Row>,
    /// The products.
    pub c: Vec<Row>,
    /// Public signals, without the one.
    pub signals: usize,
    /// Variables: the one, the signals and the witnesses.
    pub variables: usize,
}

/// Why matrices are no system that can have a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MatricesError {
    /// The three matrices differ in their number of rows.
    #[error("A has {a} rows, B {b} and C {c}")]
    Rows {
        /// Of A.
        a: usize,
        /// Of B.
        b: usize,
        /// Of C.
        c: usize,
    },
    /// The one and the signals are variables, too.
    #[error("{signals} signals and the one do not fit {variables} variables")]
    Signals {
        /// Signals, without the one.
        signals: usize,
        /// All variables.
        variables: usize,
    },
    /// A row names a variable that there is not.
    #[error("row {row} of {matrix} has variable {variable} of {variables}")]
    Variable {
        /// `A`, `B` or `C`.
        matrix: char,
        /// Which row.
        row: usize,
        /// The variable that it names.
        variable: usize,
        /// How many there are.
        variables: usize,
    },
    /// No constraint uses this signal: its value would say nothing.
    #[error("no constraint uses signal {signal}")]
    UnusedSignal {
        /// Which, counted from 0 without the one.
        signal: usize,
    },
    /// The field has no domain for so many constraints.
    #[error("{rows} constraints and {signals} signals: at most 2^{log_max} together")]
    TooLarge {
        /// Constraints.
        rows: usize,
        /// Signals, without the one.
        signals: usize,
        /// Logarithm of the most.
        log_max: u32,
    },
}

impl Matrices {
    /// The three, as A, B and C.
    pub(crate) fn named(&self) -> [(char, &[Row]); 3] {
        [('A', &self.a), ('B', &self.b), ('C', &self.c)]
    }

    /// Constraints.
    pub fn rows(&self) -> usize {
        self.a.len()
    }

    /// Variables that the verifier does not see.
    pub fn witnesses(&self) -> usize {
        self.variables.saturating_sub(self.signals).saturating_sub(1)
    }

    /// Checks the shape: as many rows in each, and no variable out of range.
    ///
    /// # Errors
    /// [`MatricesError`] says what is wrong.
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

    /// Points of the evaluation domain of a key: the least power of two that
    /// holds every constraint, the one and the signals.
    ///
    /// # Errors
    /// [`MatricesError::TooLarge`] where the field has none.
    pub fn domain(&self) -> Result<usize, MatricesError> {
        let (rows, signals) = (self.rows(), self.signals);
        // The odd coset takes a root of unity of twice the order.
        let log_max = Fr::TWO_ADICITY - 1;
        let points = rows.checked_add(signals).and_then(|sum| sum.checked_add(1));
        points
            .and_then(usize::checked_next_power_of_two)
            .filter(|points| *points <= 1 << log_max)
            .ok_or(MatricesError::TooLarge { rows, signals, log_max })
    }

    /// Checks that every signal has a coefficient other than zero somewhere.
    ///
    /// # Errors
    /// [`MatricesError::UnusedSignal`] names the first that has none.
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

    /// The digest of the constraints. Rows with the same meaning have the same
    /// digest: terms are sorted and merged, and those with zero left out. The
    /// order of constraints and of variables counts, as it does for a key.
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

/// Rows as the digest takes them: the number of terms, then variable and
/// coefficient of each, all little-endian.
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

/// The row with its terms sorted by variable, merged, and without zeros.
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

/// Names a system of constraints: BLAKE3 of its canonical matrices.
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
