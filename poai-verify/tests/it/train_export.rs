//! Exports: a trace makes constants of the last state of a run, and the checker says
//! which constants of a program it made.

use poai_core::program::{
    Builder, Clamp, ConstantId, Dim, Dtype, Extent, Form, Op, Program, RunShape, ValueId,
};
use poai_core::{Beacon, Job, ProgramId, Prover, Root, TraceRoot};
use poai_engine::execute::{Constants, Network, Tensor, Trace};
use poai_testing::training_runs::{Claims, RULES, Trained, layers, outputs_of, small};
use poai_train::{ExportPlan, FrozenNetwork};
use poai_verify::trace::{Checker, TraceRules};
use poai_verify::train::{
    Export, ExportEvidence, TrainingError, TrainingInvalid, TrainingMalformed,
};

const RUN: RunShape = RunShape::new(1, 1);

/// The numbers of the states that are weights of layers, without moments.
fn weights(trained: &Trained) -> Vec<u32> {
    let states = trained.iteration.states().iter();
    let weight = |(at, state): (u32, &poai_train::iteration::State)| {
        (state.moment.is_none() && state.parameter.starts_with('w')).then_some(at)
    };
    (0..).zip(states).filter_map(weight).collect()
}

/// A trace that makes i8 operands of the weights that a run ended in.
fn exported(trained: &Trained) -> Trace {
    let states = outputs_of(trained.traces.last().unwrap(), trained.program().states());
    let inputs: Vec<Tensor> =
        weights(trained).iter().map(|&at| states[at as usize].clone()).collect();
    let form = |tensor: &Tensor| {
        let Extent { rows, columns, dtype } = *tensor.extent();
        Form::shared(Dim::fixed(rows), Dim::fixed(columns), dtype)
    };
    let mut builder = Builder::new(&inputs.iter().map(form).collect::<Vec<_>>());
    let outputs: Vec<ValueId> = (0..inputs.len())
        .map(|at| {
            let op = Op::Requantise { multiplier: 1, shift: 20, clamp: Clamp::SYMMETRIC };
            let input = builder.input(at);
            builder.step("operand", op, &[input]).unwrap()
        })
        .collect();
    let network = Network::new(builder.finish_with(&outputs, 0).unwrap(), vec![]).unwrap();
    let device = poai_engine::choose::by_name("cpu-scalar").unwrap();
    network.on(device).unwrap().trace((RUN, inputs)).unwrap().trace
}

/// A program of linear layers with given weights.
fn model(weights: &[Tensor]) -> Program {
    let columns = weights[0].extent().columns;
    let mut builder = Builder::new(&[Form::new(Dim::fixed(1), Dim::fixed(columns), Dtype::I8)]);
    let mut constants = Constants::default();
    let mut x = builder.input(0);
    for tensor in weights {
        let Extent { rows, columns, dtype } = *tensor.extent();
        let size = (rows as usize, columns as usize);
        let weights =
            constants.add(&mut builder, "weights", size, dtype, &tensor.entries()).unwrap();
        let scales = [0, 1 << 20, 0].repeat(rows as usize);
        let requantise =
            constants.add(&mut builder, "scales", (rows as usize, 3), Dtype::I32, &scales).unwrap();
        let op = Op::Linear { weights, requantise, shifts: [20, 0, 0], clamp: Clamp::SYMMETRIC };
        x = builder.step("linear", op, &[x]).unwrap();
    }
    builder.finish().unwrap()
}

/// An export, with all that its check takes.
struct Case {
    trained: &'static Trained,
    claims: Claims,
    exporter: Checker,
    model: Program,
    export: Export,
    evidence: ExportEvidence,
}

impl Case {
    fn new() -> Case {
        let trained = small();
        let claims = trained.honest();
        let trace = exported(trained);
        let made = outputs_of(&trace, trace.network().program().outputs().len());
        let model = model(&made);
        let run = claims.trained().root(&claims.parameters);
        let export = Export { run, trace: trace.root(), program: model.program_id() };
        let rules = TraceRules { batch_max: 1, ..RULES.trace };
        let exporter = Checker::new(trace.network().program().clone(), rules);
        let last = outputs_of(trained.traces.last().unwrap(), trained.program().states());
        let evidence = ExportEvidence {
            states: last.iter().map(Tensor::root).collect(),
            taken: weights(trained),
            header: trace.header(),
            outputs: made.iter().map(Tensor::root).collect(),
        };
        Case { trained, claims, exporter, model, export, evidence }
    }

