//! Programs: the same bytes on every backend, and an encoding that decodes to
//! the same program.

use poai_core::program::ops::{Local, Region};
use poai_core::program::{
    Builder, Clamp, Dim, Dtype, Form, Op, Program, ProgramDecodeError, ProgramError, RunShape,
    RunShapeError, ValueId,
};
use poai_engine::execute::{Network, RunError, RunOptions, Session, Tensor, TracedRun};
use poai_testing::runs::{ZooRun, runs};
use poai_testing::zoo;
use proptest::prelude::*;
use std::sync::Arc;

fn traced(network: Network, backend: &str, run: &RunShape, inputs: Vec<Tensor>) -> TracedRun {
    let model = Session::new(network, poai_engine::choose::by_name(backend).unwrap()).unwrap();
    model.trace((*run, inputs)).unwrap()
}

#[test]
fn every_backend_leaves_the_same_trace() {
    for ZooRun { name: of, network, run, inputs } in runs() {
        let roots: Vec<_> = poai_engine::choose::present()
            .iter()
            .map(|backend| {
                let result = traced(network.clone(), backend.name(), &run, inputs.clone());
                let plain = Session::new(network.clone(), backend.clone())
                    .unwrap()
                    .run((run, inputs.clone()))
                    .unwrap();
                assert_eq!(plain.output, result.output, "{of} on {}, untraced", backend.name());
                (backend.name(), result.trace.root())
            })
            .collect();
        for (name, root) in &roots {
            assert_eq!(*root, roots[0].1, "{of} on {name} and {}", roots[0].0);
        }
    }
}

/// The trace roots of the zoo, as in `test_vectors/traces.txt`. A change of a step's arithmetic, an
/// encoding or a layout changes these roots.
#[test]
fn known_answers() {
    let known: Vec<String> = runs()
        .into_iter()
        .map(|ZooRun { network, run, inputs, .. }| {
            let trace = traced(network, "reference", &run, inputs).trace;
            trace.root().to_string()
        })
        .collect();
    assert_eq!(known, include_str!("../../../test_vectors/traces.txt").lines().collect::<Vec<_>>());
}

#[test]
fn any_region_is_what_the_whole_says() {
    for ZooRun { network, run, inputs, .. } in runs() {
        let trace = traced(network.clone(), "cpu-scalar", &run, inputs.clone()).trace;
        let program = network.program();
        let extents = program.extents(&run).unwrap();
        let values = (program.inputs().len() as u32..program.values() as u32).map(ValueId);
        for value in values {
            let local = Local::new(program, &extents, run, value).unwrap();
            let whole = trace.value(value).unwrap().entries();
            let columns = local.output.columns as usize;
            for index in 0..local.grid().tiles() {
                let tile = local.grid().tile(index).unwrap();
                let Some(Region { rows, columns: range }) = local.within(&tile) else { continue };
                let mut own = vec![0; rows.len() * range.len()];
                let region = Region { rows: rows.clone(), columns: range.clone() };
                local.compute(&Values(&trace, value), &region, None, &mut own).unwrap();
                let expected: Vec<i32> = rows
                    .flat_map(|row| {
                        &whole[row as usize * columns..][range.start as usize..range.end as usize]
                    })
                    .copied()
                    .collect();
                assert_eq!(own, expected, "{} tile {index}", local.op.name());
            }
        }
    }
}

/// The tensors of a trace as a step's slots.
struct Values<'a>(&'a poai_engine::execute::Trace, ValueId);

impl poai_core::program::ops::RowSource for Values<'_> {
    fn read(
        &self,
        slot: usize,
        row: u32,
        to: &mut [i32],
    ) -> Result<(), poai_core::program::ops::StepError> {
        let network = self.0.network();
        let step = network.program().step_of(self.1).unwrap();
        let tensor = match step.inputs.get(slot) {
            Some(&input) => self.0.value(input).unwrap(),
            None => {
                let constant = step.op.constants().0[slot - step.inputs.len()];
                &network.constants()[constant.0 as usize].tensor
            }
        };
        tensor.rows().read(row, to).ok_or(poai_core::program::ops::StepError::Missing { slot, row })
    }
}

