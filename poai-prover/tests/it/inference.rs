//! Whole programs, proven and checked: what a proof shows, and that no proof of
//! another statement passes for it.

use crate::shared::{HASHED, JOB, MLP, PROVER, SALTS, circuit, key, points};
use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{AdditiveGroup, Field};
use poai_core::inference::{
    Address, FieldElement, Groth16Proof, InferenceProof, Layout, Signals, TensorVisibility,
    VerifyingKey, Visibility, WeightsVisibility, packing,
};
use poai_core::program::{Builder, Clamp, Dtype, Op};
use poai_core::{Cancel, Cancelled, Job};
use poai_engine::execute::Network;
use poai_prover::internal::{matrices, proving_key};
use poai_prover::keys::KeyOrigin;
use poai_prover::{
    Circuit, CircuitError, KeyError, ProveError, ProveOptions, ProvingKey, Public, Salt, commit,
    commit_weights,
};
use poai_testing::layers::{Layers, RUN, cnn, input, mlp};
use poai_verify::inference::{False, InferenceError, InferenceMalformed, InferenceVerifier};

fn visibility(input: TensorVisibility, weights: WeightsVisibility) -> Visibility {
    Visibility { input, output: TensorVisibility::Public, weights }
}

/// A verifier with the key's bytes.
fn verifier(key: &ProvingKey) -> InferenceVerifier {
    let (program, run) = (key.circuit().network().program(), key.circuit().run());
    let read = VerifyingKey::from_bytes(&key.verifying_key().to_bytes()).unwrap();
    InferenceVerifier::new(program.program_id(), program.total_macs(run), read)
}

