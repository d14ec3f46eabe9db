//! Attacks by registrars, provers with a leaked setup, and hostile verifiers.

use super::*;

/// A party with a leaked setup forges under its key. Receipts under another key of the same program
/// are not affected.
#[test]
fn a_leaked_key_is_not_the_end_of_a_program() {
    let mut registry = Registry::registered();
    // A key of three signals, since the weights are fixed.
    let (leaked, artefact) = (Setup::new(3, 3), Artefact::read("TestVerifier3"));
    let verifier = registry.chain.deploy(STRANGER, artefact.bytecode);
    let (key, code) = (leaked.key.digest().0, keccak(&artefact.runtime));
    let right = registry.registration();
    let second = Registration { key, verifier, code, visibility: 1, weights: 0, ..right };
    registry.register(REGISTRAR, second).gas();
    for registration in [second, right] {
        let error = [PROGRAM, registration.key];
        registry.register(REGISTRAR, registration).expect_error(ALREADY_REGISTERED, &error);
    }

    // A prover forges an output with the leaked setup before it proves the true
    // one. Each has its own place, in either order.
    let forge = |binding: Binding| {
        let elements = vec![binding.signal(), FieldElement::from(41), FieldElement::from(666)];
        let signals = Signals::new(elements).unwrap();
        let proof = leaked.prove(&signals, 1);
        (binding, InferenceProof { proof, key: leaked.key.digest(), signals })
    };
    let forged = forge(binding());
    registry.send(PROVER, &forged).gas();
    assert_eq!(registry.statement_under(key, &binding()), statement_of(&forged.1));
    assert_eq!(registry.statement(&binding()), NONE);
    let proof = registry.proof(binding());
    registry.send(PROVER, &proof).gas();
    assert_eq!(registry.statement(&binding()), statement_of(&proof.1));
    assert_eq!(registry.statement_under(key, &binding()), statement_of(&forged.1));

    // A retired key accepts no more proofs, and the model of the other key
    // continues.
    registry.call(REGISTRAR, RETIRE, &[PROGRAM, key]).gas();
    registry.chain.set_time(10 * RETIREMENT_DELAY);
    let job = Binding { job: Job([9; 32]), ..binding() };
    let Outcome::Revert(data) = registry.send(PROVER, &forge(job)) else {
        panic!("expected a revert, got success")
    };
    assert_eq!(data[..4], encode("Retired(bytes32,bytes32,uint64)", &[])[..4]);
    let proof = registry.proof(job);
    registry.send(PROVER, &proof).gas();
}

/// A registrar that sees a pending proof cannot shut it out: a retirement takes
/// effect after its delay.
#[test]
fn retirement_takes_effect_after_its_delay() {
    let mut registry = Registry::registered();
    let (now, key) = (1_800_000_000, registry.key());
    registry.chain.set_time(now);
    let proofs = [1, 2, 3].map(|job| registry.proof(Binding { job: Job([job; 32]), ..binding() }));
    let [before, pending, late] = &proofs;
    registry.send(PROVER, before).gas();
    let denied = registry.call(STRANGER, RETIRE, &[PROGRAM, key]);
    denied.expect_error("NotPermitted(address)", &[address(STRANGER)]);
    let unknown = [[[9; 32], key], [PROGRAM, [9; 32]]];
    for model in unknown {
        let outcome = registry.call(REGISTRAR, RETIRE, &model);
        outcome.expect_error("UnknownModel(bytes32,bytes32)", &model);
    }
    let delay = registry.call(STRANGER, "RETIREMENT_DELAY()", &[]);
    assert_eq!(delay.output(), number(RETIREMENT_DELAY));

    let model = [PROGRAM, key];
    let outcome = registry.call(REGISTRAR, RETIRE, &model);
    let Outcome::Success { logs, .. } = &outcome else { panic!("{outcome:?}") };
    let until = number(now + RETIREMENT_DELAY);
    assert_eq!(logs[0].data.data[..], until);
    // A second announcement would move the date, so it is rejected.
    registry.chain.set_time(now + 1);
    let again = registry.call(REGISTRAR, RETIRE, &model);
    let retiring = "AlreadyRetiring(bytes32,bytes32,uint64)";
    again.expect_error(retiring, &[PROGRAM, key, until]);
    // A pending proof is accepted until the last second, and no proof after
    // that.
    registry.chain.set_time(now + RETIREMENT_DELAY - 1);
    registry.send(PROVER, pending).gas();
    for time in [now + RETIREMENT_DELAY, now + 100 * RETIREMENT_DELAY] {
        registry.chain.set_time(time);
        let error = [PROGRAM, key, until];
        let outcome = registry.send(PROVER, late);
        outcome.expect_error("Retired(bytes32,bytes32,uint64)", &error);
    }
    // Certified statements stay, and so does the registration.
    for (proof, expected) in
        [(before, statement_of(&before.1)), (pending, statement_of(&pending.1)), (late, NONE)]
    {
        assert_eq!(registry.statement(&proof.0), expected);
    }
    let right = registry.registration();
    registry.register(REGISTRAR, right).expect_error(ALREADY_REGISTERED, &model);
}

