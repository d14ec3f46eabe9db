//! Operators that move entries.

use super::{Read, one};
use crate::graph::ValueShape;
use crate::graph::moves::Index;
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use crate::onnx::tensor::{Host, Number};

impl Read<'_, '_> {
    pub(super) fn moves(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        match operator {
            "Reshape" => self.reshape(),
            "Flatten" => {
                self.node.only(&["axis"])?;
                let of = self.first()?;
                let shape = self.builder.shape(&of);
                let axis = self.axis(self.node.integer("axis", 1), shape.rank() + 1)?;
                let first: usize = shape.0[..axis].iter().product();
                let second: usize = shape.0[axis..].iter().product();
                one(self.builder.reshape(self.node, &of, vec![first, second])?)
            }
            "Squeeze" => self.squeeze(),
            "Unsqueeze" => self.unsqueeze(),
            "Transpose" => {
                self.node.only(&["perm"])?;
                let of = self.first()?;
                let rank = self.builder.shape(&of).rank();
                let permutation = match self.node.sizes("perm")? {
                    Some(permutation) => permutation,
                    None => (0..rank).rev().collect(),
                };
                if permutation.len() != rank || permutation.iter().any(|&axis| axis >= rank) {
                    return Err(self.node.attribute("perm"));
                }
                one(self.builder.transpose(self.node, &of, permutation)?)
            }
            "Concat" => {
                self.node.only(&["axis"])?;
                let mut parts = vec![];
                for index in 0..self.node.inputs() {
                    parts.push(self.builder.operand(self.node, index)?);
                }
                let rank = parts.iter().map(|part| self.builder.shape(part).rank()).max();
                let axis = self.axis(self.node.integer("axis", 0), rank.unwrap_or(0))?;
                one(self.builder.concat(self.node, &parts, axis)?)
            }
            "Slice" => self.slice(),
            "Split" => self.split().map(Some),
            "Gather" => self.gather(),
            "Expand" => {
                self.node.only(&[])?;
                let of = self.first()?;
                let to = self.sizes(1)?;
                let own = self.builder.shape(&of);
                let to = self.builder.broadcast(self.node, &[own, ValueShape(to)])?;
                one(self.builder.expand(self.node, &of, &to)?)
            }
            "Tile" => {
                self.node.only(&[])?;
                let mut of = self.first()?;
                let repeats = self.sizes(1)?;
                for (axis, repeats) in repeats.into_iter().enumerate() {
                    let size = self.builder.shape(&of).0.get(axis).copied().unwrap_or(1);
                    self.builder.bounded(self.node, size.saturating_mul(repeats))?;
                    let indices = (0..repeats).flat_map(|_| (0..size).map(Some)).collect();
                    of = self.builder.take(self.node, &of, axis, indices)?;
                }
                one(of)
            }
            "Pad" => self.pad(),
            "DepthToSpace" | "SpaceToDepth" => self.blocks(operator),
            "Compress" => {
                Err(self.node.unsupported("it moves entries by places that data decides"))
            }
            _ => Ok(None),
        }
    }

