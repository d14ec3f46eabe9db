//! Where the entries of a value lie in the program's tensors.
//!
//! Moves make no steps: they change the map from a value's entries to the
//! places of a tensor. A step is made when another step needs the entries in
//! an order of its own.

use super::{Lower, Value};
use crate::graph::{Input, Kind, ValueShape, moves};
use crate::quantise::QuantiseError;
use poai_core::program::{Dim, Dtype, Op, ValueId};
use std::sync::Arc;

/// The place of each entry of a value: row·columns + column, or −1 for zero.
#[derive(Clone, Debug)]
pub(in crate::quantise) enum Map {
    /// Entry i lies at place i, for this many entries.
    Identity(usize),
    /// Each entry has a place of its own, and each place an entry.
    Whole(Arc<Vec<i32>>),
    /// Entries may share places, or be zero.
    Partial(Arc<Vec<i32>>),
}

impl Map {
    /// The number of entries.
    pub(in crate::quantise) fn len(&self) -> usize {
        match self {
            Map::Identity(count) => *count,
            Map::Whole(places) | Map::Partial(places) => places.len(),
        }
    }

    /// The place of an entry.
    pub(in crate::quantise) fn at(&self, entry: usize) -> Option<usize> {
        match self {
            Map::Identity(_) => Some(entry),
            Map::Whole(places) | Map::Partial(places) => usize::try_from(places[entry]).ok(),
        }
    }

    fn places(&self) -> Vec<i32> {
        match self {
            // Exact: a value has at most 2^28 entries.
            Map::Identity(count) => (0..*count as i32).collect(),
            Map::Whole(places) | Map::Partial(places) => places.to_vec(),
        }
    }

    /// Whether each place of the tensor has one entry.
    pub(super) const fn is_whole(&self) -> bool {
        !matches!(self, Map::Partial(_))
    }

    /// A map in which each place has one entry.
    pub(super) fn whole(places: Vec<i32>) -> Map {
        match places.iter().copied().eq(0..places.len() as i32) {
            true => Map::Identity(places.len()),
            false => Map::Whole(Arc::new(places)),
        }
    }

    /// The entry at each place.
    pub(in crate::quantise) fn entries(&self) -> Vec<usize> {
        let mut entries = vec![0; self.len()];
        for entry in 0..self.len() {
            if let Some(place) = self.at(entry)
                && let Some(own) = entries.get_mut(place)
            {
                *own = entry;
            }
        }
        entries
    }
}

/// Rows and columns of an input: images have a row for each pixel.
pub(in crate::quantise) fn input(input: &Input) -> (usize, usize) {
    if input.ids.is_some() {
        return (input.shape.entries(), 1);
    }
    match (input.shape.image(), input.channels_last) {
        (Some([height, width, channels]), true) => (height * width, channels),
        (Some([channels, height, width]), false) => (height * width, channels),
        _ => (input.shape.rows(), input.shape.last()),
    }
}

/// The places of an input's entries.
pub(in crate::quantise) fn of_input(input: &Input) -> Map {
    match input.shape.image() {
        Some([channels, height, width]) if !input.channels_last && input.ids.is_none() => {
            channels_last(channels, height * width)
        }
        _ => Map::Identity(input.shape.entries()),
    }
}

/// Entries by channel and pixel, in a tensor of pixels × channels.
pub(super) fn channels_last(channels: usize, pixels: usize) -> Map {
    let place = |entry: usize| (entry % pixels * channels + entry / pixels) as i32;
    Map::whole((0..channels * pixels).map(place).collect())
}

/// A value whose entries a layer moves.
pub(super) fn moved(value: &Value, shape: &ValueShape, kind: &Kind) -> Value {
    let map = match kind {
        Kind::Transpose { permutation } => {
            let places = moves::transpose(shape, permutation, &value.map.places());
            if value.map.is_whole() { Map::whole(places) } else { Map::Partial(Arc::new(places)) }
        }
        Kind::Take { axis, indices } => {
            let places = moves::take(shape, *axis, indices, -1, &value.map.places());
            let mut seen = vec![false; shape.0[*axis]];
            let once = indices
                .iter()
                .all(|index| index.is_some_and(|index| !std::mem::replace(&mut seen[index], true)));
            let whole = once && indices.len() == seen.len() && value.map.is_whole();
            if whole { Map::whole(places) } else { Map::Partial(Arc::new(places)) }
        }
        _ => value.map.clone(),
    };
    Value { map, ..value.clone() }
}

/// What identifies an arranged tensor: the value, the rows, the columns and
/// the places.
pub(super) type Arranged = (ValueId, usize, usize, Arc<Vec<i32>>);

