//! Programs as circuits: only the executor's output satisfies them.
use crate::shared::SALTS;
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, UniformRand};
use ark_std::rand::{SeedableRng, rngs::StdRng};
use poai_core::inference::{FieldElement, TensorVisibility, Visibility, WeightsVisibility};
use poai_engine::Cpu;
use poai_engine::execute::{RunError, Session};
use poai_prover::internal::{Built, Matrices, Witness, matrices, synthesise};
use poai_prover::{Circuit, CircuitError, commit, commit_weights};
use poai_testing::edges;
use poai_testing::edges::ProgramCase;
use poai_testing::layers;
use std::sync::{Arc, LazyLock};

pub fn visibilities() -> impl Iterator<Item = Visibility> {
    let weights = [WeightsVisibility::Fixed, WeightsVisibility::Committed];
    weights.into_iter().map(|weights| Visibility {
        input: TensorVisibility::Hashed,
        output: TensorVisibility::Hashed,
        weights,
    })
}

fn witness(case: &ProgramCase) -> Witness {
    Witness { input: case.inputs[0].clone(), binding: Fr::from(77u64), salts: SALTS }
}

/// The results of one pass over all edges. Two tests share it, so that circuits
/// are built once.
struct Edges {
    proven: usize,
    unsupported: usize,
    /// Number of circuits in which every variable was changed.
    changed: usize,
}

/// Every edge of every step that circuits support: its circuit agrees with the
/// executor, and no variable can be changed alone.
static EDGES: LazyLock<Edges> = LazyLock::new(|| {
    let mut rng = StdRng::seed_from_u64(5);
    let (mut proven, mut unsupported, mut changed) = (0, 0, 0);
    for case in edges::cases() {
        if case.inputs.len() != 1 {
            continue;
        }
        for visibility in visibilities() {
            match check_case(&case, visibility, &mut rng) {
                None => unsupported += 1,
                Some(every) => {
                    proven += 1;
                    changed += usize::from(every);
                }
            }
        }
    }
    Edges { proven, unsupported, changed }
});

/// Checks that a circuit agrees with the executor, and that no variable can be
/// changed alone.
///
/// Returns whether every variable was changed, or `None` if circuits do not
/// support the step.
#[track_caller]
pub fn check_case(case: &ProgramCase, visibility: Visibility, rng: &mut StdRng) -> Option<bool> {
    let name = format!("{} ({}) {visibility:?}", case.name, case.about);
    let circuit = Circuit::new(&case.network).run(case.run).visibility(visibility);
    let circuit = match circuit.build() {
        Err(CircuitError::Step { source, .. })
            if matches!(*source, CircuitError::Unsupported { .. }) =>
        {
            return None;
        }
        // An index out of range has no output, and no circuit.
        Err(CircuitError::Step { source, .. }) if matches!(*source, CircuitError::Index { .. }) => {
            let session = Session::new(case.network.clone(), Arc::new(Cpu::new())).unwrap();
            let run = session.run((case.run, case.inputs.clone()));
            assert!(matches!(run, Err(RunError::Step { .. })), "{name}");
            return None;
        }
        built => built.unwrap_or_else(|error| panic!("{name}: {error}")),
    };
    let built = synthesise(&circuit, Some(&witness(case))).unwrap();
    let model = Session::new(case.network.clone(), Arc::new(Cpu::new())).unwrap();
    let run = match model.run((case.run, case.inputs.clone())) {
        Ok(run) => run,
        Err(RunError::Step { .. }) => panic!("{name}: no output"),
        Err(error) => panic!("{name}: {error}"),
    };
    assert_eq!(built.output, run.output.entries(), "{name}");
    let system = &built.system;
    assert_eq!(system.first_unsatisfied(system.assignment()), None, "{name}");
    // Any party can compute the signals outside the circuit.
    let signals = &system.assignment()[1..=system.signals()];
    let signals: Vec<FieldElement> = signals.iter().copied().map(Into::into).collect();
    assert_eq!(signals[0], FieldElement::from(77));
    assert_eq!(signals[1], commit(&case.inputs[0], &SALTS.input).unwrap(), "{name}");
    let last = signals.len() - 1;
    assert_eq!(signals[last], commit(&run.output, &SALTS.output).unwrap(), "{name}");
    if visibility.weights == WeightsVisibility::Committed {
        assert_eq!(signals[2], commit_weights(&case.network, &SALTS.weights).unwrap(), "{name}");
    }
    // The structure is the same without values.
    let empty = matrices(&circuit);
    assert_eq!(empty.rows(), system.constraints());
    let constraints = built.system.constraints();
    let variables = Variables::new(built);
    assert_eq!(*empty, variables.matrices, "{name}");
    assert_eq!(variables.assignment.len(), variables.matrices.variables);
    let every = constraints <= 40_000;
    if every {
        variables.check(&name, 1, rng);
    }
    Some(every)
}

