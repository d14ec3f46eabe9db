//! The encoding of steps of training (spec §11).

use super::{BlockKind, EXPONENTS_MAX, Shift, Sign, TrainingOp};
use crate::program::encoding::{Codec, ProgramDecodeError};
use crate::program::op::{Clamp, ConstantId, Window};
use crate::program::tensor::{Dim, Dtype};
use alloc::vec::Vec;

/// Writes or reads a step's fields in order. No other code describes their
/// encoding.
pub(in crate::program) fn fields(
    op: &mut TrainingOp,
    codec: &mut impl Codec,
) -> Result<(), ProgramDecodeError> {
    match op {
        TrainingOp::ScaledProduct { shift, bias, bias_shift, clamp } => {
            signs(&mut shift.signs, codec)?;
            codec.flag(bias)?;
            codec.number(&mut shift.base)?;
            codec.shift(bias_shift)?;
            codec.clamp(clamp)
        }
        TrainingOp::Exponent { per_row } => codec.flag(per_row),
        TrainingOp::Rescale { shift, stream, multiplier, clamp } => {
            signs(&mut shift.signs, codec)?;
            optional(stream, codec)?;
            codec.number(multiplier)?;
            codec.number(&mut shift.base)?;
            codec.clamp(clamp)
        }
        TrainingOp::Gate { table, index_shift, shift, clamp } => {
            codec.index(&mut table.0)?;
            codec.shift(index_shift)?;
            codec.shift(shift)?;
            codec.clamp(clamp)
        }
        TrainingOp::CrossEntropy { table, multiplier, shift, fraction } => {
            codec.index(&mut table.0)?;
            codec.number(multiplier)?;
            codec.shift(shift)?;
            codec.shift(fraction)
        }
        TrainingOp::NormaliseGradient { centre, shift, clamp } => {
            codec.flag(centre)?;
            codec.shift(shift)?;
            codec.clamp(clamp)
        }
        TrainingOp::Gather { table } => {
            let mut is_constant = table.is_some();
            codec.flag(&mut is_constant)?;
            if is_constant {
                let mut id = table.unwrap_or(ConstantId(0));
                codec.index(&mut id.0)?;
                *table = Some(id);
            }
            Ok(())
        }
        TrainingOp::ScatterAdd { rows } => codec.index(rows),
        TrainingOp::UnfoldGradient(window) | TrainingOp::MaxPoolGradient(window) => {
            codec.window(window)
        }
        TrainingOp::Block { kind: _, heads, shift, offset, multiplier, clamp } => {
            codec.index(heads)?;
            signs(&mut shift.signs, codec)?;
            codec.number(offset)?;
            codec.number(multiplier)?;
            codec.number(&mut shift.base)?;
            codec.clamp(clamp)
        }
        TrainingOp::Exponentials { table, causal, multiplier, shift } => {
            codec.index(&mut table.0)?;
            codec.flag(causal)?;
            codec.number(multiplier)?;
            codec.shift(shift)
        }
        TrainingOp::DivideBySums { shift, clamp } => {
            codec.shift(shift)?;
            codec.clamp(clamp)
        }
        TrainingOp::Descend { shift, decay, clamp } => {
            codec.number(shift)?;
            codec.shift(decay)?;
            codec.clamp(clamp)
        }
        TrainingOp::SecondMoment { shift } => codec.shift(shift),
        TrainingOp::Ratio { clamp } => codec.clamp(clamp),
        TrainingOp::MeanPoolGradient { rows } => codec.dim(rows),
        TrainingOp::Draw { samples } => codec.index(samples),
        TrainingOp::TransposeTiles
        | TrainingOp::RowSum
        | TrainingOp::SoftmaxGradient
        | TrainingOp::NextExponent => Ok(()),
    }
}

/// Writes or reads signs.
fn signs(signs: &mut Vec<Sign>, codec: &mut impl Codec) -> Result<(), ProgramDecodeError> {
    // Exact: the builder permits at most 4. A longer list is written as 255,
    // which no reader takes.
    let mut count = u8::try_from(signs.len()).unwrap_or(u8::MAX);
    codec.byte(&mut count)?;
    if usize::from(count) > EXPONENTS_MAX {
        return Err(ProgramDecodeError::Field { what: "signs", value: count.into() });
    }
    signs.resize(count.into(), Sign::Minus);
    signs.iter_mut().try_for_each(|sign| {
        let mut plus = *sign == Sign::Plus;
        codec.flag(&mut plus)?;
        *sign = if plus { Sign::Plus } else { Sign::Minus };
        Ok(())
    })
}

