//! `poai bench`: how fast this machine mines and verifies. A known answer shows
//! that it does both correctly.

use crate::arguments;
use crate::backend::BackendArgs;
use crate::failure::{EXIT_CODES, Failure};
use crate::terminal;
use poai::backend::Prepared;
use poai::choose::AUTO;
use poai::operand::{OperandError, Operands, pseudorandom, test_challenge};
use poai::verify::{Rules, Verifier};
use poai::{Difficulty, Miner, Params, Round};
use serde_json::{Value, json};
use std::time::Instant;

/// The product with a known answer: small enough for the reference.
const KNOWN: [usize; 3] = [96, 64, 1024];
/// BLAKE3 of the product's entries and the best proof's bytes.
const ANSWER: &str = "cb1cf5b60415fa648837d05c0a6add7ba8011f1c6445bae03a83fd8dcda3ecdd";
/// Runs of the verifier; their median is reported.
const VERIFIED: usize = 21;

/// Measure quickly how fast each backend of this machine mines, and how fast a proof is verified.
///
/// Each backend first mines a product whose answer is known: a backend that gives another answer
/// fails. benches/ of the repository measures with more care.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// The shape of the product that is mined for the measurement.
    #[arg(long, value_name = "M,N,K", default_value = "1024,1024,2048", value_parser = arguments::shape)]
    shape: [usize; 3],
    /// How many seconds each backend mines at least.
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=3600))]
    seconds: u16,
    #[command(flatten)]
    backend: BackendArgs,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// The measurements of a backend.
struct Measured {
    backend: String,
    digest: String,
    macs_per_second: f64,
    verify_seconds: f64,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if let Some(list) = args.backend.list() {
        return terminal::print(&list);
    }
    let known = Product::new(KNOWN)?;
    let timed = Product::new(args.shape)?;
    let mut all = vec![];
    for name in args.backend.names() {
        let miner = Miner::new(args.backend.named(Some(&name))?);
        // Says which backend `auto` is.
        let name = if name == AUTO { miner.backend().name().to_owned() } else { name };
        let waiting = terminal::spinner(&name, Some(f64::from(args.seconds)));
        let answer = known.mine(&miner)?;
        let digest = answer.digest();
        let verify_seconds = answer.verify()?;
        let macs_per_second = timed.rate(&miner, f64::from(args.seconds))?;
        waiting.finish_and_clear();
        all.push(Measured { backend: name, digest, macs_per_second, verify_seconds });
    }
    terminal::print(&if args.json { json(&all).to_string() + "\n" } else { text(&all) })?;
    match all.iter().find(|measured| measured.digest != ANSWER) {
        Some(Measured { backend, digest, .. }) => Err(Failure::failed(format!(
            "{backend}: expected the known answer {ANSWER}, got {digest}"
        ))),
        None => Ok(()),
    }
}

/// A product to mine.
struct Product {
    operands: Operands,
}

/// The result of mining a product.
struct Answer {
    product: Vec<u8>,
    proof: Vec<u8>,
}

impl Product {
    /// Pseudo-random operands of a shape, the same on every machine.
    fn new([m, n, k]: [usize; 3]) -> Result<Product, Failure> {
        crate::memory::check(crate::memory::of_mining([m, n, k]))?;
        let (a, bt) = (pseudorandom(b"bench/a", m, k), pseudorandom(b"bench/b", n, k));
        let operands = Operands::new(&Params::CONSENSUS, a, bt).map_err(|why| match why {
            OperandError::Shape { .. } => Failure::usage(format!(
                "expected --shape M,N,K with M and N in multiples of {} and K in multiples of {}, \
                 got {m},{n},{k}; take the next multiples",
                Params::CONSENSUS.tile(),
                Params::CONSENSUS.rank(),
            )),
            why => why.into(),
        })?;
        Ok(Product { operands })
    }

    /// A round over the right operand, and the left operand.
    fn round(&self, miner: &Miner) -> Result<(Round, Prepared), Failure> {
        let bt = miner.prepare(self.operands.bt().clone())?;
        let a = miner.prepare(self.operands.a().clone())?;
        Ok((miner.round(&test_challenge(b"bench"), &bt)?, a))
    }

    /// Mines the product once; every ticket wins.
    fn mine(&self, miner: &Miner) -> Result<Answer, Failure> {
        let (round, a) = self.round(miner)?;
        let mined = round.mine(&a, Difficulty::ONE)?;
        let proof = mined.proof().ok_or_else(|| Failure::failed("expected a ticket, got none"))?;
        let product = mined.product.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        Ok(Answer { product, proof: proof.to_bytes() })
    }

    /// Multiply-accumulates a second, of whole rounds with prepared operands.
    fn rate(&self, miner: &Miner, seconds: f64) -> Result<f64, Failure> {
        let (round, a) = self.round(miner)?;
        // The first round warms up.
        round.mine(&a, Difficulty::ONE)?;
        let macs = self.operands.shape().macs() as f64;
        let (start, mut rounds) = (Instant::now(), 0.0);
        while rounds < 1.0 || start.elapsed().as_secs_f64() < seconds {
            round.mine(&a, Difficulty::ONE)?;
            rounds += 1.0;
        }
        Ok(rounds * macs / start.elapsed().as_secs_f64())
    }
}

impl Answer {
    fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.product).update(&self.proof);
        hasher.finalize().to_hex().to_string()
    }

    /// Seconds of one verification of the proof.
    fn verify(&self) -> Result<f64, Failure> {
        let verifier = Verifier::new(Rules::SHARE, Difficulty::ONE)?;
        let challenge = test_challenge(b"bench");
        let mut seconds = vec![];
        for _ in 0..VERIFIED {
            let start = Instant::now();
            verifier.verify(&challenge, &self.proof).map_err(Failure::failed)?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        Ok(seconds[VERIFIED / 2])
    }
}

fn json(all: &[Measured]) -> Value {
    let backends = all.iter().map(|measured| {
        json!({
            "backend": measured.backend,
            "macs_per_second": measured.macs_per_second,
            "verify_seconds": measured.verify_seconds,
            "digest": measured.digest,
            "as_expected": measured.digest == ANSWER,
        })
    });
    json!({ "expected_digest": ANSWER, "backends": backends.collect::<Vec<_>>() })
}

fn text(all: &[Measured]) -> String {
    let mut text = String::new();
    for measured in all {
        let known = if measured.digest == ANSWER { "as expected" } else { "WRONG" };
        text += &format!(
            "{:<16} {:>9.2} GMAC/s mined, a proof verified in {:.3} ms, digest {known}\n",
            measured.backend,
            measured.macs_per_second / 1e9,
            measured.verify_seconds * 1e3,
        );
    }
    text + &format!("digest           {ANSWER}\n")
}
