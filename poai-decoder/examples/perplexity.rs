//! Prints the perplexity of a decoder in f32 on a part of a bundled play.
//!
//!     cargo run --release -p poai-decoder --example perplexity -- MODEL [TOKENS]
//!
//! MODEL is a GGUF file or a directory. The text is the beginning of *Hamlet*
//! (poai-cli/data/plays), cut to TOKENS tokens, by default 4 100.

use flate2::read::GzDecoder;
use ndarray::s;
use poai_decoder::{DecoderCheckpoint, FloatDecoder, TextTokens};
use std::error::Error;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

/// Rows of logits that are in memory at once.
const ROWS: usize = 256;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().ok_or("expected a model, got no argument; name a file")?;
    let count: usize = arguments.next().map_or(Ok(4100), |count| count.parse())?;
    let model = Path::new(&model);

    let mut plays = String::new();
    let bundled = include_bytes!("../../poai-cli/data/plays/plays.txt.gz");
    GzDecoder::new(bundled.as_slice()).read_to_string(&mut plays)?;
    let play = plays.split('\x0c').nth(1).ok_or("expected a second play, got none")?;
    let mut ids = TextTokens::open(model)?.encode(play, false)?;
    ids.truncate(count);

    let start = Instant::now();
    let decoder = FloatDecoder::load(&DecoderCheckpoint::open(model)?)?;
    println!("loaded in {:.1} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let residual = decoder.residual(&ids, &mut |_, _, _| ())?;
    let (mut loss, mut right) = (0.0, 0);
    for first in (0..ids.len() - 1).step_by(ROWS) {
        let last = (first + ROWS).min(ids.len() - 1);
        let logits = decoder.logits_of(residual.slice(s![first..last, ..]), &mut |_, _, _| ())?;
        for (row, &next) in logits.rows().into_iter().zip(&ids[first + 1..]) {
            let max = row.fold(f32::NEG_INFINITY, |max, &x| max.max(x));
            let sum: f64 = row.iter().map(|&x| f64::from(x - max).exp()).sum();
            loss += sum.ln() - f64::from(row[next as usize] - max);
            right += usize::from(row[next as usize] == max);
        }
    }
    let predictions = ids.len() - 1;
    println!(
        "{predictions} predictions in {:.1} s: perplexity {:.4}, {:.2} % of words right",
        start.elapsed().as_secs_f64(),
        (loss / predictions as f64).exp(),
        100.0 * right as f64 / predictions as f64
    );
    Ok(())
}
