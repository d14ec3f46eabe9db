//! The output of `poai embed`.

use super::model::TextModel;
use crate::terminal;
use poai::import::bert::LayerError;
use poai::{Ticket, TraceRoot};
use serde_json::{Value, json};

/// The lowest ticket that won.
pub struct Best {
    pub ticket: Ticket,
    pub step: String,
}

/// All results of a run.
pub struct Outcome {
    pub sentences: Vec<String>,
    /// Whether the sentences are pairs to compare.
    pub pairs: bool,
    pub report: Vec<LayerError>,
    /// How tokens become an embedding.
    pub head: String,
    /// Whether the model's files state the head.
    pub head_stated: bool,
    /// Whether embeddings have length 1.
    normalised: bool,
    /// The number in the network's output that represents 1.
    unit: f64,
    /// The tokens at which sentences were cut, and whether more were asked for.
    pub sequence: (usize, bool),
    pub embeddings: Vec<Vec<f64>>,
    pub trace_roots: Vec<TraceRoot>,
    pub macs: u64,
    pub tickets: u64,
    pub won: u64,
    /// Wins that were shown to belong to their trace.
    pub linked: usize,
    pub best: Option<Best>,
    pub seconds: f64,
    /// The audits' bytes, and the seconds that verifying them took.
    pub audit: Option<(usize, f64)>,
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f64::MIN_POSITIVE)
}

impl Outcome {
    pub fn new(sentences: Vec<String>, report: Vec<LayerError>, pairs: bool) -> Outcome {
        Outcome {
            embeddings: vec![vec![]; sentences.len()],
            sentences,
            pairs,
            report,
            head: String::new(),
            head_stated: false,
            normalised: true,
            unit: 1.0,
            sequence: (0, false),
            trace_roots: vec![],
            macs: 0,
            tickets: 0,
            won: 0,
            linked: 0,
            best: None,
            seconds: 0.0,
            audit: None,
        }
    }

    /// Notes which model makes the embeddings. `unit` in the network's output
    /// represents 1.
    pub fn of(&mut self, model: &TextModel, unit: f64) {
        let head = model.encoder.head();
        (self.head, self.head_stated) = (head.to_string(), head.is_stated());
        (self.normalised, self.unit) = (head.normalises(), unit);
        self.sequence = (model.sequence, model.clamped);
    }

    /// The network's entries as floats. Those of length 1 have exactly that.
    pub fn embedding(&self, entries: &[i32]) -> Vec<f64> {
        let unit = match self.normalised {
            true => entries.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt().max(1.0),
            false => self.unit,
        };
        entries.iter().map(|&x| f64::from(x) / unit).collect()
    }

    /// One JSON object; missing values are null. `trace_root` is that of the
    /// last batch, audits are those of all batches.
    pub fn json(&self) -> Value {
        let layers = self.report.iter().map(|error| (error.layer.clone(), error.relative_error));
        json!({
            "embeddings": self.embeddings,
            "head": self.head,
            "sequence": self.sequence.0,
            "trace_root": self.trace_roots.last(),
            "trace_roots": self.trace_roots,
            "macs": self.macs,
            "seconds": self.seconds,
            "tickets": self.tickets,
            "won": self.won,
            "linked": self.linked,
            "ticket": self.best.as_ref().map(|best| best.ticket),
            "audit_bytes": self.audit.map(|(bytes, _)| bytes),
            "audit_verify_seconds": self.audit.map(|(_, seconds)| seconds),
            "relative_errors": layers.map(|(layer, error)| json!([layer, error])).collect::<Vec<_>>(),
        })
    }

    /// The same as text.
    pub fn text(&self) -> String {
        let mut lines = if self.pairs { self.compared() } else { self.nearest() };
        lines.push(String::new());
        let source = if self.head_stated { "modules.json" } else { "no modules.json" };
        lines.push(format!("embedding   {} ({source})", self.head));
        let (tokens, clamped) = self.sequence;
        let limit = if clamped { ", the most of this model" } else { "" };
        lines.push(format!("tokens      at most {tokens} a sentence{limit}"));
        if let Some(error) = self.report.last() {
            let per_cent = 100.0 * error.relative_error;
            lines.push(format!("quantised   embeddings off by {per_cent:.1} % in calibration"));
        }
        lines.push(format!(
            "work        {} MACs in {:.3} s: {:.2} GMAC/s",
            self.macs,
            self.seconds,
            self.macs as f64 / self.seconds / 1e9
        ));
        for root in &self.trace_roots {
            lines.push(format!("trace root  {root}"));
        }
        lines.push(format!("tickets     {} drawn, {} won", self.tickets, self.won));
        if let Some(Best { ticket, step }) = &self.best {
            lines.push(format!("ticket      {ticket} of {}", terminal::name(step)));
            let linked = self.linked;
            lines.push(format!(
                "linked      the best of {linked} products verified, of these traces"
            ));
        }
        if let Some((bytes, seconds)) = self.audit {
            lines.push(format!("audits      {bytes} bytes, verified in {:.3} ms", seconds * 1e3));
        }
        lines.join("\n") + "\n"
    }

    fn compared(&self) -> Vec<String> {
        let pairs = self.sentences.chunks_exact(2).zip(self.embeddings.chunks_exact(2));
        pairs
            .map(|(texts, pair)| {
                format!("{:6.3}  {}\n        {}", cosine(&pair[0], &pair[1]), texts[0], texts[1])
            })
            .collect()
    }

    /// Each sentence with the closest one; a single sentence with some of its
    /// entries.
    fn nearest(&self) -> Vec<String> {
        let all = self.sentences.iter().zip(&self.embeddings).enumerate();
        all.map(|(index, (sentence, own))| {
            let others = self.embeddings.iter().enumerate().filter(|(other, _)| *other != index);
            let nearest = others
                .map(|(other, embedding)| (cosine(own, embedding), other))
                .max_by(|a, b| a.0.total_cmp(&b.0));
            match nearest {
                Some((cosine, other)) => {
                    format!("{cosine:6.3}  {sentence}\n        {}", self.sentences[other])
                }
                None => {
                    let first: Vec<_> = own.iter().take(8).map(|x| format!("{x:.4}")).collect();
                    format!("{sentence}\n[{}, …] of {} entries", first.join(", "), own.len())
                }
            }
        })
        .collect()
    }
}
