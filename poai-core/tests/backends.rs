//! Every backend against the plain reference, through the shared tester.

use poai_core::backend::tester::{Case, check, compare, run};
use poai_core::backend::{self, NAMES, UnknownBackend};
use poai_core::operand::pseudorandom;
use poai_core::reference::{self, Matrix};
use poai_core::*;
use proptest::prelude::*;

#[test]
fn every_backend_passes_the_tester() {
    for name in NAMES {
        let backend = backend::by_name(name).unwrap();
        assert_eq!(backend.name(), name);
        check(&*backend);
        println!("{name} agrees with the reference");
    }
}

#[test]
fn a_backend_with_its_own_threads_passes_the_tester() {
    check(&Cpu::with_threads(3).unwrap());
}

#[test]
fn a_missing_backend_is_an_error_and_never_another_one() {
    let error = backend::by_name("cpu-unheard-of").unwrap_err();
    assert_eq!(error, UnknownBackend { name: "cpu-unheard-of".into() });
    for name in NAMES {
        assert!(error.to_string().contains(name), "{error}");
    }
}

/// The tester must notice a wrong backend, or it proves nothing.
#[test]
fn the_tester_notices_one_wrong_entry() {
    use poai_core::backend::*;

    /// Differs from the CPU backend in one entry of the exact product.
    #[derive(Debug)]
    struct OffByOne(Cpu);

    impl Backend for OffByOne {
        fn name(&self) -> &'static str {
            self.0.name()
        }
        fn supports(&self, params: &Params) -> Result<(), Unsupported> {
            self.0.supports(params)
        }
        fn prepare(&self, params: &Params, operand: Operand) -> Result<Prepared, BackendError> {
            self.0.prepare(params, operand)
        }
        fn noise(
            &self,
            params: &Params,
            seed: &Seed,
            prepared: &Prepared,
        ) -> Result<Noised, BackendError> {
            self.0.noise(params, seed, prepared)
        }
        fn noised_entries(&self, noised: &Noised) -> Result<Vec<i8>, BackendError> {
            self.0.noised_entries(noised)
        }
        fn multiply(
            &self,
            job: &Job<'_>,
            output: Output<'_>,
            watch: &dyn Watch,
        ) -> Result<Completion, BackendError> {
            match output {
                Output::Exact(memory) => {
                    let completion = self.0.multiply(job, Output::Exact(memory), watch)?;
                    memory[memory.len() - 1] ^= 1;
                    Ok(completion)
                }
                other => self.0.multiply(job, other, watch),
            }
        }
    }
    let caught = std::panic::catch_unwind(|| check(&OffByOne(Cpu::new())));
    let message = *caught.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("exact product"), "{message}");
}

fn naive(a: &ndarray::Array2<i8>, bt: &ndarray::Array2<i8>) -> Vec<i32> {
    let wide = |matrix: &ndarray::Array2<i8>| matrix.mapv(i32::from);
    wide(a).dot(&wide(bt).reversed_axes()).iter().copied().collect()
}

/// Any permitted pair, any small shape, entries drawn by proptest.
fn any_case() -> impl Strategy<Value = Case> {
    let pair = (0..4u32, 1..=4u16)
        .prop_map(|(power, tiles)| Params::new(32 << power, 16 * tiles).unwrap());
    (pair, 1..=3usize, 1..=3usize, 1..=4usize, any::<[u8; 32]>()).prop_map(
        |(params, m, n, k, seed)| {
            let k = k * params.rank();
            Case {
                params,
                a: pseudorandom(&seed, m * params.tile(), k),
                bt: pseudorandom(&seed[1..], n * params.tile(), k),
                challenge: Challenge(seed),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn backends_agree_and_recover_the_naive_product(case in any_case()) {
        for name in NAMES {
            let backend = backend::by_name(name).unwrap();
            if backend.supports(&case.params).is_ok() {
                compare(&*backend, &case, "a drawn case");
            }
        }
        let product = run(&Cpu::new(), &case).product;
        prop_assert_eq!(&product, &naive(&case.a, &case.bt));
        let [a, bt] = [(Side::A, &case.a), (Side::B, &case.bt)]
            .map(|(side, entries)| Matrix::of(&Operand::new(&case.params, side, entries.clone()).unwrap()));
        prop_assert_eq!(product, reference::product(&a, &bt));
    }
}

/// `k = 16384` with operands of the extremes: the largest sums there are, with
/// overflow checks on.
#[test]
fn the_deepest_block_statement_does_not_overflow() {
    for fill in [params::ENTRY_MIN, params::ENTRY_MAX] {
        let case = Case {
            params: Params::CONSENSUS,
            a: ndarray::Array2::from_elem((32, 16384), fill),
            bt: ndarray::Array2::from_elem((32, 16384), params::ENTRY_MIN),
            challenge: Challenge([fill as u8; 32]),
        };
        let result = run(&Cpu::new(), &case);
        let expected = i32::from(fill) * i32::from(params::ENTRY_MIN) * 16384;
        assert!(result.product.iter().all(|&entry| entry == expected));
    }
}
