//! The canonical bytes of a program, and its identifiers (spec §11).
//!
//! ```text
//! "poai program 1\n" ‖ u32 structure length ‖ u32 numbers length ‖
//!     structure ‖ numbers ‖ roots ‖ names
//! architecture_id = H("architecture", structure)
//! program_id      = H("program", architecture_id ‖ numbers ‖ (root ‖ u32 rows ‖ u32 columns ‖ u8 dtype)…)
//! ```
//!
//! `fields` lists every field of a step once, for both writing and reading.
//! Shapes and wiring go to the structure, and the quantisation's numbers to the
//! numbers.

mod codec;

use super::builder::LISTED_MAX;
use super::check::STEP_INPUTS_MAX;
use super::op::{Clamp, ConstantId, GroupWindow, Op, ValueId, Window};
use super::tensor::{Dim, Dtype, Extent};
use super::{Builder, Program, ProgramError};
use super::{decoder, training};
use crate::digest::derive;
use crate::digest::{ArchitectureId, ProgramId, Root};
use alloc::vec::Vec;
pub(super) use codec::Codec;
use codec::{Bytes, Reader, Sections};

/// The first bytes of a program.
const MAGIC: &[u8] = b"poai program 1\n";
/// The largest length of a program in bytes.
pub const PROGRAM_BYTES_MAX: usize = 1 << 26;
/// The largest number of constants, and of steps.
const COUNT_MAX: u32 = 1 << 16;

/// Why bytes are not a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramDecodeError {
    /// The bytes do not start as those of a program do.
    #[error("expected a program of version 1, got other bytes")]
    Magic,
    /// The bytes end early, go on after the end, or are longer than any
    /// program.
    #[error("expected a program of the length that its fields imply, got another length")]
    Length,
    /// A field has a value that is not permitted.
    #[error("{what}: expected a permitted value, got {value}")]
    Field {
        /// Which field.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// A name is not UTF-8.
    #[error("expected names in UTF-8, got other bytes")]
    Name,
    /// The steps do not fit together.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

impl Program {
    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Sections { structure, numbers } = self.sections();
        let mut bytes = MAGIC.to_vec();
        bytes.extend((structure.len() as u32).to_le_bytes());
        bytes.extend((numbers.len() as u32).to_le_bytes());
        bytes.extend(&structure);
        bytes.extend(&numbers);
        for constant in &self.constants {
            bytes.extend(constant.root.as_bytes());
        }
        let names = self.constants.iter().map(|constant| &constant.name);
        for name in names.chain(self.steps.iter().map(|step| &step.name)) {
            // Exact: at most 255 bytes.
            bytes.push(name.len() as u8);
            bytes.extend(name.as_bytes());
        }
        bytes
    }

    /// Reads canonical bytes and checks every shape.
    ///
    /// `to_bytes` returns exactly these bytes again.
    ///
    /// # Errors
    /// [`ProgramDecodeError`] if the bytes are not those of a program.
    pub fn from_bytes(bytes: &[u8]) -> Result<Program, ProgramDecodeError> {
        if bytes.len() > PROGRAM_BYTES_MAX {
            return Err(ProgramDecodeError::Length);
        }
        let rest = bytes.strip_prefix(MAGIC).ok_or(ProgramDecodeError::Magic)?;
        let mut all = Bytes(rest);
        let (structure, numbers) = (all.u32()? as usize, all.u32()? as usize);
        let mut codec =
            Reader { structure: Bytes(all.take(structure)?), numbers: Bytes(all.take(numbers)?) };
        let inputs = codec.inputs()?;
        let mut builder = Builder::new(&inputs);
        let extents = decode_extents(&mut codec)?;
        let steps = decode_steps(&mut codec)?;
        let outputs = decode_outputs(&mut codec)?;
        let listed = outputs.is_some();
        if !codec.structure.0.is_empty() || !codec.numbers.0.is_empty() {
            return Err(ProgramDecodeError::Length);
        }
        let mut roots = Vec::with_capacity(extents.len().min(rest.len() / 32));
        for _ in &extents {
            let root = all.take(32)?.try_into().map_err(|_| ProgramDecodeError::Length)?;
            roots.push(Root(root));
        }
        for (extent, root) in extents.iter().zip(roots) {
            builder.constant(all.name()?, root, *extent);
        }
        for (op, inputs) in steps {
            builder.step(all.name()?, op, &inputs)?;
        }
        if !all.0.is_empty() {
            return Err(ProgramDecodeError::Length);
        }
        let program = match outputs {
            Some((states, outputs)) => builder.finish_with(&outputs, states)?,
            None => builder.finish()?,
        };
        // A list that names only the last value has another encoding.
        if program.has_list() != listed {
            return Err(ProgramDecodeError::Field { what: "outputs", value: 1 });
        }
        Ok(program)
    }

    /// The identifier of structure and shapes.
    ///
    /// It binds the kinds of steps, wiring, forms and extents.
    pub fn architecture_id(&self) -> ArchitectureId {
        ArchitectureId(derive!("architecture", &self.sections().structure))
    }

    /// The identifier of the program.
    ///
    /// It binds the architecture, the quantisation's numbers, and every
    /// constant by (root, rows, columns, type). It does not bind names.
    pub fn program_id(&self) -> ProgramId {
        let Sections { structure, numbers } = self.sections();
        let architecture: [u8; 32] = derive!("architecture", &structure);
        let mut material = architecture.to_vec();
        material.extend(&numbers);
        for constant in &self.constants {
            material.extend(constant.root.as_bytes());
            material.extend(constant.extent.rows.to_le_bytes());
            material.extend(constant.extent.columns.to_le_bytes());
            material.push(constant.extent.dtype.tag());
        }
        ProgramId(derive!("program", &material))
    }

    fn sections(&self) -> Sections {
        let mut to = Sections::default();
        to.inputs(&self.inputs);
        to.structure.extend((self.constants.len() as u32).to_le_bytes());
        for constant in &self.constants {
            to.structure.extend(constant.extent.rows.to_le_bytes());
            to.structure.extend(constant.extent.columns.to_le_bytes());
            to.structure.push(constant.extent.dtype.tag());
        }
        to.structure.extend((self.steps.len() as u32).to_le_bytes());
        for step in &self.steps {
            let mut op = step.op.clone();
            to.structure.push(tag(&op));
            // Writing never fails.
            let _ = fields(&mut op, &mut to);
            to.structure.push(step.inputs.len() as u8);
            for input in &step.inputs {
                to.structure.extend(input.0.to_le_bytes());
            }
        }
        if self.has_list() {
            to.structure.extend(self.states.to_le_bytes());
            to.structure.extend((self.outputs.len() as u32).to_le_bytes());
            for output in &self.outputs {
                to.structure.extend(output.0.to_le_bytes());
            }
        }
        to
    }
}

