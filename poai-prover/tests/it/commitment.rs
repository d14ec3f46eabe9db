//! The commitment to weights, computed by hand from the text of spec §16.
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, PrimeField};
use light_poseidon::{Poseidon, PoseidonHasher};
use poai_core::program::{Builder, Clamp, Dim, Dtype, Form, Op};
use poai_engine::execute::{Constants, Network};
use poai_prover::{
    Circuit, CircuitBuilder, CircuitError, Committed, Hashed, Ranges, Salt, commit_weights,
};

const WEIGHTS: [i32; 12] = [1, -2, 3, -4, 5, -6, 7, -8, 63, -64, 0, 12];
const REQUANTISE: [i32; 9] = [100, 1 << 20, 0, -7, 12_345, 1, 0, 1, -1];

/// The numbers that differ between the tests' networks.
#[derive(Clone, Copy)]
struct Numbers {
    widen: i32,
    narrow: (i32, u8),
    add: ([i32; 2], u8, Clamp),
}

const NUMBERS: Numbers =
    Numbers { widen: 256, narrow: (77, 5), add: ([11, -13], 3, Clamp::full(Dtype::I16)) };

/// A network with a product, a requantisation without a shift, one with a
/// shift, and a sum.
fn network(numbers: Numbers) -> Network {
    let form = Form::new(Dim::fixed(2), Dim::fixed(4), Dtype::I8);
    let (mut builder, mut held) = (Builder::new(&[form]), Constants::default());
    let weights = held.add(&mut builder, "w", (3, 4), Dtype::I8, &WEIGHTS).unwrap();
    let requantise = held.add(&mut builder, "r", (3, 3), Dtype::I32, &REQUANTISE).unwrap();
    let clamp = Clamp::full(Dtype::I8);
    let x = builder.input(0);
    let op = Op::Linear { weights, requantise, shifts: [20, 0, 0], clamp };
    let x = builder.step("product", op, &[x]).unwrap();
    let clamp = Clamp::full(Dtype::I16);
    let op = Op::Requantise { multiplier: numbers.widen, shift: 0, clamp };
    let wide = builder.step("widen", op, &[x]).unwrap();
    let (multiplier, shift) = numbers.narrow;
    let op = Op::Requantise { multiplier, shift, clamp };
    let narrow = builder.step("narrow", op, &[wide]).unwrap();
    let (multipliers, shift, clamp) = numbers.add;
    let op = Op::Add { multipliers, shift, clamp };
    builder.step("sum", op, &[wide, narrow]).unwrap();
    Network::new(builder.finish().unwrap(), held.into_tensors()).unwrap()
}

/// ⌊248/b⌋ entries for each element, the first as the lowest digit.
fn packed(bits: u32, entries: &[i32]) -> Vec<Fr> {
    let element = |entries: &[i32]| {
        let digit = |&entry: &i32| Fr::from((i64::from(entry) + (1 << (bits - 1))) as u64);
        let base = Fr::from(2u64).pow([bits.into()]);
        entries.iter().rev().fold(Fr::ZERO, |sum, entry| sum * base + digit(entry))
    };
    entries.chunks((248 / bits) as usize).map(element).collect()
}

#[test]
fn the_commitment_is_the_specifications() {
    let network = network(NUMBERS);
    let mut tag = b"poai:weights".to_vec();
    tag.extend(&network.program().architecture_id().as_bytes()[..19]);
    let salt = [9; 31];
    let mut elements = vec![Fr::from_le_bytes_mod_order(&tag), Fr::from_le_bytes_mod_order(&salt)];
    elements.extend(packed(8, &WEIGHTS));
    elements.extend(packed(32, &REQUANTISE));
    // Multipliers with a shift, in the order of steps, m0 before m1.
    elements.extend(packed(32, &[77, 11, -13]));
    assert_eq!(elements.len(), 2 + 1 + 2 + 1);
    let hash = Poseidon::<Fr>::new_circom(elements.len()).unwrap().hash(&elements).unwrap();
    let commitment = commit_weights(&network, &Salt(salt)).unwrap();
    assert_eq!(commitment, hash.into());
    let known = "1f611814ca07b955f3d03f7943af7ddfd963bf171b8347e09d378a7d362cf472";
    assert_eq!(hex::encode(commitment.to_bytes()), known);
}

fn described(network: &Network) -> CircuitBuilder {
    Circuit::new(network).output(Hashed).weights(Committed)
}

fn circuit(numbers: Numbers) -> Circuit {
    described(&network(numbers)).build().unwrap()
}

