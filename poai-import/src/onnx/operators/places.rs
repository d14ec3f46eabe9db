//! Entries by places that are known: gathered, scattered, counted and marked.

use super::{Read, one};
use crate::graph::ValueShape;
use crate::graph::moves::Index;
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use crate::onnx::tensor::{Host, Number};
use ndarray::Array2;

impl Read<'_, '_> {
    pub(super) fn places(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        match operator {
            "GatherElements" => self.gather_elements(),
            "GatherND" => self.gather_nd(),
            "ScatterND" => self.scatter_nd(),
            "ScatterElements" | "Scatter" => self.scatter_elements(),
            "ReverseSequence" => self.reversed(),
            "CumSum" => self.sums(),
            "OneHot" => self.one_hot(),
            "EyeLike" => self.eye(),
            "NonZero" => self.non_zero(),
            _ => Ok(None),
        }
    }

    /// The places that a node reads or writes, which must be known.
    fn known_places(&mut self, input: usize) -> Result<std::rc::Rc<Host>, OnnxError> {
        match self.builder.operand(self.node, input)? {
            Operand::Known(host) => Ok(host),
            _ => Err(self.node.unsupported(DATA)),
        }
    }

    /// Entries by their places among all entries.
    fn gathered(
        &mut self,
        of: &Operand,
        places: Vec<Index>,
        shape: Vec<usize>,
    ) -> Result<Operand, OnnxError> {
        let entries = self.builder.shape(of).entries();
        let flat = self.builder.reshape(self.node, of, vec![entries])?;
        let taken = self.builder.take(self.node, &flat, 0, places)?;
        self.builder.reshape(self.node, &taken, shape)
    }

