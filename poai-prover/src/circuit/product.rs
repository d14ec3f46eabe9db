//! Sums of products with weights.
//!
//! Weights that are constants cost terms and no constraints. Committed weights are multiplied entry
//! by entry. So are two values of a run, of which the second takes the weights' place. If that costs more, the circuit checks the sums by Freivalds' method: with ρ a hash of
//! the binding and all three matrices, and r = (ρ, ρ², …), it checks `sums·r = x·(Wᵀr)` row by row.
//!
//! The binding is hashed first. Another binding therefore has another ρ, and every witness that
//! follows from ρ differs.
//!
//! The challenge is computed *inside* the circuit, from the entries that the equation is about. A
//! prover that wants to know it has to fix x, W and the sums first. A wrong row then passes for at
//! most n of the field's 2^254 elements. (If the challenge came from outside, or from x and W
//! alone, the prover could know it before it chooses the sums. One equation leaves n − 1 of a row's
//! n sums free.)
//!
//! The hash fixes the sums only if packing them is injective, so constraints keep the sums within
//! their bounds.

use super::super::system::{Lc, System};
use super::CircuitError;
use super::bits::{hold, width};
use super::number::Number;
use super::packing::{Element, pack};
use super::poseidon::chain;
use super::tensor::Entries;
use crate::defect::Defect;
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, PrimeField};

/// Number of terms of the sums with constant weights, all rows together.
///
/// The terms of a row are made when they are used ([`fixed_row`]).
pub(super) fn fixed_terms(x: &Entries, weights: &[i32]) -> usize {
    let terms = weights.iter().filter(|&&weight| weight != 0).count();
    terms.saturating_mul(x.extent.rows as usize)
}

/// The sums of a row with constant weights, which take no constraint.
///
/// Each of the groups of outputs reads its own group of the row's columns. The
/// weights of a large layer are most of the circuit's memory, so they stay
/// integers.
pub(super) fn fixed_row(
    row: &[Number],
    weights: &[i32],
    groups: usize,
) -> impl Iterator<Item = Number> {
    let k = (row.len() / groups.max(1)).max(1);
    let per_group = (weights.len() / k / groups.max(1)).max(1);
    weights.chunks_exact(k).enumerate().map(move |(output, weights)| {
        let columns = row.iter().skip(output / per_group * k);
        let parts: Vec<_> = weights.iter().map(|&weight| i128::from(weight)).zip(columns).collect();
        Number::sum(parts.iter().copied(), 0)
    })
}

/// The sums of groups of columns with their own weights, one row for each row
/// of x.
pub(super) fn grouped(
    system: &mut System,
    binding: &Element,
    x: &Entries,
    weights: &Entries,
    groups: u32,
) -> Result<Vec<Vec<Number>>, CircuitError> {
    let mut all = vec![vec![]; x.extent.rows as usize];
    for group in 0..groups.max(1) {
        let columns = x.part_of_columns(group, groups).ok_or(CircuitError::Layout)?;
        let own = weights.part_of_rows(group, groups).ok_or(CircuitError::Layout)?;
        let sums = sums(system, binding, &columns, &own)?;
        all.iter_mut().zip(sums).for_each(|(all, sums)| all.extend(sums));
    }
    Ok(all)
}

/// `x·Wᵀ` with committed weights or another value, one row for each row of x.
pub(super) fn sums(
    system: &mut System,
    binding: &Element,
    x: &Entries,
    weights: &Entries,
) -> Result<Vec<Vec<Number>>, Defect> {
    if direct_cost(x, weights) <= freivalds_cost(x, weights) {
        return Ok(x.rows().map(|row| each(system, row, weights)).collect());
    }
    freivalds(system, binding, x, weights)
}

/// The sums of one row, product by product.
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

/// Approximate number of constraints of the check: products, bits of the sums,
/// and 46 for each element that is hashed.
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

/// Number of bits that hold any sum, with its sign.
fn sum_bits(x: &Entries, weights: &Entries) -> usize {
    let (least, most) = sum_bounds(x, weights);
    width(most.max(-least)) + 1
}

fn freivalds(
    system: &mut System,
    binding: &Element,
    x: &Entries,
    weights: &Entries,
) -> Result<Vec<Vec<Number>>, Defect> {
    let dot = |row: &[Number], weights: &[Number]| -> i128 {
        row.iter().zip(weights).map(|(x, w)| x.value() * w.value()).sum()
    };
    let row = |row| weights.rows().map(|weights| dot(row, weights)).collect();
    let values: Vec<Vec<i128>> = x.rows().map(row).collect();
    checked(system, binding, x, weights, &values)
}

/// Sums with the given values, and the constraints that check them against the
/// product.
pub(super) fn checked(
    system: &mut System,
    binding: &Element,
    x: &Entries,
    weights: &Entries,
    values: &[Vec<i128>],
) -> Result<Vec<Vec<Number>>, Defect> {
    // The bounds are powers of two, so that one decomposition enforces them.
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

/// ρ: a hash of the binding and of all three matrices.
pub(super) fn challenge(
    system: &mut System,
    binding: &Element,
    x: &Entries,
    weights: &Entries,
    sums: &[Vec<Number>],
) -> Result<Element, Defect> {
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

/// Checks `sums·r = x·(Wᵀr)` by Horner's rule in ρ, from the last row of W
/// backwards.
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