/// For every case that circuits support, the circuit agrees with the executor.
#[test]
fn every_step_computes_what_the_executor_does() {
    let Edges { proven, unsupported, .. } = *EDGES;
    println!("{proven} proven, {unsupported} of unsupported kinds");
    assert!(proven > 500 && unsupported > 0);
}

/// A system with its rows by variable, so that a changed variable checks only
/// its own rows.
struct Variables {
    matrices: Matrices,
    assignment: Vec<Fr>,
    /// The three sums of each row under the assignment.
    sums: Vec<[Fr; 3]>,
    /// For each variable, its rows and its factor in each of the three sums.
    rows: Vec<Vec<(usize, [Fr; 3])>>,
}

fn dot(row: &[(Fr, usize)], assignment: &[Fr]) -> Fr {
    row.iter().map(|&(factor, variable)| factor * assignment[variable]).sum()
}

impl Variables {
    fn new(built: Built) -> Variables {
        let (matrices, assignment) = built.system.into_parts();
        let mut rows: Vec<Vec<(usize, [Fr; 3])>> = vec![vec![]; matrices.variables];
        let mut sums = vec![[Fr::ZERO; 3]; matrices.a.len()];
        for (row, sums) in sums.iter_mut().enumerate() {
            for (which, all) in [&matrices.a, &matrices.b, &matrices.c].into_iter().enumerate() {
                sums[which] = dot(&all[row], &assignment);
                for &(factor, variable) in &all[row] {
                    let own = &mut rows[variable];
                    if own.last().is_none_or(|&(last, _)| last != row) {
                        own.push((row, [Fr::ZERO; 3]));
                    }
                    own.last_mut().unwrap().1[which] += factor;
                }
            }
        }
        Variables { matrices, assignment, sums, rows }
    }

    /// Whether the constraints hold with `delta` added to a variable. Sums are
    /// linear, so each changes by its factor times `delta`.
    fn holds(&self, variable: usize, delta: Fr) -> bool {
        self.rows[variable].iter().all(|&(row, factors)| {
            let [a, b, c] = [0, 1, 2].map(|which| self.sums[row][which] + factors[which] * delta);
            a * b == c
        })
    }

    /// Whether a variable is the inverse of a zero: it is in one row only, as
    /// b, and there a is 0.
    fn is_free(&self, variable: usize) -> bool {
        let Matrices { a, b, .. } = &self.matrices;
        match self.rows[variable][..] {
            [(row, _)] => {
                b[row] == [(Fr::ONE, variable)] && dot(&a[row], &self.assignment) == Fr::ZERO
            }
            _ => false,
        }
    }

    /// Changes every `every`-th variable alone. A constraint must fail, or the
    /// variable is free. Returns the number of free variables.
    fn check(&self, name: &str, every: usize, rng: &mut StdRng) -> usize {
        let mut free = 0;
        for variable in (1..self.matrices.variables).step_by(every) {
            let far = Fr::from(2u64).pow([64u64]);
            for delta in [Fr::ONE, -Fr::ONE, far, Fr::rand(rng)] {
                if self.holds(variable, delta) {
                    let all = self.matrices.variables;
                    assert!(self.is_free(variable), "{name}: variable {variable} of {all}");
                    free += 1;
                }
            }
        }
        free / 4
    }
}

/// Every witness variable matters: if it is changed alone, a constraint fails.
/// Only the inverse of a zero may change, because constraints have it only
/// multiplied by that zero.
#[test]
fn no_variable_can_be_changed_alone() {
    println!("{} circuits", EDGES.changed);
    assert!(EDGES.changed > 100);
}

