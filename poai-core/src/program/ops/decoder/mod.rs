//! The arithmetic of the steps of decoders (spec §12, steps of decoders).
//!
//! - `attention`: queries in groups on shared keys and values.
//! - `octaves`: weights that fall by powers of two, by table.
//! - `rows`: steps that compute each row from the same row.
//! - `places`: steps that move rows by their places.
//! - `sample`: the choice of words.
//! - `reads`: the rows that a region depends on.

mod attention;
mod octaves;
mod places;
mod reads;
mod rows;
mod sample;

pub(super) use attention::tile_columns;
pub(super) use reads::{further_reads, reads};
pub use sample::random;

use super::{Local, Region, RowSource, StepError};
use crate::program::DecoderOp;

/// Computes a region of a step of decoders.
pub(super) fn compute(
    local: &Local<'_>,
    op: &DecoderOp,
    source: &dyn RowSource,
    region: &Region,
    out: &mut [i32],
) -> Result<(), StepError> {
    match op {
        DecoderOp::RmsNorm { epsilon, shift, .. } => {
            rows::rms_norm(local, (*epsilon, *shift), source, region, out)
        }
        DecoderOp::Mix { block, shift, clamp, .. } => {
            rows::mix(local, *block, (*shift, clamp), source, region, out)
        }
        DecoderOp::Limb { low } => rows::limb(*low, source, region, out),
        DecoderOp::Rotary { shift, .. } => places::rotary(local, *shift, source, region, out),
        DecoderOp::Tail => places::tail(local, source, region, out),
        DecoderOp::Attention { .. } => attention::compute(local, op, source, region, out),
        DecoderOp::Sample { shift, .. } => sample::sample(local, *shift, source, region, out),
    }
}
