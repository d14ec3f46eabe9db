//! The encoding of steps of decoders (spec §11).

use super::DecoderOp;
use crate::program::encoding::{Codec, ProgramDecodeError};
use crate::program::op::{Clamp, ConstantId};
use crate::program::tensor::Dtype;

/// Writes or reads a step's fields in order. No other code describes their
/// encoding.
pub(in crate::program) fn fields(
    op: &mut DecoderOp,
    codec: &mut impl Codec,
) -> Result<(), ProgramDecodeError> {
    match op {
        DecoderOp::RmsNorm { affine, epsilon, shift } => {
            codec.index(&mut affine.0)?;
            codec.number(epsilon)?;
            codec.shift(shift)
        }
        DecoderOp::Rotary { turns, heads, shift } => {
            codec.index(&mut turns.0)?;
            codec.index(heads)?;
            codec.shift(shift)
        }
        DecoderOp::Mix { scale, block, shift, clamp } => {
            codec.index(&mut scale.0)?;
            codec.index(block)?;
            codec.shift(shift)?;
            codec.clamp(clamp)
        }
        DecoderOp::Attention { heads, key_heads, window, alpha, table, scale, shifts } => {
            for number in [heads, key_heads, window] {
                codec.index(number)?;
            }
            for constant in [alpha, table, scale] {
                codec.index(&mut constant.0)?;
            }
            shifts.iter_mut().try_for_each(|shift| codec.shift(shift))
        }
        DecoderOp::Tail => Ok(()),
        DecoderOp::Sample { table, shift } => {
            codec.index(&mut table.0)?;
            codec.shift(shift)
        }
        DecoderOp::Limb { low } => codec.flag(low),
    }
}

/// The tag of a step's kind.
pub(in crate::program) fn tag(op: &DecoderOp) -> u8 {
    match op {
        DecoderOp::RmsNorm { .. } => 53,
        DecoderOp::Rotary { .. } => 54,
        DecoderOp::Mix { .. } => 55,
        DecoderOp::Attention { .. } => 56,
        DecoderOp::Tail => 57,
        DecoderOp::Sample { .. } => 58,
        DecoderOp::Limb { .. } => 59,
    }
}

/// A step of the kind of `tag`. Its fields are still to be read.
pub(in crate::program) fn blank(tag: u8) -> Option<DecoderOp> {
    const NONE: ConstantId = ConstantId(0);
    Some(match tag {
        53 => DecoderOp::RmsNorm { affine: NONE, epsilon: 0, shift: 0 },
        54 => DecoderOp::Rotary { turns: NONE, heads: 0, shift: 0 },
        55 => {
            let clamp = Clamp::full(Dtype::I8);
            DecoderOp::Mix { scale: NONE, block: 0, shift: 0, clamp }
        }
        56 => DecoderOp::Attention {
            heads: 0,
            key_heads: 0,
            window: 0,
            alpha: NONE,
            table: NONE,
            scale: NONE,
            shifts: [0; 4],
        },
        57 => DecoderOp::Tail,
        58 => DecoderOp::Sample { table: NONE, shift: 0 },
        59 => DecoderOp::Limb { low: false },
        _ => return None,
    })
}
