//! Shapes and constants: what is known without any input.

use super::{Read, one};
use crate::graph::ValueShape;
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use crate::onnx::tensor::{Host, Number};

impl Read<'_, '_> {
    pub(super) fn shapes(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        match operator {
            "Constant" => one(self.constant()?),
            "ConstantOfShape" => {
                node.only(&["value"])?;
                let shape = self.sizes(0)?;
                let value = match node.tensor("value") {
                    Some(tensor) => self.builder.stored(&node.name, tensor)?,
                    None => Host::scalar(Number::Real, 0.0).into(),
                };
                let Operand::Known(value) = value else { return Err(node.attribute("value")) };
                let Some(&entry) = value.entries.first() else {
                    return Err(node.attribute("value"));
                };
                let count = ValueShape(shape.clone()).entries();
                self.builder.spend(count)?;
                one(Host { shape, number: value.number, entries: vec![entry; count] }.into())
            }
            "Shape" => {
                node.only(&["start", "end"])?;
                let of = self.first()?;
                let sizes = self.builder.shape(&of).0;
                let rank = sizes.len() as i64;
                let place = |at: i64| (if at < 0 { at + rank } else { at }).clamp(0, rank) as usize;
                let (start, end) = (node.integer("start", 0), node.integer("end", rank));
                let (start, end) = (place(start), place(end));
                let sizes = sizes.get(start..end.max(start)).unwrap_or_default();
                one(Host::list(sizes.iter().map(|&size| size as f64).collect()).into())
            }
            "Size" => {
                node.only(&[])?;
                let of = self.first()?;
                let entries = self.builder.shape(&of).entries();
                one(Host::scalar(Number::WHOLE, entries as f64).into())
            }
            "Range" => {
                node.only(&[])?;
                let mut ends = [0.0; 3];
                let mut number = Number::WHOLE;
                for (index, end) in ends.iter_mut().enumerate() {
                    let host = self.builder.host(node, index)?;
                    number = host.number;
                    *end = host.only().ok_or_else(|| node.unsupported("an end is no number"))?;
                }
                let [start, end, step] = ends;
                if step == 0.0 {
                    return Err(node.unsupported("its step is 0"));
                }
                let count = ((end - start) / step).ceil();
                if !count.is_finite() || count > crate::graph::MAX_ENTRIES as f64 {
                    return Err(node.unsupported("its step is 0, or it has more than 2^28 numbers"));
                }
                let count = count.max(0.0) as usize;
                self.builder.spend(count)?;
                let entries: Vec<f64> = (0..count).map(|at| start + at as f64 * step).collect();
                one(Host { shape: vec![count], number, entries }.into())
            }
            "Trilu" => {
                node.only(&["upper"])?;
                let of = self.first()?;
                let offset = match self.builder.optional_host(node, 1)? {
                    Some(host) => host.only().unwrap_or(0.0) as i64,
                    None => 0,
                };
                let shape = self.builder.shape(&of);
                if shape.rank() < 2 {
                    return Err(node.unsupported("expected a matrix"));
                }
                let (rows, columns) = (shape.0[shape.rank() - 2], shape.last());
                self.builder.spend(rows.saturating_mul(columns))?;
                let upper = node.integer("upper", 1) != 0;
                let places =
                    (0..rows as i64).flat_map(|y| (0..columns as i64).map(move |x| (y, x)));
                let kept = places.map(|(y, x)| {
                    let diagonal = y.saturating_add(offset);
                    let kept = if upper { x >= diagonal } else { x <= diagonal };
                    f64::from(u8::from(kept))
                });
                let entries = kept.collect();
                let mask = Host { shape: vec![rows, columns], number: Number::Real, entries };
                match &of {
                    Operand::Known(host) => {
                        // −∞ times 0 is no number, so entries are chosen.
                        let masks = mask.entries.iter().cycle();
                        let pairs = host.entries.iter().zip(masks);
                        let entries = pairs.map(|(&x, &kept)| if kept == 0.0 { 0.0 } else { x });
                        let entries = entries.collect();
                        self.builder.spend(host.entries.len())?;
                        one(Host { entries, ..(**host).clone() }.into())
                    }
                    value => {
                        let value = value.clone();
                        one(self.builder.scale(node, &value, &mask)?)
                    }
                }
            }
            _ => Ok(None),
        }
    }

    fn constant(&mut self) -> Result<Operand, OnnxError> {
        let node = self.node;
        node.only(&[
            "value",
            "value_ints",
            "value_int",
            "value_floats",
            "value_float",
            "value_strings",
            "value_string",
        ])?;
        if let Some(tensor) = node.tensor("value") {
            return self.builder.stored(&node.name, tensor);
        }
        let (entries, number, list): (Vec<f64>, _, _) =
            if let Some(list) = node.integers("value_ints").filter(|_| node.has("value_ints")) {
                (list.iter().map(|&entry| entry as f64).collect(), Number::WHOLE, true)
            } else if let Some(list) = node.floats("value_floats") {
                (list.iter().map(|&entry| entry.into()).collect(), Number::Real, true)
            } else if node.has("value_int") {
                (vec![node.integer("value_int", 0) as f64], Number::WHOLE, false)
            } else if node.has("value_float") {
                (vec![node.float("value_float", 0.0)?.into()], Number::Real, false)
            } else {
                return Err(node.attribute("value"));
            };
        let shape = if list { vec![entries.len()] } else { vec![] };
        self.builder.known(Host { shape, number, entries })
    }

    /// A list of sizes that an input holds.
    pub(super) fn sizes(&mut self, input: usize) -> Result<Vec<usize>, OnnxError> {
        let node = self.node;
        let host = self.builder.host(node, input)?;
        let size = |size: i64| usize::try_from(size).ok();
        let sizes: Option<Vec<usize>> = host.integers().into_iter().map(size).collect();
        sizes.ok_or_else(|| node.unsupported("a size is negative"))
    }
}