/// Reads the states and the outputs of a program that lists them.
fn decode_outputs(
    from: &mut Reader<'_>,
) -> Result<Option<(u32, Vec<ValueId>)>, ProgramDecodeError> {
    if from.structure.0.is_empty() {
        return Ok(None);
    }
    let states = from.structure.u32()?;
    let count = from.structure.u32()?;
    if count as usize > LISTED_MAX {
        return Err(ProgramDecodeError::Field { what: "outputs", value: count.into() });
    }
    let outputs = (0..count).map(|_| Ok(ValueId(from.structure.u32()?)));
    Ok(Some((states, outputs.collect::<Result<_, ProgramDecodeError>>()?)))
}

fn decode_extents(from: &mut Reader<'_>) -> Result<Vec<Extent>, ProgramDecodeError> {
    let count = count(from, "constants")?;
    let mut extents = Vec::new();
    for _ in 0..count {
        let (rows, columns) = (from.structure.u32()?, from.structure.u32()?);
        let dtype = from.dtype()?;
        let extent = Extent::new(rows, columns, dtype);
        let what = "a constant's extent of rows";
        extents.push(extent.ok_or(ProgramDecodeError::Field { what, value: rows.into() })?);
    }
    Ok(extents)
}

/// Reads a count of at most [`COUNT_MAX`].
///
/// The check precedes every allocation that depends on the count.
fn count(from: &mut Reader<'_>, what: &'static str) -> Result<u32, ProgramDecodeError> {
    let count = from.structure.u32()?;
    if count > COUNT_MAX {
        return Err(ProgramDecodeError::Field { what, value: count.into() });
    }
    Ok(count)
}

type Steps = Vec<(Op, Vec<ValueId>)>;

