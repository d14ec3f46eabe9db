//! The puzzle's product as a first implementation without regard to speed:
//! section 5 of the specification as index loops over integer matrices. One
//! file, no dependencies. The report compiles it for the machine that it runs
//! on (`-C opt-level=3 -C target-cpu=native`).
//!
//! Usage: straightforward A BT M N K RANK TILE THREADS TRANSCRIPTS
//!
//! A and BT are files of the noised operands, one byte per entry, row by row.
//! The program prints "ready". Then each line of its input, `loops` or
//! `slices`, selects a way to draw every transcript. The program writes all
//! transcripts to the file TRANSCRIPTS (64 bytes each, row by row of tiles) and
//! prints the seconds that drawing took.

use std::io::{BufRead, Write};
use std::time::Instant;

/// A matrix of 32-bit integers, row by row.
struct Matrix {
    columns: usize,
    entries: Vec<i32>,
}

impl Matrix {
    fn read(path: &str, rows: usize, columns: usize) -> Matrix {
        let bytes = std::fs::read(path).expect("an operand");
        assert_eq!(bytes.len(), rows * columns, "an operand of the shape given");
        Matrix { columns, entries: bytes.iter().map(|&byte| byte as i8 as i32).collect() }
    }

    fn at(&self, row: usize, column: usize) -> i32 {
        self.entries[row * self.columns + column]
    }

    fn row(&self, row: usize) -> &[i32] {
        &self.entries[row * self.columns..(row + 1) * self.columns]
    }
}

/// Rank, tile and depth.
#[derive(Clone, Copy)]
struct Sizes {
    r: usize,
    t: usize,
    k: usize,
}

type Transcript = [u32; 16];

/// Draws the transcript of tile (I, J) as in the specification.
fn loops(sizes: Sizes, a: &Matrix, bt: &Matrix, i_tile: usize, j_tile: usize) -> Transcript {
    let Sizes { r, t, k } = sizes;
    let mut c = vec![0i32; t * t];
    let mut transcript = [0u32; 16];
    for l in 0..k / r {
        let mut x = 0u32;
        for i in 0..t {
            for j in 0..t {
                for p in l * r..(l + 1) * r {
                    c[i * t + j] += a.at(i_tile * t + i, p) * bt.at(j_tile * t + j, p);
                }
                x ^= c[i * t + j] as u32;
            }
        }
        transcript[l % 16] = transcript[l % 16].rotate_left(13) ^ x;
    }
    transcript
}

/// The same, with the innermost loop as a sum over two slices of a row. The
/// compiler then uses vector instructions.
fn slices(sizes: Sizes, a: &Matrix, bt: &Matrix, i_tile: usize, j_tile: usize) -> Transcript {
    let Sizes { r, t, k } = sizes;
    let mut c = vec![0i32; t * t];
    let mut transcript = [0u32; 16];
    for l in 0..k / r {
        let mut x = 0u32;
        for i in 0..t {
            let a_row = &a.row(i_tile * t + i)[l * r..(l + 1) * r];
            for j in 0..t {
                let b_row = &bt.row(j_tile * t + j)[l * r..(l + 1) * r];
                c[i * t + j] += a_row.iter().zip(b_row).map(|(a, b)| a * b).sum::<i32>();
                x ^= c[i * t + j] as u32;
            }
        }
        transcript[l % 16] = transcript[l % 16].rotate_left(13) ^ x;
    }
    transcript
}

/// Draws every transcript, with rows of tiles divided among threads.
fn draw(
    tile: fn(Sizes, &Matrix, &Matrix, usize, usize) -> Transcript,
    sizes: Sizes,
    a: &Matrix,
    bt: &Matrix,
    (rows, columns): (usize, usize),
    threads: usize,
) -> Vec<Transcript> {
    let mut transcripts = vec![[0; 16]; rows * columns];
    let share = rows.div_ceil(threads);
    std::thread::scope(|scope| {
        for (part, transcripts) in transcripts.chunks_mut(share * columns).enumerate() {
            scope.spawn(move || {
                for (n, transcript) in transcripts.iter_mut().enumerate() {
                    *transcript = tile(sizes, a, bt, part * share + n / columns, n % columns);
                }
            });
        }
    });
    transcripts
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [a, bt, m, n, k, r, t, threads, to] = args.as_slice() else {
        panic!("usage: straightforward A BT M N K RANK TILE THREADS TRANSCRIPTS");
    };
    let number = |text: &String| text.parse::<usize>().expect("a number");
    let (m, n, k, r, t) = (number(m), number(n), number(k), number(r), number(t));
    let (a, bt) = (Matrix::read(a, m, k), Matrix::read(bt, n, k));
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let tile = match line.expect("text").as_str() {
            "loops" => loops,
            "slices" => slices,
            other => panic!("expected loops or slices, got {other:?}"),
        };
        let start = Instant::now();
        let sizes = Sizes { r, t, k };
        let transcripts = draw(tile, sizes, &a, &bt, (m / t, n / t), number(threads));
        let seconds = start.elapsed().as_secs_f64();
        let bytes: Vec<u8> =
            transcripts.iter().flatten().flat_map(|word| word.to_le_bytes()).collect();
        std::fs::write(to, bytes).expect("a place for the transcripts");
        println!("{seconds}");
        std::io::stdout().flush().expect("standard output is open");
    }
}
