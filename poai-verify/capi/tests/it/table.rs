//! Subsidies, times, work and easiest targets: runs the table of the programs
//! in C and Go through the same functions, and passes wrong arguments.

use crate::chain::next_to;
use poai_capi::chain::poai_asert;
use poai_capi::supply::{
    poai_supply, poai_supply_eai, poai_supply_issued, poai_supply_last_paid_height,
    poai_supply_subsidy,
};
use poai_capi::times::{
    poai_median_time_past, poai_times, poai_times_check_future, poai_times_check_past,
};
use poai_capi::work::{poai_work_add, poai_work_compare};
use std::collections::BTreeMap;
use std::ptr::{null, null_mut};

/// The byte in the memory before a function writes, and after it refuses.
const UNWRITTEN: u8 = 7;

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("expected a number, got {text:?}"))
}

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// The bytes of an answer: unwritten if the table has no answer.
fn answer<const N: usize>(text: &str) -> [u8; N] {
    if text == "-" { [UNWRITTEN; N] } else { bytes(text) }
}

fn times(text: &str) -> Vec<u64> {
    if text == "-" { vec![] } else { text.split(',').map(number).collect() }
}

fn supply([most, foundation, blocks, divisor]: [&str; 4]) -> poai_supply {
    poai_supply {
        supply_max: bytes(most),
        foundation: bytes(foundation),
        era_blocks: number(blocks),
        era_divisor: number(divisor),
    }
}

fn eai() -> poai_supply {
    let mut eai =
        poai_supply { supply_max: [0; 16], foundation: [0; 16], era_blocks: 0, era_divisor: 0 };
    // SAFETY: a struct.
    assert_eq!(unsafe { poai_supply_eai(&mut eai) }, 0);
    eai
}

#[test]
fn the_table() {
    let mut kinds = BTreeMap::new();
    for line in include_str!("../chain.txt").lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["eai", most, foundation, blocks, divisor] => {
                assert_eq!(eai(), supply([most, foundation, blocks, divisor]));
            }
            ["supply", code, most, foundation, blocks, divisor, height, subsidy, issued, last] => {
                let supply = supply([most, foundation, blocks, divisor]);
                let (code, height) = (number::<i32>(code), number(height));
                let (mut amounts, mut paid) = ([[UNWRITTEN; 16]; 2], 7);
                let [first, second] = &mut amounts;
                // SAFETY: a struct, twice 16 bytes, a number.
                let codes = unsafe {
                    [
                        poai_supply_subsidy(&supply, height, first.as_mut_ptr()),
                        poai_supply_issued(&supply, height, second.as_mut_ptr()),
                        poai_supply_last_paid_height(&supply, &mut paid),
                    ]
                };
                assert_eq!(
                    (codes, amounts),
                    ([code; 3], [answer(subsidy), answer(issued)]),
                    "{line}"
                );
                assert_eq!(paid, if last == "-" { 7 } else { number(last) }, "{line}");
            }
            ["past", code, ancestors, time, latest] => {
                let rules = poai_times { ancestors: number(ancestors), future_limit: 15 };
                let latest = times(latest);
                // SAFETY: a struct, and as many numbers as the length.
                let got = unsafe {
                    poai_times_check_past(&rules, number(time), latest.as_ptr(), latest.len())
                };
                assert_eq!(got, number::<i32>(code), "{line}");
            }
            ["future", code, ancestors, limit, time, now] => {
                let rules =
                    poai_times { ancestors: number(ancestors), future_limit: number(limit) };
                // SAFETY: a struct.
                let got = unsafe { poai_times_check_future(&rules, number(time), number(now)) };
                assert_eq!(got, number::<i32>(code), "{line}");
            }
            ["median", code, of, expected] => {
                let (of, mut median) = (times(of), 7);
                // SAFETY: as many numbers as the length, and one.
                let got = unsafe { poai_median_time_past(of.as_ptr(), of.len(), &mut median) };
                let expected = if expected == "-" { 7 } else { number(expected) };
                assert_eq!((got, median), (number(code), expected), "{line}");
            }
            ["work", code, work, difficulty, expected] => {
                let (mut work, difficulty) = (bytes::<32>(work), bytes::<16>(difficulty));
                let mut sum = [UNWRITTEN; 32];
                let at = work.as_mut_ptr();
                // SAFETY: 32, 16 and 32 bytes; the first and the last may be
                // the same.
                let codes = unsafe {
                    [
                        poai_work_add(at, difficulty.as_ptr(), sum.as_mut_ptr()),
                        poai_work_add(at, difficulty.as_ptr(), at),
                    ]
                };
                assert_eq!((codes, sum), ([number(code); 2], answer(expected)), "{line}");
                assert!(codes != [0; 2] || work == sum, "in place: {line}");
            }
            ["order", expected, a, b] => {
                let (a, b, mut order) = (bytes::<32>(a), bytes::<32>(b), 7);
                // SAFETY: twice 32 bytes, and a number.
                let code = unsafe { poai_work_compare(a.as_ptr(), b.as_ptr(), &mut order) };
                assert_eq!((code, order), (0, number::<i32>(expected)), "{line}");
            }
            [
                "next",
                code,
                block_time,
                half_life,
                anchor,
                least,
                easiest,
                height,
                time,
                difficulty,
                target,
            ] => {
                let asert = poai_asert {
                    anchor_height: 0,
                    anchor_parent_time: 985,
                    block_time: number(block_time),
                    half_life: number(half_life),
                    anchor_target: bytes(anchor),
                    difficulty_min: bytes(least),
                };
                let easiest = (easiest != "-").then(|| bytes(easiest));
                let got = next_to(&asert, easiest, number(height), number(time));
                let difficulty = u128::from_be_bytes(answer(difficulty));
                assert_eq!(got, (number(code), difficulty, answer(target)), "{line}");
            }
            _ => panic!("{line:?}"),
        }
        *kinds.entry(words[0]).or_insert(0) += 1;
    }
    let counts = [
        ("eai", 1),
        ("future", 9),
        ("median", 7),
        ("next", 30),
        ("order", 7),
        ("past", 21),
        ("supply", 17),
        ("work", 9),
    ];
    assert_eq!(kinds, BTreeMap::from(counts));
}