#[test]
fn products_that_are_mined_are_the_same() {
    use poai_core::{Challenge, Difficulty};
    use poai_engine::MineOptions;
    use poai_engine::execute::Mining;
    let run = RunShape::new(7, 1);
    let network = zoo::classifier();
    let plain = traced(network.clone(), "cpu-scalar", &run, zoo::images(&run));
    let model = Session::new(network, poai_engine::choose::by_name("cpu-scalar").unwrap()).unwrap();
    let options = MineOptions::new(Difficulty::new(1).unwrap());
    let mining = Mining { challenge: Challenge([3; 32]), options };
    let mined =
        model.trace_with((run, zoo::images(&run)), &RunOptions::new().mine(mining)).unwrap();
    assert_eq!(mined.trace.root(), plain.trace.root());
    // Only the product of 1200 columns, padded to 1280, is deep enough to be
    // mined.
    assert_eq!(mined.mined.len(), 1);
    assert_eq!(mined.mined[0].found.drawn(), 1);
}

#[test]
fn encoding_is_canonical() {
    for network in [zoo::encoder(), zoo::classifier(), zoo::gates(), zoo::relative()] {
        let program = network.program();
        let bytes = program.to_bytes();
        let decoded = Program::from_bytes(&bytes).unwrap();
        assert_eq!(&decoded, program);
        assert_eq!(decoded.to_bytes(), bytes);
        assert_eq!(decoded.program_id(), program.program_id());
        for len in 0..bytes.len() {
            assert!(Program::from_bytes(&bytes[..len]).is_err(), "{len} bytes");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Program::from_bytes(&longer), Err(ProgramDecodeError::Length));
    }
}

#[test]
fn ids_bind_what_they_say() {
    let build = |units, max, root: u8, name: &str| {
        let mut builder = Builder::new(&[Form::new(Dim::fixed(units), Dim::fixed(5), Dtype::I8)]);
        let extent = poai_core::program::Extent::new(5, 1, Dtype::I32).unwrap();
        let scale = builder.constant(name, poai_core::Root([root; 32]), extent);
        let clamp = Clamp { dtype: Dtype::I8, min: 0, max };
        builder.step(name, Op::ScaleColumns { scale, shift: 3, clamp }, &[ValueId(0)]).unwrap();
        let program = builder.finish().unwrap();
        (program.architecture_id(), program.program_id())
    };
    let base = build(4, 9, 0, "a");
    assert_eq!(build(4, 9, 0, "b"), base, "names are not bound");
    let numbers = build(4, 8, 0, "a");
    assert!(numbers.0 == base.0 && numbers.1 != base.1);
    let root = build(4, 9, 1, "a");
    assert!(root.0 == base.0 && root.1 != base.1);
    let shape = build(3, 9, 0, "a");
    assert!(shape.0 != base.0 && shape.1 != base.1);
}

