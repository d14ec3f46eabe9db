//! Operators of quantised files. Their integers stand for real numbers, which
//! the graph computes with: a value that a file quantises is that value, and
//! constants are dequantised. The library quantises the whole network itself.

use super::{Read, one};
use crate::graph::Expression;
use crate::graph::expression::Operation;
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use crate::onnx::tensor::{Host, Number};
use rten_onnx::onnx::DataType;

impl Read<'_, '_> {
    pub(super) fn quantised(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        match operator {
            "QuantizeLinear" => {
                node.only(&["axis", "saturate", "output_dtype", "block_size", "precision"])?;
                let x = self.first()?;
                node.fixed("block_size", 0)?;
                if let Operand::Known(host) = &x {
                    let scale = self.builder.host(node, 1)?;
                    let zero = self.builder.optional_host(node, 2)?;
                    return one(self.quantise(host, &scale, zero.as_deref())?);
                }
                one(self.saturated(&x, 1, 2)?)
            }
            "DequantizeLinear" => {
                node.only(&["axis", "block_size", "output_dtype"])?;
                one(self.real(0, 1, 2)?)
            }
            // The value stands for itself, with a scale of 1 and a zero of 0.
            "DynamicQuantizeLinear" => {
                node.only(&[])?;
                let x = self.first()?;
                let one = Host::scalar(Number::Real, 1.0).into();
                let zero = Host::scalar(Number::WHOLE, 0.0).into();
                Ok(Some(vec![x, one, zero]))
            }
            "MatMulInteger" => {
                node.only(&[])?;
                let (a, b) = (self.centred(0, 2)?, self.centred(1, 3)?);
                one(self.product(&a, &b)?)
            }
            "ConvInteger" => {
                let x = self.centred(0, 2)?;
                let Operand::Known(weights) = self.centred(1, 3)? else {
                    return Err(node.unsupported("its weights are no constant"));
                };
                one(self.convolution(&x, &weights, None, false)?)
            }
            "QLinearMatMul" => {
                node.only(&[])?;
                let (a, b) = (self.real(0, 1, 2)?, self.real(3, 4, 5)?);
                let product = self.product(&a, &b)?;
                one(self.saturated(&product, 6, 7)?)
            }
            "QLinearConv" => {
                let x = self.real(0, 1, 2)?;
                let Operand::Known(weights) = self.real_along(3, 4, 5, Some(0))? else {
                    return Err(node.unsupported("its weights are no constant"));
                };
                let bias = match self.builder.optional_host(node, 8)? {
                    None => None,
                    Some(bias) => {
                        // Its scale is that of x times that of each weight.
                        let (x, w) = (self.builder.host(node, 1)?, self.builder.host(node, 4)?);
                        let x = x.only().unwrap_or(1.0);
                        let each = w.entries.iter().cycle();
                        let entries = bias.entries.iter().zip(each).map(|(b, w)| b * x * w);
                        let entries = entries.collect();
                        Some(std::rc::Rc::new(Host { entries, ..(*bias).clone() }))
                    }
                };
                let made = self.convolution(&x, &weights, bias, false)?;
                one(self.saturated(&made, 6, 7)?)
            }
            "com.microsoft.QGemm" => self.q_gemm(),
            "com.microsoft.QLinearAdd" | "com.microsoft.QLinearMul" => {
                node.only(&[])?;
                let (a, b) = (self.real(0, 1, 2)?, self.real(3, 4, 5)?);
                let add = operator.ends_with("Add");
                let operation = if add { Operation::Add } else { Operation::Mul };
                let made = self.builder.pair(node, operation, &a, &b)?;
                one(self.saturated(&made, 6, 7)?)
            }
            "com.microsoft.QLinearSigmoid" => {
                node.only(&[])?;
                let x = self.real(0, 1, 2)?;
                one(self.builder.call(node, &x, crate::graph::expression::Function::Sigmoid)?)
            }
            "com.microsoft.QLinearLeakyRelu" => {
                node.only(&["alpha"])?;
                let x = self.real(0, 1, 2)?;
                let alpha = node.float("alpha", 0.01)?.into();
                let low = Expression::X.by(Operation::Min, 0.0).by(Operation::Mul, alpha);
                let function = Expression::relu().with(Operation::Add, low);
                one(self.builder.apply(node, &x, function)?)
            }
            "com.microsoft.QLinearConcat" => {
                node.only(&["axis"])?;
                let mut parts = vec![];
                let mut at = 2;
                while at < node.inputs() {
                    parts.push(self.real(at, at + 1, at + 2)?);
                    at += 3;
                }
                let rank = parts.iter().map(|part| self.builder.shape(part).rank()).max();
                let axis = self.axis(node.integer("axis", 0), rank.unwrap_or(0))?;
                one(self.builder.concat(node, &parts, axis)?)
            }
            "com.microsoft.QLinearAveragePool" => {
                let own = ["channels_last", "ceil_mode", "count_include_pad"];
                node.only(&[&super::conv::SLIDING[..], &own].concat())?;
                node.fixed("channels_last", 0)?;
                let x = self.real(0, 1, 2)?;
                one(self.slid(&x, true)?)
            }
            "com.microsoft.QLinearGlobalAveragePool" => {
                node.only(&["channels_last"])?;
                node.fixed("channels_last", 0)?;
                let x = self.real(0, 1, 2)?;
                let axes: Vec<usize> = (2..self.builder.shape(&x).rank()).collect();
                one(self.builder.reduce(node, &x, &axes, crate::graph::Reduction::Mean)?)
            }
            _ => Ok(None),
        }
    }

