//! Programs as circuits: the executor's output, satisfied by it alone.
#![cfg(feature = "snark")]

#[path = "support/edges.rs"]
#[allow(dead_code)]
mod edges;
#[path = "support/zoo.rs"]
#[allow(dead_code)]
mod zoo;

use ark_bn254::Fr;
use ark_ff::{Field, UniformRand};
use ark_std::rand::{SeedableRng, rngs::StdRng};
use edges::Case;
use poai_core::Cpu;
use poai_core::execute::{ExecuteError, Model, RunOptions};
use poai_core::inference::{TensorVisibility, Visibility, WeightsVisibility};
use poai_core::snark::circuit::{Circuit, CircuitError, Witness};
use poai_core::snark::commitment::{Salt, commit, commit_weights};
use std::sync::Arc;

const SALTS: [Salt; 3] = [Salt([1; 31]), Salt([2; 31]), Salt([3; 31])];

fn visibilities() -> impl Iterator<Item = Visibility> {
    let weights = [WeightsVisibility::Fixed, WeightsVisibility::Committed];
    weights.into_iter().map(|weights| Visibility {
        input: TensorVisibility::Hashed,
        output: TensorVisibility::Hashed,
        weights,
    })
}

fn witness(case: &Case) -> Witness {
    Witness { input: case.inputs[0].clone(), binding: Fr::from(77u64), salts: SALTS }
}

/// Cases that proofs have: their circuits agree with the executor.
#[test]
fn every_step_computes_what_the_executor_does() {
    let (mut proven, mut unsupported, mut constants) = (0, 0, 0);
    for case in edges::cases() {
        if case.inputs.len() != 1 {
            continue;
        }
        for visibility in visibilities() {
            let name = format!("{} ({}) {visibility:?}", case.name, case.about);
            let circuit =
                Circuit::new(Arc::new(case.network.clone()), case.run, visibility).unwrap();
            let built = match circuit.build(Some(&witness(&case)), true) {
                Err(CircuitError::Step { source, .. })
                    if matches!(*source, CircuitError::Unsupported { .. }) =>
                {
                    unsupported += 1;
                    continue;
                }
                Err(CircuitError::Constant { .. }) => {
                    constants += 1;
                    continue;
                }
                built => built.unwrap_or_else(|error| panic!("{name}: {error}")),
            };
            let model = Model::new(case.network.clone(), Arc::new(Cpu::new())).unwrap();
            let run = match model.run(&case.run, case.inputs.clone(), &RunOptions::new()) {
                Ok(run) => run,
                Err(ExecuteError::Step { .. }) => panic!("{name}: no output"),
                Err(error) => panic!("{name}: {error}"),
            };
            assert_eq!(built.output, run.output.entries(), "{name}");
            let system = &built.system;
            assert_eq!(system.first_unsatisfied(system.assignment()), None, "{name}");
            // The signals are what anyone can compute outside.
            let signals = &system.assignment()[1..=system.signals()];
            assert_eq!(signals[0], Fr::from(77u64));
            assert_eq!(signals[1], commit(&case.inputs[0], &SALTS[0]).unwrap(), "{name}");
            let last = signals.len() - 1;
            assert_eq!(signals[last], commit(&run.output, &SALTS[2]).unwrap(), "{name}");
            if visibility.weights == WeightsVisibility::Committed {
                assert_eq!(signals[2], commit_weights(&case.network, &SALTS[1]).unwrap(), "{name}");
            }
            // Structure is the same without values.
            let empty = circuit.build(None, true).unwrap().system;
            assert_eq!(empty.constraints(), system.constraints());
            let (empty, _) = empty.into_parts();
            let (full, assignment) = built.system.into_parts();
            assert_eq!(empty, full, "{name}");
            assert_eq!(assignment.len(), full.variables);
            proven += 1;
        }
    }
    println!("{proven} proven, {unsupported} of other kinds, {constants} with large constants");
    assert!(proven > 100 && constants > 0);
}

/// Every witness variable matters: changed alone, a constraint fails. The one
/// kind that may change is the inverse beside a zero, which no constraint has
/// but multiplied by that zero.
#[test]
fn no_variable_can_be_changed_alone() {
    let mut rng = StdRng::seed_from_u64(5);
    let mut cases = 0;
    for case in edges::cases() {
        if case.inputs.len() != 1 {
            continue;
        }
        for visibility in visibilities() {
            let circuit =
                Circuit::new(Arc::new(case.network.clone()), case.run, visibility).unwrap();
            let Ok(built) = circuit.build(Some(&witness(&case)), true) else { continue };
            let (matrices, assignment) = built.system.into_parts();
            if matrices.a.len() > 40_000 {
                continue;
            }
            cases += 1;
            // Rows by variable, so that each change looks at its own.
            let mut rows: Vec<Vec<usize>> = vec![vec![]; matrices.variables];
            for (row, terms) in matrices
                .a
                .iter()
                .zip(&matrices.b)
                .zip(&matrices.c)
                .map(|((a, b), c)| [a, b, c])
                .enumerate()
            {
                for &(_, variable) in terms.into_iter().flatten() {
                    if rows[variable].last() != Some(&row) {
                        rows[variable].push(row);
                    }
                }
            }
            let dot = |row: &[(Fr, usize)], z: &[Fr]| -> Fr {
                row.iter().map(|&(c, variable)| c * z[variable]).sum()
            };
            let mut changed = assignment.clone();
            for variable in 1..matrices.variables {
                let deltas = [
                    Fr::from(1u64),
                    -Fr::from(1u64),
                    Fr::from(2u64).pow([64u64]),
                    Fr::rand(&mut rng),
                ];
                for delta in deltas {
                    changed[variable] = assignment[variable] + delta;
                    let holds = rows[variable].iter().all(|&row| {
                        let (a, b, c) = (&matrices.a[row], &matrices.b[row], &matrices.c[row]);
                        dot(a, &changed) * dot(b, &changed) == dot(c, &changed)
                    });
                    if holds {
                        // An inverse: in one row alone, as b, and there a is 0.
                        let free = rows[variable].len() == 1
                            && matrices.b[rows[variable][0]] == [(Fr::from(1u64), variable)]
                            && dot(&matrices.a[rows[variable][0]], &assignment) == Fr::from(0u64);
                        assert!(
                            free,
                            "{} ({}) {visibility:?}: variable {variable} of {} is free, rows {:?}",
                            case.name, case.about, matrices.variables, rows[variable]
                        );
                    }
                }
                changed[variable] = assignment[variable];
            }
        }
    }
    println!("{cases} circuits");
    assert!(cases > 100);
}
