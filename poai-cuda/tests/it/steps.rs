//! Steps to run kernels on, with the results of the processor's backend: the
//! cases of poai-core's own tests.
use poai_core::program::ops::StepError;
use poai_core::program::{
    Builder, Clamp, ConstantId, Dim, Dtype, Extent, Form, Op, RunShape, ValueId,
};
use poai_engine::execute::network::Constants;
use poai_engine::execute::{Network, RunError, Session, Tensor, Trace};
use poai_testing::edges;
use poai_testing::emulated::{Arg, Kernels, Shape, input, values};
use poai_testing::zoo;

/// The value of an error word before a launch.
const NONE: [u32; 1] = [u32::MAX];

/// A step of a run.
pub struct Step {
    pub name: String,
    pub op: Op,
    pub run: RunShape,
    pub output: Extent,
    /// The inputs, then the constants.
    pub slots: Vec<Tensor>,
    pub inputs: usize,
    /// The output's bytes, or the row of the first entry that is out of range.
    pub expected: Result<Vec<u8>, u32>,
}

/// The steps of one run of a network.
pub fn steps_of(name: &str, network: &Network, inputs: &[Tensor], run: RunShape) -> Vec<Step> {
    let model =
        Session::new(network.clone(), poai_engine::choose::by_name("cpu-scalar").unwrap()).unwrap();
    let program = network.program();
    let result: Result<Trace, u32> = match model.trace((run, inputs.to_vec())) {
        Ok(run) => Ok(run.trace),
        Err(RunError::Step { source: StepError::Index { row, .. }, .. }) => Err(row),
        Err(error) => panic!("{name}: {error}"),
    };
    let extents = program.extents(&run).unwrap();
    let value = |value: ValueId| match &result {
        Ok(trace) => trace.value(value).unwrap().clone(),
        // If the run has an error, its network has one step, whose values are
        // the inputs.
        Err(_) => inputs[value.0 as usize].clone(),
    };
    (0..program.values() as u32)
        .filter_map(|id| {
            let step = program.step_of(ValueId(id))?;
            let mut slots: Vec<Tensor> = step.inputs.iter().map(|&input| value(input)).collect();
            let (constants, count) = step.op.constants();
            let held = |at: u32| network.constants()[at as usize].tensor.clone();
            slots.extend(constants[..count].iter().map(|constant| held(constant.0)));
            Some(Step {
                name: format!("{name}, {} {id}", step.name),
                op: step.op.clone(),
                run,
                output: extents[id as usize],
                slots,
                inputs: step.inputs.len(),
                expected: match &result {
                    Ok(trace) => Ok(trace.value(ValueId(id)).unwrap().bytes().to_vec()),
                    Err(row) => Err(*row),
                },
            })
        })
        .collect()
}

/// A step on one row of as many entries as a tensor can have columns.
pub fn widest(
    dtype: Dtype,
    entries: &[i32],
    constant: Option<(usize, usize, Dtype, Vec<i32>)>,
    op: impl FnOnce(ConstantId) -> Op,
) -> Step {
    let columns = entries.len();
    let form = Form::new(Dim::fixed(1), Dim::fixed(columns as u32), dtype);
    let (mut builder, mut held) = (Builder::new(&[form]), Constants::default());
    let id = constant.map_or(ConstantId(0), |(rows, columns, dtype, entries)| {
        held.add(&mut builder, "constant", (rows, columns), dtype, &entries).unwrap()
    });
    let input = builder.input(0);
    builder.step("widest", op(id), &[input]).unwrap();
    let network = Network::new(builder.finish().unwrap(), held.into_tensors()).unwrap();
    let inputs = [Tensor::new(1, columns, dtype, entries).unwrap()];
    let run = RunShape::new(1, 1);
    steps_of("widest", &network, &inputs, run).remove(0)
}

