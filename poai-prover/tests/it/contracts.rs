//! The verifiers rendered in Solidity, in the EVM with its real precompiles.

use ark_bn254::{Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInteger, PrimeField};
use poai_core::inference::Signals;
use poai_core::inference::evm::{VERIFY, verify_calldata};
use poai_testing::evm::{Artefact, Chain, Outcome, Word, encode, intrinsic_gas, number};
use poai_testing::groth16::Setup;
use poai_verify::inference::solidity;

const SENDER: [u8; 20] = [0x51; 20];

/// A deployed verifier, and a proof that it accepts.
struct Deployed {
    chain: Chain,
    address: [u8; 20],
    proof: [Word; 8],
    signals: Vec<Word>,
}

fn signals(count: usize) -> Signals {
    // No signal is small, so that calldata has its greatest length.
    Signals::new((0..count).map(|index| (-Fr::from(100 + index as u64)).into()).collect()).unwrap()
}

impl Deployed {
    fn new(count: usize) -> Deployed {
        let setup = Setup::new(count, count as u64);
        let mut chain = Chain::new();
        let artefact = Artefact::read(&format!("TestVerifier{count}"));
        let address = chain.deploy(SENDER, artefact.bytecode);
        let signals = signals(count);
        let proof = setup.prove(&signals, 1).words();
        Deployed { chain, address, proof, signals: signals.words() }
    }

    /// Calls the verifier with words that need not be a proof's.
    fn verify(&mut self, proof: &[Word; 8], signals: &[Word]) -> Outcome {
        self.chain.call(SENDER, self.address, calldata(proof, signals))
    }

    /// Calls the verifier with some words of the proof replaced.
    fn with(&mut self, at: usize, words: &[Word]) -> Outcome {
        let mut proof = self.proof;
        proof[at..at + words.len()].copy_from_slice(words);
        let signals = self.signals.clone();
        self.verify(&proof, &signals)
    }
}

fn calldata(proof: &[Word; 8], signals: &[Word]) -> Vec<u8> {
    let tail = [number(9 * 32), number(signals.len() as u64)];
    encode(VERIFY, &[&proof[..], &tail, signals].concat())
}

fn word(value: impl BigInteger) -> Word {
    value.to_bytes_be().try_into().unwrap()
}

/// The sum of a word and a modulus, which must still be a word.
fn plus(value: &Word, modulus: impl BigInteger) -> Word {
    let mut carry = 0;
    let mut sum = word(modulus);
    for (digit, add) in sum.iter_mut().zip(value).rev() {
        let total = u16::from(*digit) + u16::from(*add) + carry;
        (*digit, carry) = (total as u8, total >> 8);
    }
    assert_eq!(carry, 0);
    sum
}

fn flipped(value: &Word, bit: usize) -> Word {
    let mut word = *value;
    word[31 - bit / 8] ^= 1 << (bit % 8);
    word
}

#[test]
fn sources_and_code_are_of_the_test_keys() {
    for count in 1..=6 {
        let name = format!("TestVerifier{count}");
        let artefact = Artefact::read(&name);
        let key = Setup::new(count, count as u64).key;
        assert!(
            artefact.source == solidity(&key, &name).unwrap(),
            "run make-contract-fixtures of poai-testing, and node compile.js in contracts/"
        );
        println!("{name}: {} bytes of code", artefact.runtime.len());
        assert!(artefact.runtime.len() < 24_576);
        let mut chain = Chain::new();
        let address = chain.deploy(SENDER, artefact.bytecode);
        let got = chain.call(SENDER, address, encode("SIGNALS()", &[]));
        assert_eq!(got.output(), number(count as u64));
        let got = chain.call(SENDER, address, encode("VERIFYING_KEY()", &[]));
        assert_eq!(got.output(), key.digest().0);
    }
}

