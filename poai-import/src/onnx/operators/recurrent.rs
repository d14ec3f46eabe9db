//! Recurrent networks, one step of time after another.

use super::Read;
use crate::graph::expression::{Function, Operation};
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use crate::onnx::tensor::Host;
use ndarray::Array2;
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

/// The weights of one direction: W, R and the two biases.
struct Direction {
    input: Array2<f32>,
    hidden: Array2<f32>,
    biases: [Vec<f32>; 2],
}

/// One direction of a network.
struct Run<'w> {
    cell: Cell,
    weights: &'w Direction,
    /// The hidden and the cell state before the first step.
    start: [Option<Operand>; 2],
    backward: bool,
    activations: Vec<Function>,
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
        let x = self.first()?;
        let batch_first = node.integer("layout", 0) != 0;
        let shape = self.builder.shape(&x);
        let (tokens, width) = match *shape.0.as_slice() {
            [tokens, 1, width] if !batch_first => (tokens, width),
            [1, tokens, width] if batch_first => (tokens, width),
            _ => return Err(node.unsupported("expected a batch of 1 and three dimensions")),
        };
        if let Some(lengths) = self.builder.optional_host(node, 4)?
            && lengths.entries.iter().any(|&length| length != tokens as f64)
        {
            return Err(node.unsupported("sequences of other lengths than its input"));
        }
        if cell == Cell::Lstm && node.optional(7).is_some() {
            return Err(node.unsupported("peepholes"));
        }
        let rows = self.builder.reshape(node, &x, vec![tokens, width])?;
        let direction = node.string("direction").unwrap_or("forward");
        let directions = if direction == "bidirectional" { 2 } else { 1 };
        let weights = self.directions(cell, directions, width)?;
        let hidden = weights.first().map_or(0, |weights| weights.hidden.ncols());
        let mut parts = vec![];
        for (at, weights) in weights.iter().enumerate() {
            let start = [
                self.start(5, at, hidden)?,
                match cell {
                    Cell::Lstm => self.start(6, at, hidden)?,
                    _ => None,
                },
            ];
            let backward = direction == "reverse" || at == 1;
            let activations = self.activations(cell, at)?;
            let run = Run { cell, weights, start, backward, activations };
            parts.push(self.direction(&rows, tokens, &run)?);
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
        let y = self.builder.reshape(node, &y, vec![tokens, directions, 1, hidden])?;
        let mut states = vec![];
        for parts in [last, cells] {
            if !parts.is_empty() {
                let state = self.builder.concat(node, &parts, 0)?;
                states.push(self.builder.reshape(node, &state, vec![directions, 1, hidden])?);
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
        let of = |at: usize| Direction {
            input: matrix(&w, at, width),
            hidden: matrix(&r, at, hidden),
            biases: [bias(at, 0), bias(at, 1)],
        };
        Ok((0..count).map(of).collect())
    }

    /// A state before the first step; `None` if it is zero.
    fn start(
        &mut self,
        input: usize,
        direction: usize,
        hidden: usize,
    ) -> Result<Option<Operand>, OnnxError> {
        let node = self.node;
        let Some(state) = self.builder.optional(node, input)? else { return Ok(None) };
        if let Operand::Known(host) = &state
            && host.entries.iter().all(|&entry| entry == 0.0)
        {
            return Ok(None);
        }
        // directions × batch × hidden, or batch × directions × hidden: the
        // batch is 1.
        let entries = self.builder.shape(&state).entries();
        let flat = self.builder.reshape(node, &state, vec![entries / hidden.max(1), hidden])?;
        self.builder.range(node, &flat, 0, direction..direction + 1).map(Some)
    }

    fn activations(&mut self, cell: Cell, direction: usize) -> Result<Vec<Function>, OnnxError> {
        let node = self.node;
        let default: &[Function] = match cell {
            Cell::Plain => &[Function::Tanh],
            Cell::Lstm => &[Function::Sigmoid, Function::Tanh, Function::Tanh],
            Cell::Gru => &[Function::Sigmoid, Function::Tanh],
        };
        let named = node.strings("activations");
        if named.is_empty() {
            return Ok(default.to_vec());
        }
        let own = named.get(direction * default.len()..(direction + 1) * default.len());
        let of = |name: &String| match name.to_ascii_lowercase().as_str() {
            "sigmoid" => Some(Function::Sigmoid),
            "tanh" => Some(Function::Tanh),
            "softplus" => Some(Function::Softplus),
            _ => None,
        };
        let own = own.and_then(|own| own.iter().map(of).collect::<Option<Vec<_>>>());
        own.ok_or_else(|| node.attribute("activations"))
    }

    /// All states of one direction in the order of time, and the last states.
    fn direction(
        &mut self,
        rows: &Operand,
        tokens: usize,
        run: &Run<'_>,
    ) -> Result<(Operand, Operand, Option<Operand>), OnnxError> {
        let node = self.node;
        let hidden = run.weights.hidden.ncols();
        let [first, second] = run.weights.biases.clone();
        // The second bias of a GRU stays beside R, where a gate multiplies it.
        let bias = match run.cell {
            Cell::Gru => first,
            _ => first.iter().zip(&second).map(|(a, b)| a + b).collect(),
        };
        let inputs = self.builder.linear(node, rows, run.weights.input.clone(), bias)?;
        let [mut state, mut memory] = run.start.clone();
        let mut states = vec![];
        for step in 0..tokens {
            let at = if run.backward { tokens - 1 - step } else { step };
            let own = self.builder.range(node, &inputs, 0, at..at + 1)?;
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

    /// R·h of some gates, with a bias.
    fn gates(
        &mut self,
        state: &Operand,
        run: &Run<'_>,
        rows: std::ops::Range<usize>,
        bias: bool,
    ) -> Result<Operand, OnnxError> {
        let weights = run.weights.hidden.slice(ndarray::s![rows.clone(), ..]).to_owned();
        let bias = match bias {
            true => run.weights.biases[1][rows].to_vec(),
            false => vec![0.0; rows.len()],
        };
        self.builder.linear(self.node, state, weights, bias)
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
                let from = self.gates(state, run, 0..run.cell.gates() * hidden, false)?;
                self.builder.pair(node, Operation::Add, &own, &from)?
            }
        };
        if run.cell == Cell::Plain {
            return Ok((self.builder.call(node, &gates, run.activations[0])?, None));
        }
        // The order of gates is input, output, forget, cell.
        let open = |read: &mut Self, gate: usize, function| -> Result<Operand, OnnxError> {
            let range = gate * hidden..(gate + 1) * hidden;
            let part = read.builder.range(node, &gates, 1, range)?;
            read.builder.call(node, &part, function)
        };
        let (gate, candidate) = (run.activations[0], run.activations[1]);
        let input = open(self, 0, gate)?;
        let output = open(self, 1, gate)?;
        let new = open(self, 3, candidate)?;
        let mut cell = self.builder.pair(node, Operation::Mul, &input, &new)?;
        if let Some(memory) = memory {
            let forget = open(self, 2, gate)?;
            let kept = self.builder.pair(node, Operation::Mul, &forget, memory)?;
            cell = self.builder.pair(node, Operation::Add, &kept, &cell)?;
        }
        let shown = self.builder.call(node, &cell, run.activations[2])?;
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
        let both = self.gates(state, run, 0..2 * hidden, true)?;
        let mut open = vec![];
        for gate in 0..2 {
            let (x, h) = (part(self, own, gate)?, part(self, &both, gate)?);
            let sum = self.builder.pair(node, Operation::Add, &x, &h)?;
            open.push(self.builder.call(node, &sum, run.activations[0])?);
        }
        let candidate = part(self, own, 2)?;
        let from = if node.integer("linear_before_reset", 0) != 0 {
            let from = self.gates(state, run, 2 * hidden..3 * hidden, true)?;
            self.builder.pair(node, Operation::Mul, &open[1], &from)?
        } else {
            let reset = self.builder.pair(node, Operation::Mul, &open[1], state)?;
            self.gates(&reset, run, 2 * hidden..3 * hidden, true)?
        };
        let new = self.builder.pair(node, Operation::Add, &candidate, &from)?;
        let new = self.builder.call(node, &new, run.activations[1])?;
        // (1 − z)·new + z·h = new + z·(h − new).
        let difference = self.builder.pair(node, Operation::Sub, state, &new)?;
        let kept = self.builder.pair(node, Operation::Mul, &open[0], &difference)?;
        self.builder.pair(node, Operation::Add, &new, &kept)
    }
}
