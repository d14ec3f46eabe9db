//! `kernels/noise.cu` on the processor, compared with poai-core's noise and the
//! test vectors.

use poai_core::puzzle::noise::{RankStepNoise, RowNoise};
use poai_core::{Params, Seed};
use poai_engine::backend::reference::{self, PlainMatrix};
use poai_engine::operand::pseudorandom;
use poai_testing::emulated::{Arg, Kernels, Shape, input, values};

/// Added to an entry's row if its sign is −1.
const NEGATIVE: u32 = 256;

/// One side's noise on the device.
struct Noise<'a> {
    kernels: &'a Kernels,
    seed: Seed,
    rank: u32,
}

/// The step factors in both orders.
struct Steps {
    columns: Vec<u32>,
    by_row: Vec<u32>,
}

impl Noise<'_> {
    fn key(&self, context: &str) -> [u8; 32] {
        blake3::derive_key(context, &self.seed.0)
    }

    fn rows(&self, first: u32, rows: u32) -> Vec<i8> {
        let key = self.key("poai-1 noise rows");
        let threads = rows * (self.rank / 64).max(1);
        let args = [
            input(&key),
            Arg::U32(first),
            Arg::U32(rows),
            Arg::U32(self.rank),
            Arg::Out((rows * self.rank) as usize),
        ];
        let out = self.kernels.run("noise_rows", Shape::new(threads.div_ceil(128), 128), &args);
        values(&out[0])
    }

    fn steps(&self, first: u32, steps: u32) -> Steps {
        let key = self.key("poai-1 noise steps");
        let bytes = (4 * steps * self.rank) as usize;
        let args =
            [input(&key), Arg::U32(first), Arg::U32(self.rank), Arg::Out(bytes), Arg::Out(bytes)];
        let out = self.kernels.run("noise_steps", Shape::new(steps, 32), &args);
        Steps { columns: values(&out[0]), by_row: values(&out[1]) }
    }

    fn noised(&self, clean: &[i8], rows: u32, k: u32) -> Vec<i8> {
        let (factors, steps) = (self.rows(0, rows), self.steps(0, k / self.rank));
        let args = [
            input(clean),
            input(&factors),
            input(&steps.columns),
            Arg::Out(clean.len()),
            Arg::U32(rows),
            Arg::U32(k),
            Arg::U32(self.rank),
        ];
        // One block along all columns, and several blocks.
        let [one, three] = [1, 3].map(|y| {
            let shape = Shape::new(1, 256).grid(rows.div_ceil(8), y, 1);
            self.kernels.run("noise_operand", shape, &args)
        });
        assert!(one == three, "{rows}×{k} of rank {}", self.rank);
        values(&one[0])
    }
}

/// Compiled once for all tests.
fn kernels() -> Option<&'static Kernels> {
    Kernels::compile("noise.cu")
}

const RANKS: [u32; 4] = [32, 64, 128, 256];

#[test]
fn row_factors_are_those_of_the_specification() {
    let Some(kernels) = kernels() else { return };
    for rank in RANKS {
        let noise = Noise { kernels, seed: Seed([rank as u8; 32]), rank };
        let expected = RowNoise::new(&noise.seed);
        for (first, rows) in [(0, 1), (0, 131), (u32::MAX - 32, 33)] {
            let factors = noise.rows(first, rows);
            for (i, row) in factors.chunks(rank as usize).enumerate() {
                let mut wanted = vec![0; rank as usize];
                expected.row(first + i as u32, &mut wanted);
                assert_eq!(row, wanted, "row {first} + {i} of rank {rank}");
            }
        }
    }
}

/// The steps are enough that both parities of the signs occur at every rank.
/// Words that differ from their neighbours only in low bits are covered too.
#[test]
fn step_factors_are_those_of_the_specification() {
    let Some(kernels) = kernels() else { return };
    for rank in RANKS {
        let params = Params::new(rank as u16, 16).unwrap();
        let noise = Noise { kernels, seed: Seed([7 + rank as u8; 32]), rank };
        let expected = RankStepNoise::new(&params, &noise.seed);
        for (first, count) in [(0, 67), (4095, 1)] {
            let steps = noise.steps(first, count);
            for step in 0..count {
                let factor = expected.factor(first + step);
                let start = (step * rank) as usize;
                let mut rows = vec![[u32::MAX; 2]; rank as usize];
                for c in 0..rank as usize {
                    let entries = factor.column(c);
                    let negative = entries.map(|(_, sign)| NEGATIVE * u32::from(sign == -1));
                    let [p, q] = [0, 1].map(|half| entries[half].0 as u32 + negative[half]);
                    assert_eq!(steps.columns[start + c], p | q << 16, "step {step}, column {c}");
                    for half in 0..2 {
                        rows[entries[half].0][half] = c as u32 + negative[half];
                    }
                }
                let rows: Vec<u32> = rows.into_iter().map(|[a, b]| a | b << 16).collect();
                assert_eq!(steps.by_row[start..][..rank as usize], rows, "step {step}");
            }
        }
    }
}

