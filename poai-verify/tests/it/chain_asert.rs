//! Retargeting, compared with exact powers, the published vectors, and a
//! simulated network.

use num_bigint::BigUint;
use poai_core::Difficulty;
use poai_verify::chain::{Anchor, Asert, AsertError, BaseTarget, CompactDifficulty};
use proptest::prelude::*;

const EAI: (u32, u32) = (15, 7_200);

fn asert((block_time, half_life): (u32, u32)) -> Asert {
    Asert::new(block_time, half_life, Difficulty::BLOCK_MIN).unwrap()
}

fn difficulty(macs: u128) -> Difficulty {
    Difficulty::new(macs).unwrap()
}

// --- Bitcoin Cash's vectors, whose targets have 16 to 23 significant bits ----

fn from_nbits(bits: u32) -> BaseTarget {
    let (length, mantissa) = (bits >> 24, BigUint::from(bits & 0x7f_ffff));
    let target = match length {
        0..=3 => mantissa >> (8 * (3 - length)),
        _ => mantissa << (8 * (length - 3)),
    };
    BaseTarget::from_be_bytes(be_bytes(&target)).unwrap()
}

fn to_nbits(target: &BaseTarget) -> u32 {
    let target = BigUint::from_bytes_be(&target.to_be_bytes());
    let mut length = target.bits().div_ceil(8) as u32;
    let mut mantissa = match length {
        0..=3 => target << (8 * (3 - length)),
        _ => target >> (8 * (length - 3)),
    };
    if mantissa.bit(23) {
        (mantissa, length) = (mantissa >> 8, length + 1);
    }
    length << 24 | u32::try_from(mantissa).unwrap()
}

fn be_bytes(value: &BigUint) -> [u8; 32] {
    let bytes = value.to_bytes_be();
    let mut all = [0; 32];
    all[32 - bytes.len()..].copy_from_slice(&bytes);
    all
}

#[test]
fn the_published_vectors() {
    let rules = asert((600, 172_800)).with_easiest(from_nbits(0x1d00_ffff));
    let number = |text: &str| text.parse::<u64>().unwrap();
    let nbits = |text: &str| u32::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
    let (mut run, mut anchor, mut lines) = ("", None, 0);
    for line in include_str!("../../../test_vectors/aserti3-2d.txt").lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["#", ..] => {}
            ["run", name, height, time, bits] => {
                let target = from_nbits(nbits(bits));
                run = name;
                anchor = Some(Anchor { height: number(height), parent_time: number(time), target });
            }
            [height, time, expected] => {
                let got = rules.next(&anchor.unwrap(), number(height), number(time));
                let (got, expected) = (to_nbits(&got), nbits(expected));
                assert_eq!(got, expected, "run {run}: {line}: {got:#010x}");
                lines += 1;
            }
            _ => panic!("{line:?}"),
        }
    }
    assert_eq!(lines, 159);
}

// --- exact powers -------------------------------------------------------

#[test]
fn whole_half_lives_are_exact() {
    let (block_time, half_life) = EAI;
    let start = difficulty(7_500_000_000_000_000);
    let anchor = Anchor { height: 0, parent_time: 1 << 40, target: BaseTarget::new(start) };
    let rules = asert(EAI);
    let on_time = |height: u64| (1u64 << 40) + u64::from(block_time) * (height + 1);
    for height in [0, 1, 480, 1 << 30] {
        assert_eq!(rules.next(&anchor, height, on_time(height)), anchor.target, "{height}");
    }
    let target = BigUint::from_bytes_be(&anchor.target.to_be_bytes());
    for halves in 1..=28u32 {
        let shift = u64::from(half_life * halves);
        let late = rules.next(&anchor, 1 << 30, on_time(1 << 30) + shift);
        let early = rules.next(&anchor, 1 << 30, on_time(1 << 30) - shift);
        assert_eq!(BigUint::from_bytes_be(&late.to_be_bytes()), &target << halves, "{halves}");
        assert_eq!(BigUint::from_bytes_be(&early.to_be_bytes()), &target >> halves, "{halves}");
    }
    // 7.5·10^15 / 2^29 is below the least difficulty of a block, 2^24.
    let latest = rules.next(&anchor, 1 << 30, on_time(1 << 30) + u64::from(half_life) * 29);
    assert_eq!(latest, BaseTarget::new(Difficulty::BLOCK_MIN));
}

#[test]
fn difficulties_survive_targets() {
    for macs in
        [1, 2, 3, 5, (1 << 24) - 1, 1 << 24, 7_500_000_000_000_000, u128::MAX - 1, u128::MAX]
    {
        assert_eq!(BaseTarget::new(difficulty(macs)).difficulty().macs(), macs);
    }
    assert_eq!(BaseTarget::new(Difficulty::ONE), BaseTarget::MAX);
    assert_eq!(BaseTarget::ONE.difficulty().macs(), u128::MAX);
    assert!(BaseTarget::from_be_bytes([0; 32]).is_err());
    // 2^256 / 2^24, exactly.
    let mut expected = [0; 32];
    expected[2] = 1;
    assert_eq!(BaseTarget::new(Difficulty::BLOCK_MIN).to_be_bytes(), expected);
}

