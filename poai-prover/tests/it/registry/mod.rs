//! The registry, in the EVM with its real precompiles.

mod attacks;

use poai_core::inference::evm::{VERIFY_INFERENCE, verify_calldata, verify_inference_calldata};
use poai_core::inference::{Address, Binding, FieldElement, InferenceProof, Signals};
use poai_core::{Job, ProgramId};
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

const REGISTER: &str = "register(bytes32,bytes32,address,bytes32,uint64,uint8,uint8,uint8,uint256)";
const RETIRE: &str = "retire(bytes32,bytes32)";
/// The contract's delay, in seconds.
const RETIREMENT_DELAY: u64 = 86_400;

struct Registry {
    chain: Chain,
    address: [u8; 20],
    verifier: [u8; 20],
    /// Keccak-256 of the verifier's code.
    code: Word,
    setup: Setup,
}

/// The arguments of a registration. The default is right.
#[derive(Clone, Copy)]
struct Registration {
    program: Word,
    key: Word,
    verifier: [u8; 20],
    code: Word,
    visibility: u8,
    input: u64,
    output: u64,
    weights: u64,
}

impl Registry {
    /// A registry, and a verifier of four signals.
    fn new() -> Registry {
        Registry::on(Chain::new())
    }

    fn on(mut chain: Chain) -> Registry {
        let code = [Artefact::read("PoaiRegistry").bytecode, address(REGISTRAR).to_vec()].concat();
        let registry = chain.deploy(STRANGER, code);
        let artefact = Artefact::read("TestVerifier4");
        let verifier = chain.deploy(STRANGER, artefact.bytecode);
        let code = keccak(&artefact.runtime);
        Registry { chain, address: registry, verifier, code, setup: Setup::new(4, 4) }
    }

    /// A registry with the program registered.
    fn registered() -> Registry {
        let mut registry = Registry::new();
        let right = registry.registration();
        registry.register(REGISTRAR, right).gas();
        registry
    }

    fn registration(&self) -> Registration {
        Registration {
            program: PROGRAM,
            key: self.key(),
            verifier: self.verifier,
            code: self.code,
            visibility: VISIBILITY,
            input: 1,
            output: 1,
            weights: WEIGHTS,
        }
    }

    /// The digest of the verifying key.
    fn key(&self) -> Word {
        self.setup.key.digest().0
    }

    fn call(&mut self, from: [u8; 20], signature: &str, words: &[Word]) -> Outcome {
        self.chain.call(from, self.address, encode(signature, words))
    }

    fn register(&mut self, from: [u8; 20], registration: Registration) -> Outcome {
        let Registration { program, key, verifier, code, visibility, input, output, weights } =
            registration;
        let numbers = [MACS, visibility.into(), input, output, weights].map(number);
        let words = [&[program, key, address(verifier), code][..], &numbers].concat();
        self.call(from, REGISTER, &words)
    }

    fn send(&mut self, from: [u8; 20], proof: &(Binding, InferenceProof)) -> Outcome {
        let (binding, proof) = proof;
        let data = verify_inference_calldata(&binding.program, &binding.job, proof).into_bytes();
        self.chain.call(from, self.address, data)
    }

    /// The statement that the registry has under a key.
    fn statement_under(&mut self, key: Word, binding: &Binding) -> Word {
        let Binding { program, job, prover, .. } = binding;
        let words = [program.0, key, job.0, address(prover.0)];
        let outcome = self.call(STRANGER, "statementOf(bytes32,bytes32,bytes32,address)", &words);
        outcome.output().try_into().unwrap()
    }

    /// The statement that the registry has under the verifier's key.
    fn statement(&mut self, binding: &Binding) -> Word {
        self.statement_under(self.key(), binding)
    }

    /// A valid proof of these signals.
    fn proof_of(&self, binding: Binding, elements: Vec<FieldElement>) -> (Binding, InferenceProof) {
        let signals = Signals::new(elements).unwrap();
        let proof = self.setup.prove(&signals, 1);
        (binding, InferenceProof { proof, key: self.setup.key.digest(), signals })
    }

    /// A valid proof for the registered model.
    fn proof(&self, binding: Binding) -> (Binding, InferenceProof) {
        let others = [41, WEIGHTS, 12].map(FieldElement::from);
        self.proof_of(binding, [&[binding.signal()][..], &others].concat())
    }
}

