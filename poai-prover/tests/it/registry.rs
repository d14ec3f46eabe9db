//! The registry, in the EVM with its real precompiles.

use poai_core::ProgramId;
use poai_core::inference::evm::verify_inference_calldata;
use poai_core::inference::{Address, Binding, Fr, InferenceProof, Job, Signals};
use poai_testing::evm::{Artefact, Chain, Outcome, Word, address, encode, number};
use poai_testing::groth16::Setup;
use sha3::{Digest, Keccak256};

const REGISTRAR: [u8; 20] = [0x4e; 20];
const PROVER: [u8; 20] = [0xa1; 20];
const STRANGER: [u8; 20] = [0xb2; 20];
const PROGRAM: Word = [0x11; 32];
const JOB: Word = [0x6a; 32];
const MACS: u64 = 2368;
const WEIGHTS: u64 = 43;
/// Hashed input, committed weights, public output.
const VISIBILITY: u8 = 0b1_00_01;

const REGISTER: &str = "register(bytes32,address,bytes32,uint64,uint8,uint8,uint8,uint256)";

struct Registry {
    chain: Chain,
    address: [u8; 20],
    verifier: [u8; 20],
    setup: Setup,
}

/// What a registration says; the default is right.
#[derive(Clone, Copy)]
struct Registration {
    program: Word,
    verifier: [u8; 20],
    key: Word,
    visibility: u8,
    input: u64,
    output: u64,
    weights: u64,
}

impl Registry {
    /// A registry, and a verifier of four signals.
    fn new() -> Registry {
        let mut chain = Chain::new();
        let code = [Artefact::read("PoaiRegistry").bytecode, address(REGISTRAR).to_vec()].concat();
        let registry = chain.deploy(STRANGER, code);
        let verifier = chain.deploy(STRANGER, Artefact::read("TestVerifier4").bytecode);
        Registry { chain, address: registry, verifier, setup: Setup::new(4, 4) }
    }

    /// One with the program registered.
    fn registered() -> Registry {
        let mut registry = Registry::new();
        let right = registry.registration();
        registry.register(REGISTRAR, right).gas();
        registry
    }

    fn registration(&self) -> Registration {
        Registration {
            program: PROGRAM,
            verifier: self.verifier,
            key: self.setup.key.digest().0,
            visibility: VISIBILITY,
            input: 1,
            output: 1,
            weights: WEIGHTS,
        }
    }

    fn call(&mut self, from: [u8; 20], signature: &str, words: &[Word]) -> Outcome {
        self.chain.call(from, self.address, encode(signature, words))
    }

    fn register(&mut self, from: [u8; 20], registration: Registration) -> Outcome {
        let Registration { program, verifier, key, visibility, input, output, weights } =
            registration;
        let numbers = [MACS, visibility.into(), input, output, weights].map(number);
        let words = [&[program, address(verifier), key][..], &numbers].concat();
        self.call(from, REGISTER, &words)
    }

    fn send(&mut self, from: [u8; 20], proof: &(Binding, InferenceProof)) -> Outcome {
        let (binding, proof) = proof;
        let data = verify_inference_calldata(&binding.program, &binding.job, proof);
        self.chain.call(from, self.address, data)
    }

    fn certified(&mut self, prover: [u8; 20], job: Word) -> Word {
        let outcome =
            self.call(STRANGER, "certifiedMacs(address,bytes32)", &[address(prover), job]);
        outcome.output().try_into().unwrap()
    }

    fn statement(&mut self, program: Word, job: Word, prover: [u8; 20]) -> Word {
        let words = [program, job, address(prover)];
        let outcome = self.call(STRANGER, "statementOf(bytes32,bytes32,address)", &words);
        outcome.output().try_into().unwrap()
    }

    /// A proof that holds for these signals.
    fn proof_of(&self, binding: Binding, elements: Vec<Fr>) -> (Binding, InferenceProof) {
        let signals = Signals::new(elements).unwrap();
        let proof = self.setup.prove(&signals, 1);
        (binding, InferenceProof { proof, key: self.setup.key.digest(), signals })
    }

    /// A proof that holds for what is registered.
    fn proof(&self, binding: Binding) -> (Binding, InferenceProof) {
        let others = [41, WEIGHTS, 12].map(Fr::from);
        self.proof_of(binding, [&[binding.signal()][..], &others].concat())
    }
}

fn binding() -> Binding {
    Binding { program: ProgramId(PROGRAM), job: Job(JOB), prover: Address(PROVER), macs: MACS }
}

fn element(element: Fr) -> Word {
    Signals::new(vec![element]).unwrap().encode().try_into().unwrap()
}

