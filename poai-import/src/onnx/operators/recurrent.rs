//! Recurrent networks, one step of time after another.

use super::Read;
use crate::graph::Expression;
use crate::graph::expression::{Function, Operation};
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use crate::onnx::tensor::Host;
use ndarray::{ArcArray2, Array2};
use std::rc::Rc;

/// The kinds of recurrent networks.
#[derive(Clone, Copy, PartialEq)]
enum Cell {
    Plain,
    Lstm,
    Gru,
}

impl Cell {
    const fn gates(self) -> usize {
        match self {
            Cell::Plain => 1,
            Cell::Lstm => 4,
            Cell::Gru => 3,
        }
    }
}

/// Some rows of R with a bias, which all steps share.
#[derive(Clone)]
struct Gates {
    weights: ArcArray2<f32>,
    bias: Vec<f32>,
}

/// The weights of one direction: W with a bias, and R. That of a GRU has the
/// hidden gate apart, which reads another state.
struct Direction {
    input: Gates,
    hidden: Gates,
    candidate: Option<Gates>,
}

/// One direction of a network.
struct Run<'w> {
    cell: Cell,
    weights: &'w Direction,
    /// The hidden and the cell state before the first step.
    start: [Option<Operand>; 2],
    backward: bool,
    activations: Vec<Expression>,
    /// The steps of time, the samples of a step, and the entries of a state.
    tokens: usize,
    batch: usize,
    size: usize,
}

impl Read<'_, '_> {
    pub(super) fn recurrent(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        let cell = match operator {
            "RNN" => Cell::Plain,
            "LSTM" => Cell::Lstm,
            "GRU" => Cell::Gru,
            _ => return Ok(None),
        };
        let node = self.node;
        node.only(&[
            "activations",
            "clip",
            "direction",
            "hidden_size",
            "input_forget",
            "layout",
            "linear_before_reset",
            "output_sequence",
            "activation_alpha",
            "activation_beta",
        ])?;
        node.fixed("input_forget", 0)?;
        let mut x = self.first()?;
        let batch_first = node.integer("layout", 0) != 0;
        if batch_first && self.builder.shape(&x).rank() == 3 {
            x = self.builder.transpose(node, &x, vec![1, 0, 2])?;
        }
        let &[tokens, batch, width] = self.builder.shape(&x).0.as_slice() else {
            return Err(node.unsupported("expected three dimensions"));
        };
        if let Some(lengths) = self.builder.optional_host(node, 4)?
            && lengths.entries.iter().any(|&length| length != tokens as f64)
        {
            return Err(node.unsupported("sequences of other lengths than its input"));
        }
        if cell == Cell::Lstm && node.optional(7).is_some() {
            return Err(node.unsupported("peepholes"));
        }
        let rows = tokens.saturating_mul(batch);
        let rows = self.builder.reshape(node, &x, vec![rows, width])?;
        let direction = node.string("direction").unwrap_or("forward");
        let directions = if direction == "bidirectional" { 2 } else { 1 };
        let weights = self.directions(cell, directions, width)?;
        let hidden = weights.first().map_or(0, |weights| weights.hidden.weights.ncols());
        let activations = self.activations(cell, directions)?;
        let mut parts = vec![];
        for (at, weights) in weights.iter().enumerate() {
            let start = [
                self.start(5, &rows, at, [batch, hidden])?,
                match cell {
                    Cell::Lstm => self.start(6, &rows, at, [batch, hidden])?,
                    _ => None,
                },
            ];
            let backward = direction == "reverse" || at == 1;
            let activations = activations[at].clone();
            let size = hidden;
            let run = Run { cell, weights, start, backward, activations, tokens, batch, size };
            parts.push(self.direction(&rows, &run)?);
        }
        // Y is steps × directions × batch × hidden.
        let mut columns = vec![];
        let (mut last, mut cells) = (vec![], vec![]);
        for (states, hidden_state, cell_state) in parts {
            columns.push(states);
            last.push(hidden_state);
            cells.extend(cell_state);
        }
        let y = self.builder.concat(node, &columns, 1)?;
        let y = self.builder.reshape(node, &y, vec![tokens, batch, directions, hidden])?;
        let y = match batch > 1 && directions > 1 {
            true => self.builder.transpose(node, &y, vec![0, 2, 1, 3])?,
            // Axes of size 1 have no order.
            false => self.builder.reshape(node, &y, vec![tokens, directions, batch, hidden])?,
        };
        let mut states = vec![];
        for parts in [last, cells] {
            if !parts.is_empty() {
                let state = self.builder.concat(node, &parts, 0)?;
                states.push(self.builder.reshape(node, &state, vec![directions, batch, hidden])?);
            }
        }
        let mut results = vec![y];
        results.extend(states);
        if batch_first {
            results[0] = self.builder.transpose(node, &results[0], vec![2, 0, 1, 3])?;
            for state in &mut results[1..] {
                *state = self.builder.transpose(node, state, vec![1, 0, 2])?;
            }
        }
        Ok(Some(results))
    }

