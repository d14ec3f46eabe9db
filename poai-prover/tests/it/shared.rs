//! Provers that several modules use. They are made once for all modules.

use ark_bn254::Bn254;
use ark_groth16::ProvingKey;
use ark_std::rand::{SeedableRng, rngs::StdRng};
use poai_core::inference::{Address, Job, TensorVisibility, Visibility, WeightsVisibility};
use poai_engine::execute::Network;
use poai_prover::circuit::Circuit;
use poai_prover::prove::For;
use poai_prover::setup::insecure_single_party_setup;
use poai_prover::{Matrices, Proven, Prover};
use poai_testing::layers::{RUN, input, mlp};
use std::sync::{Arc, LazyLock};

pub const FOR: For = For { job: Job([5; 32]), prover: Address([7; 20]) };

/// A hashed input, a public output, fixed weights.
pub const HASHED: Visibility = Visibility {
    input: TensorVisibility::Hashed,
    output: TensorVisibility::Public,
    weights: WeightsVisibility::Fixed,
};

pub fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// The rows of a circuit, and a single-party key for it.
pub fn key(circuit: &Circuit) -> (Matrices, ProvingKey<Bn254>) {
    let (matrices, _) = circuit.build(None, true).unwrap().system.into_parts();
    let key = insecure_single_party_setup(&matrices, &mut rng(1)).unwrap();
    (matrices, key)
}

pub fn prover(network: &Arc<Network>, visibility: Visibility) -> Prover {
    let circuit = Circuit::new(network.clone(), RUN, visibility).unwrap();
    let (_, key) = key(&circuit);
    Prover::new(circuit, key).unwrap()
}

/// Two dense layers of fixed weights, with their circuit, key, prover and
/// proof.
pub struct Mlp {
    pub circuit: Circuit,
    pub key: ProvingKey<Bn254>,
    pub prover: Prover,
    /// The proof of `input(_, 8)` for [`FOR`].
    pub proven: Proven,
}

pub static MLP: LazyLock<Mlp> = LazyLock::new(|| {
    let network = mlp(3);
    let circuit = Circuit::new(network.clone(), RUN, HASHED).unwrap();
    let (_, key) = key(&circuit);
    let prover = Prover::new(circuit.clone(), key.clone()).unwrap();
    let proven = prover.prove(&input(&network, 8), &FOR, &mut rng(2)).unwrap();
    Mlp { circuit, key, prover, proven }
});