/// Gas depends only on code and calldata, so it is the same on every machine.
#[test]
fn proofs_hold_for_one_to_six_signals() {
    for count in 1..=6 {
        let mut deployed = Deployed::new(count);
        let (proof, signals) = (deployed.proof, deployed.signals.clone());
        let gas = deployed.verify(&proof, &signals).gas();
        let call = gas - intrinsic_gas(&calldata(&proof, &signals));
        println!("{count} signals: the verifier takes {call} gas, a transaction of it {gas}");
        if count == 4 {
            assert!(call <= 235_000, "{call}");
        }
        let setup = Setup::new(count, count as u64);
        let signals = self::signals(count);
        let bytes = verify_calldata(&setup.prove(&signals, 2), &signals).into_bytes();
        deployed.chain.call(SENDER, deployed.address, bytes).gas();
    }
}

/// No bit of any word of a proof can be flipped.
#[test]
fn flipped_bits_are_refused() {
    let mut deployed = Deployed::new(4);
    let (mut large, mut off, mut false_) = (0, 0, 0);
    for at in 0..8 {
        for bit in 0..256 {
            let word = flipped(&deployed.proof[at], bit);
            let Outcome::Revert(data) = deployed.with(at, &[word]) else {
                panic!("bit {bit} of word {at}")
            };
            let point = number([0, 0, 1, 1, 1, 1, 2, 2][at]);
            large += u32::from(data == encode("CoordinateTooLarge(uint256)", &[number(at as u64)]));
            off += u32::from(data == encode("NotOnCurve(uint256)", &[point]));
        }
    }
    assert_eq!(large + off, 8 * 256, "{large} too large, {off} on no curve");
    assert!(large > 0 && off > 0);

    large = 0;
    for at in 0..4 {
        // The pairing runs for each bit, so the test samples the low bits and
        // takes all top bits.
        for bit in (0..250).step_by(23).chain(250..256) {
            let mut signals = deployed.signals.clone();
            signals[at] = flipped(&signals[at], bit);
            let proof = deployed.proof;
            let Outcome::Revert(data) = deployed.verify(&proof, &signals) else {
                panic!("bit {bit} of signal {at}")
            };
            large += u32::from(data == encode("SignalTooLarge(uint256)", &[number(at as u64)]));
            false_ += u32::from(data == encode("ProofFalse()", &[]));
        }
    }
    assert_eq!(large + false_, 4 * 17, "{large} too large, {false_} false");
    assert!(large > 0 && false_ > 0);
}

#[test]
fn other_spellings_are_refused() {
    let mut deployed = Deployed::new(4);
    let proof = deployed.proof;
    for (at, word) in proof.iter().enumerate() {
        let error = [number(at as u64)];
        let spelled = plus(word, Fq::MODULUS);
        deployed.with(at, &[spelled]).expect_error("CoordinateTooLarge(uint256)", &error);
        let modulus = self::word(Fq::MODULUS);
        deployed.with(at, &[modulus]).expect_error("CoordinateTooLarge(uint256)", &error);
        deployed.with(at, &[[0xff; 32]]).expect_error("CoordinateTooLarge(uint256)", &error);
    }
    for at in 0..4 {
        let honest = deployed.signals.clone();
        for spelled in [plus(&honest[at], Fr::MODULUS), word(Fr::MODULUS), [0xff; 32]] {
            let mut signals = honest.clone();
            signals[at] = spelled;
            let error = [number(at as u64)];
            deployed.verify(&proof, &signals).expect_error("SignalTooLarge(uint256)", &error);
        }
    }
}