    fn directions(
        &mut self,
        cell: Cell,
        count: usize,
        width: usize,
    ) -> Result<Vec<Direction>, OnnxError> {
        let node = self.node;
        let (w, r) = (self.builder.host(node, 1)?, self.builder.host(node, 2)?);
        let b = self.builder.optional_host(node, 3)?;
        let gates = cell.gates();
        let hidden = r.shape.last().copied().unwrap_or(0);
        let fits = hidden > 0
            && w.shape == [count, gates * hidden, width]
            && r.shape == [count, gates * hidden, hidden]
            && b.as_ref().is_none_or(|b| b.shape == [count, 2 * gates * hidden]);
        let named = node.integer("hidden_size", hidden as i64);
        if !fits || named != hidden as i64 {
            return Err(node.unsupported("its weights do not fit together"));
        }
        self.builder.spend(w.entries.len().saturating_add(r.entries.len()))?;
        let matrix = |host: &Rc<Host>, at: usize, columns: usize| {
            let size = gates * hidden * columns;
            let entry = |(row, column): (usize, usize)| {
                host.entries[at * size + row * columns + column] as f32
            };
            Array2::from_shape_fn((gates * hidden, columns), entry)
        };
        let bias = |at: usize, second: usize| -> Vec<f32> {
            let Some(b) = &b else { return vec![0.0; gates * hidden] };
            let first = (2 * at + second) * gates * hidden;
            b.entries[first..first + gates * hidden].iter().map(|&entry| entry as f32).collect()
        };
        if cell != Cell::Gru {
            let of = |at: usize| {
                let bias = bias(at, 0).iter().zip(bias(at, 1)).map(|(a, b)| a + b).collect();
                let input = Gates { weights: matrix(&w, at, width).into_shared(), bias };
                let weights = matrix(&r, at, hidden).into_shared();
                let hidden = Gates { weights, bias: vec![0.0; gates * hidden] };
                Direction { input, hidden, candidate: None }
            };
            return Ok((0..count).map(of).collect());
        }
        // The second bias of a GRU stays beside R, where a gate multiplies it.
        let of = |at: usize| {
            let input = Gates { weights: matrix(&w, at, width).into_shared(), bias: bias(at, 0) };
            let (all, second) = (matrix(&r, at, hidden), bias(at, 1));
            let part = |rows: std::ops::Range<usize>| Gates {
                weights: all.slice(ndarray::s![rows.clone(), ..]).to_owned().into_shared(),
                bias: second[rows].to_vec(),
            };
            let candidate = Some(part(2 * hidden..3 * hidden));
            Direction { input, hidden: part(0..2 * hidden), candidate }
        };
        Ok((0..count).map(of).collect())
    }

    /// A state before the first step; `None` if it is zero.
    fn start(
        &mut self,
        input: usize,
        any: &Operand,
        direction: usize,
        [batch, hidden]: [usize; 2],
    ) -> Result<Option<Operand>, OnnxError> {
        let node = self.node;
        let Some(state) = self.builder.optional(node, input)? else { return Ok(None) };
        if let Operand::Known(host) = &state
            && host.entries.iter().all(|&entry| entry == 0.0)
        {
            return Ok(None);
        }
        // directions × batch × hidden, or batch × directions × hidden.
        let shape = self.builder.shape(&state);
        let turned = node.integer("layout", 0) != 0 && shape.rank() == 3;
        let state = match turned {
            true => self.builder.transpose(node, &state, vec![1, 0, 2])?,
            false => state,
        };
        let flat = vec![shape.entries() / hidden.max(1), hidden];
        let flat = self.builder.reshape(node, &state, flat)?;
        let own = direction * batch..(direction + 1) * batch;
        let own = self.builder.range(node, &flat, 0, own)?;
        match &own {
            Operand::Known(host) => self.builder.filled(node, any, host).map(Some),
            _ => Ok(Some(own)),
        }
    }

