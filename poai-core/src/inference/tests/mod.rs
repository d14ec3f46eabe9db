//! Formats of inference proofs.

mod refused;

use super::internal::{Fr, G1Affine, G2Affine};
use super::*;
use crate::digest::{Job, ProgramId};
use crate::program::Dtype;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use ark_ec::AffineRepr;
use ark_ff::PrimeField;
use proptest::prelude::*;

fn word(text: &str) -> [u8; 32] {
    ::hex::decode(text).unwrap().try_into().unwrap()
}

fn g1(scalar: u64) -> G1Affine {
    (G1Affine::generator() * Fr::from(scalar)).into()
}

fn g2(scalar: u64) -> G2Affine {
    (G2Affine::generator() * Fr::from(scalar)).into()
}

fn proof() -> Groth16Proof {
    Groth16Proof::new(g1(5), g2(6), g1(7)).unwrap()
}

fn key(signals: u64) -> VerifyingKey {
    VerifyingKey::new(g1(2), g2(3), g2(4), g2(5), (0..=signals).map(|i| g1(10 + i)).collect())
        .unwrap()
}

/// Computed with ethers 6.17.0, `keccak256(AbiCoder.encode(...))`.
#[test]
fn the_binding_is_what_the_evm_computes() {
    let counting: [u8; 32] = core::array::from_fn(|i| i as u8);
    let cases = [
        ([0; 32], [0; 32], [0; 20], 0, ZERO),
        ([0x11; 32], [0x22; 32], [0x33; 20], 2368, REPEATED),
        (
            counting,
            counting.map(|byte| 255 - byte),
            "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266".parse::<Address>().unwrap().0,
            u64::MAX,
            COUNTING,
        ),
    ];
    for (program, job, prover, macs, expected) in cases {
        let binding =
            Binding { program: ProgramId(program), job: Job(job), prover: Address(prover), macs };
        assert_eq!(binding.signal().to_bytes(), word(expected), "{binding:?}");
    }
    assert_eq!(evm::selector(evm::VERIFY), SELECTORS[0]);
    assert_eq!(evm::selector(evm::VERIFY_INFERENCE), SELECTORS[1]);
}

const ZERO: &str = "0293f7dcd178db6ecaf755327e9cae53e98b2680eec8d10267d1c8468e9afebd";
const REPEATED: &str = "0c119f8af523f77a6b29620e24bf0ca25301d4edf95d98a1b45189ef407ecdd0";
const COUNTING: &str = "0c009ed57f9b0cce5158e6c93d64d38b1c8881f094267874e046ab830d2b5a9c";
const SELECTORS: [[u8; 4]; 2] = [[0x8f, 0x33, 0x08, 0xd9], [0x23, 0x91, 0xb6, 0xdc]];

#[test]
fn every_part_of_the_binding_binds() {
    let binding = Binding {
        program: ProgramId([1; 32]),
        job: Job([2; 32]),
        prover: Address([3; 20]),
        macs: 4,
    };
    let others = [
        Binding { program: ProgramId([9; 32]), ..binding },
        Binding { job: Job([9; 32]), ..binding },
        Binding { prover: Address([9; 20]), ..binding },
        Binding { macs: 5, ..binding },
    ];
    for other in others {
        assert_ne!(other.signal(), binding.signal(), "{other:?}");
    }
}

#[test]
fn visibility_has_eighteen_bytes() {
    let visibilities: Vec<(u8, Visibility)> = (0..=u8::MAX)
        .filter_map(|byte| Visibility::from_byte(byte).ok().map(|visibility| (byte, visibility)))
        .collect();
    assert_eq!(visibilities.len(), 3 * 3 * 2);
    for (byte, visibility) in visibilities {
        assert_eq!(visibility.to_byte(), byte);
    }
    assert_eq!(Visibility::PUBLIC.to_byte(), 0);
    let all = Visibility {
        input: TensorVisibility::Private,
        output: TensorVisibility::Hashed,
        weights: WeightsVisibility::Committed,
    };
    assert_eq!(all.to_byte(), 0b1_01_10);
    assert_eq!(Visibility::from_byte(0b11), Err(VisibilityError(3)));
    assert_eq!(Visibility::from_byte(0x20), Err(VisibilityError(0x20)));
}