#[test]
fn shapes_are_checked_as_steps_are_added() {
    let form = Form::new(Dim::fixed(4), Dim::fixed(5), Dtype::I8);
    let mut builder = Builder::new(&[form]);
    let x = builder.input(0);
    let error = builder.step(
        "sum",
        Op::Add { multipliers: [1, 1], shift: 0, clamp: Clamp::SYMMETRIC },
        &[x],
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "step sum: add: expected 2 inputs, got 1; pass as many"
    );
    let error = builder.step("norm", Op::Relu, &[ValueId(7)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "step norm: expected an earlier value, got 7; add its step first"
    );
    let rows = Op::Reshape { rows: Dim::fixed(2), columns: Dim::fixed(9) };
    let error = builder.step("flat", rows, &[x]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "step flat: input 0 expected as many entries as 2×9, got batch·4×5 i8"
    );
    let clamp = Clamp { dtype: Dtype::I8, min: -65, max: 0 };
    let op = Op::Requantise { multiplier: 1, shift: 0, clamp };
    let error = builder.step("out", op, &[x]).unwrap_err();
    assert!(matches!(error, ProgramError::Number { .. }), "{error}");
}

#[test]
fn bad_runs_are_refused() {
    let model =
        Session::new(zoo::encoder(), poai_engine::choose::by_name("cpu-scalar").unwrap()).unwrap();
    let run = RunShape::new(2, 40);
    let go = |run: &RunShape, inputs: Vec<Tensor>| model.run((*run, inputs));
    let error = go(&RunShape::new(0, 4), vec![]).unwrap_err();
    assert!(matches!(error, RunError::Run(RunShapeError::Empty { .. })));
    let error = go(&RunShape::new(1, 71), vec![]).unwrap_err();
    assert!(matches!(error, RunError::Run(RunShapeError::TooLong { length: 70, .. })));
    let error = go(&RunShape::new(u32::MAX, 64), vec![]).unwrap_err();
    assert!(matches!(error, RunError::Run(RunShapeError::TooLarge { .. })));
    let error = go(&run, vec![]).unwrap_err();
    assert!(matches!(error, RunError::Inputs { expected: 2, got: 0 }));
    let error = go(&run, zoo::tokens(&RunShape::new(2, 39))).unwrap_err();
    assert!(matches!(error, RunError::Input { input: 0, .. }));
    let mut inputs = zoo::tokens(&run);
    inputs[0] = Tensor::new(80, 1, Dtype::I32, &[300; 80]).unwrap();
    let error = go(&run, inputs).unwrap_err().to_string();
    assert_eq!(
        error,
        "step embed: expected an entry in 0..=299 in slot 0, row 0, got 300; correct it"
    );
    let mut inputs = zoo::tokens(&run);
    inputs[1] = Tensor::new(2, 1, Dtype::I32, &[0, 5]).unwrap();
    let error = go(&run, inputs).unwrap_err().to_string();
    assert_eq!(
        error,
        "step attention weights: expected an entry in 1..=40 in slot 2, row 0, got 0; correct it"
    );
}

#[test]
fn products_are_told_from_other_steps() {
    for network in [zoo::encoder(), zoo::classifier(), zoo::gates(), zoo::relative()] {
        let program = network.program();
        let run = RunShape::new(3, 5);
        let (mut products, mut with_weights) = (0, 0);
        for value in (0..program.values() as u32).map(ValueId) {
            let Some(step) = program.step_of(value) else { continue };
            let name = step.op.name();
            let weighted = matches!(name, "linear" | "group linear");
            let attention = matches!(
                name,
                "attention weights" | "attention context" | "relative attention weights"
            );
            let of_values = attention || name == "product";
            let product = weighted || of_values;
            assert_eq!(step.op.is_product(), product, "{name}");
            // Products have multiply-accumulates, and no other steps do.
            assert_eq!(program.macs(value, &run) > 0, product, "{name}");
            products += program.macs(value, &run);
            with_weights += if weighted { program.macs(value, &run) } else { 0 };
        }
        assert!(with_weights > 1);
        assert_eq!(program.macs_with_weights(&run), with_weights);
        assert_eq!(program.total_macs(&run), products);
    }
}

/// Bytes of an encoding before the lengths of its two parts.
const MAGIC: usize = b"poai program 1\n".len();

#[test]
fn no_byte_of_an_encoding_is_left_over() {
    let bytes = zoo_bytes();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let lengths = [word(MAGIC), word(MAGIC + 4)];
    let mut end = MAGIC + 8;
    for (part, length) in lengths.into_iter().enumerate() {
        end += length as usize;
        // One extra byte at the end of the part, counted in its length.
        let mut longer = bytes.to_vec();
        longer.insert(end, 0);
        longer[MAGIC + 4 * part..][..4].copy_from_slice(&(length + 1).to_le_bytes());
        assert_eq!(Program::from_bytes(&longer), Err(ProgramDecodeError::Length), "part {part}");
    }
}

#[test]
fn encodings_have_limits() {
    use poai_core::program::encoding::PROGRAM_BYTES_MAX;
    let mut bytes = vec![0; PROGRAM_BYTES_MAX];
    assert_eq!(Program::from_bytes(&bytes), Err(ProgramDecodeError::Magic));
    bytes.push(0);
    assert_eq!(Program::from_bytes(&bytes), Err(ProgramDecodeError::Length));
    // At every position that holds a count, a count above the limit is refused
    // by name.
    for value in [(1 << 16) + 1, u32::MAX] {
        let mut refused = std::collections::BTreeSet::new();
        for at in MAGIC + 8..MAGIC + 8 + 400 {
            let mut bytes = zoo_bytes().to_vec();
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            if let Err(ProgramDecodeError::Field { what, value: got }) = Program::from_bytes(&bytes)
                && got == u64::from(value)
            {
                refused.insert(what);
            }
        }
        assert!(refused.contains("constants") && refused.contains("steps"), "{refused:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn decoding_never_panics(
        which in 0usize..3, at in 0usize..4000, value: u8, cut in 0usize..4000,
    ) {
        let mut bytes = [zoo_bytes, gates_bytes, relative_bytes][which]().to_vec();
        let at = at % bytes.len();
        bytes[at] = value;
        if cut % 3 == 0 {
            bytes.truncate(cut % bytes.len());
        }
        if let Ok(program) = Program::from_bytes(&bytes) {
            prop_assert_eq!(program.to_bytes(), bytes);
            computes_without_panic(&program);
        }
    }
}

/// Computes the first and the last tile of every step, from rows that are all
/// 1.
fn computes_without_panic(program: &Program) {
    let run = RunShape::new(2, if program.has_tokens() { 3 } else { 1 });
    let Ok(extents) = program.extents(&run) else { return };
    for value in (program.inputs().len() as u32..program.values() as u32).map(ValueId) {
        let local = Local::new(program, &extents, run, value).unwrap();
        let grid = local.grid();
        for tile in [0, grid.tiles() - 1] {
            let region = local.within(&grid.tile(tile).unwrap()).unwrap();
            let mut reads = local.reads(&region);
            reads.extend(local.further_reads(&region, &Ones).unwrap_or_default());
            for read in &reads {
                assert!(read.rows.end <= local.slots[read.slot].rows, "{}", local.op.name());
            }
            let rows: usize = reads.iter().map(|read| read.rows.len()).sum();
            // Larger tiles would only take longer.
            if rows < 1 << 14 && local.slots.iter().all(|slot| slot.columns < 1 << 12) {
                let mut out = vec![0; region.rows.len() * region.width()];
                let _ = local.compute(&Ones, &region, None, &mut out);
            }
        }
    }
}

/// A source of ones.
struct Ones;

impl poai_core::program::ops::RowSource for Ones {
    fn read(
        &self,
        _: usize,
        _: u32,
        to: &mut [i32],
    ) -> Result<(), poai_core::program::ops::StepError> {
        to.fill(1);
        Ok(())
    }
}

fn zoo_bytes() -> &'static [u8] {
    static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BYTES.get_or_init(|| zoo::encoder().program().to_bytes())
}

fn gates_bytes() -> &'static [u8] {
    static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BYTES.get_or_init(|| zoo::gates().program().to_bytes())
}

