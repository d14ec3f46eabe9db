//! Compares every backend with the plain reference, through the shared tester.

use poai_core::*;
use poai_engine::backend::reference::{self, PlainMatrix};
use poai_engine::backend::{self, BackendError, ChooseError, Unsupported};
use poai_engine::operand::pseudorandom;
use poai_engine::*;
use poai_testing::tester::{Case, check, check_all, compare, run};
use proptest::prelude::*;

/// Runs each backend with three thread counts: the caller's threads, one
/// thread, which gets the largest blocks, and three threads, which get uneven
/// blocks.
#[test]
fn every_backend_passes_the_tester() {
    let mut backends = poai_engine::choose::present();
    for listed in Cpu::list().iter().filter(|listed| listed.present) {
        for threads in [1, 3] {
            let cpu = Cpu::named(listed.name).unwrap().threads(threads).unwrap();
            backends.push(std::sync::Arc::new(cpu));
        }
    }
    check_all(&backends.iter().map(|backend| &**backend as &dyn Backend).collect::<Vec<_>>());
    for listed in poai_engine::choose::list() {
        match poai_engine::choose::by_name(listed.name) {
            Ok(backend) => println!("{} agrees with the reference", backend.name()),
            Err(missing) => println!("SKIPPED: {missing}"),
        }
    }
}

/// Selecting a backend by name gives that backend or an error, never another
/// backend.
#[test]
fn a_missing_backend_is_an_error() {
    let unknown = poai_engine::choose::by_name("cpu-unheard-of").unwrap_err();
    assert!(matches!(&unknown, ChooseError::Unknown { name, .. } if name == "cpu-unheard-of"));
    for listed in poai_engine::choose::list() {
        assert!(unknown.to_string().contains(listed.name), "{unknown}");
        match poai_engine::choose::by_name(listed.name) {
            Ok(backend) => assert!(listed.present && backend.name() == listed.name),
            Err(error) => {
                let missing = matches!(&error, ChooseError::Missing { name, needs }
                    if (*name, *needs) == (listed.name, listed.needs));
                assert!(!listed.present && missing, "{error}");
            }
        }
    }
    let present: Vec<_> =
        poai_engine::choose::present().iter().map(|backend| backend.name()).collect();
    assert!(present.contains(&"cpu-scalar") && present.contains(&"reference"), "{present:?}");
    assert_eq!(Cpu::new().name(), present[0], "the default is the fastest present");
}

/// Each kernel has its own layout, so no backend accepts operands that another
/// one prepared, noised or packed.
#[test]
fn handles_of_another_backend_are_refused() {
    use backend::{Multiplication, Output, Watch, Winner};
    struct Ignored;
    impl Watch for Ignored {
        fn winner(&self, _: Winner) {}
        fn advance(&self, _: u64) -> std::ops::ControlFlow<()> {
            std::ops::ControlFlow::Continue(())
        }
    }
    let params = &Params::CONSENSUS;
    let operand = |side| Operand::pseudorandom(params, side, b"", 32, 128).unwrap();
    let mut memory = vec![0; 32 * 32];
    for one in poai_engine::choose::present() {
        for other in
            poai_engine::choose::present().iter().filter(|other| other.name() != one.name())
        {
            let [a, b] = [Side::A, Side::B].map(|side| one.prepare(operand(side)).unwrap());
            let foreign =
                |error| matches!(error, BackendError::Foreign { owner, .. } if owner == one.name());
            assert!(foreign(other.noise(&Seed([1; 32]), &a).unwrap_err()));
            assert!(foreign(other.pack(&a).unwrap_err()));
            let noised = [&a, &b].map(|side| one.noise(&Seed([1; 32]), side).unwrap());
            assert!(foreign(other.noised_entries(&noised[0]).unwrap_err()));
            let target = Difficulty::ONE.target(params, 128);
            let job = Multiplication { a: &noised[0], b: &noised[1], target };
            assert!(foreign(other.multiply(&job, Output::Tickets, &Ignored).unwrap_err()));
            let plain = [&a, &b].map(|side| one.pack(side).unwrap());
            assert!(foreign(other.product(&plain[0], &plain[1], &mut memory).unwrap_err()));
        }
    }
}