    fn q_gemm(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&["alpha", "transA", "transB"])?;
        let turned = |name| node.integer(name, 0) != 0;
        let mut a = self.real(0, 1, 2)?;
        let columns = if turned("transB") { 0 } else { 1 };
        let mut b = self.real_along(3, 4, 5, Some(columns))?;
        if turned("transA") {
            a = self.builder.transpose(node, &a, vec![1, 0])?;
        }
        if turned("transB") {
            b = self.builder.transpose(node, &b, vec![1, 0])?;
        }
        let product = self.product(&a, &b)?;
        let product = self.builder.times(node, &product, node.float("alpha", 1.0)?.into())?;
        let Some(bias) = self.builder.optional_host(node, 6)? else {
            return one(self.saturated(&product, 7, 8)?);
        };
        let (x, w) = (self.builder.host(node, 1)?, self.builder.host(node, 4)?);
        let x = x.only().unwrap_or(1.0);
        let each = w.entries.iter().cycle();
        let entries = bias.entries.iter().zip(each).map(|(b, w)| b * x * w).collect();
        let bias = Host { number: Number::Real, entries, ..(*bias).clone() }.into();
        let made = self.builder.pair(node, Operation::Add, &product, &bias)?;
        one(self.saturated(&made, 7, 8)?)
    }

    /// The real numbers that an input stands for.
    fn real(&mut self, input: usize, scale: usize, zero: usize) -> Result<Operand, OnnxError> {
        let axis = self.node.has("axis").then(|| self.node.integer("axis", 1));
        let axis = match axis {
            Some(axis) => {
                let of = self.builder.operand(self.node, input)?;
                Some(self.axis(axis, self.builder.shape(&of).rank().max(1))?)
            }
            None => Some(1),
        };
        self.real_along(input, scale, zero, axis)
    }

    /// As [`Read::real`], with the axis along which scales vary.
    pub(super) fn real_along(
        &mut self,
        input: usize,
        scale: usize,
        zero: usize,
        axis: Option<usize>,
    ) -> Result<Operand, OnnxError> {
        let node = self.node;
        let x = self.builder.operand(node, input)?;
        let Operand::Known(host) = &x else {
            return self.real_value(x, scale, zero, axis);
        };
        let scale = self.builder.host(node, scale)?;
        let zero = self.builder.optional_host(node, zero)?;
        self.builder.spend(host.entries.len())?;
        let block = usize::try_from(node.integer("block_size", 0)).unwrap_or(0);
        let along = Along::new(host, axis, &scale, block).ok_or_else(|| {
            node.unsupported("expected one scale, or one for each place or block of an axis")
        })?;
        let zero = |at: usize| {
            let zero = zero.as_ref().map(|zero| &zero.entries);
            zero.and_then(|zero| zero.get(if zero.len() > 1 { at } else { 0 })).copied()
        };
        let of = |(at, &entry): (usize, &f64)| {
            let place = along.place(at);
            (entry - zero(place).unwrap_or(0.0)) * scale.entries[place]
        };
        let entries = host.entries.iter().enumerate().map(of).collect();
        Ok(Host { number: Number::Real, entries, ..(**host).clone() }.into())
    }

    /// The real numbers that a value stands for: itself, unless it has the
    /// integers of an input.
    fn real_value(
        &mut self,
        x: Operand,
        scale: usize,
        zero: usize,
        axis: Option<usize>,
    ) -> Result<Operand, OnnxError> {
        let node = self.node;
        if !self.is_whole(&x) {
            return Ok(x);
        }
        node.fixed("block_size", 0)?;
        let rank = self.builder.shape(&x).rank();
        let along = |host: &Host| -> Operand {
            let mut host = host.clone();
            host.number = Number::Real;
            if host.entries.len() > 1 {
                let mut shape = vec![1; rank];
                if let Some(size) = axis.and_then(|axis| shape.get_mut(axis)) {
                    *size = host.entries.len();
                    host.shape = shape;
                }
            }
            host.into()
        };
        let mut made = x;
        if let Some(zero) = self.builder.optional_host(node, zero)? {
            made = self.builder.pair(node, Operation::Sub, &made, &along(&zero))?;
        }
        let scale = self.builder.host(node, scale)?;
        self.builder.pair(node, Operation::Mul, &made, &along(&scale))
    }

    /// A constant less its zero; a value stands for itself, unless it has the
    /// integers of an input.
    fn centred(&mut self, input: usize, zero: usize) -> Result<Operand, OnnxError> {
        let node = self.node;
        let x = self.builder.operand(node, input)?;
        let zero = self.builder.optional_host(node, zero)?;
        match (&x, zero) {
            (_, Some(zero)) if matches!(x, Operand::Known(_)) || self.is_whole(&x) => {
                let wide = Number::Signed(32);
                let zero = Host { number: wide, ..(*zero).clone() }.into();
                let x = match &x {
                    Operand::Known(host) => Host { number: wide, ..(**host).clone() }.into(),
                    _ => x.clone(),
                };
                self.builder.pair(node, Operation::Sub, &x, &zero)
            }
            _ => Ok(x),
        }
    }

    /// The type of a result without a zero: bytes from 0 on, unless an attribute
    /// names another.
    fn output_number(&self) -> Number {
        let kind = DataType(i32::try_from(self.node.integer("output_dtype", 0)).unwrap_or(0));
        Number::of(kind).unwrap_or(Number::Unsigned(8))
    }

    /// The ends at which integers of the type saturate.
    fn ends(&self, number: Number) -> Result<[f64; 2], OnnxError> {
        match number.range() {
            Some([low, high]) => Ok([low as f64, high as f64]),
            None => Err(self.node.unsupported("a zero of another type than integers")),
        }
    }

    /// A known tensor's integers.
    fn quantise(
        &mut self,
        host: &Host,
        scale: &Host,
        zero: Option<&Host>,
    ) -> Result<Operand, OnnxError> {
        let number = match zero {
            Some(zero) => zero.number,
            None => self.output_number(),
        };
        let (Some(scale), zero) = (scale.only(), zero.map_or(Some(0.0), Host::only)) else {
            return Err(self.node.unsupported("scales of single places"));
        };
        let zero = zero.unwrap_or(0.0);
        self.builder.spend(host.entries.len())?;
        let [low, high] = self.ends(number)?;
        let of = |&entry: &f64| ((entry / scale).round_ties_even() + zero).clamp(low, high);
        let entries = host.entries.iter().map(of).collect();
        Ok(Host { number, entries, ..host.clone() }.into())
    }

    /// A value that the file quantises with the scale and the zero of two
    /// inputs: it saturates at the ends of the integers' type. Quantisers leave
    /// out a Relu, a Clip or a Relu6 whose bounds are those ends.
    fn saturated(&mut self, x: &Operand, scale: usize, zero: usize) -> Result<Operand, OnnxError> {
        let node = self.node;
        let scale = self.builder.host(node, scale)?;
        let zero = self.builder.optional_host(node, zero)?;
        let number = match &zero {
            Some(zero) => zero.number,
            None => self.output_number(),
        };
        let [low, high] = self.ends(number)?;
        let zero = zero.map_or(Some(0.0), |zero| zero.only());
        let (Some(scale), Some(zero)) = (scale.only(), zero) else {
            return Err(node.unsupported("a value with a scale for each place of an axis"));
        };
        let bounds = [low, high].map(|bound| (bound - zero) * scale);
        let clipped = Expression::X.by(Operation::Max, bounds[0]).by(Operation::Min, bounds[1]);
        self.builder.apply(node, x, clipped)
    }
}

/// The scale of an entry: by its place along an axis, or by its block.
struct Along {
    size: usize,
    inner: usize,
    /// The places of a block, and the blocks of the axis.
    blocks: Option<[usize; 2]>,
}

impl Along {
    fn new(host: &Host, axis: Option<usize>, scale: &Host, block: usize) -> Option<Along> {
        let scales = scale.entries.len();
        if scales == 1 {
            return Some(Along { size: 1, inner: 1, blocks: None });
        }
        let axis = axis?;
        let size = *host.shape.get(axis)?;
        let inner = host.shape[axis + 1..].iter().product();
        if block == 0 {
            return (size == scales).then_some(Along { size, inner, blocks: None });
        }
        let count = size.div_ceil(block);
        let mut shape = host.shape.clone();
        shape[axis] = count;
        let blocks = Some([block, count]);
        (scale.shape == shape).then_some(Along { size, inner, blocks })
    }

    fn place(&self, at: usize) -> usize {
        let inner = self.inner.max(1);
        let place = at / inner % self.size.max(1);
        match self.blocks {
            None => place,
            Some([block, count]) => {
                let outer = at / inner / self.size.max(1);
                (outer * count + place / block) * inner + at % inner
            }
        }
    }
}