fn binding() -> Binding {
    Binding { program: ProgramId(PROGRAM), job: Job(JOB), prover: Address(PROVER), macs: MACS }
}

fn element(element: FieldElement) -> Word {
    element.to_bytes()
}

fn keccak(bytes: &[u8]) -> Word {
    Keccak256::digest(bytes).into()
}

/// The statement of a receipt with these signals.
fn statement_of(proof: &InferenceProof) -> Word {
    keccak(proof.signals.words().as_flattened())
}

const BINDING_MISMATCH: &str = "BindingMismatch(uint256,uint256)";
const ALREADY_CERTIFIED: &str = "AlreadyCertified(bytes32,bytes32,bytes32,address)";
const ALREADY_REGISTERED: &str = "AlreadyRegistered(bytes32,bytes32)";
const CODE_MISMATCH: &str = "CodeMismatch(bytes32,bytes32)";
const NONE: Word = [0; 32];

#[test]
fn a_run_is_certified_once() {
    let mut registry = Registry::registered();
    let proof = registry.proof(binding());
    let key = registry.key();
    assert_eq!(registry.statement(&binding()), NONE);

    let outcome = registry.send(PROVER, &proof);
    println!("the registry takes {} gas for a first run of four signals", outcome.gas());
    let statement = statement_of(&proof.1);
    assert_eq!(outcome.output(), statement);
    let Outcome::Success { logs, .. } = &outcome else { unreachable!() };
    let [log] = &logs[..] else { panic!("one event: {logs:?}") };
    let event = "InferenceCertified(address,bytes32,bytes32,bytes32,uint256[])";
    let topics: Vec<Word> = log.topics().iter().map(|topic| topic.0).collect();
    assert_eq!(topics, [keccak(event.as_bytes()), address(PROVER), JOB, PROGRAM]);
    let head = [key, number(64), number(4)];
    let words = proof.1.signals.words();
    assert_eq!(*log.data.data, *[&head[..], &words].concat().as_flattened());
    assert_eq!(registry.statement(&binding()), statement);

    // The same proof, another proof of the same statement, and a proof of
    // another input.
    let error = [PROGRAM, key, JOB, address(PROVER)];
    registry.send(PROVER, &proof).expect_error(ALREADY_CERTIFIED, &error);
    let other = registry.setup.rerandomised(&proof.1.proof, 7);
    assert_ne!(other, proof.1.proof);
    let other = (proof.0, InferenceProof { proof: other, ..proof.1.clone() });
    registry.send(PROVER, &other).expect_error(ALREADY_CERTIFIED, &error);
    let elements = [&[binding().signal()][..], &[99, WEIGHTS, 12].map(FieldElement::from)].concat();
    let other = registry.proof_of(binding(), elements);
    registry.send(PROVER, &other).expect_error(ALREADY_CERTIFIED, &error);
    assert_eq!(registry.statement(&binding()), statement);
}