#[test]
fn parameters_have_bounds() {
    let new = |block_time, half_life| Asert::new(block_time, half_life, Difficulty::ONE);
    assert_eq!(new(0, 7200), Err(AsertError::BlockTime { block_time: 0 }));
    assert_eq!(new(86_401, 7200), Err(AsertError::BlockTime { block_time: 86_401 }));
    assert_eq!(new(15, 239), Err(AsertError::HalfLife { half_life: 239, min: 240 }));
    assert!(new(15, 240).is_ok());
    assert!(new(86_400, 31_536_000).is_ok());
    assert!(new(86_400, 31_536_001).is_err());
    assert!(new(u32::MAX, u32::MAX).is_err());
    for difficulty_min in [(1 << 24) + 1, 5_000_000_000, u128::MAX].map(difficulty) {
        let error = AsertError::DifficultyMin { difficulty_min };
        assert_eq!(Asert::new(15, 7200, difficulty_min), Err(error));
    }
    let rules = new(15, 7200).unwrap();
    assert_eq!((rules.block_time(), rules.half_life()), (15, 7200));
}

/// 2^n.
fn power(n: usize) -> BaseTarget {
    let mut bytes = [0; 32];
    bytes[31 - n / 8] = 1 << (n % 8);
    BaseTarget::from_be_bytes(bytes).unwrap()
}

#[test]
fn the_largest_power_is_reached_and_none_beyond() {
    let rules = Asert::new(15, 7200, Difficulty::ONE).unwrap();
    let anchor = Anchor { height: 0, parent_time: 0, target: power(200) };
    let late = |half_lives: u64| rules.next(&anchor, 0, 15 + 7200 * half_lives);
    assert_eq!(late(54), power(254));
    assert_eq!(late(55), power(255));
    assert_eq!(late(56).to_be_bytes(), [0xff; 32]);
}

#[test]
fn base_targets_are_written_in_full() {
    let zeros = "0".repeat(62);
    assert_eq!(power(9).to_string(), format!("0x{}200", &zeros[1..]));
    assert_eq!(BaseTarget::ONE.to_string(), format!("0x{zeros}01"));
}

#[cfg(feature = "serde")]
#[test]
fn base_targets_come_back_from_json() {
    let text = serde_json::to_string(&power(9)).unwrap();
    assert_eq!(text, format!("\"{:064x}\"", 512));
    assert_eq!(serde_json::from_str::<BaseTarget>(&text).unwrap(), power(9));
    let zero = format!("\"{}\"", "0".repeat(64));
    assert!(serde_json::from_str::<BaseTarget>(&zero).is_err());
}

// --- every input --------------------------------------------------------

/// Numbers near every value that could overflow.
fn extreme() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0..100u64,
        (u64::MAX - 100)..=u64::MAX,
        (0..64u32, -2..=2i64).prop_map(|(bit, near)| (1u64 << bit).wrapping_add_signed(near)),
    ]
}

fn any_target() -> impl Strategy<Value = BaseTarget> {
    (any::<[u8; 32]>(), 0..32usize).prop_filter_map("zero", |(mut bytes, zeros)| {
        bytes[..zeros].fill(0);
        BaseTarget::from_be_bytes(bytes).ok()
    })
}