const BINDING_MISMATCH: &str = "BindingMismatch(uint256,uint256)";
const ALREADY_CERTIFIED: &str = "AlreadyCertified(bytes32,bytes32,address)";

#[test]
fn a_run_is_certified_once() {
    let mut registry = Registry::registered();
    let proof = registry.proof(binding());
    assert_eq!(registry.certified(PROVER, JOB), [0; 32]);
    assert_eq!(registry.statement(PROGRAM, JOB, PROVER), [0; 32]);

    let outcome = registry.send(PROVER, &proof);
    println!("the registry takes {} gas for a first run of four signals", outcome.gas());
    assert_eq!(outcome.output(), number(MACS));
    let Outcome::Success { logs, .. } = &outcome else { unreachable!() };
    let [log] = &logs[..] else { panic!("one event: {logs:?}") };
    let event = "InferenceCertified(address,bytes32,bytes32,uint64,uint256[])";
    let topics: Vec<Word> = log.topics().iter().map(|topic| topic.0).collect();
    let name: Word = Keccak256::digest(event.as_bytes()).into();
    assert_eq!(topics, [name, address(PROVER), JOB, PROGRAM]);
    let words = proof.1.signals.words();
    let head = [number(MACS), number(64), number(4)];
    assert_eq!(*log.data.data, *[&head[..], &words].concat().as_flattened());

    assert_eq!(registry.certified(PROVER, JOB), number(MACS));
    let statement: Word = Keccak256::digest(words.as_flattened()).into();
    assert_eq!(registry.statement(PROGRAM, JOB, PROVER), statement);

    // The same, another proof of the same, one of another input.
    let error = [PROGRAM, JOB, address(PROVER)];
    registry.send(PROVER, &proof).expect_error(ALREADY_CERTIFIED, &error);
    let other = registry.setup.rerandomised(&proof.1.proof, 7);
    assert_ne!(other, proof.1.proof);
    let other = (proof.0, InferenceProof { proof: other, ..proof.1.clone() });
    registry.send(PROVER, &other).expect_error(ALREADY_CERTIFIED, &error);
    let elements = [&[binding().signal()][..], &[99, WEIGHTS, 12].map(Fr::from)].concat();
    let other = registry.proof_of(binding(), elements);
    registry.send(PROVER, &other).expect_error(ALREADY_CERTIFIED, &error);
    assert_eq!(registry.certified(PROVER, JOB), number(MACS));
}

#[test]
fn other_spellings_and_proofs_are_refused() {
    let mut registry = Registry::registered();
    let (binding, proof) = registry.proof(binding());
    let signals = proof.signals.words();
    let signature = "verifyInference(bytes32,bytes32,uint256[8],uint256[])";
    let words = |program: Word, signals: &[Word]| {
        let tail = [number(11 * 32), number(signals.len() as u64)];
        [&[program, JOB][..], &proof.proof.words(), &tail, signals].concat()
    };
    for count in [0, 1, 3] {
        let error = [number(count), number(4)];
        let short = words(PROGRAM, &signals[..count as usize]);
        let outcome = registry.call(PROVER, signature, &short);
        outcome.expect_error("SignalsCount(uint256,uint256)", &error);
    }
    let long = words(PROGRAM, &[&signals[..], &signals[..1]].concat());
    let error = [number(5), number(4)];
    registry.call(PROVER, signature, &long).expect_error("SignalsCount(uint256,uint256)", &error);
    // The verifier's reasons come through.
    let mut large = signals.clone();
    large[3] = [0xff; 32];
    let outcome = registry.call(PROVER, signature, &words(PROGRAM, &large));
    outcome.expect_error("SignalTooLarge(uint256)", &[number(3)]);
    let mut other = signals.clone();
    other[1][31] ^= 1;
    let outcome = registry.call(PROVER, signature, &words(PROGRAM, &other));
    outcome.expect_error("ProofFalse()", &[]);
    // The binding with the modulus added is not the binding.
    let mut spelled = signals.clone();
    spelled[0] = [0xff; 32];
    let error = [[0xff; 32], element(binding.signal())];
    let outcome = registry.call(PROVER, signature, &words(PROGRAM, &spelled));
    outcome.expect_error(BINDING_MISMATCH, &error);

    let unknown = words([0x22; 32], &signals);
    let outcome = registry.call(PROVER, signature, &unknown);
    outcome.expect_error("UnknownProgram(bytes32)", &[[0x22; 32]]);
    // Another key's proof of the same signals.
    let theirs = Setup::new(4, 104).prove(&proof.signals, 1);
    let theirs = (binding, InferenceProof { proof: theirs, ..proof.clone() });
    registry.send(PROVER, &theirs).expect_error("ProofFalse()", &[]);
    assert_eq!(registry.certified(PROVER, JOB), [0; 32]);
    registry.send(PROVER, &(binding, proof.clone())).gas();
}

