//! Gadgets at their edges, and forgeries of them.

use super::super::system::{Lc, System};
use super::Circuit;
use super::bits::{decompose, divide, floor, hold, max};
use super::number::{Number, field, is_zero};
use super::packing::Element;
use super::poseidon::chain;
use super::product;
use super::ranges::EntryRange;
use super::synthesis::{Builder, Subject};
use super::table::look_up;
use super::tensor::Entries;
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, PrimeField};
use light_poseidon::{Poseidon as Outside, PoseidonHasher};
use poai_core::Control;
use poai_core::inference::visibility::{Committed, Hashed};
use poai_core::program::ops::arithmetic::{rdiv, rsh};
use poai_core::program::{Builder as ProgramBuilder, Clamp, Dim, Dtype, Extent, Form, Op};
use poai_engine::execute::Network;

fn holds(system: &System) -> bool {
    system.first_unsatisfied(system.assignment()).is_none()
}

/// A number whose bounds other constraints enforce.
fn number(system: &mut System, value: i128, bounds: (i128, i128)) -> Number {
    Number::witness(system, value, bounds)
}

#[test]
fn witnesses_are_held_to_exactly_their_bounds() {
    for bounds in [(-64, 63), (-63, 63), (0, 1), (0, 0), (-1, 0), (5, 12), (-100, 27), (0, 126)] {
        for value in bounds.0 - 130..=bounds.1 + 130 {
            let mut system = System::new(0, true);
            let number = number(&mut system, value, bounds);
            hold(&mut system, &number);
            let inside = (bounds.0..=bounds.1).contains(&value);
            assert_eq!(holds(&system), inside, "{value} in {bounds:?}");
        }
    }
}

/// Floors and clamps of every value within some bounds. The ends of the clamp
/// lie within, beyond and at the bounds.
#[test]
fn floors_and_clamps_are_the_executors() {
    let ends = [
        (-64, 63),
        (-63, 63),
        (0, 63),
        (0, 126),
        (-3, 4),
        (0, 0),
        (-5, -2),
        (7, 9),
        (-1000, 1000),
        (-1000, 0),
        (100, 200),
        (-200, -100),
    ];
    for bounds in [(-300, 300), (-40, 700), (0, 500), (-500, 0), (-7, 9), (13, 13), (90, 120)] {
        for shift in [0u32, 1, 3, 7] {
            for (least, most) in ends {
                for value in bounds.0..=bounds.1 {
                    let mut system = System::new(0, true);
                    let x = number(&mut system, value, bounds);
                    let floor = floor(&mut system, &x, shift, least);
                    assert_eq!(floor.quotient.value(), value >> shift);
                    let clamped = floor.clamp(&mut system, least, most);
                    let expected = (value >> shift).clamp(least, most);
                    assert_eq!(clamped.value(), expected, "{value} >> {shift} in {least}..={most}");
                    let (from, to) = clamped.bounds();
                    assert!((from..=to).contains(&expected), "{from}..={to}: {expected}");
                    assert_eq!(clamped.lc().evaluate(system.assignment()), field(expected));
                    assert!(holds(&system), "{value} >> {shift} in {least}..={most}");
                }
            }
        }
    }
}

/// The extremes of multipliers and sums, at which i64 is nearly full.
#[test]
fn extremes_are_the_executors() {
    let extremes = [i32::MIN, i32::MIN + 1, -1, 0, 1, i32::MAX - 1, i32::MAX];
    let bounds = (i128::from(i32::MIN), i128::from(i32::MAX));
    for a in extremes {
        for b in extremes {
            for shift in [0u8, 1, 30, 31, 32, 61, 62] {
                let mut system = System::new(0, true);
                let x = number(&mut system, a.into(), bounds);
                let y = number(&mut system, b.into(), bounds);
                let product = Number::product(&mut system, &x, &y);
                let half = if shift == 0 { 0 } else { 1 << (shift - 1) };
                let floor = floor(&mut system, &product.plus(half), shift.into(), -64);
                let clamped = floor.clamp(&mut system, -64, 63);
                let expected = rsh(i64::from(a) * i64::from(b), shift).clamp(-64, 63);
                assert_eq!(clamped.value(), expected.into(), "{a}·{b} >> {shift}");
                assert!(holds(&system));
            }
        }
    }
}