#[test]
fn noised_operands_are_the_reference_s() {
    let Some(kernels) = kernels() else { return };
    // More rows than a block has, more columns than its threads take at once,
    // and fewer of both.
    let shapes = [(32, 16, 32), (32, 3, 1120), (64, 9, 192), (128, 48, 1152), (256, 17, 2304)];
    for (rank, rows, k) in shapes {
        let params = Params::new(rank as u16, 16).unwrap();
        let noise = Noise { kernels, seed: Seed([rank as u8 ^ 0x5c; 32]), rank };
        let mut clean: Vec<i8> =
            pseudorandom(b"noise", rows as usize, k as usize).into_iter().collect();
        // Whole rows of the extremes: no carry passes between bytes.
        clean[..k as usize].fill(-64);
        clean[k as usize..2 * k as usize].fill(63);
        let got = noise.noised(&clean, rows, k);
        let matrix = PlainMatrix { rows: rows as usize, columns: k as usize, entries: clean };
        let expected = reference::noised(&params, &noise.seed, &matrix);
        assert!(got == expected.entries, "{rows}×{k} of rank {rank}");
    }
}

/// Sums of two entries at their extremes: every sum of two signed entries
/// occurs, -64 and 64 included, on every clean value.
#[test]
fn extreme_noise_does_not_carry() {
    let Some(kernels) = kernels() else { return };
    let (rank, k) = (32u32, 512u32);
    let factors: Vec<i8> = (0..8 * rank).map(|i| (i % 64) as i8 - 32).collect();
    // Row 0 of the factor has −32 and row 31 has −1, or 0 and 31.
    let entry = |i: u32| (i * 13 % 32) + NEGATIVE * (i / 3 % 2);
    let columns: Vec<u32> = (0..k)
        .map(|c| match c % 4 {
            0 => NEGATIVE | NEGATIVE << 16,
            1 => 0,
            2 => 31 | 31 << 16,
            _ => entry(c) | entry(c / 4 + 1) << 16,
        })
        .collect();
    let clean: Vec<i8> = (0..8 * k).map(|i| (i / 4 % 128) as i8 - 64).collect();
    let args = [
        input(&clean),
        input(&factors),
        input(&columns),
        Arg::Out(clean.len()),
        Arg::U32(8),
        Arg::U32(k),
        Arg::U32(rank),
    ];
    let got = values::<i8>(&kernels.run("noise_operand", Shape::new(1, 256), &args)[0]);
    let mut sums = std::collections::BTreeSet::new();
    for (at, (&got, &clean)) in got.iter().zip(&clean).enumerate() {
        let (row, column) = (at / k as usize, columns[at % k as usize]);
        let value = |entry: u32| {
            let value = i32::from(factors[row * rank as usize + (entry % NEGATIVE) as usize]);
            if entry >= NEGATIVE { -value } else { value }
        };
        let sum = value(column & 0xffff) + value(column >> 16);
        sums.insert(sum);
        // i8 does not hold 64 on top of 64, but clean entries are below 64.
        assert_eq!(i32::from(got), i32::from(clean) + sum, "entry {at}");
    }
    assert!(sums.contains(&-64) && sums.contains(&64));
}

#[test]
fn the_vectors_hold() {
    let Some(kernels) = kernels() else { return };
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../test_vectors/puzzle.json");
    let file: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut consensus = 0;
    for case in file["cases"].as_array().unwrap() {
        let number = |key: &str| case[key].as_u64().unwrap() as u32;
        let text = |key: &str| case[key].as_str().unwrap();
        let (rank, k) = (number("rank"), number("k"));
        let tag = hex::decode(text("tag")).unwrap();
        for (suffix, rows, seed, noised) in
            [("/a", "m", "seed_a", "noised_a"), ("/b", "n", "seed_b", "noised_bt")]
        {
            let rows = number(rows);
            let seed = Seed(hex::decode(text(seed)).unwrap().try_into().unwrap());
            let clean =
                pseudorandom(&[&tag, suffix.as_bytes()].concat(), rows as usize, k as usize);
            let clean: Vec<i8> = clean.into_iter().collect();
            let got = Noise { kernels, seed, rank }.noised(&clean, rows, k);
            let digest = blake3::hash(bytemuck::cast_slice(&got));
            assert_eq!(digest.to_hex().as_str(), text(noised), "{} {suffix}", text("tag"));
        }
        consensus += u32::from((rank, number("tile")) == (128, 32));
    }
    assert!(consensus > 3, "the file has cases of a block's rank and tile");
}