/// Computed with Python's integers.
#[test]
fn packing_is_of_little_endian_digits() {
    let pack = |dtype, entries: &[i32]| -> Vec<[u8; 32]> {
        packing::pack(dtype, entries).unwrap().iter().map(FieldElement::to_bytes).collect()
    };
    let mut entries = vec![-128, -64, -1, 0, 1, 63, 127];
    entries.extend((0..26).map(|i| (i * 37) % 128 - 64));
    assert_eq!(pack(Dtype::I8, &entries), PACKED8.map(word));
    let mut entries = vec![-32768, 32767, 0, -1];
    entries.extend((0..12).map(|i| (i * 12345) % 65536 - 32768));
    assert_eq!(pack(Dtype::I16, &entries), PACKED16.map(word));
    assert_eq!(pack(Dtype::I32, &[i32::MIN, i32::MAX, 0, -1, 5, -6, 7, -8]), PACKED32.map(word));
}

const PACKED8: [&str; 2] = [
    "00936e49a47f5ab5906b46a17c57b28d68439e7954af8a6540ffbf81807f4000",
    "0000000000000000000000000000000000000000000000000000000000005db8",
];
const PACKED16: [&str; 2] = [
    "0000e23ab20181c8518f2156f11dc0e490ab6072303900007fff8000ffff0000",
    "0000000000000000000000000000000000000000000000000000000000001273",
];
const PACKED32: [&str; 2] = [
    "00000000800000077ffffffa800000057fffffff80000000ffffffff00000000",
    "000000000000000000000000000000000000000000000000000000007ffffff8",
];

#[test]
fn packing_refuses_what_does_not_fit() {
    for (dtype, entries, index, bits) in [
        (Dtype::I8, vec![0, 128], 1, 8),
        (Dtype::I16, [vec![0; 15], vec![-32769]].concat(), 15, 16),
    ] {
        let value = *entries.last().unwrap();
        assert_eq!(packing::pack(dtype, &entries), Err(PackingError::Entry { index, value, bits }));
    }
    let entries = Entries { dtype: Dtype::I8, count: 32 };
    let elements = [FieldElement::from(0), FieldElement::from(255)];
    assert_eq!(packing::unpack(entries, &elements).unwrap()[31], 127);
    let elements = [FieldElement::from(0), FieldElement::from(256)];
    assert_eq!(packing::unpack(entries, &elements), Err(PackingError::Large { index: 1 }));
    let elements = [FieldElement::from(-Fr::from(1)), FieldElement::from(0)];
    assert_eq!(packing::unpack(entries, &elements), Err(PackingError::Large { index: 0 }));
    // Nothing is allocated for entries that were not given.
    let huge = Entries { dtype: Dtype::I8, count: u64::MAX };
    let expected = u64::MAX.div_ceil(31);
    assert_eq!(packing::unpack(huge, &elements), Err(PackingError::Count { expected, got: 2 }));
}