fn any_rules() -> impl Strategy<Value = (Asert, Difficulty)> {
    (1..=86_400u32, any::<u32>(), 1..=u128::MAX).prop_map(|(block_time, half_life, least)| {
        let range = 31_536_000 - 16 * block_time + 1;
        let half_life = 16 * block_time + half_life % range;
        let least = CompactDifficulty::new(difficulty(least)).difficulty();
        (Asert::new(block_time, half_life, least).unwrap(), least)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn defined_and_monotone_everywhere(
        (rules, least) in any_rules(),
        target in any_target(),
        anchors in (extreme(), extreme()),
        (height, higher) in (extreme(), extreme()),
        (time, later) in (extreme(), extreme()),
    ) {
        let anchor = Anchor { height: anchors.0, parent_time: anchors.1, target };
        let (height, higher) = (height.min(higher), height.max(higher));
        let (time, later) = (time.min(later), time.max(later));
        let next = |height, time| rules.next(&anchor, height, time);
        // A later parent makes it easier, and a higher one harder; never the
        // reverse.
        prop_assert!(next(height, time) <= next(height, later));
        // The difficulty in a header is never below the least.
        let header = CompactDifficulty::new(next(height, time).difficulty());
        prop_assert!(header.difficulty() >= least);
        prop_assert!(next(higher, time) <= next(height, time));
        prop_assert!(next(height, time) >= BaseTarget::ONE);
        prop_assert!(next(height, later).difficulty() >= least);
        // If a difficulty fits, conversion to it and back loses nothing.
        let difficulty = next(height, time).difficulty();
        prop_assert_eq!(BaseTarget::new(difficulty).difficulty(), difficulty);
    }

    #[test]
    fn within_the_cubic_of_the_exact_power(
        behind in -200_000i64..200_000,
        macs in (1u128 << 60)..(1 << 90),
    ) {
        let (block_time, half_life) = EAI;
        let anchor = Anchor { height: 5, parent_time: 1 << 30, target: BaseTarget::new(difficulty(macs)) };
        let time = (1u64 << 30) + u64::from(block_time) * 96;
        let got = asert(EAI).next(&anchor, 100, time.wrapping_add_signed(behind)).difficulty();
        // 2^(behind / half-life) in floating point is accurate to 10^-12.
        let exact = macs as f64 * (-(behind as f64) / f64::from(half_life)).exp2();
        let exact = exact.max((1u64 << 24) as f64);
        let error = (got.macs() as f64 / exact - 1.0).abs();
        // The error of the cubic is 0.012 %, that of a step of the exponent
        // 0.001 %; the rest is the floor.
        prop_assert!(error < 1.4e-4, "{error}");
    }
}

// --- a network ----------------------------------------------------------

/// Mines `blocks` at a rate in MACs a second from a difficulty.
///
/// Each block takes its expected time, in units of 2^-32 seconds, so that
/// nothing is rounded away. Returns the last intervals, in seconds.
fn intervals(rules: &Asert, anchor: &Anchor, at: &mut (u64, u128), rate: u128, blocks: u64) -> f64 {
    let (mut last, mut time) = (0u128, at.1);
    for _ in 0..blocks {
        let target = rules.next(anchor, at.0, (time >> 32) as u64);
        last = (target.difficulty().macs() << 32) / rate;
        time += last;
        at.0 += 1;
    }
    at.1 = time;
    last as f64 / (1u64 << 32) as f64
}

#[test]
fn steps_of_the_hashrate_by_a_thousand_are_followed() {
    let rules = asert(EAI);
    let (block_time, rate) = (15u128, 500_000_000_000_000u128);
    let target = BaseTarget::new(difficulty(rate * block_time));
    let anchor = Anchor { height: 0, parent_time: 1_000_000 - 15, target };
    let mut at = (0, 1_000_000u128 << 32);
    let near = |interval: f64| (interval / 15.0 - 1.0).abs() < 0.01;

    assert!(near(intervals(&rules, &anchor, &mut at, rate, 1000)), "steady");
    // Up: it is close after ten half-lives of blocks ahead of schedule, which are 4800 blocks.
    let quick = intervals(&rules, &anchor, &mut at, rate * 1000, 1);
    assert!(quick < 0.02, "{quick}");
    let risen = intervals(&rules, &anchor, &mut at, rate * 1000, 9_000);
    assert!(near(risen), "{risen}");
    // Down: it is 20 hours behind the schedule, after few and slow blocks.
    let slow = intervals(&rules, &anchor, &mut at, rate, 1);
    assert!(slow > 14_000.0, "{slow}");
    let height = at.0;
    let fallen = intervals(&rules, &anchor, &mut at, rate, 5_000);
    assert!(near(fallen), "{fallen} after {} blocks", at.0 - height);
    // A thousand times less than at the anchor.
    let fallen = intervals(&rules, &anchor, &mut at, rate / 1000, 5_000);
    assert!(near(fallen), "{fallen}");
}

/// The same with random intervals, exponentially distributed.
#[test]
fn a_noisy_network_keeps_its_schedule() {
    let rules = asert(EAI);
    let rate = 500_000_000_000_000f64;
    let target = BaseTarget::new(difficulty(7_500_000_000_000_000));
    let anchor = Anchor { height: 0, parent_time: 1_000_000 - 15, target };
    let (mut time, mut state) = (1_000_000f64, 1u64);
    let blocks = 20_000u64;
    let mut rates = [rate, rate * 1000.0, rate].into_iter();
    let mut now = rate;
    for height in 0..blocks {
        if height % 8_000 == 0 {
            now = rates.next().unwrap();
        }
        let macs = rules.next(&anchor, height, time as u64).difficulty().macs() as f64;
        // SplitMix64, for a uniform number in (0, 1].
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let uniform = ((mixed ^ mixed >> 31) >> 11) as f64 / (1u64 << 53) as f64;
        time += -(1.0 - uniform).ln() * macs / now;
    }
    // The schedule is absolute. At the end, the chain is where it must be, except for the
    // randomness of the last blocks. No step leaves an error behind.
    let late = time - 1_000_000.0 - 15.0 * blocks as f64;
    assert!(late.abs() < 7_200.0, "{late} s off");
}
