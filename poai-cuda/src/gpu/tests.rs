//! The order of a GPU's requests, on the emulated driver: in every schedule of
//! its streams, results are as if every request ran in the order of the calls.

use super::*;
use crate::kernels::{CHECK_THREADS, check_answer};
use poai_testing::emulated::{Settings, counted, with_driver};
use std::thread;

const ORDERS: [Settings<'_>; 5] = [
    &[("POAI_EMULATED_STREAMS", "late")],
    &[("POAI_EMULATED_STREAMS", "early")],
    &[("POAI_EMULATED_STREAMS", "random1")],
    &[("POAI_EMULATED_STREAMS", "random2")],
    &[("POAI_EMULATED_STREAMS", "early"), ("POAI_EMULATED_POOLS", "0")],
];

fn with_gpu(check: impl FnOnce(&OpenGpu)) {
    with_driver(&["check"], &ORDERS, || {
        let gpu = crate::gpus().unwrap().remove(0);
        check(&OpenGpu::open(&gpu).unwrap());
    });
}

/// Bytes that depend on a seed.
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

/// Launches the check of two memories of `len` bytes. The kernel folds its
/// answer into the contents of `answer`.
fn check(gpu: &OpenGpu, a: &Memory, b: &Memory, len: usize, answer: &Memory, beside: bool) {
    let launch =
        Launch { file: "check", kernel: "check", grid: [2, 1, 1], block: CHECK_THREADS, shared: 0 };
    let count = Argument::U32(len as u32 / 4);
    let arguments = [Argument::Memory(a), Argument::Memory(b), count, Argument::Memory(answer)];
    // SAFETY: check(a, b, count, answer): `count` words each, and one.
    unsafe {
        match beside {
            true => gpu.launch_beside(&launch, &arguments).unwrap(),
            false => gpu.launch(&launch, &arguments).unwrap(),
        }
    }
}

fn zero(gpu: &OpenGpu) -> Memory {
    let answer = gpu.allocate(4).unwrap();
    gpu.clear(&answer).unwrap();
    answer
}

fn word(gpu: &OpenGpu, memory: &Memory) -> u32 {
    let mut word = [0; 4];
    gpu.download(memory, 0, &mut word).unwrap();
    u32::from_le_bytes(word)
}

const LEN: usize = 2048;

/// Uploads into memory that kernels use before and after the upload.
#[test]
fn uploads_come_between_the_launches_around_them() {
    with_gpu(|gpu| {
        let [first, second, b] = [1, 2, 3].map(|seed| bytes(seed, LEN));
        for loaded in [true, false] {
            let a = match loaded {
                true => gpu.load(&bytes(9, LEN)).unwrap(),
                false => gpu.allocate(LEN as u64).unwrap(),
            };
            let on_b = gpu.load(&b).unwrap();
            let answers = [zero(gpu), zero(gpu), zero(gpu)];
            gpu.upload(&first, &a, 0).unwrap();
            check(gpu, &a, &on_b, LEN, &answers[0], false);
            gpu.upload(&second, &a, 0).unwrap();
            check(gpu, &a, &on_b, LEN, &answers[1], true);
            gpu.upload(&first[..8], &a, LEN as u64 - 8).unwrap();
            check(gpu, &on_b, &a, LEN, &answers[2], false);
            drop((a, on_b));
            let mixed = [&second[..LEN - 8], &first[..8]].concat();
            let expected = [&first, &second, &mixed].map(|a| answer_of(a, &b));
            assert_eq!(answers.each_ref().map(|answer| word(gpu, answer)), expected);
        }
    });
}

