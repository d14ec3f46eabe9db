//! The output of `poai mine`.

use super::work::AllMined;
use ndarray::Array2;
use poai::operand::Split;
use poai::verify::Verified;
use serde_json::{Value, json};
use std::time::Duration;

/// All results of a run.
pub struct Outcome<'a> {
    pub work: &'a Split,
    pub mined: &'a AllMined,
    pub verified: Option<&'a (Verified, Duration)>,
}

/// The product's bytes: row-major, 32-bit little-endian.
pub fn little_endian(product: &Array2<i32>) -> Vec<u8> {
    product.iter().flat_map(|entry| entry.to_le_bytes()).collect()
}

impl Outcome<'_> {
    /// The true shape, before padding.
    fn shape(&self) -> [usize; 3] {
        let (m, n) = self.work.true_rows();
        let k = self.work.parts().iter().map(|part| part.true_shape().2).sum();
        [m, n, k]
    }

    fn rate(&self) -> f64 {
        self.mined.macs as f64 / self.mined.time.as_secs_f64()
    }

    fn product_hash(&self) -> String {
        blake3::hash(&little_endian(&self.mined.product)).to_hex().to_string()
    }

    /// One JSON object; values that need a winning tile are null without one.
    pub fn json(&self) -> Value {
        let best = self.mined.best.as_ref();
        json!({
            "shape": self.shape(),
            // Exact: matrices that fit in memory stay far below 2^64.
            "macs": self.mined.macs as u64,
            "seconds": self.mined.time.as_secs_f64(),
            "macs_per_second": self.rate(),
            "product_blake3": self.product_hash(),
            "root_a": self.mined.roots[0],
            "root_b": self.mined.roots[1],
            "statements": self.work.parts().len(),
            "tickets": self.mined.tickets,
            "won": self.mined.won,
            "tile": best.map(|best| [best.proof.tile.row, best.proof.tile.column]),
            "ticket": best.map(|best| best.ticket),
            "proof_bytes": best.map(|best| best.bytes.len()),
            "verify_seconds": self.verified.map(|(_, time)| time.as_secs_f64()),
        })
    }

    /// The same as text.
    pub fn text(&self, backend: &str) -> String {
        let [m, n, k] = self.shape();
        let mut lines = vec![format!("product     {m}×{n}×{k} on {backend}")];
        let shapes: Vec<_> = self.work.parts().iter().map(|part| part.operands().shape()).collect();
        if shapes.len() > 1
            || shapes.iter().any(|s| [s.m, s.n, s.k].map(|x| x as usize) != [m, n, k])
        {
            let shapes: Vec<_> =
                shapes.iter().map(|s| format!("{}×{}×{}", s.m, s.n, s.k)).collect();
            lines.push(format!("statements  {}", shapes.join(", ")));
        }
        let seconds = self.mined.time.as_secs_f64();
        lines.push(format!(
            "work        {} MACs in {seconds:.3} s: {:.2} GMAC/s",
            self.mined.macs,
            self.rate() / 1e9
        ));
        lines.push(format!("BLAKE3      {} of the product", self.product_hash()));
        lines.push(format!("root of A   {}", self.mined.roots[0]));
        lines.push(format!("root of Bᵀ  {}", self.mined.roots[1]));
        lines.push(format!("tickets     {} drawn, {} won", self.mined.tickets, self.mined.won));
        if let (Some(best), Some((verified, time))) = (&self.mined.best, self.verified) {
            lines.push(format!("tile        {}", verified.tile));
            lines.push(format!("ticket      {}", verified.ticket));
            lines.push(format!("proof       {} bytes", best.bytes.len()));
            lines.push(format!(
                "verified    in {:.3} ms by the verifier alone",
                time.as_secs_f64() * 1e3
            ));
        }
        lines.join("\n") + "\n"
    }
}