/// All steps of some kinds.
pub fn steps(kind: impl Fn(&Op) -> bool) -> Vec<Step> {
    let mut all = Vec::new();
    for [batch, sequence] in [[3, 40], [2, 1]] {
        let run = RunShape::new(batch, sequence);
        all.extend(steps_of("encoder", &zoo::encoder(), &zoo::tokens(&run), run));
    }
    let run = RunShape::new(7, 1);
    all.extend(steps_of("classifier", &zoo::classifier(), &zoo::images(&run), run));
    let run = RunShape::new(3, 1);
    all.extend(steps_of("gates", &zoo::gates(), &zoo::small_images(&run), run));
    let run = RunShape::new(3, 40);
    all.extend(steps_of("relative", &zoo::relative(), &zoo::states(&run), run));
    for case in edges::cases() {
        // Networks without such a step need not run.
        let program = case.network.program();
        if program.steps().iter().any(|step| kind(&step.op)) {
            let name = format!("{} ({})", case.name, case.about);
            all.extend(steps_of(&name, &case.network, &case.inputs, case.run));
        }
    }
    all.retain(|step| kind(&step.op));
    assert!(!all.is_empty());
    all
}

impl Step {
    pub fn slot(&self, slot: usize) -> Arg<'_> {
        Arg::In(self.slots[slot].bytes())
    }

    /// A constant by its number.
    pub fn constant(&self, constant: usize) -> Arg<'_> {
        self.slot(self.inputs + constant)
    }

    /// An input that the step may not have.
    pub fn optional(&self, slot: usize) -> Arg<'_> {
        if slot < self.inputs { self.slot(slot) } else { Arg::Null }
    }

    pub fn extent(&self, slot: usize) -> &Extent {
        self.slots[slot].extent()
    }

    /// A slot's type, in the form that kernels take.
    pub fn dtype(&self, slot: usize) -> Arg<'static> {
        Arg::U32(self.extent(slot).dtype.size() as u32)
    }

    pub fn out(&self) -> Arg<'static> {
        Arg::Out(self.output.bytes() as usize)
    }

    pub fn out_dtype(&self) -> Arg<'static> {
        Arg::U32(self.output.dtype.size() as u32)
    }

    /// Rows and columns of the output.
    pub fn rows(&self) -> Arg<'static> {
        Arg::U32(self.output.rows)
    }

    pub fn columns(&self) -> Arg<'static> {
        Arg::U32(self.output.columns)
    }

    /// Blocks that make eight rows each.
    pub fn warps(&self) -> Shape {
        Shape::new(self.output.padded_rows() / 8, 256)
    }

    /// Blocks that make 256 entries each.
    pub fn entries(&self) -> Shape {
        let entries = self.output.padded_rows() * self.output.padded_columns();
        Shape::new(entries.div_ceil(256), 256)
    }

    /// Launches in all orders. The first argument that comes back is the
    /// output, the second, if it exists, the error word.
    pub fn check(&self, kernels: &Kernels, kernel: &str, shape: Shape, args: &[Arg]) {
        let got = kernels
            .try_run(kernel, shape, args)
            .unwrap_or_else(|failure| panic!("{kernel}: {}: {failure}", self.name));
        let error = got.get(1).map_or(u32::MAX, |word| values::<u32>(word)[0]);
        match &self.expected {
            Ok(expected) => {
                assert_eq!(error, u32::MAX, "{kernel}: {}", self.name);
                let differs = got[0].iter().zip(expected).position(|(a, b)| a != b);
                assert_eq!(differs, None, "{kernel}: {}: {}", self.name, self.output);
                assert_eq!(got[0].len(), expected.len(), "{kernel}: {}", self.name);
            }
            Err(row) => assert_eq!(error, *row, "{kernel}: {}", self.name),
        }
    }

    /// The dot product of two rows of operands.
    pub fn dot(a: &[i32], b: &[i32]) -> i32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }
}

/// The error word of a launch.
pub fn error() -> Arg<'static> {
    Arg::InOut(bytemuck::cast_slice(&NONE))
}

pub fn signed(value: i32) -> Arg<'static> {
    Arg::U32(value as u32)
}

pub fn bounds(clamp: &Clamp) -> [Arg<'static>; 2] {
    [signed(clamp.min), signed(clamp.max)]
}

/// Rows of sums that are longer than needed, with extreme values after the
/// needed ones.
pub fn strided(sums: &[i32], columns: usize, stride: usize) -> Vec<i32> {
    let rows = sums.chunks_exact(columns);
    rows.flat_map(|row| {
        let beyond = std::iter::repeat_n(i32::MAX, stride - columns);
        row.iter().copied().chain(beyond)
    })
    .collect()
}

pub fn words(sums: &[i32]) -> Arg<'_> {
    input(sums)
}