fn decode_steps(from: &mut Reader<'_>) -> Result<Steps, ProgramDecodeError> {
    let count = count(from, "steps")?;
    let mut steps = Vec::new();
    for _ in 0..count {
        let tag = from.structure.byte()?;
        let mut op = blank(tag)
            .ok_or(ProgramDecodeError::Field { what: "a step's tag", value: tag.into() })?;
        fields(&mut op, from)?;
        let count = from.structure.byte()?;
        if usize::from(count) > STEP_INPUTS_MAX {
            return Err(ProgramDecodeError::Field { what: "inputs", value: count.into() });
        }
        let inputs = (0..count).map(|_| Ok(ValueId(from.structure.u32()?)));
        steps.push((op, inputs.collect::<Result<_, ProgramDecodeError>>()?));
    }
    Ok(steps)
}

/// Writes or reads a step's fields in order. No other code describes their
/// encoding.
fn fields(op: &mut Op, codec: &mut impl Codec) -> Result<(), ProgramDecodeError> {
    match op {
        Op::Linear { weights, requantise, shifts, clamp } => {
            codec.index(&mut weights.0)?;
            codec.index(&mut requantise.0)?;
            shifts.iter_mut().try_for_each(|shift| codec.shift(shift))?;
            codec.clamp(clamp)
        }
        Op::Unfold(window) | Op::MaxPool(window) | Op::AveragePool(window) => codec.window(window),
        Op::Add { multipliers, shift, clamp } => {
            multipliers.iter_mut().try_for_each(|number| codec.number(number))?;
            codec.shift(shift)?;
            codec.clamp(clamp)
        }
        Op::Requantise { multiplier, shift, clamp } => {
            codec.number(multiplier)?;
            codec.shift(shift)?;
            codec.clamp(clamp)
        }
        Op::ScaleColumns { scale, shift, clamp } => {
            codec.index(&mut scale.0)?;
            codec.shift(shift)?;
            codec.clamp(clamp)
        }
        Op::Relu | Op::Transpose | Op::RowScale | Op::Quantise | Op::MeanPool | Op::L2Normalise => {
            Ok(())
        }
        Op::Table { table, shift, pass_above } => {
            codec.index(&mut table.0)?;
            codec.shift(shift)?;
            codec.flag(pass_above)
        }
        Op::Softmax { table, multiplier, shift, one, clamp } => {
            codec.index(&mut table.0)?;
            codec.number(multiplier)?;
            codec.shift(shift)?;
            codec.number(one)?;
            codec.clamp(clamp)
        }
        Op::Normalise { affine, centre, shift } => {
            codec.index(&mut affine.0)?;
            codec.flag(centre)?;
            codec.shift(shift)
        }
        Op::Embed { table, scales, shift } => {
            codec.index(&mut table.0)?;
            codec.index(&mut scales.0)?;
            codec.shift(shift)
        }
        Op::AddRows { table } => codec.index(&mut table.0),
        Op::AttentionWeights { heads, alpha, shift, table, causal } => {
            codec.index(heads)?;
            codec.index(&mut alpha.0)?;
            codec.shift(shift)?;
            codec.index(&mut table.0)?;
            codec.flag(causal)
        }
        Op::AttentionContext { heads, scale, shifts } => {
            codec.index(heads)?;
            codec.index(&mut scale.0)?;
            shifts.iter_mut().try_for_each(|shift| codec.shift(shift))
        }
        Op::Reshape { rows, columns } => {
            codec.dim(rows)?;
            codec.dim(columns)
        }
        Op::Mul { shift, clamp } => {
            codec.shift(shift)?;
            codec.clamp(clamp)
        }
        Op::Curve { table, shift, pass_above } => {
            codec.index(&mut table.0)?;
            codec.shift(shift)?;
            codec.flag(pass_above)
        }
        Op::Arrange { index } => codec.index(&mut index.0),
        Op::GroupUnfold(GroupWindow { window, dilation, groups, fill }) => {
            codec.window(window)?;
            dilation.iter_mut().try_for_each(|number| codec.index(number))?;
            codec.index(groups)?;
            codec.number(fill)
        }
        Op::GroupLinear { weights, requantise, groups, shifts, clamp } => {
            codec.index(&mut weights.0)?;
            codec.index(&mut requantise.0)?;
            codec.index(groups)?;
            shifts.iter_mut().try_for_each(|shift| codec.shift(shift))?;
            codec.clamp(clamp)
        }
        Op::Product { blocks, shift, clamp } => {
            codec.index(blocks)?;
            codec.shift(shift)?;
            codec.clamp(clamp)
        }
        Op::Training(op) => training::fields(op, codec),
        Op::Decoder(op) => decoder::fields(op, codec),
        Op::RelativeAttentionWeights { heads, alpha, shift, table, causal, bias } => {
            codec.index(heads)?;
            codec.index(&mut alpha.0)?;
            codec.shift(shift)?;
            codec.index(&mut table.0)?;
            codec.flag(causal)?;
            codec.index(&mut bias.0)
        }
    }
}

