//! The register-only loops do all the multiply-accumulates that they count.

use poai_benches::peak;
use poai_engine::Cpu;

#[test]
fn every_loop_of_this_machine_gives_the_known_sum() {
    for listed in Cpu::list() {
        let Ok(peak) = peak::of(listed.name) else {
            println!("SKIPPED: {}: no loop here", listed.name);
            continue;
        };
        assert!(peak.macs > 0);
        for rounds in [0, 1, 2, 1000] {
            let (sum, expected) = peak.answer(rounds);
            assert_eq!(sum, expected, "{} after {rounds} rounds", listed.name);
            assert_eq!(sum == 0, rounds == 0, "the sum is zero only without rounds");
        }
    }
}

#[test]
fn portable_code_and_unknown_names_have_none() {
    assert!(peak::of("cpu-scalar").is_err());
    assert!(peak::of("cpu-abacus").expect_err("no such thing").contains("cpu-abacus"));
}