/// A verifier destroys itself and returns at its address with code that accepts everything, which
/// is possible on chains without EIP-6780.
#[test]
fn a_verifier_that_came_back_with_other_code_is_refused() {
    let mut registry = Registry::on(Chain::shanghai());
    let maker = registry.chain.deploy(STRANGER, Artefact::read("ReplacedVerifier").bytecode);
    // With calldata, the code calls the honest verifier. Without calldata, it destroys itself.
    let honest = [
        &[0x36, 0x60, 0x06, 0x57, 0x33, 0xff, 0x5b][..], // calldatasize; jumpi; selfdestruct(caller)
        &[0x36, 0x5f, 0x5f, 0x37],                       // calldatacopy(0, 0, calldatasize)
        &[0x5f, 0x5f, 0x36, 0x5f, 0x73],
        &registry.verifier, // delegatecall(gas, verifier, 0, calldatasize, 0, 0)
        &[0x5a, 0xf4, 0x3d, 0x5f, 0x5f, 0x3e], // returndatacopy(0, 0, returndatasize)
        &[0x60, 0x30, 0x57, 0x3d, 0x5f, 0xfd], // not done: revert(0, returndatasize)
        &[0x5b, 0x3d, 0x5f, 0xf3], // return(0, returndatasize)
    ]
    .concat();
    // STOP: every call succeeds.
    let accepting = vec![0x00];
    let make = |registry: &mut Registry, code: &[u8]| -> [u8; 20] {
        let mut padded = code.to_vec();
        padded.resize(code.len().next_multiple_of(32), 0);
        let head = [number(32), number(code.len() as u64)];
        let data = [encode("make(bytes)", &head), padded].concat();
        let outcome = registry.chain.call(STRANGER, maker, data);
        let Outcome::Success { logs, .. } = &outcome else { panic!("{outcome:?}") };
        logs[0].data.data[12..].try_into().unwrap()
    };
    let verifier = make(&mut registry, &honest);
    let code = keccak(&honest);
    let registration = Registration { verifier, code, ..registry.registration() };
    registry.register(REGISTRAR, registration).gas();
    let proof = registry.proof(binding());
    registry.send(PROVER, &proof).gas();

    registry.chain.call(STRANGER, verifier, vec![]).gas();
    let job = Binding { job: Job([9; 32]), ..binding() };
    let mut forged = registry.proof(job);
    forged.1.proof = proof.1.proof;
    let gone = registry.send(PROVER, &forged);
    gone.expect_error(CODE_MISMATCH, &[NONE, code]);
    assert_eq!(make(&mut registry, &accepting), verifier);
    // A direct call of it accepts the forged proof, but the registry does not
    // call it.
    let data = verify_calldata(&forged.1.proof, &forged.1.signals).into_bytes();
    registry.chain.call(STRANGER, verifier, data).gas();
    let outcome = registry.send(PROVER, &forged);
    outcome.expect_error(CODE_MISMATCH, &[keccak(&accepting), code]);
    assert_eq!(registry.statement(&job), NONE);
    // Statements that were certified before stay.
    assert_eq!(registry.statement(&binding()), statement_of(&proof.1));
}

/// A registrar that is deceived: a verifier that accepts everything certifies
/// any statement. It certifies each run only once, because it cannot write
/// during the registry's call.
#[test]
fn verifiers_cannot_call_back() {
    let mut registry = Registry::new();
    let code = Artefact::read("ReentrantVerifier").bytecode;
    let verifier = registry.chain.deploy(STRANGER, code);
    let code = keccak(&Artefact::read("ReentrantVerifier").runtime);
    let registration = Registration { verifier, code, key: NONE, ..registry.registration() };
    registry.register(REGISTRAR, registration).gas();

    // The verifier's own proof is bound to itself, and would be certified in a
    // separate call.
    let mut own = registry.proof(Binding { prover: Address(verifier), ..binding() });
    own.1.key.0 = NONE;
    let again = verify_inference_calldata(&own.0.program, &own.0.job, &own.1).into_bytes();
    let padding = vec![0; again.len().next_multiple_of(32) - again.len()];
    let length = number(again.len() as u64);
    let prepare = [encode("prepare(bytes)", &[number(32), length]), again, padding].concat();
    registry.chain.call(STRANGER, verifier, prepare).gas();

    let mut proof = registry.proof(binding());
    proof.1.key.0 = NONE;
    let outcome = registry.send(PROVER, &proof);
    let Outcome::Success { logs, .. } = &outcome else { panic!("{outcome:?}") };
    assert_eq!(logs.len(), 1, "{logs:?}");
    assert_eq!(registry.statement_under(NONE, &binding()), statement_of(&proof.1));
    assert_eq!(registry.statement_under(NONE, &own.0), NONE);
    // Outside the registry's call, the same call is accepted.
    let data = encode("send(address)", &[address(registry.address)]);
    registry.chain.call(STRANGER, verifier, data).gas();
    assert_eq!(registry.statement_under(NONE, &own.0), statement_of(&own.1));
}