    /// The functions of each direction, behind the clip of what they read.
    fn activations(
        &mut self,
        cell: Cell,
        directions: usize,
    ) -> Result<Vec<Vec<Expression>>, OnnxError> {
        let node = self.node;
        let default: &[&str] = match cell {
            Cell::Plain => &["tanh"],
            Cell::Lstm => &["sigmoid", "tanh", "tanh"],
            Cell::Gru => &["sigmoid", "tanh"],
        };
        let named: Vec<String> =
            node.strings("activations").iter().map(|name| name.to_ascii_lowercase()).collect();
        let names: Vec<&str> = match named.is_empty() {
            true => default.iter().copied().cycle().take(directions * default.len()).collect(),
            false => named.iter().map(String::as_str).collect(),
        };
        if names.len() != directions * default.len() {
            return Err(node.attribute("activations"));
        }
        let list = |name: &str| node.floats(name).unwrap_or_default().iter().map(|&x| x.into());
        let (mut alphas, mut betas) = (list("activation_alpha"), list("activation_beta"));
        let clip = match node.has("clip") {
            true => Some(f64::from(node.float("clip", 0.0)?)),
            false => None,
        };
        let mut functions = vec![];
        for (at, name) in names.into_iter().enumerate() {
            // A list has numbers for those functions alone that take one.
            let function = activation(name, &mut alphas, &mut betas);
            let function = function.ok_or_else(|| node.attribute("activations"))?;
            // ONNX Runtime does not clip the memory that an LSTM shows.
            let shows = cell == Cell::Lstm && at % default.len() == 2;
            functions.push(match clip.filter(|_| !shows) {
                Some(most) => {
                    let cut = Expression::X.by(Operation::Max, -most).by(Operation::Min, most);
                    function.of(&cut)
                }
                None => function,
            });
        }
        Ok(functions.chunks(default.len()).map(<[Expression]>::to_vec).collect())
    }

    /// All states of one direction in the order of time, and the last states.
    fn direction(
        &mut self,
        rows: &Operand,
        run: &Run<'_>,
    ) -> Result<(Operand, Operand, Option<Operand>), OnnxError> {
        let node = self.node;
        let inputs = self.gates(rows, &run.weights.input)?;
        let (tokens, batch, hidden) = (run.tokens, run.batch, run.size);
        let [mut state, mut memory] = run.start.clone();
        let mut states = vec![];
        for step in 0..tokens {
            let at = if run.backward { tokens - 1 - step } else { step };
            let own = self.builder.range(node, &inputs, 0, at * batch..(at + 1) * batch)?;
            let next = match run.cell {
                Cell::Gru => self.gru(&own, state.as_ref(), run, hidden)?,
                _ => {
                    let (next, cell) =
                        self.cell(own, state.as_ref(), memory.as_ref(), run, hidden)?;
                    memory = cell;
                    next
                }
            };
            states.push(next.clone());
            state = Some(next);
        }
        let last = states.last().cloned().ok_or_else(|| node.unsupported("no steps of time"))?;
        if run.backward {
            states.reverse();
        }
        Ok((self.builder.concat(node, &states, 0)?, last, memory))
    }

    /// The product of rows with the weights of some gates, and their bias.
    fn gates(&mut self, rows: &Operand, gates: &Gates) -> Result<Operand, OnnxError> {
        let Gates { weights, bias } = gates.clone();
        self.builder.linear(self.node, rows, weights, bias)
    }

    /// One step of a plain network or of an LSTM.
    fn cell(
        &mut self,
        own: Operand,
        state: Option<&Operand>,
        memory: Option<&Operand>,
        run: &Run<'_>,
        hidden: usize,
    ) -> Result<(Operand, Option<Operand>), OnnxError> {
        let node = self.node;
        let gates = match state {
            None => own,
            Some(state) => {
                let from = self.gates(state, &run.weights.hidden)?;
                self.builder.pair(node, Operation::Add, &own, &from)?
            }
        };
        if run.cell == Cell::Plain {
            return Ok((self.builder.apply(node, &gates, run.activations[0].clone())?, None));
        }
        // The order of gates is input, output, forget, cell.
        let open = |read: &mut Self, gate: usize, function: &Expression| {
            let range = gate * hidden..(gate + 1) * hidden;
            let part = read.builder.range(node, &gates, 1, range)?;
            read.builder.apply(node, &part, function.clone())
        };
        let (gate, candidate) = (&run.activations[0], &run.activations[1]);
        let input = open(self, 0, gate)?;
        let output = open(self, 1, gate)?;
        let new = open(self, 3, candidate)?;
        let mut cell = self.builder.pair(node, Operation::Mul, &input, &new)?;
        if let Some(memory) = memory {
            let forget = open(self, 2, gate)?;
            let kept = self.builder.pair(node, Operation::Mul, &forget, memory)?;
            cell = self.builder.pair(node, Operation::Add, &kept, &cell)?;
        }
        let shown = self.builder.apply(node, &cell, run.activations[2].clone())?;
        Ok((self.builder.pair(node, Operation::Mul, &output, &shown)?, Some(cell)))
    }