#[test]
fn programs_are_proven_and_what_they_show_is_seen() {
    use TensorVisibility::{Hashed, Private, Public};
    use WeightsVisibility::{Committed, Fixed};
    let mut made = vec![];
    for (network, input_seen, weights) in [
        (mlp(3), Public, Fixed),
        (mlp(3), Private, Committed),
        (mlp(3), Hashed, Committed),
        (cnn(), Hashed, Fixed),
    ] {
        let key = key(&circuit(&network, visibility(input_seen, weights)));
        let proven = key.prove(&input(&network, 8), JOB, PROVER).unwrap();
        made.push((key, proven));
    }
    let made = made.iter().map(|(key, proven)| (key, proven));
    for (key, proven) in made.chain([(&MLP.key, &MLP.proven)]) {
        let network = key.circuit().network();
        let Visibility { input: input_seen, weights, .. } = key.circuit().layout().visibility();
        let input = input(network, 8);
        let bytes = proven.to_bytes();
        assert_eq!(proven.proof.proof.to_bytes().len(), 128);
        let verified = verifier(key).verify(JOB, PROVER, &bytes).unwrap();
        assert_eq!(key.verifier().verify(JOB, PROVER, &bytes), Ok(verified.clone()));
        assert_eq!(key.verifier().binding(JOB, PROVER), proven.binding);
        // A verifier needs no circuit: verifier and layout follow from what was
        // registered.
        let (program, registered) = (network.program(), key.verifying_key().clone());
        let of = InferenceVerifier::of(program, &RUN, registered);
        assert_eq!(of.verify(JOB, PROVER, &bytes), Ok(verified.clone()));
        let layout = Layout::of(program, &RUN, key.circuit().layout().visibility()).unwrap();
        assert_eq!(layout, *key.circuit().layout());
        let parts = layout.split(&verified.signals).unwrap();
        assert_eq!(proven.binding.macs, network.program().total_macs(&RUN));
        // Any party can compare the output, and the commitments to input and
        // weights, with the signals.
        let output = &proven.output;
        let packed = packing::pack(output.extent().dtype, &output.entries()).unwrap();
        assert_eq!(parts.output, packed);
        match input_seen {
            Public => assert_eq!(parts.input, packing::pack(Dtype::I8, &input.entries()).unwrap()),
            Hashed => assert_eq!(parts.input, [commit(&input, &proven.salts.input).unwrap()]),
            Private => assert!(parts.input.is_empty()),
        }
        let commitment =
            (weights == Committed).then(|| commit_weights(network, &proven.salts.weights).unwrap());
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
    let ranges = circuit(&one, seen).ranges().union(circuit(&other, seen).ranges());
    let shared = Circuit::new(&one).visibility(seen).ranges(ranges.clone()).build().unwrap();
    let key = key(&shared);
    // The other network's circuit is built from nothing, or shares the rows.
    let second = Circuit::new(&other).visibility(seen).ranges(ranges).build().unwrap();
    assert_eq!(matrices(&second), matrices(&shared));
    assert!(std::ptr::eq(matrices(&shared.for_network(&other).unwrap()), matrices(&shared)));
    let options = ProveOptions::new().salts(SALTS);
    let proofs =
        [(key.clone(), &one), (key.for_network(&other).unwrap(), &other)].map(|(key, network)| {
            let input = input(network, 8);
            let proven = key.prove_with(&input, JOB, PROVER, &options).unwrap();
            assert_eq!(proven.salts, SALTS);
            let verified = verifier(&key).verify_proof(JOB, PROVER, &proven.proof).unwrap();
            let parts = key.circuit().layout().split(&verified.signals).unwrap();
            assert_eq!(parts.weights, Some(commit_weights(network, &SALTS.weights).unwrap()));
            (parts.weights, parts.input.to_vec(), proven)
        });
    assert_ne!(proofs[0].0, proofs[1].0);
    assert_eq!(proofs[0].1, proofs[1].1);
    // A verifier of one program refuses the other's proofs under the same key.
    let (program, macs) = (other.program().program_id(), other.program().total_macs(&RUN));
    let verifier = key.verifier();
    let refused = verifier.verify_proof(JOB, PROVER, &proofs[1].2.proof);
    assert_eq!(refused, Err(InferenceError::False(False::Binding)));
    let others = verifier.for_program(program, macs);
    others.verify_proof(JOB, PROVER, &proofs[1].2.proof).unwrap();
    assert_eq!((others.program(), others.macs()), (program, macs));
    // A network of another architecture, and one whose weights are fixed.
    let error = circuit(&one, seen).for_network(&cnn()).unwrap_err();
    assert!(matches!(error, CircuitError::Architecture));
    let error = circuit(&one, HASHED).for_network(&other).unwrap_err();
    assert!(matches!(error, CircuitError::Architecture));
    // The same architecture and weights with other numbers give other rows.
    let clamped = with_other_ranges(&one);
    assert_eq!(clamped.program().architecture_id(), one.program().architecture_id());
    let error = circuit(&one, seen).for_network(&clamped).unwrap_err();
    assert!(matches!(error, CircuitError::Numbers));
}

/// Every way to claim another statement with a proof's bytes fails.
#[test]
fn a_proof_shows_nothing_else() {
    let network = mlp(3);
    let (verifier, proven) = (verifier(&MLP.key), &MLP.proven);
    let of = |elements: Vec<Fr>| InferenceProof {
        signals: Signals::new(elements.into_iter().map(FieldElement::from).collect()).unwrap(),
        ..proven.proof.clone()
    };
    let signals: Vec<Fr> = proven.proof.signals.elements().iter().copied().map(Fr::from).collect();
    assert_eq!(signals.len(), 3);
    verifier.verify_proof(JOB, PROVER, &proven.proof).unwrap();
    let pairing = |proof: &InferenceProof| {
        verifier.verify_proof(JOB, PROVER, proof) == Err(InferenceError::False(False::Pairing))
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
    for (seed, salt) in [(8, Salt([9; 31])), (9, proven.salts.input)] {
        let other = commit(&input(&network, seed), &salt).unwrap();
        assert!(pairing(&of(vec![signals[0], other.into(), signals[2]])));
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
        let verifier = verifier.for_program(other.program, other.macs);
        let refused = verifier.verify_proof(other.job, other.prover, &proven.proof);
        assert_eq!(refused, Err(InferenceError::False(False::Binding)));
        let moved = of(vec![other.signal().into(), signals[1], signals[2]]);
        let refused = verifier.verify_proof(other.job, other.prover, &moved);
        assert_eq!(refused, Err(InferenceError::False(False::Pairing)));
    }
    // Another number of signals.
    for count in [1, 2, 4] {
        let mut changed = signals.clone();
        changed.resize(count, Fr::ONE);
        let refused = verifier.verify_proof(JOB, PROVER, &of(changed));
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
    verifier.verify_proof(JOB, PROVER, &same).unwrap();
}

/// A flipped bit in any byte makes a proof malformed or false, never valid.
#[test]
fn no_bit_can_be_flipped() {
    let (verifier, proven) = (verifier(&MLP.key), &MLP.proven);
    let bytes = proven.to_bytes();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(verifier.verify(JOB, PROVER, &flipped).is_err(), "byte {at}");
    }
    for length in 0..bytes.len() {
        assert!(verifier.verify(JOB, PROVER, &bytes[..length]).is_err());
    }
}

#[test]
fn another_models_key_and_proof_are_refused() {
    let second = points(&circuit(&mlp(4), HASHED));
    let (proven, other) = (&MLP.proven, key(&circuit(&mlp(4), HASHED)));
    // The program differs, too, so the verifier of the other key is given this
    // one's.
    let this = verifier(&MLP.key);
    let others = verifier(&other).for_program(this.program(), this.macs());
    let refused = others.verify_proof(JOB, PROVER, &proven.proof);
    assert!(matches!(refused, Err(InferenceError::False(False::Key { .. }))));
    // The same if the proof is changed to name the other key.
    let renamed = InferenceProof { key: other.verifying_key().digest(), ..proven.proof.clone() };
    let refused = others.verify_proof(JOB, PROVER, &renamed);
    assert_eq!(refused, Err(InferenceError::False(False::Pairing)));
    // Another circuit's key is rejected if the sizes differ. If they do not
    // differ, it makes no proof.
    let own = poai_prover::internal::points(&MLP.key).clone();
    let refused = proving_key(&circuit(&cnn(), HASHED), own, KeyOrigin::SingleParty);
    assert!(matches!(refused, Err(KeyError::Size { .. })));
    if let Ok(key) = proving_key(MLP.key.circuit(), second, KeyOrigin::SingleParty) {
        let made = key.prove(&input(&mlp(3), 8), JOB, PROVER);
        assert!(matches!(made, Err(ProveError::False)), "{made:?}");
    }
}

/// Threads can share a circuit and a key, and prove at once.
#[test]
fn keys_are_shared_by_threads() {
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    shared(MLP.key.circuit());
    shared(&MLP.key);
    let input = input(&mlp(3), 8);
    std::thread::scope(|scope| {
        for job in 1..3 {
            let input = &input;
            scope.spawn(move || {
                let (key, job) = (MLP.key.clone(), Job([job; 32]));
                let proven = key.prove(input, job, PROVER).unwrap();
                key.verifier().verify(job, PROVER, &proven.to_bytes()).unwrap();
            });
        }
    });
}

/// A cancelled call gives no proof, no key and no circuit. Progress ends at the
/// total.
#[test]
fn long_calls_are_followed_and_cancelled() {
    use poai_core::{Control, Progress};
    use std::sync::{Arc, Mutex};
    let seen = Arc::new(Mutex::new(vec![]));
    let follow = || {
        let seen = seen.clone();
        move |progress: Progress| seen.lock().unwrap().push(progress)
    };
    let taken = || {
        let taken: Vec<Progress> = std::mem::take(&mut *seen.lock().unwrap());
        assert!(taken.windows(2).all(|pair| pair[0].done <= pair[1].done), "{taken:?}");
        let last = taken.last().unwrap();
        assert_eq!(last.done, last.total);
        taken.len()
    };
    let (network, input) = (mlp(3), input(&mlp(3), 8));
    let circuit = Circuit::new(&network).progress(follow()).build().unwrap();
    assert_eq!(taken(), network.program().values());
    let control = Control::new().progress(follow());
    let key = circuit.insecure_single_party_key_with(&control).unwrap();
    taken();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proving.key");
    key.save_with(&path, &control).unwrap();
    taken();
    let loaded = circuit.load_key_with(&path, &control).unwrap();
    taken();
    assert_eq!((loaded.origin(), key.origin()), (KeyOrigin::SingleParty, KeyOrigin::SingleParty));
    assert_eq!(loaded.verifying_key(), key.verifying_key());
    let options = ProveOptions::new().progress(follow());
    let proven = loaded.prove_with(&input, JOB, PROVER, &options).unwrap();
    assert_eq!(taken(), 10);
    key.verifier().verify(JOB, PROVER, &proven.to_bytes()).unwrap();

    let cancel = Cancel::new();
    cancel.cancel();
    let stopped = Circuit::new(&network).cancel(&cancel).build();
    assert!(matches!(stopped, Err(CircuitError::Cancelled(Cancelled))));
    let control = Control::new().cancel(&cancel);
    let stopped = [
        circuit.insecure_single_party_key_with(&control).map(drop),
        circuit.load_key_with(&path, &control).map(drop),
        circuit.ceremony_key_with(&path, &control).map(drop),
        key.save_with(folder.path().join("other.key"), &control),
    ];
    for stopped in stopped {
        assert!(matches!(stopped, Err(KeyError::Cancelled(Cancelled))), "{stopped:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let stopped = key.prove_with(&input, JOB, PROVER, &ProveOptions::new().cancel(&cancel));
    assert!(matches!(stopped, Err(ProveError::Cancelled(Cancelled))), "{stopped:?}");
    // In the middle of a proof, from a callback, after any stage.
    for last in 1..10 {
        let (cancel, done) = (Cancel::new(), Arc::new(Mutex::new(0)));
        let (switch, count) = (cancel.clone(), done.clone());
        let options = ProveOptions::new().cancel(&cancel).progress(move |progress| {
            *count.lock().unwrap() = progress.done;
            if progress.done == last {
                switch.cancel();
            }
        });
        let stopped = key.prove_with(&input, JOB, PROVER, &options);
        assert!(matches!(stopped, Err(ProveError::Cancelled(Cancelled))), "{last}: {stopped:?}");
        assert_eq!(*done.lock().unwrap(), last);
    }
    // After the last stage there is nothing to stop.
    let (cancel, switch) = (Cancel::new(), Cancel::new());
    let last = switch.clone();
    let options = ProveOptions::new().cancel(&cancel).cancel(&switch).progress(move |progress| {
        if progress.done == progress.total {
            last.cancel();
        }
    });
    assert!(key.prove_with(&input, JOB, PROVER, &options).is_ok());
}

/// A salt is set for one part; the others stay random.
#[test]
fn one_salt_is_set_and_the_others_are_random() {
    let network = mlp(3);
    let seen = visibility(TensorVisibility::Hashed, WeightsVisibility::Committed);
    let key = key(&circuit(&network, seen));
    let input = input(&network, 8);
    let options = ProveOptions::new().weights_salt(SALTS.weights);
    let [one, two] = [(); 2].map(|()| key.prove_with(&input, JOB, PROVER, &options).unwrap());
    let layout = key.circuit().layout();
    let [a, b] = [&one, &two].map(|proven| layout.split(&proven.proof.signals).unwrap());
    assert_eq!(a.weights, b.weights);
    assert_eq!(a.weights, Some(commit_weights(&network, &SALTS.weights).unwrap()));
    assert_ne!(a.input, b.input);
    assert!(one.salts.input != two.salts.input && one.salts.output != two.salts.output);
    let options = ProveOptions::new().input_salt(SALTS.input).output_salt(SALTS.output);
    let three = key.prove_with(&input, JOB, PROVER, &options).unwrap();
    assert_eq!(
        layout.split(&three.proof.signals).unwrap().input,
        [commit(&input, &SALTS.input).unwrap()]
    );
    assert!(three.salts.output == SALTS.output && three.salts.weights != SALTS.weights);
}

/// Two proofs of one input share no element, and nothing of the input is in
/// what is shown.
#[test]
fn proofs_hide_their_input() {
    let network = mlp(3);
    let seen = visibility(TensorVisibility::Hashed, WeightsVisibility::Committed);
    let key = key(&circuit(&network, seen));
    let input = input(&network, 8);
    let [one, two] = [(); 2].map(|()| key.prove(&input, JOB, PROVER).unwrap());
    assert_ne!(one.proof.proof.a(), two.proof.proof.a());
    assert_ne!(one.proof.proof.b(), two.proof.proof.b());
    assert_ne!(one.proof.proof.c(), two.proof.proof.c());
    let [first, second] = [&one, &two].map(|proven| proven.proof.signals.elements());
    // Only the binding and the public output are the same.
    assert_eq!((first[0], first[3]), (second[0], second[3]));
    assert!(first[1] != second[1] && first[2] != second[2]);
    let shown = format!("{one:?}{:?}", one.salts);
    for salt in [one.salts.input, one.salts.weights, one.salts.output] {
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
    let error = Circuit::new(&large.finish()).input(Public).build().unwrap_err().to_string();
    assert!(error.contains("public inputs, got 9") && error.contains("hashed"), "{error}");
}