fn relative_bytes() -> &'static [u8] {
    static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BYTES.get_or_init(|| zoo::relative().program().to_bytes())
}

/// A run and the search for a fraud stop between steps, and report each step.
#[test]
fn runs_and_searches_report_and_stop() {
    use poai_core::{Cancel, Control};
    use poai_engine::execute::OpenError;
    use std::sync::Mutex;
    let run = RunShape::new(7, 1);
    let device = poai_engine::choose::by_name("cpu-scalar").unwrap();
    let session = zoo::classifier().on(device).unwrap();
    let trace = session.trace((run, zoo::images(&run))).unwrap().trace;
    let steps = session.program().steps().len() as u64;
    // Stops after two units of progress.
    let stopping = || {
        let (cancel, seen) = (Cancel::new(), Arc::new(Mutex::new(vec![])));
        let (stop, to) = (cancel.clone(), seen.clone());
        let control = Control::new().cancel(&cancel).progress(move |progress| {
            to.lock().unwrap().push((progress.done, progress.total));
            if progress.done == 2 {
                stop.cancel();
            }
        });
        (control, seen)
    };
    let (control, seen) = stopping();
    let options = RunOptions::new().control(control);
    let error = session.run_with((run, zoo::images(&run)), &options).unwrap_err();
    assert!(matches!(error, RunError::Cancelled { .. }), "{error}");
    assert_eq!(*seen.lock().unwrap(), [(1, steps), (2, steps)]);
    let (control, seen) = stopping();
    let options = RunOptions::new().control(control);
    let error = session.trace_with((run, zoo::images(&run)), &options).unwrap_err();
    assert!(matches!(error, RunError::Cancelled { .. }), "{error}");
    assert_eq!(*seen.lock().unwrap(), [(1, steps), (2, steps)]);
    let (control, seen) = stopping();
    let error = trace.find_fraud_with(&control).unwrap_err();
    assert!(matches!(error, OpenError::Cancelled(_)), "{error}");
    let values = session.program().values() as u64;
    assert_eq!(*seen.lock().unwrap(), [(1, values), (2, values)]);
}