#[test]
fn layouts_hold_six_signals() {
    let entries = |count| Entries { dtype: Dtype::I8, count };
    let binding = Binding {
        program: ProgramId([1; 32]),
        job: Job([2; 32]),
        prover: Address([3; 20]),
        macs: 4,
    };
    let committed = Visibility { weights: WeightsVisibility::Committed, ..Visibility::PUBLIC };
    let layout = Layout::new(committed, entries(64), entries(10)).unwrap();
    assert_eq!((layout.count(), layout.input(), layout.output()), (6, 3, 1));
    let (input, output) = (
        [FieldElement::from(1), FieldElement::from(2), FieldElement::from(3)],
        [FieldElement::from(5)],
    );
    let signals = layout.assemble(&binding, &input, Some(FieldElement::from(4)), &output).unwrap();
    let parts = layout.split(&signals).unwrap();
    let weights = Some(FieldElement::from(4));
    assert_eq!(parts, Parts { binding: binding.signal(), input: &input, weights, output: &output });
    assert_eq!(
        layout.assemble(&binding, &input, None, &output),
        Err(SignalsError::Part { part: "weights", expected: 1, got: 0 })
    );
    assert_eq!(
        layout.assemble(&binding, &output, weights, &output),
        Err(SignalsError::Part { part: "input", expected: 3, got: 1 })
    );
    let fewer = Signals::new(signals.elements()[1..].to_vec()).unwrap();
    assert_eq!(
        layout.split(&fewer),
        Err(SignalsError::Part { part: "whole", expected: 6, got: 5 })
    );
    let refused = Layout::new(committed, entries(64), entries(32)).unwrap_err();
    assert_eq!(refused, SignalsError::TooMany { count: 7, input: 3, output: 2 });
    assert!(alloc::format!("{refused}").contains("hashed"), "{refused}");
    let private = Visibility {
        input: TensorVisibility::Private,
        output: TensorVisibility::Hashed,
        weights: WeightsVisibility::Fixed,
    };
    let layout = Layout::new(private, entries(u64::MAX), entries(u64::MAX)).unwrap();
    assert_eq!((layout.count(), layout.input(), layout.output()), (2, 0, 1));
    let shown = Layout::new(Visibility::PUBLIC, entries(1), entries(94)).unwrap();
    assert_eq!((shown.count(), shown.input(), shown.output()), (6, 1, 4));
}

#[test]
fn signals_are_one_to_six_canonical_words() {
    for count in [0, 7] {
        assert_eq!(
            Signals::new(vec![FieldElement::from(1); count]),
            Err(SignalsError::Count(count))
        );
        let length = 32 * count;
        assert_eq!(Signals::from_bytes(&vec![0; length]), Err(SignalsError::Length(length)));
    }
    assert_eq!(Signals::from_bytes(&[0; 33]), Err(SignalsError::Length(33)));
    let mut modulus = ark_ff::BigInteger::to_bytes_be(&Fr::MODULUS);
    assert_eq!(Signals::from_bytes(&modulus), Err(SignalsError::Element { index: 0 }));
    modulus[31] -= 1;
    assert_eq!(
        Signals::from_bytes(&modulus).unwrap().elements(),
        [FieldElement::from(-Fr::from(1))]
    );
    let second = [[0; 32], [0xff; 32]].concat();
    assert_eq!(Signals::from_bytes(&second), Err(SignalsError::Element { index: 1 }));
}

/// Keys, proofs and signals return the parts that they were made of.
#[test]
fn parts_are_what_they_were_made_of() {
    for signals in 1..=6 {
        let key = key(signals);
        assert_eq!(key.signals(), signals as usize);
        let ic: Vec<G1Affine> = (0..=signals).map(|i| g1(10 + i)).collect();
        assert_eq!((key.alpha(), key.ic()), (&g1(2), &ic[..]));
        assert_eq!([key.beta(), key.gamma(), key.delta()], [&g2(3), &g2(4), &g2(5)]);
        assert_eq!(points::g1_of_words(&key.alpha_words()), Ok(g1(2)));
        let [beta, gamma, delta] = key.g2_words().map(|words| points::g2_of_words(&words).unwrap());
        assert_eq!([beta, gamma, delta], [g2(3), g2(4), g2(5)]);
        let words = key.ic_words();
        let read: Vec<G1Affine> =
            words.iter().map(|words| points::g1_of_words(words).unwrap()).collect();
        assert_eq!(read, ic);
        assert_eq!(key.to_bytes().len(), 32 * (1 + 2 * 3 + ic.len()));
    }
    assert_eq!((proof().a(), proof().b(), proof().c()), (&g1(5), &g2(6), &g1(7)));
    let signals = Signals::new(vec![FieldElement::from(8), FieldElement::from(9)]).unwrap();
    assert_eq!(signals.binding(), FieldElement::from(8));
    let text = VerifyingKeyError::Length(5).to_string();
    assert!(
        text.starts_with("expected 224 and 2 to 7 times 32 bytes of a key, got 5; read"),
        "{text}"
    );
    let text = InferenceDecodeError::Length(5).to_string();
    assert_eq!(text, "expected 160 bytes and 1 to 6 words of a proof, got 5 bytes");
    let object = InferenceProof { proof: proof(), key: key(6).digest(), signals };
    assert_eq!(object.to_bytes().len(), 160 + 2 * 32);
    assert_eq!(InferenceProof::LEN_MAX, 160 + 6 * 32);
}

