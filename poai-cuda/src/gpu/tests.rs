//! A card's order, on the emulated driver: in every schedule of its streams
//! results are as if all were done in the order in which it was asked for.

#[path = "../../tests/emulated/harness.rs"]
mod harness;
#[path = "../../tests/host/mod.rs"]
mod host;

use super::*;
use crate::kernels::{CHECK_THREADS, check_answer};
use harness::{Settings, told, with_driver_of};
use std::thread;

const ORDERS: [Settings<'_>; 5] = [
    &[("POAI_EMULATED_STREAMS", "late")],
    &[("POAI_EMULATED_STREAMS", "early")],
    &[("POAI_EMULATED_STREAMS", "random1")],
    &[("POAI_EMULATED_STREAMS", "random2")],
    &[("POAI_EMULATED_STREAMS", "early"), ("POAI_EMULATED_POOLS", "0")],
];

fn with_card(test: &str, check: impl FnOnce(&Card)) {
    with_driver_of(&["check"], ".", &format!("card::tests::{test}"), &ORDERS, || {
        let device = crate::devices().unwrap().remove(0);
        check(&Card::open(&device).unwrap());
    });
}

/// Bytes of a kind.
fn bytes(seed: u32, len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i ^ seed).wrapping_mul(0x9e37_79b9).to_le_bytes()[3]).collect()
}

fn answer_of(a: &[u8], b: &[u8]) -> u32 {
    let words = |bytes: &[u8]| -> Vec<u32> {
        bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
    };
    let [a, b] = [a, b].map(words);
    check_answer(&a, &b)
}

/// Launches the check of two memories of `len` bytes; the answer is folded into
/// what `answer` has.
fn check(card: &Card, a: &Memory, b: &Memory, len: usize, answer: &Memory, beside: bool) {
    let launch =
        Launch { file: "check", kernel: "check", grid: [2, 1, 1], block: CHECK_THREADS, shared: 0 };
    let count = Argument::U32(len as u32 / 4);
    let arguments = [Argument::Memory(a), Argument::Memory(b), count, Argument::Memory(answer)];
    // SAFETY: check(a, b, count, answer): `count` words each, and one.
    unsafe {
        match beside {
            true => card.launch_beside(&launch, &arguments).unwrap(),
            false => card.launch(&launch, &arguments).unwrap(),
        }
    }
}

fn zero(card: &Card) -> Memory {
    let answer = card.allocate(4).unwrap();
    card.clear(&answer).unwrap();
    answer
}

fn word(card: &Card, memory: &Memory) -> u32 {
    let mut word = [0; 4];
    card.download(memory, 0, &mut word).unwrap();
    u32::from_le_bytes(word)
}

const LEN: usize = 2048;

/// Uploads into memory that kernels use before and after.
#[test]
fn uploads_come_between_the_launches_around_them() {
    with_card("uploads_come_between_the_launches_around_them", |card| {
        let [first, second, b] = [1, 2, 3].map(|seed| bytes(seed, LEN));
        for loaded in [true, false] {
            let a = match loaded {
                true => card.load(&bytes(9, LEN)).unwrap(),
                false => card.allocate(LEN as u64).unwrap(),
            };
            let on_b = card.load(&b).unwrap();
            let answers = [zero(card), zero(card), zero(card)];
            card.upload(&first, &a, 0).unwrap();
            check(card, &a, &on_b, LEN, &answers[0], false);
            card.upload(&second, &a, 0).unwrap();
            check(card, &a, &on_b, LEN, &answers[1], true);
            card.upload(&first[..8], &a, LEN as u64 - 8).unwrap();
            check(card, &on_b, &a, LEN, &answers[2], false);
            drop((a, on_b));
            let mixed = [&second[..LEN - 8], &first[..8]].concat();
            let expected = [&first, &second, &mixed].map(|a| answer_of(a, &b));
            assert_eq!(answers.each_ref().map(|answer| word(card, answer)), expected);
        }
    });
}

/// What is asked for after a copy from the card does not change what it brings.
#[test]
fn fetches_bring_what_was_there_when_they_were_asked_for() {
    with_card("fetches_bring_what_was_there_when_they_were_asked_for", |card| {
        let [a, b] = [1, 2].map(|seed| bytes(seed, LEN));
        let (on_a, on_b) = (card.load(&a).unwrap(), card.load(&b).unwrap());
        let answer = zero(card);
        check(card, &on_a, &on_b, LEN, &answer, false);
        let asked = card.fetch(&answer, 0, 4).unwrap();
        // Folds the same in again, which makes zero.
        check(card, &on_a, &on_b, LEN, &answer, false);
        let again = card.fetch(&answer, 0, 4).unwrap();
        check(card, &on_a, &on_b, LEN, &answer, true);
        let beside = card.fetch(&answer, 0, 4).unwrap();
        card.clear(&answer).unwrap();
        let never = card.fetch(&answer, 0, 4).unwrap();
        drop((answer, never));
        let finished = [asked, again, beside].map(|fetch| {
            let mut word = [0; 4];
            fetch.finish(&mut word).unwrap();
            u32::from_le_bytes(word)
        });
        let expected = answer_of(&a, &b);
        assert_ne!(expected, 0);
        assert_eq!(finished, [expected, 0, expected]);
    });
}

