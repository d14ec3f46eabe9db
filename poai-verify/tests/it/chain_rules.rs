//! Compact difficulties, work, times, supply and income.

use num_bigint::BigUint;
use poai_core::Difficulty;
use poai_verify::chain::{
    Account, Asert, CompactDifficulty, CompactError, Income, IncomeError, Profile, TimeError,
    TimeRules, Work, median_time_past,
};
use proptest::prelude::*;

fn difficulty(macs: u128) -> Difficulty {
    Difficulty::new(macs).unwrap()
}

// --- compact difficulties -----------------------------------------------

#[test]
fn compact_difficulties() {
    for (macs, bits, kept) in [
        (1, 0x0101_0000, 1),
        (255, 0x01ff_0000, 255),
        (256, 0x0201_0000, 256),
        (0xabcd, 0x02ab_cd00, 0xabcd),
        (1 << 24, 0x0401_0000, 1 << 24),
        (0x0123_4567_89ab, 0x0601_2345, 0x0123_4500_0000),
        (7_500_000_000_000_000, 0x071a_a535, 7_499_996_446_326_784),
        (u128::MAX, 0x10ff_ffff, 0x00ff_ffff << 104),
    ] {
        let compact = CompactDifficulty::new(difficulty(macs));
        assert_eq!(compact.bits(), bits, "{macs}: {compact}");
        assert_eq!(compact.difficulty().macs(), kept);
        assert_eq!(CompactDifficulty::from_bits(bits), Ok(compact));
        assert_eq!(CompactDifficulty::try_from(u32::from(compact)), Ok(compact));
        assert_eq!(compact.to_string(), format!("{bits:#010x}"));
    }
    let length = |bits, length| Err(CompactError::Length { bits, length });
    let twice = |bits| Err(CompactError::NotCanonical { bits });
    for (bits, expected) in [
        (0, length(0, 0)),
        (0x0001_0000, length(0x0001_0000, 0)),
        (0x1101_0000, length(0x1101_0000, 17)),
        (u32::MAX, length(u32::MAX, 255)),
        (0x0400_ffff, twice(0x0400_ffff)),
        (0x0100_0100, twice(0x0100_0100)),
        (0x0101_0001, twice(0x0101_0001)),
        (0x0101_0100, twice(0x0101_0100)),
        (0x0201_0001, twice(0x0201_0001)),
    ] {
        assert_eq!(CompactDifficulty::from_bits(bits), expected, "{bits:#010x}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn every_difficulty_has_one_encoding_just_below(macs in 1..=u128::MAX, cut in 0..128u32) {
        let macs = (macs >> cut).max(1);
        let compact = CompactDifficulty::new(difficulty(macs));
        let kept = compact.difficulty().macs();
        prop_assert!(kept <= macs && macs - kept <= kept >> 15);
        prop_assert_eq!(CompactDifficulty::from_bits(compact.bits()), Ok(compact));
        prop_assert_eq!(CompactDifficulty::new(difficulty(kept)), compact);
    }

    #[test]
    fn what_decodes_is_what_encodes(bits in any::<u32>(), length in 0..20u32) {
        for bits in [bits, bits & 0xff_ffff | length << 24, bits & 0xff_0000 | length << 24] {
            if let Ok(compact) = CompactDifficulty::from_bits(bits) {
                prop_assert_eq!(CompactDifficulty::new(compact.difficulty()).bits(), bits);
            }
        }
    }

    #[test]
    fn encodings_are_ordered_as_their_values(a in 1..=u128::MAX, b in 1..=u128::MAX, cut in 0..120u32) {
        let (a, b) = (difficulty(a), difficulty((b >> cut).max(1)));
        let (low, high) = if a <= b { (a, b) } else { (b, a) };
        prop_assert!(CompactDifficulty::new(low) <= CompactDifficulty::new(high));
    }
}

// --- work ---------------------------------------------------------------

#[test]
fn work_is_summed_beyond_128_bits() {
    let mut work = Work::ZERO;
    let mut expected = BigUint::ZERO;
    for macs in [1, u128::MAX, u128::MAX, 1 << 24] {
        work = work.with(difficulty(macs)).unwrap();
        expected += macs;
        assert_eq!(work.to_string(), expected.to_string());
        assert_eq!(Work::from_be_bytes(work.to_be_bytes()), work);
    }
    // The heavier chain, not the longer one.
    let many = (0..100).fold(Work::ZERO, |work, _| work.with(difficulty(1 << 24)).unwrap());
    let one = Work::ZERO.with(difficulty(101 << 24)).unwrap();
    assert!(one > many);
    let full = Work::from_be_bytes([0xff; 32]);
    assert_eq!(full.with(Difficulty::ONE), None);
}

// --- times --------------------------------------------------------------

#[test]
fn times_lie_after_the_median_and_before_the_limit() {
    assert_eq!(median_time_past(&[]), None);
    assert_eq!(median_time_past(&[7]), Some(7));
    assert_eq!(median_time_past(&[9, 1, 5]), Some(5));
    assert_eq!(median_time_past(&[u64::MAX, 0]), Some(u64::MAX));

    let rules = TimeRules::new(11, 15).unwrap();
    // A genesis, and its first descendants.
    assert_eq!(rules.check_past(0, &[]), Ok(()));
    assert_eq!(rules.check_past(5, &[5]), Err(TimeError::Past { time: 5, median: 5 }));
    assert_eq!(rules.check_past(6, &[5]), Ok(()));
    // Eleven times count, and the twelfth does not.
    let times: Vec<u64> = (100..111).rev().chain([1_000_000]).collect();
    assert_eq!(rules.check_past(105, &times), Err(TimeError::Past { time: 105, median: 105 }));
    assert_eq!(rules.check_past(106, &times), Ok(()));
    // Five false times of eleven cannot move the median beyond an honest time.
    let mut lied = vec![u64::MAX; 5];
    lied.extend(100..106);
    assert_eq!(rules.check_past(106, &lied), Ok(()));

    assert_eq!(rules.check_future(115, 100), Ok(()));
    let future = TimeError::Future { time: 116, now: 100, limit: 15 };
    assert_eq!(rules.check_future(116, 100), Err(future));
    assert_eq!(rules.check_future(u64::MAX, u64::MAX - 1), Ok(()));

    for ancestors in [0, 2, 100, 102, 103] {
        assert_eq!(TimeRules::new(ancestors, 15), Err(TimeError::Ancestors { ancestors }));
    }
}

// --- supply -------------------------------------------------------------

const COIN: u128 = 1_000_000_000_000_000_000;
const EAI: Profile = Profile::EAI;

#[test]
fn the_profile_of_eai() {
    assert_eq!(EAI.supply_max, 2_500_000_000 * COIN);
    assert_eq!(EAI.issued(0), 250_000_000 * COIN);
    assert_eq!(EAI.subsidy(0), 0);
    // 2.25·10^27 / (16 · 2 102 400).
    assert_eq!(EAI.subsidy(1), 66_887_842_465_753_424_657);
    assert_eq!(EAI.subsidy(2_102_400), EAI.subsidy(1));
    assert!(EAI.subsidy(2_102_401) < EAI.subsidy(1));
    // A sixteenth less, except for rounding by a base unit for each block.
    let sixteenth = EAI.subsidy(1) - EAI.subsidy(1) / 16;
    assert!(EAI.subsidy(2_102_401).abs_diff(sixteenth) <= 1);
    assert_eq!(EAI.initial_difficulty().macs() * 5_000, EAI.reference_difficulty);
    assert_eq!(EAI.initial_difficulty().macs(), 7_500_000_000_000_000);
    let asert = Asert::new(15, 7_200, Difficulty::BLOCK_MIN).unwrap();
    assert_eq!(EAI.asert().unwrap(), asert);
    assert_eq!((EAI.times().unwrap().ancestors(), EAI.times().unwrap().future_limit()), (11, 15));
    // The genesis's own target is that of the next block, if the block is on
    // time.
    let anchor = EAI.anchor(1_800_000_000);
    assert_eq!(asert.next(&anchor, 0, 1_800_000_000), anchor.target);
}

/// Each era by itself pays at most a sixteenth of the rest, so that no sum of
/// eras passes the cap.
#[test]
fn the_cap_is_never_passed() {
    let era = EAI.era_blocks;
    let (mut height, mut left, mut eras) = (0u64, EAI.mined_max(), 0u64);
    loop {
        let subsidy = EAI.subsidy(height + 1);
        assert_eq!(subsidy, EAI.subsidy(height + era), "era {eras}");
        if subsidy == 0 {
            break;
        }
        let paid = subsidy * u128::from(era);
        assert!(paid <= left / 16, "era {eras}");
        left -= paid;
        height += era;
        eras += 1;
        assert_eq!(EAI.issued(height), EAI.supply_max - left, "era {eras}");
        assert!(EAI.issued(height) <= EAI.supply_max);
    }
    assert_eq!(height, EAI.last_paid_height());
    assert_eq!((EAI.subsidy(height) > 0, EAI.subsidy(height + 1)), (true, 0));
    assert_eq!(EAI.issued(height), EAI.issued(u64::MAX));
    // Seven centuries, with a rest below a sixteenth of a base unit for each
    // block.
    assert_eq!(eras, 717);
    assert!(left < 16 * u128::from(era));
    // Half is mined in eleven years, and nine tenths in 36.
    let mined = |years: u64| EAI.issued(years * era) - EAI.foundation;
    assert!(mined(10) < EAI.mined_max() / 2 && mined(11) > EAI.mined_max() / 2);
    assert!(mined(35) < EAI.mined_max() / 10 * 9 && mined(36) > EAI.mined_max() / 10 * 9);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_supply_grows_by_each_subsidy(height in 1u64..4_000_000_000, cut in 0..32u32) {
        let height = (height >> cut).max(1);
        prop_assert_eq!(EAI.issued(height), EAI.issued(height - 1) + EAI.subsidy(height));
        prop_assert!(EAI.issued(height) <= EAI.supply_max);
        prop_assert!(EAI.subsidy(height) >= EAI.subsidy(height + 1));
    }

    /// Constants of other chains, including senseless ones, never cause a
    /// panic, and never issue more than the cap.
    #[test]
    fn no_profile_passes_its_cap(
        supply_max in any::<u128>(),
        foundation in any::<u128>(),
        era_blocks in prop_oneof![0..100u64, any::<u64>()],
        era_divisor in any::<u8>(),
        height in prop_oneof![0..10_000u64, any::<u64>()],
    ) {
        let mut profile = EAI;
        (profile.supply_max, profile.foundation) = (supply_max, foundation.min(supply_max));
        (profile.era_blocks, profile.era_divisor) = (era_blocks, era_divisor);
        prop_assert!(profile.issued(height) <= profile.supply_max);
        prop_assert!(profile.issued(height) >= profile.foundation);
    }
}

// --- income -------------------------------------------------------------

#[test]
fn the_last_paid_height_is_the_last_paid() {
    let last = EAI.last_paid_height();
    assert!(EAI.subsidy(last) > 0);
    assert_eq!(EAI.subsidy(last + 1), 0);
    let mut profile = EAI;
    (profile.era_blocks, profile.era_divisor) = (1 << 63, 255);
    (profile.supply_max, profile.foundation) = (u128::MAX, 0);
    assert_eq!(profile.last_paid_height(), u64::MAX);
    // A foundation with more than the cap gets the whole cap, and miners get
    // nothing.
    (profile.supply_max, profile.foundation) = (5, 7);
    assert_eq!((profile.last_paid_height(), profile.subsidy(1)), (0, 0));
    assert_eq!([0, 1, u64::MAX].map(|height| profile.issued(height)), [5; 3]);
    assert_eq!((Account::new(profile).supply(), Account::new(profile).left()), (5, 0));
}

#[test]
fn an_account_holds_blocks_to_the_schedule() {
    let mut account = Account::new(EAI);
    let subsidy = EAI.subsidy(1);
    assert_eq!((account.supply(), account.left()), (250_000_000 * COIN, 2_250_000_000 * COIN));
    let paid = [0, 3 * COIN, COIN / 2];
    for fees in paid {
        account.enter(Income { subsidy, fees }).unwrap();
    }
    let before = account.clone();
    let greedy = Income { subsidy: subsidy + 1, fees: 0 };
    let expected = IncomeError::Subsidy { height: 4, expected: subsidy, got: subsidy + 1 };
    assert_eq!(account.enter(greedy), Err(expected));
    let supply = account.supply();
    let made_up = Income { subsidy, fees: supply + 1 };
    assert_eq!(
        account.enter(made_up),
        Err(IncomeError::Fees { height: 4, fees: supply + 1, supply })
    );
    assert_eq!(account, before, "a refused block leaves no trace");
    let everything = Income { subsidy, fees: supply };
    assert_eq!(account.clone().enter(everything), Ok(()), "all that exists may be paid");
    assert_eq!(account.height(), 3);
    assert_eq!(account.income(), Income { subsidy: 3 * subsidy, fees: paid.iter().sum() });
    assert_eq!(account.supply(), EAI.issued(3), "fees issue nothing");
    assert_eq!(account.left() + account.supply(), EAI.supply_max);
}

#[test]
fn the_share_of_fees() {
    let share = |subsidy, fees| Income { subsidy, fees }.fee_share();
    assert_eq!(share(0, 0), 0);
    assert_eq!(share(0, 1), 10_000);
    assert_eq!(share(1, 0), 0);
    assert_eq!(share(3, 1), 2_500);
    assert_eq!(share(2, 1), 3_333);
    assert_eq!(share(u128::MAX, u128::MAX), 5_000);
    assert_eq!(share(0, u128::MAX), 10_000);
    assert_eq!(share(u128::MAX, 0), 0);
    assert_eq!(Income { subsidy: 1, fees: u128::MAX }.total(), None);
    assert_eq!(Income { subsidy: 1, fees: 2 }.total(), Some(3));
}
