//! Checks a chain's arithmetic for every input: defined, within its limits,
//! monotone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use poai_core::Difficulty;
use poai_verify::chain::{Anchor, Asert, BaseTarget, CompactDifficulty, Profile, Work};

type Input = (u32, u128, [u8; 32], (u32, u32), [u64; 4], u64);

fuzz_target!(|input: Input| {
    let (
        bits,
        macs,
        target,
        (block_time, half_life),
        [height, time, parent_height, parent_time],
        later,
    ) = input;
    if let Ok(compact) = CompactDifficulty::from_bits(bits) {
        assert_eq!(CompactDifficulty::new(compact.difficulty()), compact);
    }
    let profile = Profile::EAI;
    assert!(profile.issued(height) <= profile.supply_max);
    assert!(profile.issued(height) >= profile.issued(height.saturating_sub(1)));
    let Ok(difficulty) = Difficulty::new(macs) else { return };
    assert!(CompactDifficulty::new(difficulty).difficulty() <= difficulty);
    assert_eq!(BaseTarget::new(difficulty).difficulty(), difficulty);
    if let Some(work) = Work::from_be_bytes(target).with(difficulty) {
        assert!(work > Work::from_be_bytes(target));
    }
    let Ok(target) = BaseTarget::from_be_bytes(target) else { return };
    let difficulty = CompactDifficulty::new(difficulty).difficulty();
    let Ok(asert) = Asert::new(block_time, half_life, difficulty) else { return };
    let anchor = Anchor { height, parent_time: time, target };
    let next = asert.next(&anchor, parent_height, parent_time);
    assert!(next.difficulty() >= difficulty);
    assert!(asert.next(&anchor, parent_height, parent_time.saturating_add(later)) >= next);
    assert!(asert.next(&anchor, parent_height.saturating_add(later), parent_time) <= next);
});