#[test]
fn null_and_lengths_beyond_all_memory_are_refused() {
    let (eai, times) = (eai(), poai_times { ancestors: 11, future_limit: 15 });
    let (one, mut amount, mut work) = ([1; 32], [0; 16], [0; 32]);
    let (mut height, mut order) = (0u64, 0);
    let latest = [5u64; 11];
    // SAFETY: null is permitted everywhere, and the other pointers have enough bytes. At most
    // eleven of the eleven ancestors' times are read, whatever the length.
    unsafe {
        assert_eq!(poai_supply_eai(null_mut()), 1);
        assert_eq!(poai_supply_subsidy(null(), 1, amount.as_mut_ptr()), 1);
        assert_eq!(poai_supply_subsidy(&eai, 1, null_mut()), 1);
        assert_eq!(poai_supply_issued(null(), 1, amount.as_mut_ptr()), 1);
        assert_eq!(poai_supply_issued(&eai, 1, null_mut()), 1);
        assert_eq!(poai_supply_last_paid_height(null(), &mut height), 1);
        assert_eq!(poai_supply_last_paid_height(&eai, null_mut()), 1);

        assert_eq!(poai_times_check_past(null(), 6, latest.as_ptr(), 11), 1);
        assert_eq!(poai_times_check_past(&times, 6, null(), 11), 1);
        assert_eq!(poai_times_check_past(&times, 6, null(), 0), 0);
        assert_eq!(poai_times_check_past(&times, 6, latest.as_ptr(), usize::MAX), 1);
        assert_eq!(poai_times_check_past(&times, 6, latest.as_ptr(), isize::MAX as usize), 1);
        assert_eq!(poai_times_check_past(&times, 6, latest.as_ptr(), isize::MAX as usize / 8), 0);
        assert_eq!(poai_times_check_future(null(), 0, 0), 1);
        assert_eq!(poai_median_time_past(null(), 1, &mut height), 1);
        assert_eq!(poai_median_time_past(null(), 0, &mut height), 8);
        assert_eq!(poai_median_time_past(latest.as_ptr(), usize::MAX, &mut height), 8);
        assert_eq!(poai_median_time_past(latest.as_ptr(), 1, null_mut()), 1);

        assert_eq!(poai_work_add(null(), one.as_ptr(), work.as_mut_ptr()), 1);
        assert_eq!(poai_work_add(one.as_ptr(), null(), work.as_mut_ptr()), 1);
        assert_eq!(poai_work_add(one.as_ptr(), one.as_ptr(), null_mut()), 1);
        assert_eq!(poai_work_compare(null(), one.as_ptr(), &mut order), 1);
        assert_eq!(poai_work_compare(one.as_ptr(), null(), &mut order), 1);
        assert_eq!(poai_work_compare(one.as_ptr(), one.as_ptr(), null_mut()), 1);
    }
    assert_eq!((amount, work, height, order), ([0; 16], [0; 32], 0, 0), "written on an error");
}
