//! Sums of products with weights.
//!
//! Weights that are constants cost nothing but terms. Committed ones are
//! multiplied entry by entry, or where that is dearer checked by Freivalds:
//! with ρ a hash of the binding and all three matrices, and r = (ρ, ρ², …),
//! `sums·r = x·(Wᵀr)` row by row. The binding is hashed first, so that another
//! binding has another ρ, and all that follows of ρ is other witnesses. The challenge is made *inside* the circuit,
//! of the very entries that the equation is about: a prover who wants to know
//! it has to fix x, W and the sums first, and a wrong row then passes for at
//! most n of the field's 2^254 elements. (A challenge that came from outside,
//! or from x and W alone, could be known before the sums are chosen, and one
//! equation leaves n − 1 of a row's n sums free.) For the hash to fix the
//! sums they are held to their bounds, so that packing them is injective.

use super::super::system::{Lc, System};
use super::bits::{hold, width};
use super::number::Number;
use super::packing::{Element, pack};
use super::poseidon::chain;
use super::tensor::Entries;
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, PrimeField};
use light_poseidon::PoseidonError;

/// Terms of the sums with constant weights, all rows together: each row's are
/// made when they are used ([`fixed_row`]).
pub(super) fn fixed_terms(x: &Entries, weights: &[i32]) -> usize {
    let terms = weights.iter().filter(|&&weight| weight != 0).count();
    terms.saturating_mul(x.extent.rows as usize)
}

/// The sums of a row with constant weights: no constraint. Of a large layer the
/// weights are most of what a circuit is made of, so they stay integers.
pub(super) fn fixed_row(row: &[Number], weights: &[i32]) -> impl Iterator<Item = Number> {
    weights.chunks_exact(row.len().max(1)).map(move |weights| {
        let parts: Vec<_> = weights.iter().map(|&weight| i128::from(weight)).zip(row).collect();
        Number::sum(parts.iter().copied(), 0)
    })
}

/// `x·Wᵀ` with committed weights, a row for each row of x.
pub(super) fn sums(
    system: &mut System,
    binding: &Element,
    x: &Entries,
    weights: &Entries,
) -> Result<Vec<Vec<Number>>, PoseidonError> {
    if direct_cost(x, weights) <= freivalds_cost(x, weights) {
        return Ok(x.rows().map(|row| each(system, row, weights)).collect());
    }
    freivalds(system, binding, x, weights)
}

/// A row's sums, product by product.
fn each(system: &mut System, row: &[Number], weights: &Entries) -> Vec<Number> {
    let sum = |weights: &[Number]| {
        let products: Vec<Number> =
            row.iter().zip(weights).map(|(x, w)| Number::product(system, x, w)).collect();
        let parts: Vec<_> = products.iter().map(|product| (1, product)).collect();
        Number::sum(parts.iter().copied(), 0)
    };
    weights.rows().map(sum).collect()
}

fn sizes(x: &Entries, weights: &Entries) -> [u64; 3] {
    [x.extent.rows, weights.extent.rows, x.extent.columns].map(u64::from)
}

fn direct_cost(x: &Entries, weights: &Entries) -> u64 {
    let [m, n, k] = sizes(x, weights);
    m * n * k
}

/// Constraints of the check, about: products, bits of the sums, and 46 for
/// each element hashed.
fn freivalds_cost(x: &Entries, weights: &Entries) -> u64 {
    let [m, n, k] = sizes(x, weights);
    let bits = sum_bits(x, weights) as u64;
    let hashed = (m * k + n * k).div_ceil(31) + (m * n).div_ceil(248 / bits.max(1));
    m * k + n * k + 2 * m * n + bits * m * n + 46 * hashed
}

/// The bounds of any sum.
fn sum_bounds(x: &Entries, weights: &Entries) -> (i128, i128) {
    let ((a, b), (c, d)) = (x.bounds(), weights.bounds());
    let ends = [a * c, a * d, b * c, b * d];
    let k = i128::from(x.extent.columns);
    let least = ends.into_iter().fold(0, i128::min);
    let most = ends.into_iter().fold(0, i128::max);
    (k * least, k * most)
}