#[test]
fn other_points_are_refused() {
    let mut deployed = Deployed::new(4);
    let g1 = |point: G1Affine| [point.x, point.y].map(|x| word(x.into_bigint()));
    let g2 = |point: G2Affine| {
        [point.x.c1, point.x.c0, point.y.c1, point.y.c0].map(|x| word(x.into_bigint()))
    };
    // Infinity in the EVM's encoding.
    for (at, words, point) in [(0, 2, 0), (2, 4, 1), (6, 2, 2)] {
        let zeros = vec![[0; 32]; words];
        deployed.with(at, &zeros).expect_error("NotOnCurve(uint256)", &[number(point)]);
    }
    // Small coordinates that are not a point.
    for (at, words, point) in [(0, 2, 0), (2, 4, 1), (6, 2, 2)] {
        let ones = vec![number(1); words];
        deployed.with(at, &ones).expect_error("NotOnCurve(uint256)", &[number(point)]);
    }
    // Points on G2's curve, outside the subgroup.
    let outside = (1_u64..)
        .filter_map(|x| {
            G2Affine::get_point_from_x_unchecked(Fq2::new(Fq::from(x), Fq::from(1)), false)
        })
        .filter(|point| !point.is_in_correct_subgroup_assuming_on_curve());
    for point in outside.take(3) {
        assert!(point.is_on_curve());
        deployed.with(2, &g2(point)).expect_error("NotInSubgroup()", &[]);
    }
    // Points of the groups that are not the proof's.
    deployed.with(0, &g1(G1Affine::generator())).expect_error("ProofFalse()", &[]);
    deployed.with(2, &g2(G2Affine::generator())).expect_error("ProofFalse()", &[]);
    deployed.with(6, &g1(G1Affine::generator())).expect_error("ProofFalse()", &[]);
    let negative = |y: &Word| word((-Fq::from_be_bytes_mod_order(y)).into_bigint());
    for at in [1, 7] {
        let word = negative(&deployed.proof[at]);
        deployed.with(at, &[word]).expect_error("ProofFalse()", &[]);
    }
    let [y1, y0] = [negative(&deployed.proof[4]), negative(&deployed.proof[5])];
    deployed.with(4, &[y1, y0]).expect_error("ProofFalse()", &[]);
    // The imaginary part second, as other libraries write it.
    let [.., bx1, bx0, by1, by0, _, _] = deployed.proof;
    let swapped = [bx0, bx1, by0, by1];
    deployed.with(2, &swapped).expect_error("NotOnCurve(uint256)", &[number(1)]);
}

#[test]
fn other_signals_are_refused() {
    let mut deployed = Deployed::new(4);
    let (proof, honest) = (deployed.proof, deployed.signals.clone());
    for second in 1..4 {
        for first in 0..second {
            let mut signals = honest.clone();
            signals.swap(first, second);
            deployed.verify(&proof, &signals).expect_error("ProofFalse()", &[]);
        }
    }
    for count in [0, 1, 3, 5, 6, 100] {
        let signals = vec![honest[0]; count];
        let error = [number(count as u64), number(4)];
        deployed.verify(&proof, &signals).expect_error("SignalsCount(uint256,uint256)", &error);
    }
    let other = Setup::new(4, 104).prove(&signals(4), 1).words();
    deployed.verify(&other, &honest).expect_error("ProofFalse()", &[]);
}

/// With too little gas, a valid proof never looks malformed or false. A caller
/// that catches errors would otherwise blame the prover.
#[test]
fn too_little_gas_is_said() {
    let mut deployed = Deployed::new(4);
    let data = calldata(&deployed.proof, &deployed.signals);
    let intrinsic = intrinsic_gas(&data);
    let (mut low, mut enough) = (0, 0);
    // Below this limit, the calldata's floor (EIP-7623) rejects the
    // transaction.
    for gas in (11_000..240_000).step_by(250) {
        let limit = intrinsic + gas;
        let outcome = deployed.chain.call_with_gas(SENDER, deployed.address, data.clone(), limit);
        match outcome {
            Outcome::Halt => panic!("out of gas at {gas}"),
            Outcome::Success { .. } => enough += 1,
            Outcome::Revert(data) => {
                assert_eq!(enough, 0, "{gas}");
                assert_eq!(data[..4], encode("GasTooLow(uint256,uint256)", &[]));
                low += 1;
            }
        }
    }
    println!("{low} limits too low, {enough} enough");
    assert!(low > 0 && enough > 0);
}

/// On a chain without a precompile, a call of its address succeeds and returns
/// nothing. Without the product of a signal, any signal would pass.
#[test]
fn chains_without_the_precompiles_are_refused() {
    for precompile in [6, 7, 8] {
        let mut deployed = Deployed::new(4);
        let (proof, signals) = (deployed.proof, deployed.signals.clone());
        deployed.verify(&proof, &signals).gas();
        deployed.chain.without(precompile);
        deployed.verify(&proof, &signals).expect_error("NotInSubgroup()", &[]);
    }
}