#[test]
fn quotients_of_any_divisor_are_the_executors() {
    for n in [3i128, 5, 6, 7, 9, 10, 12, 25, 49] {
        for value in -400..=400 {
            let mut system = System::new(0, true);
            let x = number(&mut system, value, (-400, 400));
            let quotient = divide(&mut system, &x.plus(n / 2), n);
            assert_eq!(quotient.value(), rdiv(value as i64, n as i64).into(), "{value}/{n}");
            assert!(holds(&system));
            // A quotient that is larger or smaller by one leaves a remainder
            // outside 0..n.
            for wrong in [-1, 1] {
                let mut system = System::new(0, true);
                let x = number(&mut system, value + wrong * n, (-400, 400));
                divide(&mut system, &x.plus(n / 2), n);
                let mut assignment = system.assignment().to_vec();
                assignment[1] = field(value);
                assert!(system.first_unsatisfied(&assignment).is_some());
            }
        }
    }
}

/// Decomposition accepts only bits. A forger that puts all of a number into its
/// lowest bit can pass no other number, in range or out of it.
#[test]
fn nothing_but_bits_decomposes() {
    for width in 1..6 {
        for value in 0..200 {
            let mut system = System::new(0, true);
            let x = number(&mut system, value % (1 << width), (0, (1 << width) - 1));
            decompose(&mut system, &x, 0, width);
            assert!(holds(&system));
            let mut assignment = system.assignment().to_vec();
            assignment[1] = field(value);
            // The assignment holds x, then its bits.
            assignment[2..].fill(Fr::ZERO);
            assignment[2] = field(value);
            let is_bit = value < 2;
            assert_eq!(system.first_unsatisfied(&assignment).is_none(), is_bit, "{value}");
        }
    }
}

/// A forged mean: every remainder has a quotient in the field, but that
/// quotient has no bits.
#[test]
fn quotients_are_held_as_remainders_are() {
    let (n, bounds) = (7i128, (-400, 400));
    for value in [-400, -1, 0, 1, 6, 7, 399, 400i128] {
        for remainder in 0..n {
            // `other` has the remainder's bits, and its own quotient's bits.
            let other = value - value.rem_euclid(n) + remainder;
            let mut system = System::new(0, true);
            let x = number(&mut system, other, bounds);
            let quotient = divide(&mut system, &x, n);
            assert!(holds(&system));
            let mut assignment = system.assignment().to_vec();
            assignment[1] = field(value);
            let [(_, at)] = quotient.lc().terms() else { panic!("a witness") };
            assignment[*at] = field(value - remainder) * field(n).inverse().unwrap();
            let honest = remainder == value.rem_euclid(n);
            let satisfied = system.first_unsatisfied(&assignment).is_none();
            assert_eq!(satisfied, honest, "{value} with the remainder {remainder}");
        }
    }
}

/// Values from outside are limited to their type, or to their range.
#[test]
fn inputs_and_committed_constants_are_held() {
    let range = |bits, signed| EntryRange { bits, signed };
    for (dtype, range, inside, outside) in [
        (Dtype::I8, range(6, true), [-64, 63], [-65, 64]),
        (Dtype::I32, range(3, false), [0, 7], [-1, 8]),
        (Dtype::I32, range(31, true), [i32::MIN, i32::MAX], [i32::MIN, i32::MAX]),
    ] {
        for (entries, expected) in [(inside, true), (outside, range.bits == 31)] {
            for entry in entries {
                let mut builder = builder();
                let extent = Extent::new(1, 2, dtype).unwrap();
                let held = builder.held(2, &[entry, inside[0]], &[range]);
                let held = Entries::new(extent, held);
                assert_eq!(held.bounds(), {
                    let (least, most) = range.bounds();
                    (least.min(0), most.max(0))
                });
                assert_eq!(holds(&builder.system), expected, "{entry} as {range:?}");
            }
        }
    }
    // The input has the ranges of its type.
    for (dtype, bounds) in [
        (Dtype::I8, (-64, 63)),
        (Dtype::I16, (i16::MIN.into(), i16::MAX.into())),
        (Dtype::I32, (i32::MIN.into(), i32::MAX.into())),
    ] {
        let form = Form::new(Dim::fixed(1), Dim::fixed(3), dtype);
        let mut program = ProgramBuilder::new(&[form]);
        let input = program.input(0);
        program.step("relu", Op::Relu, &[input]).unwrap();
        let network = Network::new(program.finish().unwrap(), vec![]).unwrap();
        let circuit = Circuit::new(&network).output(Hashed).build().unwrap();
        let mut builder = builder();
        let input = circuit.subject.input(&mut builder, None).unwrap();
        assert_eq!(input.bounds(), bounds, "{dtype:?}");
        assert!(builder.system.constraints() >= 3 * 7, "no constraints limit them");
    }
}