/// Writes or reads a flag and a number, which is 0 if the flag is not set.
fn optional(number: &mut Option<u32>, codec: &mut impl Codec) -> Result<(), ProgramDecodeError> {
    let (mut is_set, mut value) = (number.is_some(), number.unwrap_or(0));
    codec.flag(&mut is_set)?;
    codec.index(&mut value)?;
    if !is_set && value != 0 {
        return Err(ProgramDecodeError::Field { what: "a stream", value: value.into() });
    }
    *number = is_set.then_some(value);
    Ok(())
}

/// The tag of a step's kind.
pub(in crate::program) fn tag(op: &TrainingOp) -> u8 {
    match op {
        TrainingOp::ScaledProduct { .. } => 29,
        TrainingOp::TransposeTiles => 30,
        TrainingOp::Exponent { .. } => 31,
        TrainingOp::Rescale { .. } => 32,
        TrainingOp::RowSum => 33,
        TrainingOp::Gate { .. } => 34,
        TrainingOp::CrossEntropy { .. } => 35,
        TrainingOp::NormaliseGradient { .. } => 36,
        TrainingOp::Gather { .. } => 37,
        TrainingOp::ScatterAdd { .. } => 38,
        TrainingOp::UnfoldGradient(_) => 39,
        TrainingOp::MaxPoolGradient(_) => 40,
        TrainingOp::Block { kind: BlockKind::Scores, .. } => 41,
        TrainingOp::Block { kind: BlockKind::Mix, .. } => 42,
        TrainingOp::Block { kind: BlockKind::MixBack, .. } => 43,
        TrainingOp::Exponentials { .. } => 44,
        TrainingOp::DivideBySums { .. } => 45,
        TrainingOp::SoftmaxGradient => 46,
        TrainingOp::Descend { .. } => 47,
        TrainingOp::SecondMoment { .. } => 48,
        TrainingOp::Ratio { .. } => 49,
        TrainingOp::MeanPoolGradient { .. } => 50,
        TrainingOp::Draw { .. } => 51,
        TrainingOp::NextExponent => 52,
    }
}

/// A step of the kind of `tag`. Its fields are still to be read.
pub(in crate::program) fn blank(tag: u8) -> Option<TrainingOp> {
    const NONE: ConstantId = ConstantId(0);
    let clamp = Clamp::full(Dtype::I8);
    let window = Window { height: 0, width: 0, kernel: [0; 2], stride: [0; 2], pads: [0; 4] };
    let shift = Shift::fixed(0);
    let block = |kind| {
        let shift = Shift::fixed(0);
        TrainingOp::Block { kind, heads: 0, shift, offset: 0, multiplier: 0, clamp }
    };
    Some(match tag {
        29 => TrainingOp::ScaledProduct { shift, bias: false, bias_shift: 0, clamp },
        30 => TrainingOp::TransposeTiles,
        31 => TrainingOp::Exponent { per_row: false },
        32 => TrainingOp::Rescale { shift, stream: None, multiplier: 0, clamp },
        33 => TrainingOp::RowSum,
        34 => TrainingOp::Gate { table: NONE, index_shift: 0, shift: 0, clamp },
        35 => TrainingOp::CrossEntropy { table: NONE, multiplier: 0, shift: 0, fraction: 0 },
        36 => TrainingOp::NormaliseGradient { centre: false, shift: 0, clamp },
        37 => TrainingOp::Gather { table: None },
        38 => TrainingOp::ScatterAdd { rows: 0 },
        39 => TrainingOp::UnfoldGradient(window),
        40 => TrainingOp::MaxPoolGradient(window),
        41 => block(BlockKind::Scores),
        42 => block(BlockKind::Mix),
        43 => block(BlockKind::MixBack),
        44 => TrainingOp::Exponentials { table: NONE, causal: false, multiplier: 0, shift: 0 },
        45 => TrainingOp::DivideBySums { shift: 0, clamp },
        46 => TrainingOp::SoftmaxGradient,
        47 => TrainingOp::Descend { shift: 0, decay: 0, clamp },
        48 => TrainingOp::SecondMoment { shift: 0 },
        49 => TrainingOp::Ratio { clamp },
        50 => TrainingOp::MeanPoolGradient { rows: Dim::fixed(0) },
        51 => TrainingOp::Draw { samples: 0 },
        52 => TrainingOp::NextExponent,
        _ => return None,
    })
}