    /// The same of a frozen network, as poai-train makes it.
    fn frozen() -> (Case, FrozenNetwork) {
        let (trained, mut case) = (small(), Case::new());
        let states = outputs_of(trained.traces.last().unwrap(), trained.program().states());
        let states: Vec<_> = states.into_iter().map(std::sync::Arc::new).collect();
        let (samples, device) = (&trained.dataset.samples().tensor, "cpu-scalar");
        let device = poai_engine::choose::by_name(device).unwrap();
        let frozen =
            FrozenNetwork::new(&layers(), &trained.iteration, &states, samples, device).unwrap();
        case.exporter = Checker::new(frozen.plan().exporter().program().clone(), RULES.trace);
        case.model = frozen.network().program().clone();
        case.export = frozen.statement(case.export.run);
        case.evidence = ExportEvidence {
            states: frozen.states().to_vec(),
            taken: frozen.taken().to_vec(),
            header: frozen.trace().header(),
            outputs: frozen.outputs(),
        };
        (case, frozen)
    }

    fn check(&self) -> Result<[Vec<ConstantId>; 2], TrainingError> {
        let (checker, run) = (self.trained.checker(), self.claims.trained());
        let Case { exporter, model, export, evidence, .. } = self;
        let found = checker.export(&run, exporter, model, export, evidence)?;
        assert_eq!(found.export, export.root());
        Ok([found.trained, found.untrained])
    }

    fn refused(change: impl FnOnce(&mut Case)) -> TrainingError {
        let mut case = Case::new();
        change(&mut case);
        case.check().unwrap_err()
    }
}

#[test]
fn an_export_names_trained_and_untrained_constants() {
    let ids = |ids: [u32; 2]| ids.map(ConstantId).to_vec();
    assert_eq!(Case::new().check(), Ok([ids([0, 2]), ids([1, 3])]));
}

#[test]
fn an_export_of_something_else_is_refused() {
    let differs = |what| TrainingError::from(TrainingInvalid::Export { what });
    let refused = |change: fn(&mut Case)| Case::refused(change);
    assert_eq!(refused(|case| case.export.run.0[0] ^= 1), differs("run"));
    assert_eq!(refused(|case| case.export.program = ProgramId([0; 32])), differs("program"));
    let why = refused(|case| case.export.trace = TraceRoot([0; 32]));
    assert!(matches!(why, TrainingError::Invalid(TrainingInvalid::Trace { .. })), "{why}");
    assert_eq!(refused(|case| case.evidence.states[0].0[0] ^= 1), differs("last state"));
    // The state before the last iteration.
    let earlier = |case: &mut Case| {
        case.evidence.states = case.claims.state_roots(case.trained.traces.last().unwrap());
    };
    assert_eq!(refused(earlier), differs("last state"));
    assert_eq!(refused(|case| case.evidence.taken.reverse()), differs("order of states"));
    assert_eq!(refused(|case| case.evidence.taken[0] += 1), differs("input"));
    assert_eq!(refused(|case| case.evidence.taken[0] -= 1), differs("states"));
    assert_eq!(refused(|case| case.evidence.taken[1] = 99), differs("states"));
    let why = refused(|case| case.evidence.taken.truncate(1));
    assert_eq!(why, TrainingMalformed::Roots { expected: 2, got: 1 }.into());
    assert_eq!(refused(|case| case.evidence.outputs[0].0[0] ^= 1), differs("output"));
    assert_eq!(refused(|case| case.evidence.outputs.truncate(1)), differs("output"));
    // A program with one weight of another origin.
    let other = |case: &mut Case| {
        let trace = exported(case.trained);
        let mut made = outputs_of(&trace, 2);
        made[1] = poai_testing::traces::moved(&made[1], 0, 1);
        case.model = model(&made);
        case.export.program = case.model.program_id();
    };
    assert_eq!(refused(other), TrainingInvalid::Constant { output: 1 }.into());
    assert_ne!(Case::new().evidence.outputs[0], Root::default());
}