/// A circuit fixes shifts, clamps and multipliers without a shift. Other
/// multipliers must fit their own ranges, or the union of both networks'
/// ranges.
#[test]
fn what_a_circuit_holds_and_what_it_leaves_open() {
    let circuit_of = circuit(NUMBERS);
    let Numbers { narrow: (m, shift), add: (ms, s, clamp), .. } = NUMBERS;
    let other = |numbers| circuit_of.for_network(&network(numbers));
    for numbers in [
        Numbers { widen: 255, ..NUMBERS },
        Numbers { narrow: (m, shift + 1), ..NUMBERS },
        Numbers { narrow: (m, 0), ..NUMBERS },
        Numbers { add: (ms, s + 1, clamp), ..NUMBERS },
        Numbers { add: (ms, s, Clamp { max: clamp.max - 1, ..clamp }), ..NUMBERS },
    ] {
        assert!(matches!(other(numbers).unwrap_err(), CircuitError::Numbers));
    }
    // 77 has 7 bits, 11 has four, and −13 has four with a sign.
    for (narrow, add, fits) in [
        (127, [15, -16], true),
        (128, [15, -16], false),
        (127, [16, -16], false),
        (127, [-1, -16], false),
        (127, [15, -17], false),
        (0, [0, 15], true),
    ] {
        let numbers = Numbers { narrow: (narrow, shift), add: (add, s, clamp), ..NUMBERS };
        match other(numbers) {
            Ok(_) => assert!(fits, "{narrow} {add:?}"),
            Err(error) => {
                let named = matches!(error, CircuitError::Multiplier { .. });
                assert!(named && !fits, "{narrow} {add:?}: {error}");
                let wider = circuit_of.ranges().union(circuit(numbers).ranges());
                let wider = described(&network(NUMBERS)).ranges(wider).build().unwrap();
                wider.for_network(&network(numbers)).unwrap();
                wider.for_network(&network(NUMBERS)).unwrap();
            }
        }
    }
    // The ranges of another program have other numbers of constants or
    // multipliers.
    let other = Ranges::standard(network(Numbers { narrow: (m, 0), ..NUMBERS }).program());
    let error = described(&network(NUMBERS)).ranges(other).build().unwrap_err();
    assert!(matches!(error, CircuitError::Architecture));
}

/// The exact ranges of the standard form.
#[test]
fn standard_ranges_are_the_specifications() {
    let Numbers { narrow: (_, shift), add: (_, s, clamp), .. } = NUMBERS;
    let fits = |narrow, add| {
        let numbers = Numbers { narrow: (narrow, shift), add: (add, s, clamp), ..NUMBERS };
        described(&network(numbers)).standard().build().map(|_| ())
    };
    let most = (1 << 30) - 1;
    // b1 is 1 here, and 0 in standard form.
    let error = fits(most, [0, most]).unwrap_err();
    assert!(matches!(error, CircuitError::Constant { entry: 1, least: 0, most: 0, .. }), "{error}");
    let form = Form::new(Dim::fixed(1), Dim::fixed(2), Dtype::I8);
    let sum = |multipliers: [i32; 2], channel: [i32; 3]| {
        let (mut builder, mut held) = (Builder::new(&[form]), Constants::default());
        let weights = held.add(&mut builder, "w", (1, 2), Dtype::I8, &[-64, 63]).unwrap();
        let requantise = held.add(&mut builder, "r", (1, 3), Dtype::I32, &channel).unwrap();
        let (x, clamp) = (builder.input(0), Clamp::full(Dtype::I8));
        let op = Op::Linear { weights, requantise, shifts: [24, 0, 0], clamp };
        let x = builder.step("product", op, &[x]).unwrap();
        let op = Op::Add { multipliers, shift: 24, clamp };
        builder.step("sum", op, &[x, x]).unwrap();
        let network = Network::new(builder.finish().unwrap(), held.into_tensors()).unwrap();
        described(&network).standard().build().is_ok()
    };
    for (multipliers, channel, fits) in [
        ([0, most], [-(1 << 24), 0, 0], true),
        ([most, 0], [(1 << 24) - 1, (1 << 26) - 1, 0], true),
        ([most + 1, 0], [0, 0, 0], false),
        ([0, most + 1], [0, 0, 0], false),
        ([-1, 0], [0, 0, 0], false),
        ([0, 0], [1 << 24, 0, 0], false),
        ([0, 0], [-(1 << 24) - 1, 0, 0], false),
        ([0, 0], [0, 1 << 26, 0], false),
        ([0, 0], [0, -1, 0], false),
        ([0, 0], [0, 0, 1], false),
        ([0, 0], [0, 0, -1], false),
    ] {
        assert_eq!(sum(multipliers, channel), fits, "{multipliers:?} {channel:?}");
    }
}
