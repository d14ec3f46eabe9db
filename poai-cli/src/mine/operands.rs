//! The operands: from a file, pseudo-random, or from the bundled layer.

use crate::failure::Failure;
use crate::{files, memory};
use ndarray::Array2;
use poai::operand::{Split, pseudorandom};
use poai::verify::Rules;
use poai::{Challenge, Params};
use safetensors::{Dtype, SafeTensors};
use std::path::Path;

/// The bundled operands: a feed-forward product of all-MiniLM-L6-v2.
const BUNDLED: &[u8] = include_bytes!("../../data/operands/minilm-ffn.safetensors");

/// The bundled operands, padded and cut into statements that a block accepts.
pub fn bundled() -> Result<Split, Failure> {
    cut(from_safetensors(BUNDLED)?)
}

/// The operands of a safetensors file, padded and cut in the same way.
pub fn of_file(path: &Path) -> Result<Split, Failure> {
    let len = files::regular_len(path)?;
    memory::check(u128::from(len) * 4)?;
    let in_file = |why: Failure| Failure::in_file(path)(&why);
    let (a, bt) = from_safetensors(&files::read(path, len)?).map_err(in_file)?;
    memory::check(memory::of_mining([a.nrows(), bt.nrows(), a.ncols()]))?;
    cut((a, bt)).map_err(in_file)
}

/// Pseudo-random operands of a shape, padded and cut in the same way.
pub fn random(challenge: &Challenge, shape: [usize; 3]) -> Result<Split, Failure> {
    memory::check(memory::of_mining(shape))?;
    let [m, n, k] = shape;
    let seed = |side: &[u8]| [&challenge.0, side].concat();
    cut((pseudorandom(&seed(b"/a"), m, k), pseudorandom(&seed(b"/b"), n, k)))
}

fn cut((a, bt): (Array2<i8>, Array2<i8>)) -> Result<Split, Failure> {
    Ok(Split::new(&Params::CONSENSUS, a, bt)?)
}

/// Refuses, before mining, a product that no block would accept.
pub fn check_k(work: &Split, rules: &Rules) -> Result<(), Failure> {
    let depths = work.parts().iter().map(|part| part.operands().shape().k);
    match depths.into_iter().find(|k| !(rules.k_min..=rules.k_max).contains(k)) {
        Some(k) => Err(Failure::usage(format!(
            "expected k of {}..={} after padding, as a block's statement needs, got {k}; take another shape",
            rules.k_min, rules.k_max,
        ))),
        None => Ok(()),
    }
}

/// The tensors `a` and `bt` of a safetensors file.
fn from_safetensors(bytes: &[u8]) -> Result<(Array2<i8>, Array2<i8>), Failure> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| {
        Failure::usage(format!(
            "expected a safetensors file, got another ({error}); save the tensors a and bt in one"
        ))
    })?;
    Ok((tensor(&file, "a")?, tensor(&file, "bt")?))
}

fn tensor(file: &SafeTensors<'_>, name: &str) -> Result<Array2<i8>, Failure> {
    let view = file.tensor(name).map_err(|_| {
        Failure::usage(format!(
            "expected a tensor `{name}`, got none; save the operands as a and bt"
        ))
    })?;
    if view.dtype() != Dtype::I8 {
        return Err(Failure::usage(format!(
            "expected I8 entries in tensor `{name}`, got {:?}; convert them",
            view.dtype()
        )));
    }
    let [rows, columns] = view.shape()[..] else {
        let shape = view.shape();
        return Err(Failure::usage(format!(
            "expected two dimensions of tensor `{name}`, got {shape:?}; save a matrix"
        )));
    };
    let entries = view.data().iter().map(|&byte| byte as i8).collect();
    Array2::from_shape_vec((rows, columns), entries).map_err(Failure::usage)
}

// The miner limits k of one statement; its limit is the same as a block's.
const _: () = assert!(poai::operand::K_MAX == Rules::CONSENSUS.k_max as usize);
