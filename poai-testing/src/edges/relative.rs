//! The edges of attention whose scores have biases by distance.

use super::{Edges, Given, I8, I32, MAX, MIN, exponentials, lengths, mixed, tokens};
use poai_core::program::Op;

pub(super) fn cases(edges: &mut Edges) {
    let runs = [((1, 1), vec![1]), ((1, 6), vec![6]), ((3, 5), vec![1, 5, 3])];
    for (run, seen) in &runs {
        let run = *run;
        // Distances: none but 0, fewer than the tokens have, as many, and more.
        for farthest in [0, 2, run.1 as usize - 1, 40] {
            for (heads, shift, causal) in
                [(1, 20, false), (2, 0, true), (4, 62, false), (2, 24, true), (4, 18, false)]
            {
                let count = heads * (2 * farthest + 1);
                let all: [(&str, Vec<i32>); 2] = [
                    ("extreme", mixed("bias", count, I32)),
                    ("different", (0..count as i32).map(|at| 3 * at - 40).collect()),
                ];
                for (index, (kind, bias)) in all.into_iter().enumerate() {
                    let masked = (index + farthest) % 2 == 0;
                    let mut inputs = vec![tokens(run, 8, I8, "query"), tokens(run, 8, I8, "key")];
                    inputs.extend(masked.then(|| lengths(seen)));
                    let alpha = match kind {
                        "extreme" => mixed("alpha", heads, I32),
                        _ => vec![1 << 15; heads],
                    };
                    let constants = [
                        Given(heads, 1, I32, alpha),
                        exponentials(),
                        Given(heads, 2 * farthest + 1, I32, bias),
                    ];
                    let name = format!(
                        "{run:?}, shift {shift}, causal {causal}, masked {masked}, {kind} biases \
                         up to {farthest}"
                    );
                    edges.add(&name, run, &inputs, &constants, |ids| {
                        Op::RelativeAttentionWeights {
                            heads: heads as u32,
                            alpha: ids[0],
                            shift,
                            table: ids[1],
                            causal,
                            bias: ids[2],
                        }
                    });
                }
            }
        }
    }
    for length in [0, -1, 4, MIN, MAX] {
        let x = || tokens((2, 3), 2, I8, "x");
        let inputs = [x(), x(), lengths(&[length, 2])];
        let constants =
            [Given(1, 1, I32, vec![1]), exponentials(), Given(1, 3, I32, vec![5, 0, -5])];
        edges.add("a false length", (2, 3), &inputs, &constants, |ids| {
            Op::RelativeAttentionWeights {
                heads: 1,
                alpha: ids[0],
                shift: 0,
                table: ids[1],
                causal: false,
                bias: ids[2],
            }
        });
    }
}
