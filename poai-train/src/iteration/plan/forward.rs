//! The steps of the forward pass.

use super::batch::Samples;
use super::node::{AttentionNode, Node};
use super::{ParameterRole, Plan};
use crate::error::LayersError;
use crate::numbers::RESIDUAL;
use crate::tape::{Carrier, Operand, ParameterId, Tape};
use poai_core::program::ValueId;

/// What the layers have computed so far.
#[derive(Clone, Copy)]
enum Now {
    Carrier(Carrier),
    Operand(Operand),
    Ids { ids: ValueId, places: ValueId },
}

impl Now {
    fn operand(self, tape: &mut Tape) -> Result<Operand, LayersError> {
        match self {
            Now::Carrier(x) => tape.operand(x),
            Now::Operand(x) => Ok(x),
            Now::Ids { .. } => Err(LayersError::Internal("rows of numbers")),
        }
    }

    fn carrier(self, tape: &mut Tape) -> Result<Carrier, LayersError> {
        match self {
            Now::Carrier(x) => Ok(x),
            Now::Operand(x) => tape.carrier(x),
            Now::Ids { .. } => Err(LayersError::Internal("rows of numbers")),
        }
    }
}

/// What a product gives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Activations,
    /// A residual stream, to which a residual layer adds it.
    Residual,
    /// An operand, in the fused profile.
    Operand,
}

impl Plan {
    /// Adds the steps of the forward pass, and returns the logits.
    pub(in crate::iteration) fn forward(
        &self,
        tape: &mut Tape,
        samples: Samples,
        training: bool,
    ) -> Result<Carrier, LayersError> {
        // All operands of weights first, in the order of names.
        for (index, parameter) in self.parameters.iter().enumerate() {
            if parameter.role == ParameterRole::Operand {
                tape.weight(ParameterId(index))?;
            }
        }
        let now = match samples {
            Samples::Dense(operand) => Now::Operand(operand),
            Samples::Ids { ids, places } => Now::Ids { ids, places },
        };
        match self.chain(tape, &self.nodes, now, Output::Activations, training)? {
            Now::Carrier(logits) => Ok(logits),
            _ => Err(LayersError::Internal("logits")),
        }
    }

    fn id(&self, name: &str) -> Result<ParameterId, LayersError> {
        let index = self.parameters.iter().position(|parameter| parameter.name == name);
        Ok(ParameterId(index.ok_or(LayersError::Internal("a layer's parameter"))?))
    }

    fn pair(
        &self,
        weight: &str,
        bias: &Option<String>,
    ) -> Result<(ParameterId, Option<ParameterId>), LayersError> {
        let bias = bias.as_deref().map(|bias| self.id(bias)).transpose()?;
        Ok((self.id(weight)?, bias))
    }

    /// Layers one after another. `last` is what the last one's product gives.
    fn chain(
        &self,
        tape: &mut Tape,
        nodes: &[Node],
        mut now: Now,
        last: Output,
        training: bool,
    ) -> Result<Now, LayersError> {
        for (index, node) in nodes.iter().enumerate() {
            let rest = &nodes[index + 1..];
            let output = match rest {
                [] => last,
                _ if tape.is_fused() && takes_operand(rest) => Output::Operand,
                _ => Output::Activations,
            };
            now = self.step(tape, node, now, output, training)?;
        }
        Ok(now)
    }