/// Without a shape, the first tensor implies it.
#[test]
fn a_tensor_implies_the_shape_of_its_run() {
    let device = || poai_engine::choose::by_name("cpu-scalar").unwrap();
    let images = RunShape::new(7, 1);
    let session = zoo::classifier().on(device()).unwrap();
    let inputs = zoo::images(&images);
    let stated = session.run((images, inputs.clone())).unwrap().output;
    assert_eq!(session.run(inputs[0].clone()).unwrap().output, stated);
    assert_eq!(session.run(&inputs[0]).unwrap().output, stated);
    // The encoder has a row per token: one item of that many tokens.
    let tokens = RunShape::new(1, 20);
    let session = zoo::encoder().on(device()).unwrap();
    let inputs = zoo::tokens(&tokens);
    let stated = session.run((tokens, inputs.clone())).unwrap().output;
    assert_eq!(session.run(inputs).unwrap().output, stated);
    // No tensor, or a tensor of no whole item, is an error and no run.
    assert!(session.run(vec![]).is_err());
    let odd = Tensor::new(3, 5, Dtype::I8, &[0; 15]).unwrap();
    assert!(session.run(odd).is_err());
}

#[test]
fn one_entry_is_exchanged() {
    let tensor = Tensor::new(2, 3, Dtype::I8, &[1, 2, 3, 4, 5, 6]).unwrap();
    let other = tensor.with_entry(1, 0, -64).unwrap();
    assert_eq!(other.entries(), [1, 2, 3, -64, 5, 6]);
    assert_ne!(other.root(), tensor.root());
    for (row, column, value) in [(2, 0, 1), (0, 3, 1), (u32::MAX, u32::MAX, 1), (0, 0, 64)] {
        assert!(tensor.with_entry(row, column, value).is_err(), "{row} {column} {value}");
    }
}

/// A cancelled run keeps what it mined, and stops within a product.
#[test]
fn a_cancelled_run_keeps_its_winners() {
    use poai_core::{Cancel, Challenge, Difficulty};
    use poai_engine::MineOptions;
    use poai_engine::execute::{Constants, Mining};
    let mut builder = Builder::new(&[Form::new(Dim::fixed(64), Dim::fixed(1024), Dtype::I8)]);
    let mut constants = Constants::default();
    let entries = zoo::entries("weights", 1024 * 1024, -63, 63);
    let scales = [0, 1 << 20, 0].repeat(1024);
    let mut value = builder.input(0);
    for layer in 0..4 {
        let named = |what: &str| format!("{what} {layer}");
        let size = (1024, 1024);
        let weights =
            constants.add(&mut builder, &named("weights"), size, Dtype::I8, &entries).unwrap();
        let size = (1024, 3);
        let requantise =
            constants.add(&mut builder, &named("scales"), size, Dtype::I32, &scales).unwrap();
        let op = Op::Linear { weights, requantise, shifts: [28, 0, 0], clamp: Clamp::SYMMETRIC };
        value = builder.step("linear", op, &[value]).unwrap();
    }
    let network = Network::new(builder.finish().unwrap(), constants.into_tensors()).unwrap();
    let session = network.on(Arc::new(poai_engine::Cpu::new())).unwrap();
    let entries = zoo::entries("input", 64 * 1024, -63, 63);
    let input = Tensor::new(64, 1024, Dtype::I8, &entries).unwrap();
    let mining =
        || Mining { challenge: Challenge([3; 32]), options: MineOptions::new(Difficulty::ONE) };
    // The run's switch, after two products: their winners are kept.
    let cancel = Cancel::new();
    let stop = cancel.clone();
    let options = RunOptions::new().mine(mining()).cancel(&cancel).progress(move |progress| {
        if progress.done == 2 {
            stop.cancel();
        }
    });
    for traced in [false, true] {
        let error = match traced {
            false => session.run_with(&input, &options).unwrap_err(),
            true => session.trace_with(&input, &options).unwrap_err(),
        };
        let RunError::Cancelled { mined } = error else { panic!("{error}") };
        assert_eq!(mined.len(), if traced { 0 } else { 2 }, "cancelled for good");
        assert!(mined.iter().all(|step| step.found.proof().is_some()));
    }
    // Either switch stops within a product, and its winners so far are kept.
    for of_run in [false, true] {
        let cancel = Cancel::new();
        let stop = cancel.clone();
        let mut mining = mining();
        mining.options = mining.options.progress(move |_| stop.cancel());
        let mut options = RunOptions::new();
        if of_run {
            options = options.cancel(&cancel);
        } else {
            mining.options = mining.options.cancel(&cancel);
        }
        let error = session.run_with(&input, &options.mine(mining)).unwrap_err();
        let RunError::Cancelled { mined } = error else { panic!("{error}") };
        let [only] = &mined[..] else { panic!("{} products", mined.len()) };
        assert!((1..64).contains(&only.found.drawn()), "{}", only.found.drawn());
    }
}
