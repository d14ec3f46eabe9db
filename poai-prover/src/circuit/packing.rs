//! Entries packed into field elements, as [`poai_core::inference::packing`] packs
//! values.

use super::super::system::{Lc, System};
use super::number::{Number, field};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};

/// A field element of the circuit, which is no bounded integer.
#[derive(Clone, Debug)]
pub(super) struct Element {
    pub(super) lc: Lc,
    pub(super) value: Fr,
}

impl Element {
    pub(super) fn constant(value: Fr) -> Element {
        Element { lc: Lc::constant(value), value }
    }

    /// A combination of elements.
    pub(super) fn sum<'a>(parts: impl IntoIterator<Item = (Fr, &'a Element)> + Clone) -> Element {
        let value = parts.clone().into_iter().map(|(factor, part)| factor * part.value).sum();
        let lc = Lc::sum(parts.into_iter().map(|(factor, part)| (factor, &part.lc)));
        Element { lc, value }
    }

    /// A product: a constraint.
    pub(super) fn product(system: &mut System, a: &Element, b: &Element) -> Element {
        let value = a.value * b.value;
        let product = Element { lc: system.witness(value), value };
        system.enforce(a.lc.clone(), b.lc.clone(), product.lc.clone());
        product
    }

    /// Demands that two are equal.
    pub(super) fn enforce_equal(system: &mut System, a: &Element, b: &Element) {
        system.enforce_zero(Lc::sum([(Fr::ONE, &a.lc), (-Fr::ONE, &b.lc)]));
    }
}

impl From<&Number> for Element {
    fn from(number: &Number) -> Element {
        Element { lc: number.lc().clone(), value: field(number.value()) }
    }
}

/// Bits of an element that entries fill.
const ROOM: usize = poai_core::inference::packing::BITS as usize;

/// Entries from −2^(bits−1) on, each plus that, as digits from the lowest on.
/// Injective where every entry is held to `bits` bits. `bits` need not be a
/// type's: what is hashed inside a circuit alone is packed as closely as its
/// bounds allow.
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
