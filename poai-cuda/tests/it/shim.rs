//! The shim that runs kernels on the processor: right kernels give the right
//! result in every order, and wrong ones are caught.

use poai_testing::emulated::rerun;
use poai_testing::emulated::{Arg, Failure, Kernels, Shape, input, values};

/// The kernels of `probes.cu`; `None` without a compiler.
fn probes() -> Option<&'static Kernels> {
    Kernels::of_source(include_str!("probes.cu"))
}

/// Words without a pattern (splitmix64).
fn words(seed: u64, count: usize) -> Vec<u32> {
    let mix = |i: u64| {
        let mut z = (seed << 32 | i).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) as u32
    };
    (0..count as u64).map(mix).collect()
}

fn bytes(seed: u64, count: usize) -> Vec<u8> {
    words(seed, count / 4).into_iter().flat_map(u32::to_le_bytes).collect()
}

fn is_race(result: Result<Vec<Vec<u8>>, Failure>) -> bool {
    matches!(result, Err(Failure::Race { .. }))
}

fn launch_error(result: Result<Vec<Vec<u8>>, Failure>) -> String {
    match result {
        Err(Failure::Launch(_, text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn races_are_found_and_right_kernels_pass() {
    let Some(probes) = probes() else { return };
    let from = words(1, 256);
    let shape = Shape::new(2, 128).shared(512);
    let out = probes.run("sum_right", shape, &[input(&from), Arg::Out(8)]);
    let sum = |part: &[u32]| part.iter().fold(0u32, |sum, &word| sum.wrapping_add(word));
    assert_eq!(values::<u32>(&out[0]), [sum(&from[..128]), sum(&from[128..])]);
    assert!(is_race(probes.try_run("sum_racy", shape, &[input(&from), Arg::Out(8)])));
}

#[test]
fn unwritten_memory_is_found() {
    let Some(probes) = probes() else { return };
    let from = words(2, 64);
    let args = |unwritten| [input(&from), Arg::Out(256), Arg::U32(unwritten)];
    let out = probes.run("reverse", Shape::new(1, 64), &args(0));
    assert!(values::<u32>(&out[0]).iter().eq(from.iter().rev()));
    assert!(is_race(probes.try_run("reverse", Shape::new(1, 64), &args(1))));
    // An unwritten output is found, too.
    let more = [input(&from), Arg::Out(260), Arg::U32(0)];
    assert!(is_race(probes.try_run("reverse", Shape::new(1, 64), &more)));
}

#[test]
fn divergence_ends_with_words() {
    let Some(probes) = probes() else { return };
    let run = |name| launch_error(probes.try_run(name, Shape::new(1, 64), &[Arg::Out(256)]));
    let exits = run("exits_early");
    assert!(exits.contains("threads 0 to 39 wait at __syncthreads"), "{exits}");
    assert!(exits.contains("threads 40 to 63 have exited"), "{exits}");
    let parts = run("parts");
    assert!(parts.contains("divergence: waits at __syncthreads of line"), "{parts}");
    let votes = run("votes_alone");
    assert!(votes.contains("__ballot_sync names lane 5, which has exited"), "{votes}");
    // The next launch works.
    probes.run("where", Shape::new(1, 64), &[Arg::Out(256)]);
}

#[test]
fn strays_are_found() {
    let Some(probes) = probes() else { return };
    let from = words(3, 4);
    let run = |at: u64, how| {
        let args = [Arg::InOut(&[0; 16]), input(&from), Arg::U64(at), Arg::U32(how)];
        match probes.try_run("strays", Shape::new(1, 1), &args) {
            Err(Failure::Stray(_, argument, text)) => format!("{argument}: {text}"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(run(4, 0), "0: a write 0 bytes after its end");
    let far = run(65, 0);
    assert!(far.starts_with("0: an access 244 bytes after its end: block (0,0,0)"), "{far}");
    let far = run(65, 2);
    assert!(far.starts_with("1: an access 244 bytes after its end: block (0,0,0)"), "{far}");
    // An access that is near no buffer.
    let args = [Arg::InOut(&[0; 16]), Arg::Null, Arg::U64(0), Arg::U32(2)];
    let error = launch_error(probes.try_run("strays", Shape::new(1, 1), &args));
    assert!(error.contains("an access to"), "{error}");
    let full = launch_error(probes.try_run("deep", Shape::new(1, 33), &[Arg::Out(4)]));
    assert!(full.contains("local variables fill the stack"), "{full}");
    assert_eq!(run(u64::MAX, 0), "0: a write 4 bytes before its start");
    assert_eq!(run(2, 1), "1: a write to byte 8 of an input");
}

/// The sanitiser ends the process, so the test runs itself in another one.
#[test]
fn misaligned_vectors_end_the_process() {
    const INSIDE: &str = "POAI_SHIM_MISALIGNED";
    let Some(probes) = probes() else { return };
    if !probes.sanitised {
        println!("SKIPPED: the compiler has no sanitiser");
        return;
    }
    let vector = |at| {
        let args = [input(&[1u8; 48]), Arg::Out(16), Arg::U64(at)];
        probes.run("vector", Shape::new(1, 1), &args)
    };
    if std::env::var_os(INSIDE).is_some() {
        vector(8);
        return;
    }
    assert_eq!(vector(32), [[1; 16]]);
    let output = rerun::this_test(&[]).env(INSIDE, "1").output().unwrap();
    let seen = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && seen.contains("misaligned address"), "{seen}");
}

#[test]
fn launches_are_checked_against_the_kernel() {
    let Some(probes) = probes() else { return };
    let run = |name, shape, args: &[Arg]| launch_error(probes.try_run(name, shape, args));
    let one = Shape::new(1, 1);
    assert!(run("nothing", one, &[]).contains("no kernel nothing"));
    assert!(run("where", one, &[Arg::U64(0)]).contains("takes arguments (p)"));
    assert!(run("where", Shape::new(1, 1025), &[Arg::Out(4)]).contains("shape"));
    assert!(run("where", one.grid(1, 65536, 1), &[Arg::Out(4)]).contains("shape"));
    assert!(run("where", one.shared(228 << 10), &[Arg::Out(4)]).contains("shared memory"));
}

#[test]
fn threads_know_where_they_are() {
    let Some(probes) = probes() else { return };
    let shape = Shape::new(1, 1).grid(3, 2, 2).block(4, 3, 5);
    let out = probes.run("where", shape, &[Arg::Out(4 * 12 * 60)]);
    let expected = (0..12 * 60).map(|i| ((i / 60) << 16) | (i % 60));
    assert!(values::<u32>(&out[0]).into_iter().eq(expected));
}

#[test]
fn warp_functions_do_what_cuda_says() {
    let Some(probes) = probes() else { return };
    let from = words(4, 64);
    let out = probes.run("warp_functions", Shape::new(1, 64), &[input(&from), Arg::Out(64 * 48)]);
    for (i, row) in values::<u32>(&out[0]).chunks(12).enumerate() {
        let (warp, lane) = (&from[i / 32 * 32..][..32], i % 32);
        let [x, y] = [i, i ^ 1].map(|i| from[i].to_le_bytes().map(|byte| byte as i8));
        let dot = (0..4).fold(i as i32, |sum, b| sum + i32::from(x[b]) * i32::from(y[b]));
        let pair = u64::from(from[i ^ 1]) << 32 | u64::from(from[i]);
        let bytes = pair.to_le_bytes();
        let expected = [
            warp[(i * 7 + 3) % 32],
            warp[if lane < 3 { lane } else { lane - 3 }],
            warp[if lane % 8 + 5 > 7 { lane } else { lane + 5 }],
            warp[lane ^ 9],
            (0..32).fold(0, |ballot, l| ballot | (warp[l] & 1) << l),
            u32::from(warp.contains(&u32::MAX)),
            warp.iter().fold(0, |all, word| all ^ word),
            dot as u32,
            ((pair << (i % 32)) >> 32) as u32,
            u32::from_le_bytes([bytes[0], bytes[5], bytes[2], bytes[7]]),
            warp[if lane < 16 { lane ^ 1 } else { lane ^ 2 }],
            warp[0],
        ];
        assert_eq!(row, expected, "thread {i}");
    }
}

#[test]
fn atomics_count_every_thread_once() {
    let Some(probes) = probes() else { return };
    let args = [Arg::InOut(&[0; 20]), Arg::InOut(&[255; 8]), Arg::InOut(&[0; 4 * 96])];
    let out = probes.run("atomics", Shape::new(3, 64), &args);
    let squares = (0..192u32).fold(0, |all, i| all ^ (i * i));
    assert_eq!(values::<u32>(&out[0]), [191 * 192 / 2, squares, 191, 96, 7]);
    assert_eq!(values::<u64>(&out[1]), [(1000 - 191) << 32]);
    assert_eq!(values::<u32>(&out[2]), [1; 96]);
}

#[test]
fn asynchronous_copies_arrive_no_earlier_than_waited_for() {
    let Some(probes) = probes() else { return };
    let (threads, stages) = (64, 5);
    let row = 16 * threads;
    let from = bytes(5, row * stages);
    let run = |wrong: u32| {
        let shape = Shape::new(1, threads as u32).shared(2 * row as u32);
        let args = [input(&from), Arg::Out(row * stages), Arg::U32(stages as u32), Arg::U32(wrong)];
        probes.try_run("pipeline", shape, &args)
    };
    let out = run(0).unwrap();
    for (s, got) in out[0].chunks(row).enumerate() {
        for (i, got) in got.chunks(16).enumerate() {
            let mut expected = from[s * row + (i + 1) % threads * 16..][..16].to_vec();
            if s == stages - 1 {
                expected[5..].fill(0);
            }
            assert_eq!(got, expected, "stage {s}, thread {i}");
        }
    }
    for wrong in [1, 2, 3] {
        assert!(is_race(run(wrong)), "variant {wrong}");
    }
    let unwaited = launch_error(run(4));
    assert!(unwaited.contains("has not waited for"), "{unwaited}");

    let shape = Shape::new(1, 1).shared(64);
    let args = |offset| [input(&from[..16]), Arg::U32(offset)];
    assert!(probes.try_run("misaligned", shape, &args(48)).is_ok());
    let error = launch_error(probes.try_run("misaligned", shape, &args(8)));
    assert!(error.contains("not a multiple of 16"), "{error}");
    let error = launch_error(probes.try_run("misaligned", shape, &args(64)));
    assert!(error.contains("outside shared memory"), "{error}");
}

#[test]
fn fragments_multiply_like_matrices() {
    let Some(probes) = probes() else { return };
    for seed in 0..8 {
        let (mut a, b) = (bytes(10 + seed, 512), bytes(20 + seed, 256));
        let mut c = words(30 + seed, 128);
        if seed == 0 {
            // The extreme sums, and C near the end of i32, so that it wraps.
            a.fill(0x80);
            c.fill(i32::MAX as u32);
        }
        let signed = |byte: u8| i32::from(byte as i8);
        let expected: Vec<i32> = (0..128)
            .map(|at| {
                let (row, column) = (at / 8 * 32, at % 8 * 32);
                let dot: i32 = (0..32).map(|k| signed(a[row + k]) * signed(b[column + k])).sum();
                (c[at] as i32).wrapping_add(dot)
            })
            .collect();
        for name in ["multiply", "multiply_ldmatrix"] {
            let args = [input(&a), input(&b), Arg::InOut(bytemuck::cast_slice(&c))];
            let out = probes.run(name, Shape::new(1, 32), &args);
            assert_eq!(values::<i32>(&out[0]), expected, "{name} {seed}");
        }
    }
}

#[test]
fn ldmatrix_deals_out_rows_as_documented() {
    let Some(probes) = probes() else { return };
    let rows = bytes(6, 512);
    let args = [input(&rows), Arg::Out(32 * 20), Arg::Out(32 * 24)];
    let out = probes.run("load_matrices", Shape::new(1, 32), &args);
    let element = |matrix: usize, row: usize, column: usize| {
        let at = (matrix * 8 + row) * 16 + 2 * column;
        u32::from(u16::from_le_bytes([rows[at], rows[at + 1]]))
    };
    let plain = |matrix, lane: usize| {
        let [low, high] = [0, 1].map(|i| element(matrix, lane / 4, 2 * (lane % 4) + i));
        high << 16 | low
    };
    let turned = |matrix, lane: usize| {
        let [low, high] = [0, 1].map(|i| element(matrix, 2 * (lane % 4) + i, lane / 4));
        high << 16 | low
    };
    let [got_plain, got_turned] = [0, 1].map(|i| values::<u32>(&out[i]));
    for lane in 0..32 {
        let expected = [0, 1, 2, 3, 0].map(|matrix| plain(matrix, lane));
        assert_eq!(got_plain[lane * 5..][..5], expected, "lane {lane}");
        let expected = [0, 1, 2, 3, 2, 3].map(|matrix| turned(matrix, lane));
        assert_eq!(got_turned[lane * 6..][..6], expected, "lane {lane}");
    }
}

#[test]
fn named_barriers_join_some_warps() {
    let Some(probes) = probes() else { return };
    let out = probes.run("pairs", Shape::new(1, 96), &[Arg::Out(96 * 4)]);
    let expected = (0..96).map(|i| if i < 64 { 77 } else { 1 });
    assert!(values::<u32>(&out[0]).into_iter().eq(expected));
}