    fn step(
        &self,
        tape: &mut Tape,
        node: &Node,
        now: Now,
        output: Output,
        training: bool,
    ) -> Result<Now, LayersError> {
        Ok(match node {
            Node::Linear { weight, bias, adapter: None } => {
                let pair = self.pair(weight, bias)?;
                let x = now.operand(tape)?;
                product(tape, x, pair, output)?
            }
            Node::Linear { weight, bias, adapter: Some([down, up]) } => {
                let x = now.operand(tape)?;
                let base = one(tape.linear(x, &[self.pair(weight, bias)?])?)?;
                let inner = one(tape.linear(x, &[(self.id(down)?, None)])?)?;
                let inner = tape.operand(inner)?;
                let own = one(tape.linear(inner, &[(self.id(up)?, None)])?)?;
                Now::Carrier(tape.residual(base, own)?)
            }
            Node::Conv { window, weight, bias } => {
                let x = now.operand(tape)?;
                let x = tape.unfold(x, *window)?;
                let pair = (self.id(weight)?, Some(self.id(bias)?));
                product(tape, x, pair, output)?
            }
            Node::Relu => match now {
                Now::Carrier(x) => Now::Carrier(tape.relu(x)?),
                Now::Operand(x) => Now::Operand(tape.relu_operand(x)?),
                Now::Ids { .. } => return Err(LayersError::Internal("rows of numbers")),
            },
            Node::Activation(activation) => {
                let x = now.carrier(tape)?;
                Now::Carrier(tape.activation(x, *activation)?)
            }
            Node::MaxPool(window) => {
                let x = now.operand(tape)?;
                Now::Operand(tape.max_pool(x, *window)?)
            }
            Node::AveragePool(window) => {
                let x = now.carrier(tape)?;
                Now::Carrier(tape.average_pool(x, *window)?)
            }
            Node::MeanPool => {
                let x = now.carrier(tape)?;
                Now::Carrier(tape.mean_pool(x)?)
            }
            Node::Flatten => {
                let x = now.operand(tape)?;
                Now::Operand(tape.flatten(x)?)
            }
            Node::Embed { tables: [tok, pos] } => {
                let Now::Ids { ids, places } = now else {
                    return Err(LayersError::Internal("ids of tokens"));
                };
                Now::Carrier(tape.embed([(self.id(tok)?, ids), (self.id(pos)?, places)])?)
            }
            Node::Attention(attention) => self.attention(tape, attention, now, output)?,
            Node::Residual(nodes) => {
                let x = now.carrier(tape)?;
                let stream = x.fraction == RESIDUAL;
                let last = if stream { Output::Residual } else { Output::Activations };
                // Without a norm the layers read an operand that is there already.
                let start = match now {
                    Now::Operand(_) => now,
                    _ => Now::Carrier(x),
                };
                let y = self.chain(tape, nodes, start, last, training)?.carrier(tape)?;
                Now::Carrier(tape.residual(x, y)?)
            }
            Node::Norm { centre, affine: None } => {
                let x = now.carrier(tape)?;
                Now::Operand(tape.normalise(x, *centre)?)
            }
            Node::Norm { centre, affine: Some([gamma, beta]) } => {
                let x = now.carrier(tape)?;
                let affine = [self.id(gamma)?, self.id(beta)?];
                Now::Carrier(tape.normalise_affine(x, *centre, affine)?)
            }
            Node::Dropout { part } if training => {
                let x = now.carrier(tape)?;
                Now::Carrier(tape.dropout(x, *part)?)
            }
            Node::Dropout { .. } => now,
        })
    }

    fn attention(
        &self,
        tape: &mut Tape,
        node: &AttentionNode,
        now: Now,
        output: Output,
    ) -> Result<Now, LayersError> {
        let AttentionNode { heads, causal, projections, out } = node;
        let x = now.operand(tape)?;
        let pairs: Vec<_> = projections
            .iter()
            .map(|(weight, bias)| self.pair(weight, bias))
            .collect::<Result<_, _>>()?;
        let three = LayersError::Internal("queries, keys and values");
        let mixed = if tape.is_fused() {
            let mut projected = tape.linear_operands(x, &pairs)?;
            if let [joined] = projected[..] {
                projected = tape.split_operand(joined, 3)?;
            }
            let [q, k, v] = projected[..] else { return Err(three) };
            tape.attention_operands([q, k, v], *heads, *causal)?
        } else {
            let mut projected = tape.linear(x, &pairs)?;
            if let [joined] = projected[..] {
                projected = tape.split(joined, 3)?;
            }
            let [q, k, v] = projected[..] else { return Err(three) };
            tape.attention([q, k, v], *heads, *causal)?
        };
        let mixed = tape.operand(mixed)?;
        product(tape, mixed, self.pair(&out.0, &out.1)?, output)
    }
}

/// A product with a parameter, as what comes next takes it.
fn product(
    tape: &mut Tape,
    x: Operand,
    (weight, bias): (ParameterId, Option<ParameterId>),
    output: Output,
) -> Result<Now, LayersError> {
    Ok(match output {
        Output::Activations => Now::Carrier(one(tape.linear(x, &[(weight, bias)])?)?),
        Output::Residual => Now::Carrier(tape.linear_residual(x, weight, bias)?),
        Output::Operand => Now::Operand(one(tape.linear_operands(x, &[(weight, bias)])?)?),
    })
}

fn one<T: Copy>(all: Vec<T>) -> Result<T, LayersError> {
    all.first().copied().ok_or(LayersError::Internal("a product"))
}

/// Whether the layers read an operand, of which none reads the carrier.
fn takes_operand(nodes: &[Node]) -> bool {
    match nodes {
        [Node::Relu, rest @ ..] => takes_operand(rest),
        [Node::Linear { .. } | Node::Conv { .. } | Node::MaxPool(_) | Node::Flatten, ..] => true,
        [Node::Attention(_), ..] => true,
        _ => false,
    }
}