    fn reshape(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&["allowzero", "shape"])?;
        let of = self.first()?;
        let from = self.builder.shape(&of);
        let to = match node.integers("shape") {
            Some(shape) => shape.to_vec(),
            None => self.builder.host(node, 1)?.integers(),
        };
        let keeps = node.integer("allowzero", 0) == 0;
        let mut shape = vec![];
        let mut open = None;
        for (axis, &size) in to.iter().enumerate() {
            shape.push(match size {
                -1 if open.is_none() => {
                    open = Some(axis);
                    1
                }
                0 if keeps => *from.0.get(axis).ok_or_else(|| {
                    node.unsupported("a size of 0 keeps a dimension that the input lacks")
                })?,
                size => usize::try_from(size)
                    .map_err(|_| node.unsupported(format!("a size is {size}")))?,
            });
        }
        if let Some(axis) = open {
            let known = ValueShape(shape.clone()).entries().max(1);
            shape[axis] = from.entries() / known;
        }
        one(self.builder.reshape(node, &of, shape)?)
    }

    fn squeeze(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        self.node.only(&["axes"])?;
        let of = self.first()?;
        let from = self.builder.shape(&of);
        let removed = match self.axes(1)? {
            Some(axes) => {
                let axes: Result<Vec<usize>, _> =
                    axes.into_iter().map(|axis| self.axis(axis, from.rank())).collect();
                axes?
            }
            None => (0..from.rank()).filter(|&axis| from.0[axis] == 1).collect(),
        };
        if removed.iter().any(|&axis| from.0[axis] != 1) && !matches!(of, Operand::Class { .. }) {
            return Err(self.node.unsupported("it removes a dimension other than 1"));
        }
        let kept = from.0.iter().enumerate().filter(|(axis, _)| !removed.contains(axis));
        let shape = kept.map(|(_, &size)| size).collect();
        one(self.builder.reshape(self.node, &of, shape)?)
    }

    fn unsqueeze(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        self.node.only(&["axes"])?;
        let of = self.first()?;
        let from = self.builder.shape(&of);
        let axes = self.axes(1)?.unwrap_or_default();
        let rank = from.rank() + axes.len();
        let added: Result<Vec<usize>, _> =
            axes.into_iter().map(|axis| self.axis(axis, rank)).collect();
        let added = added?;
        let mut kept = from.0.iter();
        let mut shape = vec![];
        for axis in 0..rank {
            shape.push(match added.contains(&axis) {
                true => 1,
                false => *kept.next().ok_or_else(|| self.node.unsupported("an axis repeats"))?,
            });
        }
        one(self.builder.reshape(self.node, &of, shape)?)
    }

    /// Starts, ends and steps are attributes before version 10.
    fn slice(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&["starts", "ends", "axes"])?;
        let mut of = self.first()?;
        let (starts, ends, axes, steps) = match (node.integers("starts"), node.integers("ends")) {
            (Some(starts), Some(ends)) => {
                (starts.to_vec(), ends.to_vec(), node.integers("axes").map(<[i64]>::to_vec), None)
            }
            _ => {
                let mut list = |index| -> Result<Option<Vec<i64>>, OnnxError> {
                    Ok(self.builder.optional_host(node, index)?.map(|host| host.integers()))
                };
                let (starts, ends) = (list(1)?.unwrap_or_default(), list(2)?.unwrap_or_default());
                (starts, ends, list(3)?, list(4)?)
            }
        };
        let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            return Err(node.unsupported("its lists have different lengths"));
        }
        if matches!(of, Operand::Class { .. }) {
            return one(of);
        }
        for (at, &start) in starts.iter().enumerate() {
            let shape = self.builder.shape(&of);
            let axis = self.axis(axes[at], shape.rank())?;
            let size = shape.0[axis] as i64;
            let step = steps[at];
            if step == 0 {
                return Err(node.unsupported("a step is 0"));
            }
            let from_start = |end: i64| if end < 0 { end.saturating_add(size) } else { end };
            let (least, most) = if step > 0 { (0, size) } else { (-1, size - 1) };
            if size == 0 {
                continue;
            }
            self.builder.bounded(node, shape.0[axis])?;
            let first = from_start(start).clamp(least.max(0), most);
            let end = from_start(ends[at]).clamp(least, most);
            let mut indices = vec![];
            let mut index = first;
            while if step > 0 { index < end } else { index > end } {
                indices.push(Some(index as usize));
                index = index.saturating_add(step);
            }
            of = self.builder.take(node, &of, axis, indices)?;
        }
        one(of)
    }

    fn split(&mut self) -> Result<Vec<Operand>, OnnxError> {
        let node = self.node;
        node.only(&["axis", "split", "num_outputs"])?;
        let of = self.first()?;
        let shape = self.builder.shape(&of);
        let axis = self.axis(node.integer("axis", 0), shape.rank())?;
        let (size, outputs) = (shape.0[axis], node.outputs().len().max(1));
        if node.integer("num_outputs", outputs as i64) != outputs as i64 {
            return Err(node.unsupported(format!("it names {outputs} outputs, and another number")));
        }
        let sizes = if let Some(sizes) = node.sizes("split")? {
            sizes
        } else if node.optional(1).is_some() {
            self.sizes(1)?
        } else {
            let each = size.div_ceil(outputs);
            (0..outputs).map(|part| each.min(size.saturating_sub(part * each))).collect()
        };
        let sum = sizes.iter().try_fold(0usize, |sum, &part| sum.checked_add(part));
        if sum != Some(size) || sizes.len() != outputs {
            return Err(node.unsupported("its parts do not add up to the axis"));
        }
        let mut parts = vec![];
        let mut first = 0;
        for part in sizes {
            parts.push(self.builder.range(node, &of, axis, first..first + part)?);
            first += part;
        }
        Ok(parts)
    }

    fn gather(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&["axis"])?;
        let (of, places) = (self.first()?, self.builder.operand(node, 1)?);
        let shape = self.builder.shape(&of);
        let axis = self.axis(node.integer("axis", 0), shape.rank())?;
        let places = match (&of, places) {
            // A list of labels, of which the class chooses one.
            (Operand::Known(_), class @ Operand::Class { .. }) => return one(class),
            (Operand::Class { .. }, _) => return one(of),
            (_, Operand::Known(places)) => places,
            (Operand::Known(table), ids @ Operand::Value(_)) if axis == 0 => {
                let table = table.clone();
                return one(self.lookup(&table, ids)?);
            }
            _ => return Err(node.unsupported(COMPUTED)),
        };
        let size = shape.0[axis] as i64;
        let index = |place: i64| {
            let place = if place < 0 { place + size } else { place };
            (0..size).contains(&place).then_some(place as usize)
        };
        let indices: Option<Vec<Index>> =
            places.integers().into_iter().map(|place| index(place).map(Some)).collect();
        let indices = indices.ok_or_else(|| node.unsupported("an index is out of range"))?;
        let taken = self.builder.take(node, &of, axis, indices)?;
        let mut to = shape.0[..axis].to_vec();
        to.extend(&places.shape);
        to.extend(&shape.0[axis + 1..]);
        one(self.builder.reshape(node, &taken, to)?)
    }

    /// Rows of a table for ids that are known, or that an input holds.
    pub(super) fn rows_of(&mut self, table: &Host, ids: Operand) -> Result<Operand, OnnxError> {
        let node = self.node;
        let Operand::Known(host) = &ids else { return self.lookup(table, ids) };
        let Some((&rows, columns)) = table.shape.split_first() else {
            return Err(node.unsupported("its table is no matrix"));
        };
        let row = |&id: &i64| usize::try_from(id).ok().filter(|&id| id < rows).map(Some);
        let indices: Option<Vec<Index>> = host.integers().iter().map(row).collect();
        let indices = indices.ok_or_else(|| node.unsupported("an index is out of range"))?;
        let taken = self.builder.take(node, &table.clone().into(), 0, indices)?;
        self.builder.reshape(node, &taken, [&host.shape[..], columns].concat())
    }

    /// Rows of a table for ids that an input holds.
    fn lookup(&mut self, table: &Host, ids: Operand) -> Result<Operand, OnnxError> {
        let node = self.node;
        let Operand::Value(value) = ids else { return Err(node.unsupported("")) };
        let Some((rows, columns)) = table.shape.split_first() else {
            return Err(node.unsupported("its table is no matrix"));
        };
        // Ids pass through moves only.
        let mut source = value;
        while let Some(layer) = self.builder.graph.layer(source) {
            match layer.inputs.first() {
                Some(&input) if layer.kind.is_move() => source = input,
                _ => return Err(node.unsupported(COMPUTED)),
            }
        }
        let ids = self.builder.shape(&Operand::Value(value));
        let width: usize = columns.iter().product();
        if let Some(input) = self.builder.graph.inputs.get_mut(source) {
            input.ids = Some(input.ids.map_or(*rows, |ids| ids.max(*rows)));
        }
        let entries = table.floats();
        crate::onnx::tensor::finite(&node.name, &entries)?;
        self.builder.spend(entries.len())?;
        let table = ndarray::Array2::from_shape_vec((*rows, width), entries)
            .map_err(|_| node.unsupported("its table is no matrix"))?;
        let kind = crate::graph::Kind::Lookup { table };
        let found = self.builder.layer(node, kind, &[Operand::Value(value)])?;
        let mut to = ids.0;
        to.extend(columns);
        self.builder.reshape(node, &found, to)
    }

    /// Pads and the constant are attributes before version 11.
    fn pad(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&["mode", "pads", "value"])?;
        let of = self.first()?;
        let shape = self.builder.shape(&of);
        let pads = match node.integers("pads") {
            Some(pads) => pads.to_vec(),
            None => self.builder.host(node, 1)?.integers(),
        };
        let fill = match self.builder.optional_host(node, 2)? {
            Some(host) => host.only().unwrap_or(0.0),
            None => node.float("value", 0.0)?.into(),
        };
        let axes = match self.builder.optional_host(node, 3)? {
            Some(host) => host.integers(),
            None => (0..shape.rank() as i64).collect(),
        };
        if pads.len() != 2 * axes.len() {
            return Err(node.unsupported("expected two pads for each axis"));
        }
        let mode = node.string("mode").unwrap_or("constant");
        let mut padded = of;
        let mut inside = Host::scalar(Number::Real, 1.0);
        inside.shape = vec![1; shape.rank()];
        let mut inside: Operand = inside.into();
        for (at, &axis) in axes.iter().enumerate() {
            let axis = self.axis(axis, shape.rank())?;
            let size = shape.0[axis] as i64;
            let (before, after) = (pads[at], pads[at + axes.len()]);
            let within = size > 0 && before.unsigned_abs() < 1 << 31;
            let end = size.checked_add(after).filter(|&end| within && end > -before);
            let Some(end) = end else {
                return Err(node.unsupported("a pad leaves nothing"));
            };
            self.builder.bounded(node, end.saturating_add(before) as usize)?;
            let index = |place: i64| match (0..size).contains(&place) {
                true => Some(place as usize),
                false => match mode {
                    "edge" => Some(place.clamp(0, size - 1) as usize),
                    "wrap" => Some(place.rem_euclid(size) as usize),
                    "reflect" => {
                        let period = (2 * (size - 1)).max(1);
                        let place = place.rem_euclid(period);
                        Some(place.min(period - place).min(size - 1) as usize)
                    }
                    _ => None,
                },
            };
            let indices: Vec<Index> = (-before..end).map(index).collect();
            let outside = indices.iter().any(Option::is_none);
            padded = self.builder.take(node, &padded, axis, indices.clone())?;
            if outside && fill != 0.0 {
                let whole: Vec<Index> = indices.iter().map(|index| index.map(|_| 0)).collect();
                inside = self.builder.take(node, &inside, axis, whole)?;
            }
        }
        if !["constant", "edge", "wrap", "reflect"].contains(&mode) {
            return Err(node.attribute("mode"));
        }
        match inside {
            Operand::Known(inside) if inside.entries.contains(&0.0) => {
                let entries = inside.entries.iter().map(|inside| (1.0 - inside) * fill).collect();
                let filling = Host { entries, ..(*inside).clone() }.into();
                one(self.builder.pair(
                    node,
                    crate::graph::expression::Operation::Add,
                    &padded,
                    &filling,
                )?)
            }
            _ => one(padded),
        }
    }

    fn blocks(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&["blocksize", "mode"])?;
        let of = self.first()?;
        let side = usize::try_from(node.integer("blocksize", 0)).unwrap_or(0);
        let Some([c, h, w]) = self.builder.shape(&of).image() else {
            return Err(node.unsupported("expected an image 1×channels×height×width"));
        };
        let area = side.saturating_mul(side);
        if side == 0 {
            return Err(node.attribute("blocksize"));
        }
        let (split, permutation, to) = if operator == "DepthToSpace" {
            if c % area != 0 {
                return Err(node.attribute("blocksize"));
            }
            let own = c / area;
            let to = vec![1, own, h.saturating_mul(side), w.saturating_mul(side)];
            match node.string("mode").unwrap_or("DCR") {
                "DCR" => (vec![side, side, own, h, w], vec![2, 3, 0, 4, 1], to),
                "CRD" => (vec![own, side, side, h, w], vec![0, 3, 1, 4, 2], to),
                _ => return Err(node.attribute("mode")),
            }
        } else {
            if h % side != 0 || w % side != 0 {
                return Err(node.attribute("blocksize"));
            }
            let (down, across) = (h / side, w / side);
            let to = vec![1, c.saturating_mul(area), down, across];
            (vec![c, down, side, across, side], vec![2, 4, 0, 1, 3], to)
        };
        let moved = self.builder.reshape(node, &of, split)?;
        let moved = self.builder.transpose(node, &moved, permutation)?;
        one(self.builder.reshape(node, &moved, to)?)
    }
}

/// Why look-ups by computed indices are refused.
const COMPUTED: &str =
    "its indices are computed of the input; export with indices that are an input or constants";