#[test]
fn a_frozen_network_is_linked_to_its_run() {
    let (case, frozen) = Case::frozen();
    let [trained, untrained] = case.check().unwrap();
    assert_eq!((&trained[..], &untrained[..]), (frozen.trained(), frozen.untrained()));
    assert_eq!((trained.len(), untrained.len()), (4, 0), "weights and biases of both layers");
    // The trace that the statement names passes its audit.
    let trace = frozen.trace().clone().with_rules(RULES.trace);
    let (job, prover, beacon) = (Job([3; 32]), Prover([4; 32]), Beacon([5; 32]));
    let receipt = trace.receipt(job, prover);
    let audit = trace.audit(&receipt, &beacon).unwrap();
    let audited = case.exporter.audit(&receipt, &beacon, &audit).unwrap();
    assert!(audited.tiles >= 4);
    // Its exporter and its program are those of layers and exponents.
    let plan = ExportPlan::new(&layers(), frozen.plan().exponents().clone()).unwrap();
    let (exporter, roots) = (plan.exporter().program(), &case.evidence.outputs);
    assert_eq!(exporter.program_id(), case.exporter.program().program_id());
    assert_eq!(plan.program(roots).unwrap().program_id(), case.export.program);
}

#[test]
fn a_frozen_network_of_something_else_is_refused() {
    let differs = |what| TrainingError::from(TrainingInvalid::Export { what });
    let refused = |change: fn(&mut Case, &FrozenNetwork)| {
        let (mut case, frozen) = Case::frozen();
        change(&mut case, &frozen);
        case.check().unwrap_err()
    };
    // Another state.
    let earlier = |case: &mut Case, _: &FrozenNetwork| {
        case.evidence.states = case.claims.state_roots(case.trained.traces.last().unwrap());
    };
    assert_eq!(refused(earlier), differs("last state"));
    // Weights of the state before the last iteration, under the roots of the last one.
    let of_earlier = |case: &mut Case, frozen: &FrozenNetwork| {
        let traces = &case.trained.traces;
        let states = outputs_of(&traces[traces.len() - 2], case.trained.program().states());
        let states: Vec<_> = states.into_iter().map(std::sync::Arc::new).collect();
        let device = poai_engine::choose::by_name("cpu-scalar").unwrap();
        let other = frozen.plan().clone().freeze(&case.trained.iteration, &states, device).unwrap();
        case.model = other.network().program().clone();
        case.export = other.statement(case.export.run);
        (case.evidence.header, case.evidence.outputs) = (other.trace().header(), other.outputs());
    };
    assert_eq!(refused(of_earlier), differs("input"));
    // A wrong constant: another program, whose id the statement has, or has not.
    let wrong = |case: &mut Case, frozen: &FrozenNetwork| {
        let mut roots = frozen.outputs();
        roots[1] = Root([7; 32]);
        case.model = frozen.plan().program(&roots).unwrap();
        case.export.program = case.model.program_id();
    };
    assert_eq!(refused(wrong), TrainingInvalid::Constant { output: 1 }.into());
    let other = |case: &mut Case, frozen: &FrozenNetwork| {
        let mut roots = frozen.outputs();
        roots.swap(0, 2);
        case.model = frozen.plan().program(&roots).unwrap();
    };
    assert_eq!(refused(other), differs("program"));
    // Other exponents: another exporter, whose header is not the trace's.
    let exponents = |case: &mut Case, frozen: &FrozenNetwork| {
        let mut exponents = frozen.plan().exponents().clone();
        exponents.operands[0] += 1;
        let plan = ExportPlan::new(&layers(), exponents).unwrap();
        case.exporter = Checker::new(plan.exporter().program().clone(), RULES.trace);
    };
    let why = refused(exponents);
    assert!(matches!(why, TrainingError::Invalid(TrainingInvalid::Trace { .. })), "{why}");
}

#[test]
fn an_untrained_constant_must_be_permitted() {
    let case = Case::new();
    let (checker, run) = (case.trained.checker(), case.claims.trained());
    let Case { exporter, model, export, evidence, .. } = &case;
    let found = checker.export(&run, exporter, model, export, evidence).unwrap();
    assert_eq!(found.only_untrained(&[ConstantId(1), ConstantId(3)]), Ok(()));
    let refused = TrainingInvalid::Untrained { constant: 3 };
    assert_eq!(found.only_untrained(&[ConstantId(1)]), Err(refused.into()));
    assert!(found.only_untrained(&[]).is_err());
    let (case, frozen) = Case::frozen();
    let Case { exporter, model, export, evidence, .. } = &case;
    let found = checker.export(&run, exporter, model, export, evidence).unwrap();
    assert_eq!((found.only_untrained(&[]), frozen.untrained()), (Ok(()), &[][..]));
}
