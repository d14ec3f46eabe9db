//! Whole programs, proven and checked: what a proof shows, and that no proof of
//! another statement passes for it.

use crate::shared::{FOR, HASHED, MLP, key, prover, rng};
use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{AdditiveGroup, Field};
use poai_core::inference::{
    Address, Groth16Proof, InferenceProof, Job, Signals, TensorVisibility, VerifyingKey,
    Visibility, WeightsVisibility, packing,
};
use poai_core::program::{Builder, Clamp, Dtype, Op};
use poai_engine::execute::Network;
use poai_prover::circuit::{Circuit, CircuitError};
use poai_prover::commitment::{commit, commit_weights};
use poai_prover::{ProveError, Prover, Salt};
use poai_testing::layers::{Layers, RUN, cnn, input, mlp};
use poai_verify::inference::{False, InferenceError, InferenceMalformed, InferenceVerifier};

fn visibility(input: TensorVisibility, weights: WeightsVisibility) -> Visibility {
    Visibility { input, output: TensorVisibility::Public, weights }
}

fn verifier(prover: &Prover) -> InferenceVerifier {
    InferenceVerifier::new(VerifyingKey::from_bytes(&prover.verifying_key().to_bytes()).unwrap())
}

#[test]
fn programs_are_proven_and_what_they_show_is_seen() {
    use TensorVisibility::{Hashed, Private, Public};
    use WeightsVisibility::{Committed, Fixed};
    let mut provers = vec![];
    for (network, input_seen, weights) in [
        (mlp(3), Public, Fixed),
        (mlp(3), Private, Committed),
        (mlp(3), Hashed, Committed),
        (cnn(), Hashed, Fixed),
    ] {
        let prover = prover(&network, visibility(input_seen, weights));
        let proven = prover.prove(&input(&network, 8), &FOR, &mut rng(2)).unwrap();
        provers.push((prover, proven));
    }
    let made = provers.iter().map(|(prover, proven)| (prover, proven));
    for (prover, proven) in made.chain([(&MLP.prover, &MLP.proven)]) {
        let network = prover.circuit().network();
        let Visibility { input: input_seen, weights, .. } = prover.circuit().layout().visibility();
        let input = input(network, 8);
        let bytes = proven.proof.to_bytes();
        assert_eq!(proven.proof.proof.to_bytes().len(), 128);
        let verified = verifier(prover).verify_bytes(&proven.binding, &bytes).unwrap();
        let parts = prover.circuit().layout().split(&verified.signals).unwrap();
        assert_eq!(proven.binding.macs, network.program().total_macs(&RUN));
        // Any party can compare the output, and the commitments to input and
        // weights, with the signals.
        let output = &proven.output;
        let packed = packing::pack(output.extent().dtype, &output.entries()).unwrap();
        assert_eq!(parts.output, packed);
        match input_seen {
            Public => assert_eq!(parts.input, packing::pack(Dtype::I8, &input.entries()).unwrap()),
            Hashed => assert_eq!(parts.input, [commit(&input, &proven.salts[0]).unwrap()]),
            Private => assert!(parts.input.is_empty()),
        }
        let commitment =
            (weights == Committed).then(|| commit_weights(network, &proven.salts[1]).unwrap());
        assert_eq!(parts.weights, commitment);
    }
}

/// The same steps with a narrower range for their products.
fn with_other_ranges(network: &Network) -> Network {
    let program = network.program();
    let mut builder = Builder::new(program.inputs());
    for constant in program.constants() {
        builder.constant(&constant.name, constant.root, constant.extent);
    }
    for step in program.steps() {
        let mut op = step.op.clone();
        if let Op::Linear { clamp, .. } = &mut op {
            clamp.max -= 1;
        }
        builder.step(&step.name, op, &step.inputs).unwrap();
    }
    let tensors = network.constants().iter().map(|held| held.tensor.clone()).collect();
    Network::new(builder.finish().unwrap(), tensors).unwrap()
}

