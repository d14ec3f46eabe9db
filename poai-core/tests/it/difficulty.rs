//! Tests that difficulty is compared exactly, in all 384 bits.

use poai_core::{Difficulty, Params, Ticket};
use poai_engine::backend::reference;
use proptest::prelude::*;

/// Tickets with any number of leading zero bits, so that their difficulties
/// cover all 128 bits.
fn any_ticket() -> impl Strategy<Value = Ticket> {
    (any::<[u8; 32]>(), 0..256usize).prop_map(|(mut bytes, zeros)| {
        bytes[..zeros / 8].fill(0);
        bytes[zeros / 8] &= 0xff >> (zeros % 8);
        Ticket(bytes)
    })
}

/// Equality does not win: 2^255 times 2·t²·k is exactly t²·k·2^256.
#[test]
fn a_ticket_exactly_at_the_bound_loses() {
    let (params, k) = (Params::CONSENSUS, 4096);
    let mut ticket = Ticket([0; 32]);
    ticket.0[0] = 0x80;
    let bound = 2 * u128::from(params.macs_per_ticket(k));
    for (macs, wins) in [(bound - 1, true), (bound, false), (bound + 1, false)] {
        assert_eq!(Difficulty::new(macs).unwrap().wins(&params, k, &ticket), wins);
        assert_eq!(reference::wins(&params, k, macs, &ticket), wins);
    }
    assert_eq!(Difficulty::largest_won(&params, k, &ticket), Difficulty::new(bound - 1).ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_reference_at_and_around_the_edge(ticket in any_ticket(), steps in 1..128u32, off in -2..=2i128) {
        let (params, k) = (Params::CONSENSUS, 128 * steps);
        let edge = Difficulty::largest_won(&params, k, &ticket).unwrap();
        if let Some(macs) = edge.macs().checked_add_signed(off).filter(|&macs| macs > 0) {
            let difficulty = Difficulty::new(macs).unwrap();
            let expected = reference::wins(&params, k, macs, &ticket);
            prop_assert_eq!(expected, off <= 0);
            prop_assert_eq!(difficulty.wins(&params, k, &ticket), expected);
            prop_assert_eq!(difficulty.target(&params, k).is_met_by(&ticket), expected);
        }
    }

    #[test]
    fn the_target_is_the_largest_winning_ticket(macs in 1..=u128::MAX, shift in 0..128u32, steps in 1..128u32) {
        let (params, k) = (Params::CONSENSUS, 128 * steps);
        let difficulty = Difficulty::new((macs >> shift).max(1)).unwrap();
        let largest = *difficulty.target(&params, k).largest();
        prop_assert!(reference::wins(&params, k, difficulty.macs(), &largest));
        let mut next = largest;
        for byte in next.0.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                prop_assert!(!reference::wins(&params, k, difficulty.macs(), &next));
                break;
            }
        }
    }
}