/// A multiplier outside its range is rejected by the circuit, and satisfies no
/// constraints.
#[test]
fn committed_multipliers_are_held() {
    let form = Form::new(Dim::fixed(1), Dim::fixed(3), Dtype::I8);
    let network = |multiplier| {
        let mut program = ProgramBuilder::new(&[form]);
        let input = program.input(0);
        let clamp = Clamp::full(Dtype::I16);
        let op = Op::Requantise { multiplier, shift: 3, clamp };
        program.step("requantise", op, &[input]).unwrap();
        Network::new(program.finish().unwrap(), vec![]).unwrap()
    };
    let circuit = Circuit::new(&network(100)).output(Hashed).weights(Committed).build().unwrap();
    for (multiplier, fits) in [(0, true), (127, true), (128, false), (-1, false)] {
        let other = circuit.for_network(&network(multiplier));
        assert_eq!(other.is_ok(), fits, "{multiplier}");
        if let Err(error) = other {
            let expected = "step requantise: expected a multiplier in";
            assert!(error.to_string().starts_with(expected), "{error}");
        }
        // A forger skips the check.
        let forged = Subject { network: network(multiplier), ..circuit.subject.clone() };
        let system = System::new(circuit.layout().count(), true);
        let system = forged.synthesise(None, system, &Control::new()).unwrap().system;
        // Salts and input are zeros, so that all constraints hold but those of
        // the signals.
        let broken = system.unsatisfied(system.assignment());
        assert_eq!(broken.is_empty(), fits, "{multiplier}: {broken:?}");
    }
}

fn builder() -> Builder {
    Builder { system: System::new(0, true), signals: 0 }
}

#[test]
fn the_larger_of_two_is_chosen() {
    for a in -9..=9 {
        for b in -9..=9 {
            let mut system = System::new(0, true);
            let x = number(&mut system, a, (-9, 9));
            let y = number(&mut system, b, (-9, 9));
            assert_eq!(max(&mut system, &x, &y).value(), a.max(b));
            assert!(holds(&system));
        }
    }
}

#[test]
fn zero_is_told_from_all_else() {
    for value in -3..=3 {
        let mut system = System::new(0, true);
        let x = number(&mut system, value, (-3, 3));
        let zero = is_zero(&mut system, &x);
        assert_eq!(zero.number().value(), i128::from(value == 0));
        assert!(holds(&system));
        // The flag is the third variable. It cannot have the other value with
        // any inverse.
        let mut assignment = system.assignment().to_vec();
        assignment[3] = Fr::ONE - assignment[3];
        for inverse in [Fr::ZERO, Fr::ONE, field(value).inverse().unwrap_or_default()] {
            assignment[2] = inverse;
            assert!(system.first_unsatisfied(&assignment).is_some(), "{value}");
        }
    }
}

#[test]
fn tables_are_looked_up_fixed_and_committed() {
    let entries: Vec<i128> = (0..100).map(|i| (i * 37 % 128) - 64).collect();
    for fixed in [true, false] {
        for index in 0..100 {
            let mut system = System::new(0, true);
            let x = number(&mut system, index, (0, 99));
            let bits = decompose(&mut system, &x, 0, 7).bits;
            let table: Vec<Number> = entries
                .iter()
                .map(|&entry| match fixed {
                    true => Number::constant(entry),
                    false => number(&mut system, entry, (-64, 63)),
                })
                .collect();
            let found = look_up(&mut system, &bits, &table);
            assert_eq!(found.value(), entries[index as usize]);
            assert_eq!(found.lc().evaluate(system.assignment()), field(entries[index as usize]));
            assert!(holds(&system));
        }
    }
}

