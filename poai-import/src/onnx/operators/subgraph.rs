//! Graphs inside nodes: loops with a known number of rounds, which are written
//! out round by round, and choices whose condition is known.

use super::{Read, read};
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use crate::onnx::node::Node;
use crate::onnx::tensor::{Host, Number};
use rten_onnx::onnx::GraphProto;

impl<'a> Read<'_, 'a> {
    pub(super) fn subgraph(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        match operator {
            "Loop" => self.rounds().map(Some),
            "Scan" => self.scan().map(Some),
            "If" => self.branch().map(Some),
            _ => Ok(None),
        }
    }

    /// The branch that a known condition chooses.
    fn branch(&mut self) -> Result<Vec<Operand>, OnnxError> {
        let node = self.node;
        node.only(&["then_branch", "else_branch"])?;
        let (then, otherwise) = (node.graph("then_branch")?, node.graph("else_branch")?);
        let Operand::Known(condition) = self.first()? else {
            return Err(node.unsupported(
                "its condition is computed of the input; export the branch that you need",
            ));
        };
        let chosen = condition.only().ok_or_else(|| node.unsupported("a condition of several"))?;
        let chosen = if chosen != 0.0 { then } else { otherwise };
        self.stored(chosen)?;
        let made = self.body(chosen, vec![])?;
        self.forget(chosen);
        Ok(made)
    }

    /// A loop. Its rounds end when they have reached their number, or when a
    /// known condition is false.
    fn rounds(&mut self) -> Result<Vec<Operand>, OnnxError> {
        let node = self.node;
        node.only(&["body"])?;
        let body = node.graph("body")?;
        let most = match self.builder.optional(node, 0)? {
            None => f64::INFINITY,
            Some(Operand::Known(most)) => most.only().unwrap_or(0.0),
            Some(_) => return Err(node.unsupported(ROUNDS)),
        };
        let mut goes_on = match self.builder.optional(node, 1)? {
            None => true,
            Some(condition) => truth(&condition).ok_or_else(|| node.unsupported(ROUNDS))?,
        };
        let mut state = vec![];
        for index in 2..node.inputs() {
            state.push(self.builder.operand(node, index)?);
        }
        let count = state.len();
        let collected = body.output.len().checked_sub(1 + count);
        let collected = collected.ok_or_else(|| node.attribute("body"))?;
        let mut rows: Vec<Vec<Operand>> = vec![vec![]; collected];
        let mut round = 0.0;
        self.stored(body)?;
        while goes_on && round < most {
            // Rounds count as nodes, so that a loop without any ends, too.
            self.builder.count_node()?;
            let counter = Host::scalar(Number::WHOLE, round).into();
            let condition = Host::scalar(Number::Bool, 1.0).into();
            let inputs = [vec![counter, condition], state].concat();
            let mut made = self.body(body, inputs)?.into_iter();
            let condition = made.next().ok_or_else(|| node.attribute("body"))?;
            goes_on = truth(&condition).ok_or_else(|| node.unsupported(ROUNDS))?;
            state = made.by_ref().take(count).collect();
            rows.iter_mut().zip(made).for_each(|(rows, row)| rows.push(row));
            round += 1.0;
        }
        self.forget(body);
        for rows in rows {
            state.push(self.stacked(&rows, 0)?);
        }
        Ok(state)
    }

    /// A loop over the places of an axis.
    fn scan(&mut self) -> Result<Vec<Operand>, OnnxError> {
        let node = self.node;
        node.only(&[
            "body",
            "num_scan_inputs",
            "scan_input_axes",
            "scan_input_directions",
            "scan_output_axes",
            "scan_output_directions",
        ])?;
        if node.version < 9 {
            return Err(node.unsupported("of an operator set below 9"));
        }
        let body = node.graph("body")?;
        let scanned = usize::try_from(node.integer("num_scan_inputs", 0)).unwrap_or(0);
        let count = node.inputs().checked_sub(scanned).filter(|_| scanned > 0);
        let count = count.ok_or_else(|| node.attribute("num_scan_inputs"))?;
        let mut state = vec![];
        for index in 0..count {
            state.push(self.builder.operand(node, index)?);
        }
        let listed = |name: &str, at: usize| -> i64 {
            node.integers(name).and_then(|list| list.get(at)).copied().unwrap_or(0)
        };
        let (mut sources, mut rounds) = (vec![], None);
        for at in 0..scanned {
            let source = self.builder.operand(node, count + at)?;
            let shape = self.builder.shape(&source);
            let axis = self.axis(listed("scan_input_axes", at), shape.rank())?;
            let size = shape.0[axis];
            if *rounds.get_or_insert(size) != size {
                return Err(node.unsupported("inputs of different lengths"));
            }
            sources.push((source, axis, listed("scan_input_directions", at) != 0));
        }
        let rounds = rounds.unwrap_or(0);
        let collected = body.output.len().checked_sub(count);
        let collected = collected.ok_or_else(|| node.attribute("body"))?;
        let mut rows: Vec<Vec<Operand>> = vec![vec![]; collected];
        self.stored(body)?;
        for round in 0..rounds {
            self.builder.count_node()?;
            let mut inputs = state;
            for (source, axis, backward) in &sources {
                let at = if *backward { rounds - 1 - round } else { round };
                let part = self.builder.range(node, source, *axis, at..at + 1)?;
                let mut shape = self.builder.shape(&part).0;
                shape.remove(*axis);
                inputs.push(self.builder.reshape(node, &part, shape)?);
            }
            let mut made = self.body(body, inputs)?.into_iter();
            state = made.by_ref().take(count).collect();
            rows.iter_mut().zip(made).for_each(|(rows, row)| rows.push(row));
        }
        self.forget(body);
        for (at, mut rows) in rows.into_iter().enumerate() {
            if listed("scan_output_directions", at) != 0 {
                rows.reverse();
            }
            state.push(self.stacked(&rows, listed("scan_output_axes", at))?);
        }
        Ok(state)
    }

    /// The values of all rounds, one after another along a new axis.
    fn stacked(&mut self, rows: &[Operand], axis: i64) -> Result<Operand, OnnxError> {
        let node = self.node;
        let Some(first) = rows.first() else {
            return Err(node.unsupported("a loop without any round"));
        };
        let rank = self.builder.shape(first).rank() + 1;
        let axis = self.axis(axis, rank)?;
        let mut parts = vec![];
        for row in rows {
            let mut shape = self.builder.shape(row).0;
            if shape.len() + 1 != rank {
                return Err(node.unsupported("rounds of different shapes"));
            }
            shape.insert(axis, 1);
            parts.push(self.builder.reshape(node, row, shape)?);
        }
        self.builder.concat(node, &parts, axis)
    }

    /// Adds the stored tensors of a graph, once for all rounds.
    fn stored(&mut self, graph: &'a GraphProto) -> Result<(), OnnxError> {
        for stored in &graph.initializer {
            self.builder.add_stored(stored.name.as_deref().unwrap_or_default(), stored)?;
        }
        Ok(())
    }

    /// Removes the names of those tensors.
    fn forget(&mut self, graph: &'a GraphProto) {
        for stored in &graph.initializer {
            self.builder.forget(stored.name.as_deref().unwrap_or_default());
        }
    }

    /// What a graph makes of its inputs. Its names are its own, and those of
    /// the graph around it stay visible.
    fn body(
        &mut self,
        graph: &'a GraphProto,
        inputs: Vec<Operand>,
    ) -> Result<Vec<Operand>, OnnxError> {
        let node = self.node;
        if graph.input.len() != inputs.len() {
            return Err(node.attribute("body"));
        }
        let mut own = vec![];
        for (info, operand) in graph.input.iter().zip(inputs) {
            let name = info.name.as_deref().unwrap_or_default();
            self.builder.define(node, name, operand)?;
            own.push(name);
        }
        for (index, proto) in graph.node.iter().enumerate() {
            self.builder.count_node()?;
            let version = self.builder.version(proto.domain.as_deref());
            let inner = Node::new(proto, index, version);
            read(self.builder, &inner)?;
            own.extend(proto.output.iter().map(String::as_str));
        }
        let mut made = vec![];
        for info in &graph.output {
            made.push(self.builder.named(&node.name, info.name.as_deref().unwrap_or_default())?);
        }
        for name in own {
            self.builder.forget(name);
        }
        Ok(made)
    }
}

/// Why a loop is refused.
const ROUNDS: &str = "the number of its rounds is computed of the input; export with fixed sizes";

/// A condition that is known.
fn truth(condition: &Operand) -> Option<bool> {
    match condition {
        Operand::Known(host) => host.only().map(|entry| entry != 0.0),
        _ => None,
    }
}
