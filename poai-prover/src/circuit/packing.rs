//! Entries packed into field elements, in the format of [`poai_core::inference::packing`].

use super::super::system::{Lc, System};
use super::number::{Number, field};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};

/// A field element of the circuit, which need not be a bounded integer.
#[derive(Clone, Debug)]
pub(super) struct Element {
    pub(super) lc: Lc,
    pub(super) value: Fr,
}

impl Element {
    pub(super) fn constant(value: Fr) -> Element {
        Element { lc: Lc::constant(value), value }
    }

    /// A linear combination of elements.
    pub(super) fn sum<'a>(parts: impl IntoIterator<Item = (Fr, &'a Element)> + Clone) -> Element {
        let value = parts.clone().into_iter().map(|(factor, part)| factor * part.value).sum();
        let lc = Lc::sum(parts.into_iter().map(|(factor, part)| (factor, &part.lc)));
        Element { lc, value }
    }

    /// The product of two elements, which takes one constraint.
    pub(super) fn product(system: &mut System, a: &Element, b: &Element) -> Element {
        let value = a.value * b.value;
        let product = Element { lc: system.witness(value), value };
        system.enforce(a.lc.clone(), b.lc.clone(), product.lc.clone());
        product
    }

    /// Constrains two elements to be equal.
    pub(super) fn enforce_equal(system: &mut System, a: &Element, b: &Element) {
        system.enforce_zero(Lc::sum([(Fr::ONE, &a.lc), (-Fr::ONE, &b.lc)]));
    }
}

impl From<&Number> for Element {
    fn from(number: &Number) -> Element {
        Element { lc: number.lc().clone(), value: field(number.value()) }
    }
}

/// Number of bits of an element that entries fill.
const ROOM: usize = poai_core::inference::packing::BITS as usize;

/// Packs entries as digits, the lowest first. Each digit is the entry plus
/// 2^(bits−1).
///
/// Packing is injective if every entry is limited to `bits` bits. `bits` need
/// not be a type's width: values that are hashed only inside a circuit are
/// packed as closely as their bounds allow.
pub(super) fn pack(entries: &[Number], bits: usize) -> Vec<Element> {
    let digit = Fr::from(2u64).pow([bits as u64]);
    let offset = field(1 << (bits - 1));
    let packed = entries.chunks(ROOM / bits).map(|entries| {
        let (mut place, mut constant, mut value) = (Fr::ONE, Fr::ZERO, Fr::ZERO);
        let mut parts = Vec::with_capacity(entries.len());
        for entry in entries {
            parts.push((place, entry.lc()));
            value += place * (field(entry.value()) + offset);
            constant += place * offset;
            place *= digit;
        }
        let constant = Lc::constant(constant);
        Element { lc: Lc::sum(parts.into_iter().chain([(Fr::ONE, &constant)])), value }
    });
    packed.collect()
}
