//! The bundled product, which is no trained network.

use super::Subject;
use crate::failure::Failure;
use ark_std::rand::{Rng, SeedableRng, rngs::StdRng};
use poai::execute::{Constants, Network, Tensor};
use poai::program::{Builder, Clamp, Dim, Dtype, Form, Op, RunShape};
use std::sync::Arc;

/// Rows, columns and depth of the product.
const PRODUCT: u32 = 64;

/// A product of two fixed matrices of entries from −63 to 63.
pub fn product() -> Result<Subject, Failure> {
    let mut rng = StdRng::seed_from_u64(1);
    let size = PRODUCT as usize;
    let mut matrix = || (0..size * size).map(|_| rng.gen_range(-63..=63)).collect::<Vec<i32>>();
    let (x, entries) = (matrix(), matrix());
    let side = Dim::fixed(PRODUCT);
    let mut builder = Builder::new(&[Form::new(side, side, Dtype::I8)]);
    let mut constants = Constants::default();
    let weights = constants.add(&mut builder, "weights", (size, size), Dtype::I8, &entries)?;
    // No bias, and a factor of one: sums stay unchanged.
    let same = [0, 1, 0].repeat(size);
    let requantise = constants.add(&mut builder, "same", (size, 3), Dtype::I32, &same)?;
    let clamp = Clamp::full(Dtype::I32);
    let op = Op::Linear { weights, requantise, shifts: [0; 3], clamp };
    let input = builder.input(0);
    builder.step("product", op, &[input])?;
    let network = Network::new(builder.finish()?, constants.into_tensors())?;
    Ok(Subject {
        name: "product".to_owned(),
        network: Arc::new(network),
        run: RunShape::new(1, 1),
        inputs: vec![Tensor::new(size, size, Dtype::I8, &x)?],
        quantised: None,
    })
}