impl Lower<'_> {
    /// A tensor of rows × columns with the entries of a value in an order: the
    /// entry of each place, or all in their own order.
    pub(super) fn arranged(
        &mut self,
        value: &Value,
        rows: usize,
        columns: usize,
        order: Option<&[usize]>,
        what: &str,
    ) -> Result<ValueId, QuantiseError> {
        let places: Vec<i32> = match order {
            None => value.map.places(),
            Some(order) => order
                .iter()
                .map(|&entry| value.map.at(entry).map_or(-1, |place| place as i32))
                .collect(),
        };
        let all = value.rows * value.columns;
        let same = places.len() == all && places.iter().copied().eq(0..all as i32);
        if same && (rows, columns) == (value.rows, value.columns) {
            return Ok(value.id);
        }
        let key = (value.id, rows, columns, Arc::new(places));
        if let Some(&id) = self.arranged.get(&key) {
            return Ok(id);
        }
        let [to_rows, to_columns] = [self.dim(rows)?, self.dim(columns)?].map(Dim::fixed);
        let reshape = Op::Reshape { rows: to_rows, columns: to_columns };
        let (r, c) = (value.rows, value.columns);
        let turned = |place: usize| (place % r * c + place / r) as i32;
        let id = if same {
            self.step(what, reshape, &[value.id])?
        } else if key.3.len() == all && key.3.iter().copied().eq((0..all).map(turned)) {
            let id = self.step(what, Op::Transpose, &[value.id])?;
            match (rows, columns) == (c, r) {
                true => id,
                false => self.step(what, reshape, &[id])?,
            }
        } else {
            let index = self.index(rows, columns, key.3.clone())?;
            self.step(what, Op::Arrange { index }, &[value.id])?
        };
        self.arranged.insert(key, id);
        Ok(id)
    }

    /// The constant of some places, which equal ones share.
    pub(super) fn index(
        &mut self,
        rows: usize,
        columns: usize,
        places: Arc<Vec<i32>>,
    ) -> Result<poai_core::program::ConstantId, QuantiseError> {
        let key = (rows, columns, places);
        if let Some(&index) = self.indices.get(&key) {
            return Ok(index);
        }
        let index = self.constant("index", (rows, columns), Dtype::I32, &key.2)?;
        self.indices.insert(key, index);
        Ok(index)
    }

    /// A value of the same entries in a tensor of its own layout.
    pub(super) fn laid_out(
        &mut self,
        value: &Value,
        rows: usize,
        columns: usize,
        map: Map,
        what: &str,
    ) -> Result<Value, QuantiseError> {
        let order = map.entries();
        let id = self.arranged(value, rows, columns, Some(&order), what)?;
        Ok(Value { id, rows, columns, map, ..value.clone() })
    }

    /// A value whose tensor has no other entries.
    pub(super) fn whole(
        &mut self,
        value: &Value,
        shape: &ValueShape,
    ) -> Result<Value, QuantiseError> {
        if value.map.is_whole() {
            return Ok(value.clone());
        }
        self.in_order(value, shape)
    }

    /// A value whose entries lie in their own order, a row for each of its
    /// rows.
    pub(super) fn in_order(
        &mut self,
        value: &Value,
        shape: &ValueShape,
    ) -> Result<Value, QuantiseError> {
        let map = Map::Identity(shape.entries());
        self.laid_out(value, shape.rows(), shape.last(), map, "order")
    }

    /// A value with a row for each of its rows, in any order, and its columns
    /// in one order in all rows. Also the place of each row, and of each
    /// column.
    pub(super) fn by_rows(
        &mut self,
        value: &Value,
        shape: &ValueShape,
    ) -> Result<(Value, Vec<usize>, Vec<usize>), QuantiseError> {
        let (rows, columns) = (shape.rows(), shape.last());
        if value.map.is_whole() {
            if let Some((row_places, column_places)) = split(value, rows, columns) {
                return Ok((value.clone(), row_places, column_places));
            }
            if rows == 1 {
                let row = Value { rows: 1, columns, ..value.clone() };
                let order = row.map.entries();
                let id = self.arranged(value, 1, columns, Some(&order), "row")?;
                let places = (0..columns).filter_map(|entry| row.map.at(entry)).collect();
                return Ok((Value { id, ..row }, vec![0], places));
            }
        }
        let value = self.in_order(value, shape)?;
        Ok((value, (0..rows).collect(), (0..columns).collect()))
    }

    /// An image with a row for each pixel and a column for each channel.
    pub(super) fn image(
        &mut self,
        value: &Value,
        shape: &ValueShape,
    ) -> Result<Value, QuantiseError> {
        let Some([channels, height, width]) = shape.image() else {
            return Err(self.unsupported("a value that is no image"));
        };
        let pixels = height * width;
        let map = channels_last(channels, pixels);
        self.laid_out(value, pixels, channels, map, "pixels")
    }
}

/// The places of rows and columns, if the tensor's rows are those of the value.
fn split(value: &Value, rows: usize, columns: usize) -> Option<(Vec<usize>, Vec<usize>)> {
    if (value.rows, value.columns) != (rows, columns) {
        return None;
    }
    let column_places: Vec<usize> = (0..columns)
        .map(|entry| value.map.at(entry).map(|place| place % columns))
        .collect::<Option<_>>()?;
    let mut row_places = vec![];
    for row in 0..rows {
        let own = value.map.at(row * columns)? / columns;
        let fits = (0..columns).all(|column| {
            value.map.at(row * columns + column) == Some(own * columns + column_places[column])
        });
        if !fits {
            return None;
        }
        row_places.push(own);
    }
    Some((row_places, column_places))
}