/// Pieces by several threads, both ways, while launches are queued; a part at
/// an odd place; more fetches than there is memory to stage them.
#[test]
fn large_copies_are_whole() {
    with_card("large_copies_are_whole", |card| {
        let large = bytes(5, 5 * STAGE_BYTES + 12345);
        let memory = card.load(&large).unwrap();
        let answer = zero(card);
        check(card, &memory, &memory, LEN, &answer, false);
        let fetch = card.fetch(&memory, 0, large.len() as u64).unwrap();
        let other = card.load(&large[1..]).unwrap();
        check(card, &other, &memory, LEN, &answer, false);
        let mut back = vec![0; large.len()];
        fetch.finish(&mut back).unwrap();
        assert!(back == large);
        card.upload(&large[..2 * STAGE_BYTES + 1], &memory, 4097).unwrap();
        card.download(&memory, 4096, &mut back[..3 * STAGE_BYTES]).unwrap();
        assert!(back[1..2 * STAGE_BYTES + 2] == large[..2 * STAGE_BYTES + 1]);
        assert!(
            back[2 * STAGE_BYTES + 2..3 * STAGE_BYTES]
                == large[2 * STAGE_BYTES + 4098..][..STAGE_BYTES - 2]
        );
        let fetches: Vec<_> =
            (0..2 * STAGES as u64).map(|i| card.fetch(&other, i, LEN as u64).unwrap()).collect();
        for (i, fetch) in fetches.into_iter().enumerate().rev() {
            fetch.finish(&mut back[..LEN]).unwrap();
            assert!(back[..LEN] == large[1 + i..][..LEN]);
        }
    });
}

/// An upload has left its slice when it returns, and nobody waited for the
/// launches.
#[test]
fn uploads_wait_for_no_launch() {
    with_card("uploads_wait_for_no_launch", |card| {
        let (mut a, b) = (bytes(1, 3 * STAGE_BYTES), bytes(2, 3 * STAGE_BYTES));
        let expected = answer_of(&a[..LEN], &b[..LEN]);
        let answer = zero(card);
        let on_b = card.load(&b).unwrap();
        check(card, &on_b, &on_b, LEN, &answer, false);
        let on_a = card.load(&a).unwrap();
        a.fill(0);
        check(card, &on_a, &on_b, LEN, &answer, false);
        assert_eq!(told("waits"), 0);
        assert_eq!(word(card, &answer), expected ^ answer_of(&b[..LEN], &b[..LEN]));
    });
}

/// Threads share a card, each with memory of its own.
#[test]
fn threads_share_a_card() {
    with_card("threads_share_a_card", |card| {
        thread::scope(|scope| {
            for seed in 0..6 {
                scope.spawn(move || {
                    let [a, b] = [2 * seed, 2 * seed + 1].map(|seed| bytes(seed, STAGE_BYTES + 8));
                    for beside in [true, false] {
                        let (on_a, on_b) = (card.load(&a).unwrap(), card.load(&b).unwrap());
                        let answer = zero(card);
                        check(card, &on_a, &on_b, LEN, &answer, beside);
                        assert_eq!(word(card, &answer), answer_of(&a[..LEN], &b[..LEN]));
                        let mut back = vec![0; b.len()];
                        card.download(&on_b, 0, &mut back).unwrap();
                        assert!(back == b);
                    }
                });
            }
        });
    });
}

/// Between a fork and a join lies all that is asked for there, in whichever
/// queue, and nothing that was asked for before.
#[cfg(feature = "measure")]
#[test]
fn forks_and_joins_are_of_all_queues() {
    with_card("forks_and_joins_are_of_all_queues", |card| {
        let [a, b] = [1, 2].map(|seed| card.load(&bytes(seed, LEN)).unwrap());
        let answers = [zero(card), zero(card)];
        card.wait().unwrap();
        check(card, &a, &b, LEN, &answers[0], false);
        card.fork().unwrap();
        // A copy that by itself would wait for nothing.
        let other = card.load(&bytes(3, LEN)).unwrap();
        card.streams.drain(Queue::Up).unwrap();
        assert_eq!(told("unrun"), 0);
        check(card, &a, &other, LEN, &answers[1], true);
        card.join().unwrap();
        card.streams.drain(Queue::Compute).unwrap();
        assert_eq!(told("unrun"), 0);
    });
}

/// What reaches beyond memory is an error, and nothing is copied.
#[test]
fn copies_beyond_memory_are_errors() {
    with_card("copies_beyond_memory_are_errors", |card| {
        let memory = card.load(&[7; 16]).unwrap();
        let mut to = [0; 9];
        assert_eq!(card.upload(&[0; 9], &memory, 8), Err(CudaError::Bounds));
        assert_eq!(card.download(&memory, 8, &mut to), Err(CudaError::Bounds));
        assert_eq!(card.download(&memory, u64::MAX, &mut to), Err(CudaError::Bounds));
        assert_eq!(card.clear_part(&memory, 16, 1), Err(CudaError::Bounds));
        let fetch = card.fetch(&memory, 8, 8).unwrap();
        assert_eq!(fetch.finish(&mut to), Err(CudaError::Bounds));
        card.download(&memory, 7, &mut to).unwrap();
        assert_eq!(to, [7; 9]);
    });
}

/// A card that is closed waits for its launches and copies; memory may outlive
/// it.
#[test]
fn a_card_is_closed_after_what_it_was_asked_for() {
    let test = "card::tests::a_card_is_closed_after_what_it_was_asked_for";
    with_driver_of(&["check"], ".", test, &ORDERS, || {
        let device = crate::devices().unwrap().remove(0);
        for beside in [true, false] {
            let card = Card::open(&device).unwrap();
            let memory = card.load(&bytes(1, STAGE_BYTES + 4)).unwrap();
            let answer = zero(&card);
            check(&card, &memory, &memory, LEN, &answer, beside);
            drop(card.fetch(&answer, 0, 4).unwrap());
            let never_used = card.load(&bytes(2, LEN)).unwrap();
            let before = told("waits");
            drop(card);
            assert!(told("waits") > before);
            drop((memory, answer, never_used));
        }
    });
}
