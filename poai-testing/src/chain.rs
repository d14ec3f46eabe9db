//! A small constraint system with an assignment that satisfies it.

use ark_bn254::{Bn254, Fr};
use ark_ff::{Field, UniformRand};
use ark_groth16::{Groth16, Proof, ProvingKey, VerifyingKey, prepare_verifying_key};
use ark_std::rand::{CryptoRng, RngCore};
use poai_prover::internal::{CircomReduction, Matrices};

type Scheme = Groth16<Bn254, CircomReduction>;

/// A constraint system and one assignment.
pub struct Chain {
    pub matrices: Matrices,
    pub assignment: Vec<Fr>,
}

/// Makes a system of `rows` constraints. The signals are a result and a factor
/// f. Witness w_0 is the secret, and each constraint but the last computes the
/// next witness: (w_i + 3f − 5) · (2w_i − w_{i-1}) = w_{i+1} − i. The last
/// constraint says that the last witness is the result.
pub fn chain(rows: usize, factor: u64, secret: u64) -> Chain {
    let [one, minus] = [Fr::ONE, -Fr::ONE];
    let (result, f) = (1, 2);
    let w = |i: usize| 3 + i;
    let mut matrices = Matrices { signals: 2, variables: w(rows), ..Matrices::default() };
    let mut assignment = vec![one, Fr::from(0u64), Fr::from(factor), Fr::from(secret)];
    for i in 0..rows - 1 {
        let left = vec![(-Fr::from(5u64), 0), (Fr::from(3u64), f), (one, w(i))];
        let mut right = vec![(Fr::from(2u64), w(i))];
        if i > 0 {
            right.insert(0, (minus, w(i - 1)));
        }
        let mut product = vec![(one, w(i + 1))];
        if i > 0 {
            product.insert(0, (-Fr::from(i as u64), 0));
        }
        let next = value(&left, &assignment) * value(&right, &assignment);
        assignment.push(next + Fr::from(i as u64));
        matrices.a.push(left);
        matrices.b.push(right);
        matrices.c.push(product);
    }
    matrices.a.push(vec![(one, w(rows - 1))]);
    matrices.b.push(vec![(one, 0)]);
    matrices.c.push(vec![(one, result)]);
    assignment[result] = assignment[w(rows - 1)];
    Chain { matrices, assignment }
}

impl Chain {
    /// The signals, without the constant one.
    pub fn signals(&self) -> &[Fr] {
        &self.assignment[1..=self.matrices.signals]
    }

    /// Whether the assignment satisfies the constraints.
    #[allow(dead_code)]
    pub fn satisfied(&self) -> bool {
        let Matrices { a, b, c, .. } = &self.matrices;
        let value = |row| value(row, &self.assignment);
        a.iter().zip(b).zip(c).all(|((a, b), c)| value(a) * value(b) == value(c))
    }

    /// Makes a proof, even if the assignment does not satisfy the constraints.
    pub fn prove(
        &self,
        key: &ProvingKey<Bn254>,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Proof<Bn254> {
        self.prove_masked(key, [Fr::rand(rng), Fr::rand(rng)])
    }

    /// Makes a proof with the randomisers r and s, which hide the witness. It
    /// is compiled once, here, and not again for each caller's source of
    /// randomness.
    pub fn prove_masked(&self, key: &ProvingKey<Bn254>, [r, s]: [Fr; 2]) -> Proof<Bn254> {
        let Matrices { a, b, c, signals, .. } = self.matrices.clone();
        let rows = a.len();
        Scheme::create_proof_with_reduction_and_matrices(
            key,
            r,
            s,
            &[a, b, c],
            signals + 1,
            rows,
            &self.assignment,
        )
        .unwrap()
    }
}

/// Whether a proof shows these signals.
pub fn verify(key: &VerifyingKey<Bn254>, signals: &[Fr], proof: &Proof<Bn254>) -> bool {
    Scheme::verify_proof(&prepare_verifying_key(key), proof, signals).unwrap()
}

fn value(row: &[(Fr, usize)], assignment: &[Fr]) -> Fr {
    row.iter().map(|(by, variable)| assignment[*variable] * by).sum()
}