/// Every backend supports the consensus pair and names the pairs that it does
/// not support.
#[test]
fn unsupported_parameters_are_a_typed_error() {
    let odd = Params::new(64, 48).unwrap();
    for backend in poai_engine::choose::present() {
        backend.supports(&Params::CONSENSUS).unwrap();
        let name = backend.name();
        match Miner::with_params(odd, backend.clone()) {
            Ok(_) => assert!(["cpu-scalar", "reference"].contains(&name)),
            Err(error) => {
                let MineError::Unsupported(unsupported) = error else { panic!("{error}") };
                assert_eq!(unsupported, Unsupported { backend: name, rank: 64, tile: 48 });
                let operand = Operand::pseudorandom(&odd, Side::A, b"", 48, 64).unwrap();
                let refused = backend.prepare(operand);
                assert!(matches!(refused, Err(BackendError::Unsupported(_))));
            }
        }
    }
}

/// The tester must detect a wrong backend; otherwise its passes prove nothing.
#[test]
fn the_tester_notices_one_wrong_entry() {
    use poai_engine::backend::*;

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
        fn memory_bytes(&self, params: &Params, shape: &Shape) -> u64 {
            self.0.memory_bytes(params, shape)
        }
        fn prepare(&self, operand: Operand) -> Result<Prepared, BackendError> {
            self.0.prepare(operand)
        }
        fn noise(&self, seed: &Seed, prepared: &Prepared) -> Result<Noised, BackendError> {
            self.0.noise(seed, prepared)
        }
        fn pack(&self, prepared: &Prepared) -> Result<Plain, BackendError> {
            self.0.pack(prepared)
        }
        fn product(&self, a: &Plain, b: &Plain, memory: &mut [i32]) -> Result<(), BackendError> {
            self.0.product(a, b, memory)
        }
        fn noised_entries(&self, noised: &Noised) -> Result<Vec<i8>, BackendError> {
            self.0.noised_entries(noised)
        }
        fn multiply(
            &self,
            multiplication: &Multiplication<'_>,
            output: Output<'_>,
            watch: &dyn Watch,
        ) -> Result<Completion, BackendError> {
            match output {
                Output::Exact(memory) => {
                    let completion =
                        self.0.multiply(multiplication, Output::Exact(memory), watch)?;
                    memory[memory.len() - 1] ^= 1;
                    Ok(completion)
                }
                other => self.0.multiply(multiplication, other, watch),
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

/// Any permitted pair and any small shape, with entries drawn by proptest.
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
        for backend in poai_engine::choose::present() {
            if backend.supports(&case.params).is_ok() {
                compare(&*backend, &case, "a drawn case");
            }
        }
        let product = run(&Cpu::for_params(&case.params), &case).product;
        prop_assert_eq!(&product, &naive(&case.a, &case.bt));
        let [a, bt] = [(Side::A, &case.a), (Side::B, &case.bt)]
            .map(|(side, entries)| PlainMatrix::of(&Operand::new(&case.params, side, entries.clone()).unwrap()));
        prop_assert_eq!(product, reference::product(&a, &bt));
    }
}

/// The deepest block statement with extreme operands gives the largest possible
/// sums. The reference runs with overflow checks.
#[test]
fn the_deepest_block_statement_does_not_overflow() {
    for fill in [params::ENTRY_MIN, params::ENTRY_MAX] {
        let case = Case {
            params: Params::CONSENSUS,
            a: ndarray::Array2::from_elem((32, 16384), fill),
            bt: ndarray::Array2::from_elem((32, 16384), params::ENTRY_MIN),
            challenge: Challenge([fill as u8; 32]),
        };
        let expected = i32::from(fill) * i32::from(params::ENTRY_MIN) * 16384;
        let mut results =
            poai_engine::choose::present().into_iter().map(|backend| run(&*backend, &case));
        let first = results.next().unwrap();
        assert!(first.product.iter().all(|&entry| entry == expected));
        assert!(results.all(|result| result == first));
    }
}

/// Statements deeper than a block, at which the thin factors of recovery exceed
/// 16 bits.
#[test]
fn deep_research_statements_are_recovered_exactly() {
    let (a, bt) = (pseudorandom(b"a", 64, 20_480), pseudorandom(b"b", 96, 20_480));
    let expected = naive(&a, &bt);
    let case = Case { params: Params::CONSENSUS, a, bt, challenge: Challenge([4; 32]) };
    for backend in
        poai_engine::choose::present().into_iter().filter(|backend| backend.name() != "reference")
    {
        assert_eq!(run(&*backend, &case).product, expected, "{}", backend.name());
    }
}