/// One key serves all networks of an architecture. The commitments distinguish
/// them.
#[test]
fn committed_weights_share_a_key() {
    let (one, other) = (mlp(3), mlp(300));
    let seen = visibility(TensorVisibility::Hashed, WeightsVisibility::Committed);
    let circuit = Circuit::new(one.clone(), RUN, seen).unwrap();
    let ranges = circuit.ranges().union(Circuit::new(other.clone(), RUN, seen).unwrap().ranges());
    let circuit = circuit.with_ranges(ranges).unwrap();
    let (matrices, key) = key(&circuit);
    let second = circuit.for_network(other.clone()).unwrap();
    assert_eq!(second.build(None, true).unwrap().system.into_parts().0, matrices);
    let salts = [Salt([1; 31]), Salt([2; 31]), Salt([3; 31])];
    let proofs = [(circuit, &one), (second, &other)].map(|(circuit, network)| {
        let prover = Prover::new(circuit, key.clone()).unwrap();
        let input = input(network, 8);
        let proven = prover.prove_salted(&input, &FOR, salts, &mut rng(2)).unwrap();
        let verified = verifier(&prover).verify(&proven.binding, &proven.proof).unwrap();
        let parts = prover.circuit().layout().split(&verified.signals).unwrap();
        assert_eq!(parts.weights, Some(commit_weights(network, &salts[1]).unwrap()));
        (parts.weights, parts.input.to_vec())
    });
    assert_ne!(proofs[0].0, proofs[1].0);
    assert_eq!(proofs[0].1, proofs[1].1);
    // A network of another architecture, and one whose weights are fixed.
    let error = Circuit::new(one.clone(), RUN, seen).unwrap().for_network(cnn()).unwrap_err();
    assert!(matches!(error, CircuitError::Architecture));
    let error = Circuit::new(one.clone(), RUN, HASHED).unwrap().for_network(other).unwrap_err();
    assert!(matches!(error, CircuitError::Architecture));
    // The same architecture and weights with other numbers give other rows.
    let clamped = with_other_ranges(&one);
    assert_eq!(clamped.program().architecture_id(), one.program().architecture_id());
    let error = Circuit::new(one, RUN, seen).unwrap().for_network(clamped.into()).unwrap_err();
    assert!(matches!(error, CircuitError::Numbers));
}

/// Every way to claim another statement with a proof's bytes fails.
#[test]
fn a_proof_shows_nothing_else() {
    let network = mlp(3);
    let (verifier, proven) = (verifier(&MLP.prover), &MLP.proven);
    let of = |elements: Vec<Fr>| InferenceProof {
        signals: Signals::new(elements).unwrap(),
        ..proven.proof.clone()
    };
    let signals = proven.proof.signals.elements().to_vec();
    assert_eq!(signals.len(), 3);
    verifier.verify(&proven.binding, &proven.proof).unwrap();
    let pairing = |proof: &InferenceProof| {
        verifier.verify(&proven.binding, proof) == Err(InferenceError::False(False::Pairing))
    };
    // Another input, another output, both exchanged. The changes are by one, by digits, and by a
    // large number.
    for at in 1..3 {
        for delta in [Fr::ONE, -Fr::ONE, Fr::from(256u64), Fr::from(3u64).pow([100])] {
            let mut changed = signals.clone();
            changed[at] += delta;
            assert!(pairing(&of(changed)), "signal {at}");
        }
    }
    assert!(pairing(&of(vec![signals[0], signals[2], signals[1]])));
    assert!(pairing(&of(vec![signals[0], Fr::ZERO, signals[2]])));
    // The commitment under another salt, and to another input.
    for (seed, salt) in [(8, Salt([9; 31])), (9, proven.salts[0])] {
        let other = commit(&input(&network, seed), &salt).unwrap();
        assert!(pairing(&of(vec![signals[0], other, signals[2]])));
    }
    // Another binding, in each of its parts. If the signal is changed with it,
    // the equation fails.
    let binding = proven.binding;
    for other in [
        poai_core::inference::Binding { job: Job([6; 32]), ..binding },
        poai_core::inference::Binding { prover: Address([8; 20]), ..binding },
        poai_core::inference::Binding { macs: binding.macs + 1, ..binding },
        poai_core::inference::Binding { program: mlp(4).program().program_id(), ..binding },
    ] {
        let refused = verifier.verify(&other, &proven.proof);
        assert_eq!(refused, Err(InferenceError::False(False::Binding)));
        let moved = of(vec![other.signal(), signals[1], signals[2]]);
        assert_eq!(verifier.verify(&other, &moved), Err(InferenceError::False(False::Pairing)));
    }
    // Another number of signals.
    for count in [1, 2, 4] {
        let mut changed = signals.clone();
        changed.resize(count, Fr::ONE);
        let refused = verifier.verify(&binding, &of(changed));
        let expected = InferenceMalformed::Signals { expected: 3, got: count };
        assert_eq!(refused, Err(InferenceError::Malformed(expected)));
    }
    // Points that are exchanged or negated.
    let (a, b, c) = (*proven.proof.proof.a(), *proven.proof.proof.b(), *proven.proof.proof.c());
    let [minus_a, minus_c]: [G1Affine; 2] = [a, c].map(|point| (-point.into_group()).into());
    let minus_b: G2Affine = (-b.into_group()).into();
    assert!(minus_a != a && minus_b != b && minus_c != c);
    let points = [(c, b, a), (minus_a, b, c), (a, minus_b, c), (a, b, minus_c)];
    for (a, b, c) in points {
        let moved =
            InferenceProof { proof: Groth16Proof::new(a, b, c).unwrap(), ..proven.proof.clone() };
        assert!(pairing(&moved));
    }
    // (−A, −B, C) is another encoding of the same proof. It verifies, and states no more than the
    // first. For this reason, receipts are recorded by job and not by proof.
    let same = Groth16Proof::new(minus_a, minus_b, c).unwrap();
    let same = InferenceProof { proof: same, ..proven.proof.clone() };
    verifier.verify(&binding, &same).unwrap();
}