/// Bits that hold any sum, with its sign.
fn sum_bits(x: &Entries, weights: &Entries) -> usize {
    let (least, most) = sum_bounds(x, weights);
    width(most.max(-least)) + 1
}

fn freivalds(
    system: &mut System,
    binding: &Element,
    x: &Entries,
    weights: &Entries,
) -> Result<Vec<Vec<Number>>, PoseidonError> {
    let dot = |row: &[Number], weights: &[Number]| -> i128 {
        row.iter().zip(weights).map(|(x, w)| x.value() * w.value()).sum()
    };
    let row = |row| weights.rows().map(|weights| dot(row, weights)).collect();
    let values: Vec<Vec<i128>> = x.rows().map(row).collect();
    checked(system, binding, x, weights, &values)
}

/// Sums of these values, with the constraints that show whether they are the
/// product's.
pub(super) fn checked(
    system: &mut System,
    binding: &Element,
    x: &Entries,
    weights: &Entries,
    values: &[Vec<i128>],
) -> Result<Vec<Vec<Number>>, PoseidonError> {
    // Powers of two, which one decomposition holds a sum to.
    let bits = sum_bits(x, weights);
    let bounds = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1);
    let mut all = Vec::with_capacity(values.len());
    for row in values {
        let sums = row.iter().map(|&value| Number::witness(system, value, bounds));
        all.push(sums.collect::<Vec<_>>());
    }
    all.iter().flatten().for_each(|sum| hold(system, sum));
    let challenge = challenge(system, binding, x, weights, &all)?;
    check(system, &challenge, x, weights, &all);
    Ok(all)
}

/// ρ: a hash of the binding and of all three.
pub(super) fn challenge(
    system: &mut System,
    binding: &Element,
    x: &Entries,
    weights: &Entries,
    sums: &[Vec<Number>],
) -> Result<Element, PoseidonError> {
    let tag = Fr::from_le_bytes_mod_order(b"poai:freivalds");
    let mut elements = vec![Element::constant(tag), binding.clone()];
    let of = |entries: &[Number], (least, most): (i128, i128)| {
        pack(entries, width(most.max(-least)) + 1)
    };
    elements.extend(of(&x.entries, x.bounds()));
    elements.extend(of(&weights.entries, weights.bounds()));
    let sums: Vec<Number> = sums.iter().flatten().cloned().collect();
    elements.extend(pack(&sums, sum_bits(x, weights)));
    chain(system, &elements)
}

/// `sums·r = x·(Wᵀr)`, by Horner's rule in ρ from the last column of W on.
fn check(
    system: &mut System,
    challenge: &Element,
    x: &Entries,
    weights: &Entries,
    sums: &[Vec<Number>],
) {
    let k = x.extent.columns as usize;
    let folded: Vec<Element> = (0..k)
        .map(|column| {
            let mut entries: Vec<_> = weights.rows().filter_map(|row| row.get(column)).collect();
            entries.reverse();
            horner(system, challenge, entries.into_iter())
        })
        .collect();
    for (row, sums) in x.rows().zip(sums) {
        let left = horner(system, challenge, sums.iter().rev());
        let mut right = vec![];
        for (x, folded) in row.iter().zip(&folded) {
            right.push(Element::product(system, &Element::from(x), folded));
        }
        let parts: Vec<_> = right.iter().map(|part| (Fr::ONE, part)).collect();
        let right = Element::sum(parts.iter().copied());
        Element::enforce_equal(system, &left, &right);
    }
}

/// ((first·ρ + second)·ρ + …)·ρ.
fn horner<'a>(
    system: &mut System,
    challenge: &Element,
    entries: impl Iterator<Item = &'a Number>,
) -> Element {
    let mut sum = Element { lc: Lc::default(), value: Fr::ZERO };
    for entry in entries {
        let with = Element::sum([(Fr::ONE, &sum), (Fr::ONE, &Element::from(entry))]);
        sum = Element::product(system, &with, challenge);
    }
    sum
}