/// The same for a sample of a whole network's variables, with both visibilities
/// of weights. Only some inverses are free.
#[test]
fn no_variable_of_a_network_can_be_changed_alone() {
    let mut rng = StdRng::seed_from_u64(6);
    let run = layers::RUN;
    for (name, network, every, visibility) in visibilities().flat_map(|visibility| {
        [
            ("convolutions", layers::cnn(), 23, visibility),
            ("many rows", layers::wide(), 211, visibility),
        ]
    }) {
        let input = layers::input(&network, 8);
        let model = Session::new((*network).clone(), Arc::new(Cpu::new())).unwrap();
        let expected = model.run((run, vec![input.clone()])).unwrap().output;
        let circuit = Circuit::new(&network).visibility(visibility).build().unwrap();
        let witness = Witness { input: input.clone(), binding: Fr::from(77u64), salts: SALTS };
        let built = synthesise(&circuit, Some(&witness)).unwrap();
        assert_eq!(built.output, expected.entries());
        assert_eq!(built.system.first_unsatisfied(built.system.assignment()), None);
        let variables = Variables::new(built);
        let name = format!("{name} {visibility:?}");
        let free = variables.check(&name, every, &mut rng);
        println!("{name}: {} variables, {free} of a sample are free", variables.matrices.variables);
    }
}

/// A circuit that does not fit in memory is rejected with the estimate. A
/// circuit that just fits is accepted.
#[test]
fn memory_is_asked_for_by_setup_and_proof() {
    let case = edges::cases().into_iter().find(|case| case.inputs.len() == 1).unwrap();
    let visibility = visibilities().next().unwrap();
    let described = || Circuit::new(&case.network).run(case.run).visibility(visibility);
    let circuit = described().build().unwrap();
    let estimate = circuit.estimate();
    assert_eq!(described().estimate().unwrap(), estimate);
    let rows = matrices(&circuit);
    assert_eq!(estimate.constraints, rows.rows() as u64);
    assert_eq!(estimate.variables, rows.variables as u64);
    let terms = [&rows.a, &rows.b, &rows.c].into_iter().flatten().map(Vec::len).sum::<usize>();
    assert_eq!(estimate.terms, terms as u64);
    assert!(estimate.setup_memory_bytes > estimate.proving_key_bytes);
    let (proof, setup) = (estimate.peak_memory_bytes, estimate.setup_memory_bytes);
    assert_eq!(estimate.check_available(proof), Ok(()));
    assert_eq!(estimate.check_setup_available(setup), Ok(()));
    assert_eq!(matrices(&described().memory_limit(proof).build().unwrap()), rows);
    let built = match described().memory_limit(proof - 1).build() {
        Err(CircuitError::Memory(error)) => error,
        other => panic!("{other:?}"),
    };
    for (error, what, needed) in [
        (estimate.check_available(proof - 1).unwrap_err(), "proof", proof),
        (built, "proof", proof),
        (estimate.check_setup_available(setup - 1).unwrap_err(), "setup", setup),
    ] {
        assert_eq!((error.what, error.needed, error.available), (what, needed, needed - 1));
        assert_eq!(*error.estimate, estimate);
        assert!(error.whole);
        assert!(error.to_string().starts_with(&format!("a {what} takes")), "{error}");
    }
}

/// A build stops where its rows exceed the memory, long before it has all of
/// them, and says how far it came.
#[test]
fn a_build_stops_where_memory_ends() {
    let network = layers::wide();
    let described = || {
        let visibility = visibilities().last().unwrap();
        Circuit::new(&network).visibility(visibility)
    };
    let whole = described().estimate().unwrap();
    // The process alone takes 24 MiB.
    let least = 25 << 20;
    assert!(whole.peak_memory_bytes > 4 * least);
    for limit in [0, least, whole.peak_memory_bytes / 2] {
        let error = match described().memory_limit(limit).build() {
            Err(CircuitError::Memory(error)) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!((error.what, error.available, error.whole), ("proof", limit, false));
        assert_eq!(error.needed, error.estimate.peak_memory_bytes);
        assert!(error.needed > limit);
        assert!(error.estimate.constraints < whole.constraints);
        let text = error.to_string();
        assert!(text.starts_with("a proof takes at least"), "{text}");
        assert!(text.contains("terms, and more to come; free memory"), "{text}");
    }
}