#[test]
fn another_binding_is_refused() {
    let mut registry = Registry::registered();
    let proof = registry.proof(binding());
    let own = element(binding().signal());
    // Whoever sees the proof on its way cannot use it.
    let theirs = Binding { prover: Address(STRANGER), ..binding() };
    let error = [own, element(theirs.signal())];
    registry.send(STRANGER, &proof).expect_error(BINDING_MISMATCH, &error);
    // Nor by putting its own binding in.
    let mut elements = proof.1.signals.elements().to_vec();
    elements[0] = theirs.signal();
    let signals = Signals::new(elements).unwrap();
    let stolen = (theirs, InferenceProof { signals, ..proof.1.clone() });
    registry.send(STRANGER, &stolen).expect_error("ProofFalse()", &[]);
    // For another job; of other MACs than are registered.
    let job = Binding { job: Job([9; 32]), ..binding() };
    let error = [own, element(job.signal())];
    registry.send(PROVER, &(job, proof.1.clone())).expect_error(BINDING_MISMATCH, &error);
    let more = registry.proof(Binding { macs: MACS + 1, ..binding() });
    let error = [element(more.0.signal()), own];
    registry.send(PROVER, &more).expect_error(BINDING_MISMATCH, &error);
    // Of other weights than are registered.
    let elements = [&[binding().signal()][..], &[41, WEIGHTS + 1, 12].map(Fr::from)].concat();
    let other = registry.proof_of(binding(), elements);
    let error = [number(WEIGHTS + 1), number(WEIGHTS)];
    registry.send(PROVER, &other).expect_error("WeightsMismatch(uint256,uint256)", &error);

    let words = [PROGRAM, JOB, address(PROVER)];
    let got = registry.call(STRANGER, "bindingOf(bytes32,bytes32,address)", &words);
    assert_eq!(got.output(), own);
}

#[test]
fn receipts_are_by_program_job_and_prover() {
    let mut registry = Registry::registered();
    let second = Registration { program: [0x22; 32], ..registry.registration() };
    registry.register(REGISTRAR, second).gas();
    let bindings = [
        binding(),
        Binding { prover: Address(STRANGER), ..binding() },
        Binding { job: Job([9; 32]), ..binding() },
        Binding { program: ProgramId([0x22; 32]), ..binding() },
    ];
    for binding in bindings {
        let proof = registry.proof(binding);
        registry.send(binding.prover.0, &proof).gas();
    }
    // One job's MACs add up over programs.
    assert_eq!(registry.certified(PROVER, JOB), number(2 * MACS));
    assert_eq!(registry.certified(STRANGER, JOB), number(MACS));
    assert_eq!(registry.certified(PROVER, [9; 32]), number(MACS));
    assert_eq!(registry.certified(STRANGER, [9; 32]), [0; 32]);
}

#[test]
fn the_registrar_alone_registers_once() {
    let mut registry = Registry::new();
    let right = registry.registration();
    let not_permitted = "NotPermitted(address)";
    registry.register(STRANGER, right).expect_error(not_permitted, &[address(STRANGER)]);
    registry.register(REGISTRAR, right).gas();
    let error = [PROGRAM];
    registry.register(REGISTRAR, right).expect_error("AlreadyRegistered(bytes32)", &error);

    let model = registry.call(STRANGER, "modelOf(bytes32)", &[PROGRAM]);
    let numbers = [MACS, VISIBILITY.into(), 1, 1, 0, WEIGHTS].map(number);
    let words = [&[address(registry.verifier)][..], &numbers].concat();
    assert_eq!(model.output(), words.as_flattened());
}

#[test]
fn registrations_that_contradict_themselves_are_refused() {
    let mut registry = Registry::new();
    let right = registry.registration();
    let error = |registry: &mut Registry, registration, signature: &str, words: &[Word]| {
        registry.register(REGISTRAR, registration).expect_error(signature, words);
    };
    let none = Registration { verifier: [0; 20], ..right };
    error(&mut registry, none, "ZeroAddress()", &[]);
    let key = [right.key, [7; 32]];
    let other = Registration { key: [7; 32], ..right };
    error(&mut registry, other, "KeyMismatch(bytes32,bytes32)", &key);
    // A byte beyond, a public output of none, a hashed input of two, a private
    // one of one, and the fourth kind of tensor.
    for (visibility, input, output) in
        [(0x31, 1, 1), (0x11, 1, 0), (0x11, 2, 1), (0x12, 1, 1), (0x13, 1, 1), (0x1d, 1, 1)]
    {
        let words = [visibility.into(), input, output].map(number);
        let other = Registration { visibility, input, output, ..right };
        error(&mut registry, other, "BadVisibility(uint8,uint8,uint8)", &words);
    }
    for (visibility, weights) in [(0x11, 0), (0x01, 1)] {
        let other = Registration { visibility, weights, ..right };
        error(&mut registry, other, "BadWeights(uint256)", &[number(weights)]);
    }
    let other = Registration { output: 2, ..right };
    error(&mut registry, other, "SignalsCount(uint256,uint256)", &[number(5), number(4)]);
    // An address without code.
    let other = Registration { verifier: [5; 20], ..right };
    assert!(matches!(registry.register(REGISTRAR, other), Outcome::Revert(_)));
    registry.register(REGISTRAR, right).gas();
}

