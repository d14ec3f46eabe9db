//! Retargeting, base targets and compact difficulties through the C functions:
//! published vectors, edges, and wrong arguments.

use poai_capi::chain::{
    poai_asert, poai_asert_next, poai_base_target, poai_base_target_difficulty,
    poai_compact_decode, poai_compact_encode,
};
use poai_verify::Difficulty;
use poai_verify::chain::{Anchor, Asert, BaseTarget, CompactDifficulty};
use std::ptr::{null, null_mut};

/// EthereumAI's retargeting, with a genesis at time 1000.
fn eai() -> poai_asert {
    poai_asert {
        anchor_height: 0,
        anchor_parent_time: 985,
        block_time: 15,
        half_life: 7200,
        anchor_target: BaseTarget::new(Difficulty::new(7_500_000_000_000_000).unwrap())
            .to_be_bytes(),
        difficulty_min: (1u128 << 24).to_be_bytes(),
    }
}

/// The code, the difficulty, the target.
fn next(asert: &poai_asert, height: u64, time: u64) -> (i32, u128, [u8; 32]) {
    next_to(asert, None, height, time)
}

/// As [`next`], with an easiest target.
pub fn next_to(
    asert: &poai_asert,
    easiest: Option<[u8; 32]>,
    height: u64,
    time: u64,
) -> (i32, u128, [u8; 32]) {
    let (mut difficulty, mut target) = ([7; 16], [7; 32]);
    let easiest = easiest.as_ref().map_or(null(), |easiest| easiest.as_ptr());
    // SAFETY: a struct, null or 32 bytes, 16 and 32 bytes.
    let code = unsafe {
        poai_asert_next(asert, easiest, height, time, difficulty.as_mut_ptr(), target.as_mut_ptr())
    };
    (code, u128::from_be_bytes(difficulty), target)
}

/// Bitcoin's nBits as a target.
fn from_nbits(bits: u32) -> [u8; 32] {
    let (length, mantissa) = ((bits >> 24) as usize, bits & 0x7f_ffff);
    let mut target = [0; 32];
    for (place, byte) in mantissa.to_be_bytes()[1..].iter().enumerate() {
        // Places beyond the last belong to a mantissa cut off on the right.
        if let Some(to) = (32 + place).checked_sub(length).and_then(|at| target.get_mut(at)) {
            *to = *byte;
        }
    }
    target
}

fn to_nbits(target: &[u8; 32]) -> u32 {
    let first = target.iter().position(|byte| *byte != 0).unwrap();
    // One more byte, if the highest bit would be a sign.
    let start = first as i32 - i32::from(target[first] >= 0x80);
    let byte = |at: i32| {
        usize::try_from(at).ok().and_then(|at| target.get(at)).map_or(0, |byte| u32::from(*byte))
    };
    ((32 - start) as u32) << 24 | byte(start) << 16 | byte(start + 1) << 8 | byte(start + 2)
}

#[test]
fn the_published_vectors() {
    let number = |text: &str| text.parse::<u64>().unwrap();
    let nbits = |text: &str| u32::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
    let mut asert = eai();
    (asert.block_time, asert.half_life) = (600, 172_800);
    // No compact difficulty has the easiest target of these chains.
    let easiest = Some(from_nbits(0x1d00_ffff));
    let mut lines = 0;
    let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/../../test_vectors/aserti3-2d.txt");
    for line in std::fs::read_to_string(vectors).unwrap().lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["#", ..] => {}
            ["run", _, height, time, bits] => {
                asert.anchor_height = number(height);
                asert.anchor_parent_time = number(time);
                asert.anchor_target = from_nbits(nbits(bits));
            }
            [height, time, expected] => {
                let (code, difficulty, target) =
                    next_to(&asert, easiest, number(height), number(time));
                assert_eq!((code, to_nbits(&target)), (0, nbits(expected)), "{line}");
                let target = BaseTarget::from_be_bytes(target).unwrap();
                assert_eq!(difficulty, target.difficulty().macs());
                lines += 1;
            }
            _ => panic!("{line:?}"),
        }
    }
    assert_eq!(lines, 159);
}

#[test]
fn on_schedule_late_and_at_the_floor() {
    let asert = eai();
    let start = 7_500_000_000_000_000;
    assert_eq!(next(&asert, 0, 1000), (0, start, asert.anchor_target));
    assert_eq!(next(&asert, 480, 1000 + 480 * 15).1, start);
    assert_eq!(next(&asert, 480, 1000 + 480 * 15 + 7200).1, start / 2);
    assert_eq!(next(&asert, 0, u64::MAX).1, 1 << 24);
    assert_eq!(next(&asert, u64::MAX, 0).1, u128::MAX);
}