#[test]
fn other_spellings_and_proofs_are_refused() {
    let mut registry = Registry::registered();
    let (binding, proof) = registry.proof(binding());
    let signals = proof.signals.words();
    let signature = VERIFY_INFERENCE;
    let key = registry.key();
    let words = |program: Word, signals: &[Word]| {
        let tail = [number(12 * 32), number(signals.len() as u64)];
        [&[program, key, JOB][..], &proof.proof.words(), &tail, signals].concat()
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
    // The registry passes the verifier's errors on.
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
    outcome.expect_error("UnknownModel(bytes32,bytes32)", &[[0x22; 32], key]);
    // Another key's proof of the same signals, under this key and under its own.
    let setup = Setup::new(4, 104);
    let proof_of_other = setup.prove(&proof.signals, 1);
    let theirs = (binding, InferenceProof { proof: proof_of_other, ..proof.clone() });
    registry.send(PROVER, &theirs).expect_error("ProofFalse()", &[]);
    let other = setup.key.digest();
    let theirs = (binding, InferenceProof { key: other, ..theirs.1 });
    let outcome = registry.send(PROVER, &theirs);
    outcome.expect_error("UnknownModel(bytes32,bytes32)", &[PROGRAM, other.0]);
    assert_eq!(registry.statement(&binding), NONE);
    registry.send(PROVER, &(binding, proof.clone())).gas();
}

#[test]
fn another_binding_is_refused() {
    let mut registry = Registry::registered();
    let proof = registry.proof(binding());
    let own = element(binding().signal());
    // A party that sees a pending proof cannot use it.
    let theirs = Binding { prover: Address(STRANGER), ..binding() };
    let error = [own, element(theirs.signal())];
    registry.send(STRANGER, &proof).expect_error(BINDING_MISMATCH, &error);
    // Putting its own binding in does not help either.
    let mut elements = proof.1.signals.elements().to_vec();
    elements[0] = theirs.signal();
    let signals = Signals::new(elements).unwrap();
    let stolen = (theirs, InferenceProof { signals, ..proof.1.clone() });
    registry.send(STRANGER, &stolen).expect_error("ProofFalse()", &[]);
    // For another job, and for other MACs than the registered ones.
    let job = Binding { job: Job([9; 32]), ..binding() };
    let error = [own, element(job.signal())];
    registry.send(PROVER, &(job, proof.1.clone())).expect_error(BINDING_MISMATCH, &error);
    let more = registry.proof(Binding { macs: MACS + 1, ..binding() });
    let error = [element(more.0.signal()), own];
    registry.send(PROVER, &more).expect_error(BINDING_MISMATCH, &error);
    // For other weights than the registered ones.
    let elements =
        [&[binding().signal()][..], &[41, WEIGHTS + 1, 12].map(FieldElement::from)].concat();
    let other = registry.proof_of(binding(), elements);
    let error = [number(WEIGHTS + 1), number(WEIGHTS)];
    registry.send(PROVER, &other).expect_error("WeightsMismatch(uint256,uint256)", &error);

    let words = [PROGRAM, registry.key(), JOB, address(PROVER)];
    let got = registry.call(STRANGER, "bindingOf(bytes32,bytes32,bytes32,address)", &words);
    assert_eq!(got.output(), own);
}

#[test]
fn receipts_are_by_program_key_job_and_prover() {
    let mut registry = Registry::registered();
    let second = Registration { program: [0x22; 32], ..registry.registration() };
    registry.register(REGISTRAR, second).gas();
    let bindings = [
        binding(),
        Binding { prover: Address(STRANGER), ..binding() },
        Binding { job: Job([9; 32]), ..binding() },
        Binding { program: ProgramId([0x22; 32]), ..binding() },
    ];
    for (at, binding) in bindings.iter().enumerate() {
        let proof = registry.proof(*binding);
        registry.send(binding.prover.0, &proof).gas();
        assert_eq!(registry.statement(binding), statement_of(&proof.1));
        for later in &bindings[at + 1..] {
            assert_eq!(registry.statement(later), NONE);
        }
    }
    assert_eq!(registry.statement_under([9; 32], &binding()), NONE);
}

#[test]
fn the_registrar_alone_registers_once() {
    let mut registry = Registry::new();
    let right = registry.registration();
    let not_permitted = "NotPermitted(address)";
    registry.register(STRANGER, right).expect_error(not_permitted, &[address(STRANGER)]);
    registry.register(REGISTRAR, right).gas();
    let model = [PROGRAM, registry.key()];
    registry.register(REGISTRAR, right).expect_error(ALREADY_REGISTERED, &model);

    let got = registry.call(STRANGER, "modelOf(bytes32,bytes32)", &model);
    let numbers = [MACS, VISIBILITY.into(), 1, 1, 0].map(number);
    let words =
        [&[address(registry.verifier)][..], &numbers, &[registry.code, number(WEIGHTS)]].concat();
    assert_eq!(got.output(), words.as_flattened());
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
    // A bit beyond the byte's format, a public output without signals, a hashed
    // input of two. Then a private input of one, and the undefined fourth kind
    // of tensor.
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
    // Other code than the registrar checked, and an address without code.
    let other = Registration { code: [7; 32], ..right };
    error(&mut registry, other, CODE_MISMATCH, &[right.code, [7; 32]]);
    let other = Registration { verifier: [5; 20], ..right };
    error(&mut registry, other, CODE_MISMATCH, &[NONE, right.code]);
    let other = Registration { verifier: [5; 20], code: NONE, ..right };
    assert!(matches!(registry.register(REGISTRAR, other), Outcome::Revert(_)));
    registry.register(REGISTRAR, right).gas();
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
    // Until then, the old registrar registers.
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
