//! Look-ups in a table by bits.
//!
//! With a table of constants, half of the bits select among sums that are
//! linear in products of the other half. That takes about 2·2^(w/2) constraints
//! for 2^w entries. A committed table takes a product for each entry.

use super::super::system::System;
use super::number::{Bit, Number};

/// The entry at the index that the bits give, the lowest bit first. The bits
/// never give an index beyond the end of the table.
pub(super) fn look_up(system: &mut System, bits: &[Bit], table: &[Number]) -> Number {
    let least = table.iter().map(|entry| entry.bounds().0).fold(i128::MAX, i128::min);
    let most = table.iter().map(|entry| entry.bounds().1).fold(i128::MIN, i128::max);
    let (low, high) = bits.split_at(bits.len() / 2);
    let (low, high) = (selectors(system, low), selectors(system, high));
    let mut picked = vec![];
    for (block, high) in table.chunks(low.len()).zip(&high) {
        let inner = if block.iter().all(Number::is_constant) {
            let parts: Vec<_> = block.iter().map(Number::value).zip(&low).collect();
            Number::sum(parts.iter().copied(), 0)
        } else {
            let products: Vec<Number> = block
                .iter()
                .zip(&low)
                .map(|(entry, selector)| Number::product(system, entry, selector))
                .collect();
            let parts: Vec<_> = products.iter().map(|product| (1, product)).collect();
            Number::sum(parts.iter().copied(), 0)
        };
        // One selector is 1, and all others are 0.
        let inner = Number::bounded(inner.lc().clone(), inner.value(), (least.min(0), most.max(0)));
        picked.push(Number::product(system, high, &inner));
    }
    let parts: Vec<_> = picked.iter().map(|part| (1, part)).collect();
    let entry = Number::sum(parts.iter().copied(), 0);
    Number::bounded(entry.lc().clone(), entry.value(), (least, most))
}

/// For every number that the bits can encode, 1 if they encode it, else 0.
pub(super) fn selectors(system: &mut System, bits: &[Bit]) -> Vec<Number> {
    let mut selectors = vec![Number::constant(1)];
    for bit in bits {
        // The new bit is the highest so far.
        let with: Vec<Number> = selectors
            .iter()
            .map(|selector| Number::product(system, selector, bit.number()))
            .collect();
        let without: Vec<Number> =
            selectors.iter().zip(&with).map(|(all, with)| all.minus(with)).collect();
        let bounded =
            |number: &Number| Number::bounded(number.lc().clone(), number.value(), (0, 1));
        selectors = without.iter().chain(&with).map(bounded).collect();
    }
    selectors
}
