//! Circuits that do not fit in memory.
use crate::{PEAK, alone};
use poai_prover::{Circuit, CircuitError, Committed, Hashed};
use poai_testing::layers::wide;

/// A build that is refused keeps no rows beyond its limit.
#[test]
fn a_refused_circuit_leaves_its_rows() {
    let _alone = alone();
    let network = wide();
    let described = || Circuit::new(&network).output(Hashed).weights(Committed);
    let peak_of = |build: &dyn Fn()| {
        PEAK.reset_peak_usage();
        let before = PEAK.current_usage();
        build();
        PEAK.peak_usage().saturating_sub(before)
    };
    // Hashes keep their constants from the first build on.
    let estimate = described().estimate().unwrap();
    let counted = peak_of(&|| drop(described().estimate()));
    let whole = peak_of(&|| drop(described().build().unwrap()));
    let refused = peak_of(&|| {
        // The process alone takes 24 MiB.
        let error = described().memory_limit(25 << 20).build().unwrap_err();
        assert!(matches!(error, CircuitError::Memory(_)), "{error}");
    });
    println!("counted {counted}, refused {refused}, whole {whole}: {estimate:?}");
    // A term takes 40 bytes, without spare capacity.
    let rows = 40 * estimate.terms as usize;
    assert!(whole > counted + rows / 2, "{whole} of {counted} and {rows}");
    // It keeps the rows until the limit, of about 1 MiB, and no more.
    assert!(refused < counted + (4 << 20), "{refused} of {counted}");
}