#[test]
fn retired_programs_keep_what_they_certified() {
    let mut registry = Registry::registered();
    let proof = registry.proof(binding());
    registry.send(PROVER, &proof).gas();
    let retire = "retire(bytes32)";
    registry
        .call(STRANGER, retire, &[PROGRAM])
        .expect_error("NotPermitted(address)", &[address(STRANGER)]);
    registry
        .call(REGISTRAR, retire, &[[9; 32]])
        .expect_error("UnknownProgram(bytes32)", &[[9; 32]]);
    registry.call(REGISTRAR, retire, &[PROGRAM]).gas();
    let other = registry.proof(Binding { job: Job([9; 32]), ..binding() });
    registry.send(PROVER, &other).expect_error("Retired(bytes32)", &[PROGRAM]);
    assert_eq!(registry.certified(PROVER, JOB), number(MACS));
    let right = registry.registration();
    registry.register(REGISTRAR, right).expect_error("AlreadyRegistered(bytes32)", &[PROGRAM]);
}

#[test]
fn registrars_hand_over_in_two_steps() {
    let mut registry = Registry::new();
    let (propose, accept) = ("proposeRegistrar(address)", "acceptRegistrar()");
    let not_permitted = "NotPermitted(address)";
    let next = address(PROVER);
    registry.call(STRANGER, propose, &[next]).expect_error(not_permitted, &[address(STRANGER)]);
    registry.call(PROVER, accept, &[]).expect_error(not_permitted, &[next]);
    registry.call(REGISTRAR, propose, &[next]).gas();
    registry.call(STRANGER, accept, &[]).expect_error(not_permitted, &[address(STRANGER)]);
    // Until then the old one registers.
    let right = registry.registration();
    registry.register(REGISTRAR, right).gas();
    registry.call(PROVER, accept, &[]).gas();
    let second = Registration { program: [0x22; 32], ..right };
    let error = [address(REGISTRAR)];
    registry.register(REGISTRAR, second).expect_error(not_permitted, &error);
    registry.register(PROVER, second).gas();
    registry.call(PROVER, accept, &[]).expect_error(not_permitted, &[next]);

    let code = [Artefact::read("PoaiRegistry").bytecode, vec![0; 32]].concat();
    let refused = Chain::new().try_deploy(STRANGER, code).unwrap_err();
    refused.expect_error("ZeroAddress()", &[]);
}

/// Should a registrar be had: a verifier that takes everything certifies what
/// it likes, but each run once, because it can't write while it is asked.
#[test]
fn verifiers_cannot_call_back() {
    let mut registry = Registry::new();
    let code = Artefact::read("ReentrantVerifier").bytecode;
    let verifier = registry.chain.deploy(STRANGER, code);
    let registration = Registration { verifier, key: [0; 32], ..registry.registration() };
    registry.register(REGISTRAR, registration).gas();

    // What it sends is bound to itself, and would be certified from outside.
    let own = registry.proof(Binding { prover: Address(verifier), ..binding() });
    let again = verify_inference_calldata(&own.0.program, &own.0.job, &own.1);
    let padding = vec![0; again.len().next_multiple_of(32) - again.len()];
    let length = number(again.len() as u64);
    let prepare = [encode("prepare(bytes)", &[number(32), length]), again, padding].concat();
    registry.chain.call(STRANGER, verifier, prepare).gas();

    let proof = registry.proof(binding());
    let outcome = registry.send(PROVER, &proof);
    let Outcome::Success { logs, .. } = &outcome else { panic!("{outcome:?}") };
    assert_eq!(logs.len(), 1, "{logs:?}");
    assert_eq!(registry.certified(PROVER, JOB), number(MACS));
    assert_eq!(registry.certified(verifier, JOB), [0; 32]);
    // When it isn't being asked, the same call is taken.
    let data = encode("send(address)", &[address(registry.address)]);
    registry.chain.call(STRANGER, verifier, data).gas();
    assert_eq!(registry.certified(verifier, JOB), number(MACS));
}