    /// One step of a GRU, whose gates are update, reset, hidden.
    fn gru(
        &mut self,
        own: &Operand,
        state: Option<&Operand>,
        run: &Run<'_>,
        hidden: usize,
    ) -> Result<Operand, OnnxError> {
        let node = self.node;
        let zero;
        let state = match state {
            Some(state) => state,
            None => {
                let range = self.builder.range(node, own, 1, 0..hidden)?;
                zero = self.builder.take(node, &range, 1, vec![None; hidden])?;
                &zero
            }
        };
        let part = |read: &mut Self, of: &Operand, gate: usize| {
            read.builder.range(node, of, 1, gate * hidden..(gate + 1) * hidden)
        };
        let both = self.gates(state, &run.weights.hidden)?;
        let mut open = vec![];
        for gate in 0..2 {
            let (x, h) = (part(self, own, gate)?, part(self, &both, gate)?);
            let sum = self.builder.pair(node, Operation::Add, &x, &h)?;
            open.push(self.builder.apply(node, &sum, run.activations[0].clone())?);
        }
        let candidate = part(self, own, 2)?;
        let last = run.weights.candidate.as_ref().unwrap_or(&run.weights.hidden);
        let from = if node.integer("linear_before_reset", 0) != 0 {
            let from = self.gates(state, last)?;
            self.builder.pair(node, Operation::Mul, &open[1], &from)?
        } else {
            let reset = self.builder.pair(node, Operation::Mul, &open[1], state)?;
            self.gates(&reset, last)?
        };
        let new = self.builder.pair(node, Operation::Add, &candidate, &from)?;
        let new = self.builder.apply(node, &new, run.activations[1].clone())?;
        // (1 − z)·new + z·h = new + z·(h − new).
        let difference = self.builder.pair(node, Operation::Sub, state, &new)?;
        let kept = self.builder.pair(node, Operation::Mul, &open[0], &difference)?;
        self.builder.pair(node, Operation::Add, &new, &kept)
    }
}

/// An activation by its name, in lower case. It takes its numbers from lists
/// that may end early.
fn activation(
    name: &str,
    alphas: &mut impl Iterator<Item = f64>,
    betas: &mut impl Iterator<Item = f64>,
) -> Option<Expression> {
    use Expression::X;
    use Operation::{Add, Div, Less, Max, Min, Mul, Sub};
    let mut alpha = |default: f64| alphas.next().unwrap_or(default);
    let mut beta = |default: f64| betas.next().unwrap_or(default);
    Some(match name {
        "sigmoid" => Expression::call(Function::Sigmoid),
        "tanh" => Expression::call(Function::Tanh),
        "relu" => Expression::relu(),
        "softplus" => Expression::call(Function::Softplus),
        "softsign" => X.with(Div, Expression::call(Function::Abs).by(Add, 1.0)),
        "affine" => X.by(Mul, alpha(1.0)).by(Add, beta(0.0)),
        "leakyrelu" => X.by(Max, 0.0).with(Add, X.by(Min, 0.0).by(Mul, alpha(0.01))),
        "thresholdedrelu" => X.with(Mul, Expression::Number(alpha(1.0)).with(Less, X)),
        "scaledtanh" => {
            let outer = alpha(1.0);
            X.by(Mul, beta(1.0)).then(Function::Tanh).by(Mul, outer)
        }
        "hardsigmoid" => X.by(Mul, alpha(0.2)).by(Add, beta(0.5)).by(Max, 0.0).by(Min, 1.0),
        "elu" => {
            let low = X.by(Min, 0.0).then(Function::Exp).by(Sub, 1.0);
            X.by(Max, 0.0).with(Add, low.by(Mul, alpha(1.0)))
        }
        _ => return None,
    })
}