/// A flipped bit in any byte makes a proof malformed or false, never valid.
#[test]
fn no_bit_can_be_flipped() {
    let (verifier, proven) = (verifier(&MLP.prover), &MLP.proven);
    let bytes = proven.proof.to_bytes();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(verifier.verify_bytes(&proven.binding, &flipped).is_err(), "byte {at}");
    }
    for length in 0..bytes.len() {
        assert!(verifier.verify_bytes(&proven.binding, &bytes[..length]).is_err());
    }
}

#[test]
fn another_models_key_and_proof_are_refused() {
    let second = Circuit::new(mlp(4), RUN, HASHED).unwrap();
    let (_, second_key) = key(&second);
    let (proven, other) = (&MLP.proven, Prover::new(second, second_key.clone()).unwrap());
    let refused = verifier(&other).verify(&proven.binding, &proven.proof);
    assert!(matches!(refused, Err(InferenceError::False(False::Key { .. }))));
    // The same if the proof is changed to name the other key.
    let renamed = InferenceProof { key: other.verifying_key().digest(), ..proven.proof.clone() };
    let refused = verifier(&other).verify(&proven.binding, &renamed);
    assert_eq!(refused, Err(InferenceError::False(False::Pairing)));
    // A prover rejects another circuit's key if the sizes differ. If they do
    // not differ, it returns no proof.
    let refused = Prover::new(Circuit::new(cnn(), RUN, HASHED).unwrap(), MLP.key.clone());
    assert!(matches!(refused, Err(ProveError::Key { .. })));
    let third = Circuit::new(mlp(3), RUN, HASHED).unwrap();
    if let Ok(prover) = Prover::new(third, second_key) {
        let made = prover.prove(&input(&mlp(3), 8), &FOR, &mut rng(2));
        assert!(matches!(made, Err(ProveError::False)), "{made:?}");
    }
}

/// Two proofs of one input share no element, and nothing of the input is in
/// what is shown.
#[test]
fn proofs_hide_their_input() {
    let network = mlp(3);
    let seen = visibility(TensorVisibility::Hashed, WeightsVisibility::Committed);
    let prover = prover(&network, seen);
    let input = input(&network, 8);
    let mut rng = rng(2);
    let [one, two] = [(); 2].map(|()| prover.prove(&input, &FOR, &mut rng).unwrap());
    assert_ne!(one.proof.proof.a(), two.proof.proof.a());
    assert_ne!(one.proof.proof.b(), two.proof.proof.b());
    assert_ne!(one.proof.proof.c(), two.proof.proof.c());
    let [first, second] = [&one, &two].map(|proven| proven.proof.signals.elements());
    // Only the binding and the public output are the same.
    assert_eq!((first[0], first[3]), (second[0], second[3]));
    assert!(first[1] != second[1] && first[2] != second[2]);
    let shown = format!("{one:?}{:?}", one.salts);
    for salt in &one.salts {
        let bytes = format!("{:?}", salt.0);
        assert!(!shown.contains(&bytes) && !shown.contains(&hex::encode(salt.0)));
    }
    assert!(!shown.contains(&format!("{:?}", input.entries())));
}

#[test]
fn too_many_public_inputs_are_refused_with_the_reason() {
    let large = Layers::new(1, 200, 1);
    let x = large.builder.input(0);
    let mut large = large;
    large.linear(x, [200, 4], Clamp::full(Dtype::I8));
    let seen = visibility(TensorVisibility::Public, WeightsVisibility::Fixed);
    let error = Circuit::new(large.finish(), RUN, seen).unwrap_err().to_string();
    assert!(error.contains("public inputs, got 9") && error.contains("hashed"), "{error}");
}