/// The constraints compute light-poseidon's hash, for every number of inputs
/// and for chains.
#[test]
fn hashes_are_those_outside() {
    for count in 1..=12 {
        let inputs: Vec<Fr> = (0..count).map(|i| Fr::from(7u64).pow([i + 50])).collect();
        let mut system = System::new(0, true);
        let elements: Vec<Element> =
            inputs.iter().map(|&value| Element { lc: system.witness(value), value }).collect();
        let hash = chain(&mut system, &elements).unwrap();
        let mut outside = Outside::<Fr>::new_circom(inputs.len()).unwrap();
        assert_eq!(hash.value, outside.hash(&inputs).unwrap(), "{count} inputs");
        assert_eq!(hash.lc.evaluate(system.assignment()), hash.value);
        assert!(holds(&system));
    }
}

fn matrix(system: &mut System, [rows, columns]: [u32; 2], seed: i128) -> Entries {
    let extent = Extent::new(rows, columns, Dtype::I8).unwrap();
    let entry = |i: u32| (i128::from(i) * seed + 11) % 128 - 64;
    let entries = (0..rows * columns).map(|i| {
        let entry = number(system, entry(i), (-64, 63));
        hold(system, &entry);
        entry
    });
    Entries::new(extent, entries.collect())
}

/// A forger of a product that is checked with one challenge. It knows ρ, and changes two sums of a
/// row so that the equation still holds. If the challenge does not depend on the sums, the forger
/// succeeds.
#[test]
fn sums_cannot_be_chosen_after_the_challenge() {
    let mut system = System::new(0, true);
    let (x, weights) = (matrix(&mut system, [64, 48], 37), matrix(&mut system, [48, 48], 91));
    let before = system.variables();
    let sums = product::sums(&mut system, &binding(), &x, &weights).unwrap();
    assert!(holds(&system));
    let expected = |row: usize, column: usize| -> i128 {
        x.row(row).iter().zip(weights.row(column)).map(|(a, b)| a.value() * b.value()).sum()
    };
    assert!((0..64).all(|i| (0..48).all(|j| sums[i][j].value() == expected(i, j))));
    // The sums are the first witnesses, which shows that Freivalds' check made
    // them.
    let [first, second] = [0, 1].map(|column| sums[3][column].lc().terms()[0].1);
    assert_eq!(first, before + 3 * 48);

    // The equation alone, with a challenge from outside, accepts a forged pair.
    let challenge = Fr::from_le_bytes_mod_order(b"known beforehand");
    let row = |sums: &[Fr]| -> Fr {
        sums.iter().rev().fold(Fr::ZERO, |sum, &entry| (sum + entry) * challenge)
    };
    let honest: Vec<Fr> = sums[3].iter().map(|sum| field(sum.value())).collect();
    let mut forged = honest.clone();
    // δ₀·ρ + δ₁·ρ² = 0.
    forged[0] += challenge;
    forged[1] -= Fr::ONE;
    assert_eq!(row(&honest), row(&forged));
    assert_ne!(honest, forged);

    // In the circuit, ρ is the hash, and the row is folded with it. The same change for this ρ
    // needs sums that are not integers within their bounds, so their bits cannot match.
    let rho = product::challenge(&mut system, &binding(), &x, &weights, &sums);
    let rho = rho.unwrap().value;
    let folded = honest.iter().rev().fold(Fr::ZERO, |sum, &entry| (sum + entry) * rho);
    assert!(system.assignment().contains(&folded));
    let mut assignment = system.assignment().to_vec();
    assignment[first] += rho;
    assignment[second] -= Fr::ONE;
    assert!(system.first_unsatisfied(&assignment).is_some());
}

/// The binding for challenges in tests that do not vary it.
fn binding() -> Element {
    Element::constant(Fr::from(77u64))
}