/// Requests after a copy from the GPU do not change its contents.
#[test]
fn fetches_bring_what_was_there_when_they_were_asked_for() {
    with_gpu(|gpu| {
        let [a, b] = [1, 2].map(|seed| bytes(seed, LEN));
        let (on_a, on_b) = (gpu.load(&a).unwrap(), gpu.load(&b).unwrap());
        let answer = zero(gpu);
        check(gpu, &on_a, &on_b, LEN, &answer, false);
        let asked = gpu.fetch(&answer, 0, 4).unwrap();
        // Folding the same answer in again gives zero.
        check(gpu, &on_a, &on_b, LEN, &answer, false);
        let again = gpu.fetch(&answer, 0, 4).unwrap();
        check(gpu, &on_a, &on_b, LEN, &answer, true);
        let beside = gpu.fetch(&answer, 0, 4).unwrap();
        gpu.clear(&answer).unwrap();
        let never = gpu.fetch(&answer, 0, 4).unwrap();
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

/// Several threads copy pieces, both ways, while launches are queued. The test
/// includes a part at an odd place, and more fetches than there are staging
/// slots.
#[test]
fn large_copies_are_whole() {
    with_gpu(|gpu| {
        let large = bytes(5, 5 * STAGE_BYTES + 12345);
        let memory = gpu.load(&large).unwrap();
        let answer = zero(gpu);
        check(gpu, &memory, &memory, LEN, &answer, false);
        let fetch = gpu.fetch(&memory, 0, large.len() as u64).unwrap();
        let other = gpu.load(&large[1..]).unwrap();
        check(gpu, &other, &memory, LEN, &answer, false);
        let mut back = vec![0; large.len()];
        fetch.finish(&mut back).unwrap();
        assert!(back == large);
        gpu.upload(&large[..2 * STAGE_BYTES + 1], &memory, 4097).unwrap();
        gpu.download(&memory, 4096, &mut back[..3 * STAGE_BYTES]).unwrap();
        assert!(back[1..2 * STAGE_BYTES + 2] == large[..2 * STAGE_BYTES + 1]);
        assert!(
            back[2 * STAGE_BYTES + 2..3 * STAGE_BYTES]
                == large[2 * STAGE_BYTES + 4098..][..STAGE_BYTES - 2]
        );
        let fetches: Vec<_> =
            (0..2 * STAGES as u64).map(|i| gpu.fetch(&other, i, LEN as u64).unwrap()).collect();
        for (i, fetch) in fetches.into_iter().enumerate().rev() {
            fetch.finish(&mut back[..LEN]).unwrap();
            assert!(back[..LEN] == large[1 + i..][..LEN]);
        }
    });
}

/// An upload no longer uses its slice when it returns, and the host did not
/// wait for the launches.
#[test]
fn uploads_wait_for_no_launch() {
    with_gpu(|gpu| {
        let (mut a, b) = (bytes(1, 3 * STAGE_BYTES), bytes(2, 3 * STAGE_BYTES));
        let expected = answer_of(&a[..LEN], &b[..LEN]);
        let answer = zero(gpu);
        let on_b = gpu.load(&b).unwrap();
        check(gpu, &on_b, &on_b, LEN, &answer, false);
        let on_a = gpu.load(&a).unwrap();
        a.fill(0);
        check(gpu, &on_a, &on_b, LEN, &answer, false);
        assert_eq!(counted("waits"), 0);
        assert_eq!(word(gpu, &answer), expected ^ answer_of(&b[..LEN], &b[..LEN]));
    });
}

/// Threads share a GPU, and each has memory of its own.
#[test]
fn threads_share_a_card() {
    with_gpu(|gpu| {
        thread::scope(|scope| {
            for seed in 0..6 {
                scope.spawn(move || {
                    let [a, b] = [2 * seed, 2 * seed + 1].map(|seed| bytes(seed, STAGE_BYTES + 8));
                    for beside in [true, false] {
                        let (on_a, on_b) = (gpu.load(&a).unwrap(), gpu.load(&b).unwrap());
                        let answer = zero(gpu);
                        check(gpu, &on_a, &on_b, LEN, &answer, beside);
                        assert_eq!(word(gpu, &answer), answer_of(&a[..LEN], &b[..LEN]));
                        let mut back = vec![0; b.len()];
                        gpu.download(&on_b, 0, &mut back).unwrap();
                        assert!(back == b);
                    }
                });
            }
        });
    });
}

/// Every request between a fork and a join, in any queue, runs between them;
/// earlier requests run before.
#[cfg(feature = "measure")]
#[test]
fn forks_and_joins_are_of_all_queues() {
    with_gpu(|gpu| {
        let [a, b] = [1, 2].map(|seed| gpu.load(&bytes(seed, LEN)).unwrap());
        let answers = [zero(gpu), zero(gpu)];
        gpu.wait().unwrap();
        check(gpu, &a, &b, LEN, &answers[0], false);
        gpu.fork().unwrap();
        // This copy alone would wait for nothing.
        let other = gpu.load(&bytes(3, LEN)).unwrap();
        gpu.streams.drain(Queue::Up).unwrap();
        assert_eq!(counted("unrun"), 0);
        check(gpu, &a, &other, LEN, &answers[1], true);
        gpu.join().unwrap();
        gpu.streams.drain(Queue::Compute).unwrap();
        assert_eq!(counted("unrun"), 0);
    });
}

/// An access beyond memory is an error, and nothing is copied.
#[test]
fn copies_beyond_memory_are_errors() {
    with_gpu(|gpu| {
        let memory = gpu.load(&[7; 16]).unwrap();
        let mut to = [0; 9];
        assert_eq!(gpu.upload(&[0; 9], &memory, 8), Err(CudaError::Bounds));
        assert_eq!(gpu.download(&memory, 8, &mut to), Err(CudaError::Bounds));
        assert_eq!(gpu.download(&memory, u64::MAX, &mut to), Err(CudaError::Bounds));
        assert_eq!(gpu.clear_part(&memory, 16, 1), Err(CudaError::Bounds));
        let fetch = gpu.fetch(&memory, 8, 8).unwrap();
        assert_eq!(fetch.finish(&mut to), Err(CudaError::Bounds));
        gpu.download(&memory, 7, &mut to).unwrap();
        assert_eq!(to, [7; 9]);
    });
}

/// A GPU waits for its launches and copies when it is closed; memory may
/// outlive it.
#[test]
fn a_card_is_closed_after_what_it_was_asked_for() {
    with_driver(&["check"], &ORDERS, || {
        let gpu = crate::gpus().unwrap().remove(0);
        for beside in [true, false] {
            let gpu = OpenGpu::open(&gpu).unwrap();
            let memory = gpu.load(&bytes(1, STAGE_BYTES + 4)).unwrap();
            let answer = zero(&gpu);
            check(&gpu, &memory, &memory, LEN, &answer, beside);
            drop(gpu.fetch(&answer, 0, 4).unwrap());
            let never_used = gpu.load(&bytes(2, LEN)).unwrap();
            let before = counted("waits");
            drop(gpu);
            assert!(counted("waits") > before);
            drop((memory, answer, never_used));
        }
    });
}