#[test]
fn parameters_that_are_not_permitted() {
    let none = ([7; 16], [7; 32]);
    for (change, expected) in [
        ((|asert| asert.block_time = 0) as fn(&mut poai_asert), 5),
        (|asert| asert.block_time = 86_401, 5),
        (|asert| asert.half_life = 239, 5),
        (|asert| asert.half_life = u32::MAX, 5),
        (|asert| asert.difficulty_min = 5_000_000_000u128.to_be_bytes(), 5),
        (|asert| asert.difficulty_min = [0; 16], 3),
        (|asert| asert.anchor_target = [0; 32], 6),
    ] {
        let mut asert = eai();
        change(&mut asert);
        for easiest in [None, Some([1; 32])] {
            let (code, difficulty, target) = next_to(&asert, easiest, 0, 0);
            assert_eq!(code, expected, "{asert:?}");
            assert_eq!((difficulty.to_be_bytes(), target), none, "written on an error");
        }
    }
    let (code, difficulty, target) = next_to(&eai(), Some([0; 32]), 0, 0);
    assert_eq!((code, (difficulty.to_be_bytes(), target)), (6, none));
}

/// As `Asert::with_easiest`: easier targets are cut to it and harder ones stay,
/// whatever the least difficulty is.
#[test]
fn the_easiest_target_takes_the_place_of_the_least_difficulty() {
    let start = Difficulty::new(7_500_000_000_000_000).unwrap();
    for easiest in [1, 1 << 24, 5_000_000_001, start.macs() - 1, start.macs(), u128::MAX] {
        let easiest = BaseTarget::new(Difficulty::new(easiest).unwrap());
        for difficulty_min in [1 << 24, 1 << 127] {
            let mut asert = eai();
            asert.difficulty_min = u128::to_be_bytes(difficulty_min);
            let rules = Asert::new(15, 7200, Difficulty::new(difficulty_min).unwrap()).unwrap();
            let rules = rules.with_easiest(easiest);
            let anchor = Anchor { height: 0, parent_time: 985, target: BaseTarget::new(start) };
            for time in [0, 1000, 8200, 1 << 30, u64::MAX] {
                let expected = rules.next(&anchor, 9, time);
                let macs = expected.difficulty().macs();
                let got = next_to(&asert, Some(easiest.to_be_bytes()), 9, time);
                assert_eq!(got, (0, macs, expected.to_be_bytes()));
            }
        }
    }
}

#[test]
fn compact_difficulties_and_targets_are_the_library_s() {
    for macs in [1, 255, 256, (1 << 24) - 1, 1 << 24, 7_500_000_000_000_000, u128::MAX] {
        let difficulty = Difficulty::new(macs).unwrap();
        let (mut bits, mut target, mut back) = (0, [0; 32], [0; 16]);
        // SAFETY: arrays of the required lengths, and a number.
        unsafe {
            assert_eq!(poai_compact_encode(macs.to_be_bytes().as_ptr(), &mut bits), 0);
            assert_eq!(poai_compact_decode(bits, back.as_mut_ptr()), 0);
            let compact = CompactDifficulty::new(difficulty);
            assert_eq!(bits, compact.bits());
            assert_eq!(u128::from_be_bytes(back), compact.difficulty().macs());
            assert_eq!(poai_base_target(macs.to_be_bytes().as_ptr(), target.as_mut_ptr()), 0);
            assert_eq!(poai_base_target_difficulty(target.as_ptr(), back.as_mut_ptr()), 0);
        }
        assert_eq!(target, BaseTarget::new(difficulty).to_be_bytes());
        assert_eq!(u128::from_be_bytes(back), macs);
    }
    // Too long, without bytes, not the shortest, bits after the last byte.
    for bits in [0x1180_0000, 0x0080_0000, 0x0400_8000, 0x0180_0001, u32::MAX] {
        let mut back = [7; 16];
        // SAFETY: 16 bytes.
        assert_eq!(unsafe { poai_compact_decode(bits, back.as_mut_ptr()) }, 19, "{bits:#010x}");
        assert_eq!(back, [7; 16], "written on an error");
    }
}

#[test]
fn null_and_zero_are_refused() {
    let (one, mut number, mut bits) = (1u128.to_be_bytes(), [0; 16], 0);
    let (zero, mut target) = ([0; 32], [0; 32]);
    // SAFETY: null is permitted everywhere; the other pointers have enough
    // bytes.
    unsafe {
        assert_eq!(
            poai_asert_next(null(), null(), 0, 0, number.as_mut_ptr(), target.as_mut_ptr()),
            1
        );
        assert_eq!(poai_asert_next(&eai(), null(), 0, 0, null_mut(), null_mut()), 0);
        assert_eq!(poai_base_target(null(), target.as_mut_ptr()), 1);
        assert_eq!(poai_base_target(one.as_ptr(), null_mut()), 1);
        assert_eq!(poai_base_target(zero.as_ptr(), target.as_mut_ptr()), 3);
        assert_eq!(poai_base_target_difficulty(null(), number.as_mut_ptr()), 1);
        assert_eq!(poai_base_target_difficulty([1; 32].as_ptr(), null_mut()), 1);
        assert_eq!(poai_base_target_difficulty(zero.as_ptr(), number.as_mut_ptr()), 6);
        assert_eq!(poai_compact_encode(null(), &mut bits), 1);
        assert_eq!(poai_compact_encode(one.as_ptr(), null_mut()), 1);
        assert_eq!(poai_compact_encode(zero.as_ptr(), &mut bits), 3);
        assert_eq!(poai_compact_decode(0x0101_0000, null_mut()), 1);
    }
    assert_eq!((number, target, bits), ([0; 16], [0; 32], 0), "written on an error");
}