/// A party that changes any entry of the three matrices, or the binding, gets
/// another ρ.
#[test]
fn the_challenge_is_of_every_entry_of_all_three() {
    let mut system = System::new(0, true);
    let (x, weights) = (matrix(&mut system, [5, 33], 37), matrix(&mut system, [4, 33], 91));
    let sums: Vec<Vec<Number>> = (0..5)
        .map(|i| {
            (0..4).map(|j| number(&mut system, i * 7 - j, (-(1 << 18), (1 << 18) - 1))).collect()
        })
        .collect();
    let mut rho = |x: &Entries, weights: &Entries, sums: &[Vec<Number>]| {
        let other = Element::constant(Fr::from(78u64));
        let [rho, bound] = [binding(), other]
            .map(|binding| product::challenge(&mut system, &binding, x, weights, sums).unwrap());
        assert_eq!(rho.lc.evaluate(system.assignment()), rho.value);
        assert_ne!(rho.value, bound.value);
        rho.value
    };
    let mut seen = vec![rho(&x, &weights, &sums)];
    // Changes the number as a prover's numbers change: another value, and
    // another variable for it.
    let other = |number: &Number| number.plus(1 - 2 * i128::from(number.value() > 0));
    for at in 0..x.entries.len() {
        let mut x = x.clone();
        x.entries[at] = other(&x.entries[at]);
        seen.push(rho(&x, &weights, &sums));
    }
    for at in 0..weights.entries.len() {
        let mut weights = weights.clone();
        weights.entries[at] = other(&weights.entries[at]);
        seen.push(rho(&x, &weights, &sums));
    }
    for (i, j) in (0..5).flat_map(|i| (0..4).map(move |j| (i, j))) {
        let mut sums = sums.clone();
        sums[i][j] = other(&sums[i][j]);
        seen.push(rho(&x, &weights, &sums));
    }
    let count = seen.len();
    assert_eq!(count, 1 + 5 * 33 + 4 * 33 + 5 * 4);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count, "two have one challenge");
}

/// A forger that recomputes everything that depends on wrong sums, their bits
/// and the hash included. Every constraint holds but the equation of the wrong
/// row.
#[test]
fn wrong_sums_fail_their_rows_equation_alone() {
    for (row, column, by) in [(0, 0, 1), (3, 5, -1), (4, 7, 1000), (2, 3, 1 << 40)] {
        let mut system = System::new(0, true);
        let (x, weights) = (matrix(&mut system, [5, 16], 37), matrix(&mut system, [8, 16], 91));
        let dot = |i: usize, j: usize| -> i128 {
            x.row(i).iter().zip(weights.row(j)).map(|(a, b)| a.value() * b.value()).sum()
        };
        let mut values: Vec<Vec<i128>> =
            (0..5).map(|i| (0..8).map(|j| dot(i, j)).collect()).collect();
        let mut honest = system.clone();
        let checked = |system: &mut System, values: &[Vec<i128>]| {
            product::checked(system, &binding(), &x, &weights, values).unwrap();
        };
        checked(&mut honest, &values);
        assert!(holds(&honest));
        values[row][column] += by;
        checked(&mut system, &values);
        let broken = system.unsatisfied(system.assignment());
        // The last constraint of each row is its equation. It follows n
        // products of Horner's rule on the left and k on the right.
        let equation = system.constraints() - 1 - (4 - row) * (8 + 16 + 1);
        // Beyond its bounds, a sum would also leave its place in the hash, and the bounds reject
        // it.
        let bounds = usize::from(by == 1 << 40);
        assert_eq!(broken.len(), 1 + bounds, "{by}: {broken:?}");
        assert_eq!(broken.last(), Some(&equation));
    }
}

/// If the sums are few, or the weights constant, they are made product by
/// product.
#[test]
fn small_products_are_made_directly() {
    let mut system = System::new(0, true);
    let (x, weights) = (matrix(&mut system, [1, 8], 3), matrix(&mut system, [4, 8], 5));
    let before = system.constraints();
    product::sums(&mut system, &binding(), &x, &weights).unwrap();
    assert_eq!(system.constraints() - before, 32);
    let fixed: Vec<i32> = weights.entries.iter().map(|entry| entry.value() as i32).collect();
    let sums: Vec<i128> = product::fixed_row(x.row(0), &fixed, 1).map(|sum| sum.value()).collect();
    let dot = |row: &[Number]| x.row(0).iter().zip(row).map(|(a, b)| a.value() * b.value()).sum();
    assert_eq!(sums, weights.rows().map(dot).collect::<Vec<i128>>());
    assert_eq!(product::fixed_terms(&x, &fixed), 32);
    assert_eq!(product::fixed_terms(&x, &[0, 3, 0, -1]), 2);
    assert!(holds(&system));
}

/// Terms of one variable are merged, and no term has coefficient 0.
#[test]
fn combinations_are_canonical() {
    let mut system = System::new(0, true);
    let (a, b) = (system.witness(Fr::ONE), system.witness(Fr::ONE));
    let two = Fr::from(2u64);
    let sum = Lc::sum([(two, &b), (Fr::ONE, &a), (-two, &b), (Fr::ONE, &a)]);
    assert_eq!(sum.terms(), [(two, 1)]);
    assert!(Lc::sum([(Fr::ONE, &a), (-Fr::ONE, &a)]).is_constant());
}