/// Only zeros encode infinity. A point whose x or y is zero is checked like any other.
#[test]
fn half_of_infinity_is_no_point() {
    let (zero, mut one) = ([0; 32], [0; 32]);
    one[31] = 1;
    for words in [[zero, one], [one, zero]] {
        assert_eq!(points::g1_of_words(&words), Err(PointError::Curve));
    }
    assert_eq!(points::g1_of_words(&[zero; 2]), Err(PointError::Infinity));
    for place in 0..4 {
        let mut words = [zero; 4];
        words[place] = one;
        assert_eq!(points::g2_of_words(&words), Err(PointError::Curve));
    }
    assert_eq!(points::g2_of_words(&[zero; 4]), Err(PointError::Infinity));
}

#[test]
fn calldata_is_words() {
    let signals = Signals::new(vec![FieldElement::from(8), FieldElement::from(9)]).unwrap();
    let bytes = evm::verify_calldata(&proof(), &signals);
    let bytes = bytes.into_bytes();
    assert_eq!(bytes.len(), 4 + 32 * (8 + 1 + 1 + 2));
    assert_eq!(bytes[4..260], *proof().words().as_flattened());
    assert_eq!(bytes[260 + 30..292], [1, 32]);
    assert_eq!(bytes[324 - 1], 2);
    assert_eq!((bytes[355], bytes[387]), (8, 9));
    let object = InferenceProof { proof: proof(), key: key(2).digest(), signals };
    let bytes = evm::verify_inference_calldata(&ProgramId([1; 32]), &Job([2; 32]), &object);
    let bytes = bytes.into_bytes();
    assert_eq!(bytes[4..100], [[1; 32], object.key.0, [2; 32]].concat());
    assert_eq!(bytes[100 + 256 + 30..100 + 288], [1, 128]);
}

#[test]
fn digests_tell_keys_apart() {
    assert_ne!(key(1).digest(), key(2).digest());
    let plain = *blake3::hash(&key(1).to_bytes()).as_bytes();
    assert_ne!(key(1).digest().0, plain, "the hash is domain-separated");
}

#[test]
fn serde_is_hex_or_bytes() {
    let signals = Signals::new(vec![FieldElement::from(1)]).unwrap();
    let object = InferenceProof { proof: proof(), key: key(1).digest(), signals };
    let json = serde_json::to_value(&object).unwrap();
    assert_eq!(json["proof"], ::hex::encode(proof().to_bytes()));
    assert_eq!(json["key"], ::hex::encode(key(1).digest().0));
    assert_eq!(json["signals"], ::hex::encode(object.signals.to_bytes()));
    assert_eq!(serde_json::from_value::<InferenceProof>(json.clone()).unwrap(), object);
    let bytes = postcard::to_allocvec(&object).unwrap();
    assert_eq!(postcard::from_bytes::<InferenceProof>(&bytes).unwrap(), object);
    let mut other = json;
    other["proof"] = "00".repeat(128).into();
    assert!(serde_json::from_value::<InferenceProof>(other).is_err());

    let text = serde_json::to_string(&key(3)).unwrap();
    assert_eq!(serde_json::from_str::<VerifyingKey>(&text).unwrap(), key(3));
    let visibility = serde_json::to_value(Visibility::PUBLIC).unwrap();
    assert_eq!(
        visibility,
        serde_json::json!({ "input": "public", "output": "public", "weights": "fixed" })
    );
    let address = serde_json::to_value(Address([0xab; 20])).unwrap();
    assert_eq!(address, "ab".repeat(20));
    assert!(serde_json::from_value::<Address>("ab".repeat(19).into()).is_err());
    assert!(serde_json::from_value::<Address>("ab".repeat(21).into()).is_err());
    assert_eq!(alloc::format!("{}", Address([1; 20])), alloc::format!("0x{}", "01".repeat(20)));
}