    fn gather_elements(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&["axis"])?;
        let (of, host) = (self.first()?, self.known_places(1)?);
        let shape = self.builder.shape(&of);
        let axis = self.axis(node.integer("axis", 0), shape.rank())?;
        let places = self.along(&host, &shape, axis)?;
        one(self.gathered(&of, places.into_iter().map(Some).collect(), host.shape.clone())?)
    }

    /// For each entry of a list of places along an axis, its place among all
    /// entries.
    fn along(
        &mut self,
        host: &Host,
        shape: &ValueShape,
        axis: usize,
    ) -> Result<Vec<usize>, OnnxError> {
        let node = self.node;
        let fits = host.shape.len() == shape.rank()
            && (0..shape.rank()).all(|at| at == axis || host.shape[at] <= shape.0[at]);
        if !fits {
            return Err(node.unsupported("its places do not fit the value"));
        }
        self.builder.bounded(node, host.entries.len())?;
        self.builder.spend(host.entries.len())?;
        let mut at = vec![0; shape.rank()];
        let mut places = Vec::with_capacity(host.entries.len());
        for place in host.integers() {
            let own = wrapped(place, shape.0[axis]).ok_or_else(|| node.unsupported(RANGE))?;
            let pairs = shape.0.iter().zip(&at).enumerate();
            places.push(pairs.fold(0, |to, (each, (&size, &at))| {
                to * size + if each == axis { own } else { at }
            }));
            advance(&mut at, &host.shape);
        }
        Ok(places)
    }

    /// The first places of slices, and the entries of a slice.
    fn slices(
        &mut self,
        host: &Host,
        shape: &[usize],
    ) -> Result<(Vec<usize>, usize, usize), OnnxError> {
        let node = self.node;
        let depth = host.shape.last().copied().unwrap_or(0);
        if depth > shape.len() || host.shape.is_empty() {
            return Err(node.unsupported("its places have more axes than the value"));
        }
        let inner: usize = shape[depth..].iter().product();
        let places = host.integers();
        let mut first = vec![];
        for place in places.chunks(depth.max(1)) {
            let mut at = 0;
            for (&place, &size) in place.iter().zip(shape) {
                at = at * size + wrapped(place, size).ok_or_else(|| node.unsupported(RANGE))?;
            }
            first.push(at * inner);
        }
        Ok((first, inner, depth))
    }

    fn gather_nd(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&["batch_dims"])?;
        let (of, host) = (self.first()?, self.known_places(1)?);
        let shape = self.builder.shape(&of).0;
        let batch = usize::try_from(node.integer("batch_dims", 0)).unwrap_or(usize::MAX);
        if batch >= host.shape.len() || shape.get(..batch) != host.shape.get(..batch) {
            return Err(node.attribute("batch_dims"));
        }
        let batches: usize = shape[..batch].iter().product();
        let (first, inner, depth) = self.slices(&host, &shape[batch..])?;
        let count = first.len().saturating_mul(inner);
        self.builder.bounded(node, count)?;
        self.builder.spend(count)?;
        let size: usize = shape[batch..].iter().product();
        let each = first.len() / batches.max(1);
        let own = |(at, first): (usize, usize)| {
            let start = at / each.max(1) * size + first;
            (start..start + inner).map(Some)
        };
        let places: Vec<Index> = first.into_iter().enumerate().flat_map(own).collect();
        let mut to = host.shape[..host.shape.len() - 1].to_vec();
        to.extend(&shape[batch + depth..]);
        one(self.gathered(&of, places, to)?)
    }

    /// A value with entries of another in some places.
    fn scattered(
        &mut self,
        of: &Operand,
        updates: &Operand,
        places: &[usize],
    ) -> Result<Operand, OnnxError> {
        let node = self.node;
        if !matches!(node.string("reduction"), None | Some("none")) {
            return Err(node.attribute("reduction"));
        }
        let (shape, own) = (self.builder.shape(of), self.builder.shape(updates).entries());
        if own != places.len() {
            return Err(node.unsupported("its entries do not fit its places"));
        }
        let entries = shape.entries();
        self.builder.bounded(node, entries.saturating_add(own))?;
        self.builder.spend(entries)?;
        let mut order: Vec<Index> = (0..entries).map(Some).collect();
        places.iter().enumerate().for_each(|(at, &place)| order[place] = Some(entries + at));
        let flat = self.builder.reshape(node, of, vec![entries])?;
        let updates = self.builder.reshape(node, updates, vec![own])?;
        let all = self.builder.concat(node, &[flat, updates], 0)?;
        let taken = self.builder.take(node, &all, 0, order)?;
        self.builder.reshape(node, &taken, shape.0)
    }

    fn scatter_nd(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&["reduction"])?;
        let (of, host) = (self.first()?, self.known_places(1)?);
        let updates = self.builder.operand(node, 2)?;
        let shape = self.builder.shape(&of).0;
        let (first, inner, _) = self.slices(&host, &shape)?;
        let count = first.len().saturating_mul(inner);
        self.builder.bounded(node, count)?;
        self.builder.spend(count)?;
        let places: Vec<usize> = first.into_iter().flat_map(|at| at..at + inner).collect();
        one(self.scattered(&of, &updates, &places)?)
    }

    fn scatter_elements(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&["axis", "reduction"])?;
        let (of, host) = (self.first()?, self.known_places(1)?);
        let updates = self.builder.operand(node, 2)?;
        let shape = self.builder.shape(&of);
        let axis = self.axis(node.integer("axis", 0), shape.rank())?;
        let places = self.along(&host, &shape, axis)?;
        one(self.scattered(&of, &updates, &places)?)
    }

    /// The first entries of each sample in reverse order, as many as a list says.
    fn reversed(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&["batch_axis", "time_axis"])?;
        let (of, lengths) = (self.first()?, self.known_places(1)?);
        let shape = self.builder.shape(&of);
        let batch = self.axis(node.integer("batch_axis", 1), shape.rank())?;
        let time = self.axis(node.integer("time_axis", 0), shape.rank())?;
        let lengths = lengths.integers();
        let fits = lengths.len() == shape.0[batch]
            && lengths.iter().all(|&length| (0..=shape.0[time] as i64).contains(&length));
        if batch == time || !fits {
            return Err(node.unsupported("its lengths do not fit the value"));
        }
        // In the common case all of an axis turns.
        if lengths.iter().all(|&length| length == shape.0[time] as i64) {
            self.builder.bounded(node, shape.0[time])?;
            let turned = (0..shape.0[time]).rev().map(Some).collect();
            return one(self.builder.take(node, &of, time, turned)?);
        }
        let entries = shape.entries();
        self.builder.bounded(node, entries)?;
        self.builder.spend(entries)?;
        let (mut at, mut places) = (vec![0; shape.rank()], Vec::with_capacity(entries));
        for _ in 0..entries {
            let length = lengths[at[batch]] as usize;
            let own = if at[time] < length { length - 1 - at[time] } else { at[time] };
            let pairs = shape.0.iter().zip(&at).enumerate();
            places.push(Some(pairs.fold(0, |to, (axis, (&size, &at))| {
                to * size + if axis == time { own } else { at }
            })));
            advance(&mut at, &shape.0);
        }
        one(self.gathered(&of, places, shape.0)?)
    }

    /// Sums of all entries up to each, as the product with a triangle of ones.
    fn sums(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&["exclusive", "reverse"])?;
        let x = self.first()?;
        let shape = self.builder.shape(&x);
        let axis = self.builder.host(node, 1)?.only().unwrap_or(0.0) as i64;
        let axis = self.axis(axis, shape.rank())?;
        let size = shape.0[axis];
        let (exclusive, reverse) =
            (node.integer("exclusive", 0) != 0, node.integer("reverse", 0) != 0);
        if let Operand::Known(host) = &x {
            self.builder.spend(host.entries.len())?;
            let inner: usize = shape.0[axis + 1..].iter().product();
            let mut entries = host.entries.clone();
            for first in 0..entries.len() / size.max(1) {
                let first = first / inner.max(1) * size * inner + first % inner.max(1);
                let mut sum = 0.0;
                for at in 0..size {
                    let at = first + if reverse { size - 1 - at } else { at } * inner;
                    let own = entries[at];
                    entries[at] = if exclusive { sum } else { sum + own };
                    sum += own;
                }
            }
            return one(Host { entries, ..(**host).clone() }.into());
        }
        let number = self.builder.number(&x);
        if self.is_whole(&x) {
            self.keeps_type(crate::graph::expression::Operation::Add, number)?;
        }
        self.builder.spend(size.saturating_mul(size))?;
        let counts = |(to, from): (usize, usize)| {
            let (to, from) = if reverse { (from, to) } else { (to, from) };
            f32::from(u8::from(from < to || from == to && !exclusive))
        };
        let weights = Array2::from_shape_fn((size, size), counts);
        let mut permutation: Vec<usize> = (0..shape.rank()).collect();
        permutation.swap(axis, shape.rank() - 1);
        let turned = self.builder.transpose(node, &x, permutation.clone())?;
        let made = self.builder.linear(node, &turned, weights, vec![0.0; size])?;
        let made = self.builder.transpose(node, &made, permutation)?;
        if self.is_whole(&x) {
            self.builder.keep_number(&made, number);
        }
        one(made)
    }

    /// Rows that mark a place, of known places or of ids.
    fn one_hot(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&["axis"])?;
        let ids = self.first()?;
        let depth = self.builder.host(node, 1)?.only().unwrap_or(0.0);
        if !(1.0..=crate::graph::MAX_ENTRIES as f64).contains(&depth) {
            return Err(node.unsupported(format!("a depth of {depth}")));
        }
        let depth = depth as usize;
        let values = self.builder.host(node, 2)?;
        let &[off, on] = values.entries.as_slice() else {
            return Err(node.unsupported("expected two values, for other places and for the one"));
        };
        let rank = self.builder.shape(&ids).rank();
        let axis = self.axis(node.integer("axis", -1), rank + 1)?;
        let made = if let Operand::Known(host) = &ids {
            self.builder.spend(host.entries.len().saturating_mul(depth))?;
            let places = host.integers();
            let row = |&place: &i64| {
                let own = wrapped(place, depth);
                (0..depth).map(move |at| if own == Some(at) { on } else { off })
            };
            let entries = places.iter().flat_map(row).collect();
            let shape = [host.shape.clone(), vec![depth]].concat();
            self.builder.fits(&node.name, &shape)?;
            Host { shape, number: values.number, entries }.into()
        } else {
            self.builder.spend(depth.saturating_mul(depth))?;
            let of = |at: usize| if at / depth == at % depth { on } else { off };
            let entries = (0..depth * depth).map(of).collect();
            let table = Host { shape: vec![depth, depth], number: values.number, entries };
            self.rows_of(&table, ids)?
        };
        let mut permutation: Vec<usize> = (0..rank).collect();
        permutation.insert(axis, rank);
        one(self.builder.transpose(node, &made, permutation)?)
    }

    /// A matrix with ones on a diagonal.
    fn eye(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&["dtype", "k"])?;
        let of = self.first()?;
        let shape = self.builder.shape(&of).0;
        let &[rows, columns] = shape.as_slice() else {
            return Err(node.unsupported("expected a matrix"));
        };
        let kind = i32::try_from(node.integer("dtype", 0)).unwrap_or(0);
        let number = match node.has("dtype") {
            true => Number::of(rten_onnx::onnx::DataType(kind)),
            false => Some(self.builder.number(&of)),
        };
        let number = number.ok_or_else(|| node.attribute("dtype"))?;
        let diagonal = node.integer("k", 0);
        self.builder.spend(rows.saturating_mul(columns))?;
        let is = |at: usize| {
            let (row, column) = ((at / columns) as i64, (at % columns) as i64);
            f64::from(u8::from(row.checked_add(diagonal) == Some(column)))
        };
        let entries = (0..rows * columns).map(is).collect();
        one(Host { shape, number, entries }.into())
    }

    /// The places of known entries other than 0.
    fn non_zero(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&[])?;
        let Operand::Known(host) = self.first()? else {
            return Err(node.unsupported("its shape or place would depend on data"));
        };
        let rank = host.shape.len().max(1);
        let shape = if host.shape.is_empty() { vec![1] } else { host.shape.clone() };
        self.builder.spend(host.entries.len().saturating_mul(rank))?;
        let mut columns: Vec<Vec<f64>> = vec![vec![]; rank];
        let mut at = vec![0; rank];
        for &entry in &host.entries {
            if entry != 0.0 {
                columns.iter_mut().zip(&at).for_each(|(column, &at)| column.push(at as f64));
            }
            advance(&mut at, &shape);
        }
        let shape = vec![rank, columns[0].len()];
        one(Host { shape, number: Number::WHOLE, entries: columns.concat() }.into())
    }
}

/// Why places that are computed of the input are refused.
const DATA: &str = "it moves entries by places that data decides";
const RANGE: &str = "a place is out of range";

/// A place counted from the end if it is negative.
fn wrapped(place: i64, size: usize) -> Option<usize> {
    let size = i64::try_from(size).ok()?;
    let place = if place < 0 { place.checked_add(size)? } else { place };
    (0..size).contains(&place).then_some(place as usize)
}

/// The next place of a tensor.
fn advance(at: &mut [usize], shape: &[usize]) {
    for axis in (0..at.len()).rev() {
        at[axis] += 1;
        if at[axis] < shape[axis] {
            return;
        }
        at[axis] = 0;
    }
}