/// The tag of a step's kind.
fn tag(op: &Op) -> u8 {
    match op {
        Op::Linear { .. } => 1,
        Op::Unfold(_) => 2,
        Op::Add { .. } => 3,
        Op::Requantise { .. } => 4,
        Op::Relu => 5,
        Op::Table { .. } => 6,
        Op::MaxPool(_) => 7,
        Op::AveragePool(_) => 8,
        Op::Softmax { .. } => 9,
        Op::Normalise { .. } => 10,
        Op::Embed { .. } => 11,
        Op::AddRows { .. } => 12,
        Op::AttentionWeights { .. } => 13,
        Op::AttentionContext { .. } => 14,
        Op::Transpose => 15,
        Op::Reshape { .. } => 16,
        Op::RowScale => 17,
        Op::Quantise => 18,
        Op::MeanPool => 19,
        Op::L2Normalise => 20,
        Op::ScaleColumns { .. } => 21,
        Op::Mul { .. } => 22,
        Op::Curve { .. } => 23,
        Op::Arrange { .. } => 24,
        Op::GroupUnfold(_) => 25,
        Op::GroupLinear { .. } => 26,
        Op::Product { .. } => 27,
        Op::Training(op) => training::tag(op),
        Op::RelativeAttentionWeights { .. } => 28,
        Op::Decoder(op) => decoder::tag(op),
    }
}

/// A step of the kind of `tag`. Its fields are still to be read.
fn blank(tag: u8) -> Option<Op> {
    const NONE: ConstantId = ConstantId(0);
    let clamp = Clamp::full(Dtype::I8);
    let window = Window { height: 0, width: 0, kernel: [0; 2], stride: [0; 2], pads: [0; 4] };
    let dim = Dim::fixed(0);
    Some(match tag {
        1 => Op::Linear { weights: NONE, requantise: NONE, shifts: [0; 3], clamp },
        2 => Op::Unfold(window),
        3 => Op::Add { multipliers: [0; 2], shift: 0, clamp },
        4 => Op::Requantise { multiplier: 0, shift: 0, clamp },
        5 => Op::Relu,
        6 => Op::Table { table: NONE, shift: 0, pass_above: false },
        7 => Op::MaxPool(window),
        8 => Op::AveragePool(window),
        9 => Op::Softmax { table: NONE, multiplier: 0, shift: 0, one: 0, clamp },
        10 => Op::Normalise { affine: NONE, centre: false, shift: 0 },
        11 => Op::Embed { table: NONE, scales: NONE, shift: 0 },
        12 => Op::AddRows { table: NONE },
        13 => Op::AttentionWeights { heads: 0, alpha: NONE, shift: 0, table: NONE, causal: false },
        14 => Op::AttentionContext { heads: 0, scale: NONE, shifts: [0; 2] },
        15 => Op::Transpose,
        16 => Op::Reshape { rows: dim, columns: dim },
        17 => Op::RowScale,
        18 => Op::Quantise,
        19 => Op::MeanPool,
        20 => Op::L2Normalise,
        21 => Op::ScaleColumns { scale: NONE, shift: 0, clamp },
        22 => Op::Mul { shift: 0, clamp },
        23 => Op::Curve { table: NONE, shift: 0, pass_above: false },
        24 => Op::Arrange { index: NONE },
        25 => Op::GroupUnfold(GroupWindow { window, dilation: [0; 2], groups: 0, fill: 0 }),
        26 => Op::GroupLinear { weights: NONE, requantise: NONE, groups: 0, shifts: [0; 3], clamp },
        27 => Op::Product { blocks: 0, shift: 0, clamp },
        28 => Op::RelativeAttentionWeights {
            heads: 0,
            alpha: NONE,
            shift: 0,
            table: NONE,
            causal: false,
            bias: NONE,
        },
        _ => {
            let of_decoders = || decoder::blank(tag).map(Op::Decoder);
            return training::blank(tag).map(Op::Training).or_else(of_decoders);
        }
    })
}
