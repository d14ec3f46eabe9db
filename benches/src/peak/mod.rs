//! Register-only loops: the multiply-accumulates of an instruction set with all
//! operands in registers. No kernel with the same instructions can be faster.
//!
//! There is one file per instruction set. The loops are written in assembly so
//! that no optimiser shortens them. Each returns a sum that shows that it did
//! all its multiply-accumulates.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512_vnni;
#[cfg(target_arch = "aarch64")]
mod neon;

use std::time::{Duration, Instant};

/// The bytes that every loop multiplies, repeated as often as it needs.
struct Operands {
    /// Not negative, because some instructions read them as unsigned.
    a: [i8; 64],
    b: [i8; 64],
}

/// Both operands of every loop.
static OPERANDS: Operands = Operands::new();

impl Operands {
    const fn new() -> Operands {
        let mut operands = Operands { a: [0; 64], b: [0; 64] };
        let mut i = 0;
        while i < 64 {
            operands.a[i] = ((i * 37 + 11) % 128) as i8;
            operands.b[i] = ((i * 73 + 5) % 256) as u8 as i8;
            i += 1;
        }
        operands
    }
}

/// A loop that stays in registers.
#[derive(Clone, Copy, Debug)]
pub struct Peak {
    /// Multiply-accumulates of one round on one thread.
    pub macs: u64,
    /// Runs this many rounds on the calling thread. Returns the wrapping sum of
    /// all accumulators.
    rounds: fn(u32) -> u32,
    /// The increase of that sum per round.
    sum: fn() -> u32,
}

/// The loop of a CPU backend's instruction set.
///
/// # Errors
/// The reason why there is no such loop.
pub fn of(kernel: &str) -> Result<Peak, String> {
    let missing = || format!("this processor has no register-only loop for {kernel}");
    match kernel {
        #[cfg(target_arch = "x86_64")]
        "cpu-avx2" => avx2::find().ok_or_else(missing),
        #[cfg(target_arch = "x86_64")]
        "cpu-avx512-vnni" => avx512_vnni::find().ok_or_else(missing),
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        "cpu-amx" => amx::find().ok_or_else(missing),
        #[cfg(target_arch = "aarch64")]
        "cpu-neon" => neon::find().ok_or_else(missing),
        "cpu-scalar" => Err("portable code has no instruction set of its own".into()),
        _ => Err(missing()),
    }
}

impl Peak {
    /// The sum after `rounds` rounds, and the expected sum.
    pub fn answer(&self, rounds: u32) -> (u32, u32) {
        ((self.rounds)(rounds), (self.sum)().wrapping_mul(rounds))
    }

    /// The number of rounds that take about this long on one thread.
    pub fn rounds_in(&self, time: Duration) -> u32 {
        let mut rounds = 1024u32;
        loop {
            let start = Instant::now();
            std::hint::black_box((self.rounds)(rounds));
            let took = start.elapsed().as_secs_f64();
            if took >= 1e-3 || rounds >= 1 << 26 {
                let wanted = f64::from(rounds) * time.as_secs_f64() / took.max(1e-9);
                return wanted.clamp(1.0, f64::from(1u32 << 30)) as u32;
            }
            rounds *= 4;
        }
    }

    /// Runs `rounds` rounds on every thread of rayon's pool.
    ///
    /// # Errors
    /// An error if a thread's sum is wrong.
    pub fn on_all_threads(&self, rounds: u32) -> Result<(), String> {
        let right = rayon::broadcast(|_| {
            let (sum, expected) = self.answer(rounds);
            sum == expected
        });
        if right.into_iter().all(|right| right) {
            return Ok(());
        }
        Err("the register-only loop gave a wrong sum".into())
    }

    /// The multiply-accumulates of [`Peak::on_all_threads`].
    pub fn macs_on_all_threads(&self, rounds: u32) -> f64 {
        self.macs as f64 * f64::from(rounds) * rayon::current_num_threads() as f64
    }
}

/// The sum of the products of the first `len` bytes of both operands.
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(dead_code))]
fn dot(len: usize) -> u32 {
    let Operands { a, b } = &OPERANDS;
    a.iter().zip(b).take(len).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum::<i32>() as u32
}