/// Values of a type, including its edges.
fn entries_of(dtype: Dtype) -> impl Strategy<Value = (Dtype, Vec<i32>)> {
    let half = 1_i64 << (packing::bits(dtype) - 1);
    let (min, max) = (-half as i32, (half - 1) as i32);
    let value = prop_oneof![Just(min), Just(max), min..=max];
    proptest::collection::vec(value, 0..100).prop_map(move |entries| (dtype, entries))
}

proptest! {
    #[test]
    fn entries_come_back(
        (dtype, entries) in prop_oneof![
            entries_of(Dtype::I8), entries_of(Dtype::I16), entries_of(Dtype::I32)
        ]
    ) {
        let elements = packing::pack(dtype, &entries).unwrap();
        let shape = Entries { dtype, count: entries.len() as u64 };
        prop_assert_eq!(elements.len() as u64, shape.elements());
        prop_assert_eq!(packing::unpack(shape, &elements).unwrap(), entries);
    }

    #[test]
    fn objects_come_back(scalars: [u32; 3], signals in 1_usize..=6, seed: u64) {
        let [a, b, c] = scalars.map(|scalar| u64::from(scalar) + 1);
        let proof = Groth16Proof::new(g1(a), g2(b), g1(c)).unwrap();
        let elements = (0..signals).map(|i| (-Fr::from(seed) * Fr::from(i as u64)).into()).collect();
        let signals = Signals::new(elements).unwrap();
        let object = InferenceProof { proof, key: VerifyingKeyDigest([seed as u8; 32]), signals };
        let bytes = object.to_bytes();
        prop_assert_eq!(InferenceProof::from_bytes(&bytes).unwrap(), object);
        prop_assert_eq!(Groth16Proof::of_words(&proof.words()).unwrap(), proof);
        prop_assert!(InferenceProof::from_bytes(&bytes[..bytes.len() - 1]).is_err());
        prop_assert!(InferenceProof::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    }

    /// A value that is read is written with the same bytes, and nothing panics.
    #[test]
    fn bytes_are_canonical(
        at in 0_usize..6 * 32 + 160, value: u8, signals in 1_u64..=6, key_at in 0_usize..448
    ) {
        let elements = (0..signals).map(FieldElement::from).collect();
        let object = InferenceProof {
            proof: proof(),
            key: key(signals).digest(),
            signals: Signals::new(elements).unwrap(),
        };
        let mut bytes = object.to_bytes();
        let at = at % bytes.len();
        bytes[at] = value;
        if let Ok(other) = InferenceProof::from_bytes(&bytes) {
            prop_assert_eq!(other.to_bytes(), bytes);
        }
        let mut bytes = key(signals).to_bytes();
        let at = key_at % bytes.len();
        bytes[at] = value;
        if let Ok(other) = VerifyingKey::from_bytes(&bytes) {
            prop_assert_eq!(other.to_bytes(), bytes);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        let _ = Groth16Proof::from_bytes(&bytes);
        let _ = Signals::from_bytes(&bytes);
        let _ = VerifyingKey::from_bytes(&bytes);
        let _ = InferenceProof::from_bytes(&bytes);
    }
}

#[test]
fn elements_have_one_encoding() {
    let element = FieldElement::from(0x1234);
    let mut bytes = [0; 32];
    bytes[30..].copy_from_slice(&[0x12, 0x34]);
    assert_eq!(element.to_bytes(), bytes);
    assert_eq!(FieldElement::from_bytes(&bytes), Ok(element));
    assert_eq!(element.to_string(), ::hex::encode(bytes));
    assert_eq!(FieldElement::ZERO.to_bytes(), [0; 32]);
    let modulus: [u8; 32] = ark_ff::BigInteger::to_bytes_be(&Fr::MODULUS).try_into().unwrap();
    assert_eq!(FieldElement::from_bytes(&modulus), Err(FieldElementError::Large));
    for length in [0, 31, 33] {
        let error = FieldElementError::Length(length);
        assert_eq!(FieldElement::from_bytes(&vec![0; length]), Err(error));
    }
    let json = serde_json::to_value(element).unwrap();
    assert_eq!(json, ::hex::encode(bytes));
    assert_eq!(serde_json::from_value::<FieldElement>(json).unwrap(), element);
}
