//! Keys that several modules use. They are made once for all modules.

use ark_bn254::Bn254;
use ark_std::rand::{SeedableRng, rngs::StdRng};
use poai_core::Job;
use poai_core::inference::{Address, TensorVisibility, Visibility, WeightsVisibility};
use poai_engine::execute::Network;
use poai_prover::internal::{insecure_single_party_setup, matrices, proving_key};
use poai_prover::keys::KeyOrigin;
use poai_prover::{Circuit, Proven, ProvingKey, Salt, Salts};
use poai_testing::layers::{input, mlp};
use std::sync::LazyLock;

pub const JOB: Job = Job([5; 32]);
pub const PROVER: Address = Address([7; 20]);
pub const SALTS: Salts =
    Salts { input: Salt([1; 31]), weights: Salt([2; 31]), output: Salt([3; 31]) };

/// A hashed input, a public output, fixed weights.
pub const HASHED: Visibility = Visibility {
    input: TensorVisibility::Hashed,
    output: TensorVisibility::Public,
    weights: WeightsVisibility::Fixed,
};

pub fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

pub fn circuit(network: &Network, visibility: Visibility) -> Circuit {
    Circuit::new(network).visibility(visibility).build().unwrap()
}

/// The points of a single-party key, the same in every run.
pub fn points(circuit: &Circuit) -> ark_groth16::ProvingKey<Bn254> {
    insecure_single_party_setup(matrices(circuit), &mut rng(1)).unwrap()
}

/// A circuit's key with such points.
pub fn key(circuit: &Circuit) -> ProvingKey {
    proving_key(circuit, points(circuit), KeyOrigin::SingleParty).unwrap()
}

/// Two dense layers of fixed weights: their key, and a proof.
pub struct Mlp {
    pub key: ProvingKey,
    /// The proof of `input(_, 8)` for [`JOB`] and [`PROVER`].
    pub proven: Proven,
}

pub static MLP: LazyLock<Mlp> = LazyLock::new(|| {
    let network = mlp(3);
    let key = key(&circuit(&network, HASHED));
    let proven = key.prove(&input(&network, 8), JOB, PROVER).unwrap();
    Mlp { key, proven }
});
