//! Operators that move entries, and those that make one of many.

use super::Along;
use super::rules::{Rule, axis_of, product};

impl Rule<'_, '_> {
    pub(super) fn concat(&self, axis: i64) -> Option<Along> {
        let first = self.inputs.iter().flatten().find(|input| input.along.is_some())?;
        let along = first.along?;
        let axis = axis_of(axis, first.rank())?;
        // A part of size 1 fits a batch of 1 only, so the file has no other.
        let fits = self.inputs.iter().flatten().all(|input| {
            input.along == Some(along)
                || (input.is_free()
                    && (input.rank() == 0 || input.shape.get(along.axis) == Some(&1)))
        });
        (fits && axis != along.axis).then_some(along)
    }

    pub(super) fn gather(&self) -> Option<Along> {
        let (of, places) = (self.input(0)?, self.input(1)?);
        let axis = axis_of(self.node.integer("axis", 0), of.rank())?;
        match (of.along, places.along) {
            (Some(along), None) if places.other.is_none() && along.axis != axis => {
                let moved = if along.axis < axis { 0 } else { places.rank() };
                let axis = if along.axis < axis { along.axis } else { along.axis - 1 + moved };
                Some(Along { axis, ..along })
            }
            (None, Some(along)) if of.other.is_none() => {
                Some(Along { axis: axis + along.axis, ..along })
            }
            _ => None,
        }
    }

    pub(super) fn transpose(&self) -> Option<Along> {
        let (x, along) = self.x()?;
        let axis = match self.node.integers("perm") {
            Some(permutation) => permutation.iter().position(|&axis| axis == along.axis as i64)?,
            None => x.rank() - 1 - along.axis,
        };
        Some(Along { axis, ..along })
    }

    /// The samples after a move that keeps the order of entries, if the output
    /// has them along the axis.
    pub(super) fn placed(&self, along: Along, axis: usize) -> Option<Along> {
        let from = &self.input(0)?.shape;
        let to = self.outputs.first()?;
        let outside = product(&from[..along.axis]).saturating_mul(along.outer);
        let before = product(to.get(..axis)?);
        let outer = outside.checked_div(before)?;
        let fits = outer > 0
            && outer.checked_mul(before) == Some(outside)
            && to.get(axis)?.is_multiple_of(outer);
        fits.then_some(Along { axis, outer })
    }

    pub(super) fn reshape(&self) -> Option<Along> {
        let along = self.input(0)?.along?;
        if !self.others_are_free(&[0, 1]) {
            return None;
        }
        let own = self.list("shape", 1)?;
        let other = self.other_list(1).unwrap_or_else(|| own.clone());
        let keeps = self.node.integer("allowzero", 0) == 0;
        // The sizes that the batch multiplies.
        let mut carriers = vec![];
        for (at, (&own, &other)) in own.iter().zip(&other).enumerate() {
            if own != other {
                if own.checked_mul(self.batch as i64) != Some(other) {
                    return None;
                }
                carriers.push(at);
            } else if own == 0 && keeps && at == along.axis {
                carriers.push(at);
            }
        }
        let open = own.iter().position(|&size| size == -1);
        match (carriers.as_slice(), open) {
            ([carrier], _) => self.placed(along, *carrier),
            ([], Some(open)) => self.placed(along, open),
            // All sizes are fixed, so the file has a batch of 1 only.
            ([], None) => {
                let to = self.outputs.first()?;
                let alone = |&axis: &usize| to[axis] == 1;
                let mut axes = (0..to.len()).filter(alone);
                axes.find_map(|axis| self.placed(along, axis)).filter(|found| found.outer == 1)
            }
            _ => None,
        }
    }

    pub(super) fn squeeze(&self) -> Option<Along> {
        let (x, along) = self.x()?;
        let removed: Vec<usize> = match self.list("axes", 1) {
            Some(axes) => {
                axes.into_iter().map(|axis| axis_of(axis, x.rank())).collect::<Option<_>>()?
            }
            None => (0..x.rank()).filter(|&axis| x.shape[axis] == 1).collect(),
        };
        let before = removed.iter().filter(|&&axis| axis < along.axis).count();
        let kept = !removed.contains(&along.axis);
        kept.then(|| Along { axis: along.axis - before, ..along })
    }

    pub(super) fn unsqueeze(&self) -> Option<Along> {
        let (x, along) = self.x()?;
        let axes = self.list("axes", 1)?;
        let rank = x.rank() + axes.len();
        let added: Vec<usize> =
            axes.into_iter().map(|axis| axis_of(axis, rank)).collect::<Option<_>>()?;
        let axis = (0..rank).filter(|axis| !added.contains(axis)).nth(along.axis)?;
        Some(Along { axis, ..along })
    }

    pub(super) fn reduce(&self) -> Option<Along> {
        let (x, along) = self.x()?;
        let axes = self.list("axes", 1).filter(|axes| !axes.is_empty());
        let Some(axes) = axes else {
            return (self.node.integer("noop_with_empty_axes", 0) != 0).then_some(along);
        };
        let axes: Vec<usize> =
            axes.into_iter().map(|axis| axis_of(axis, x.rank())).collect::<Option<_>>()?;
        let before = match self.node.integer("keepdims", 1) {
            0 => axes.iter().filter(|&&axis| axis < along.axis).count(),
            _ => 0,
        };
        let kept = !axes.contains(&along.axis);
        kept.then(|| Along { axis: along.axis - before, ..along })
    }

    pub(super) fn slice(&self) -> Option<Along> {
        let x = self.input(0)?;
        let along = x.along?;
        if !self.others_are_free(&[0, 1, 2]) {
            return None;
        }
        let (starts, ends) = (self.list("starts", 1)?, self.list("ends", 2)?);
        let same = |list: &Vec<i64>| list.clone();
        let other_starts = self.other_list(1).unwrap_or_else(|| same(&starts));
        let other_ends = self.other_list(2).unwrap_or_else(|| same(&ends));
        let axes = self.list("axes", 3).unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = self.input(4).map(|_| self.list("", 4)).unwrap_or_default();
        for (at, &axis) in axes.iter().enumerate() {
            let (start, end) = (*starts.get(at)?, *ends.get(at)?);
            let (other_start, other_end) = (*other_starts.get(at)?, *other_ends.get(at)?);
            if axis_of(axis, x.rank())? == along.axis {
                // The slice has to take all samples.
                let step = steps.as_ref().map_or(1, |steps| steps.get(at).copied().unwrap_or(0));
                let size = i64::try_from(*x.shape.get(along.axis)?).ok()?;
                let all = size.checked_mul(self.batch as i64)?;
                let whole = end >= i64::from(i32::MAX) || (end >= size && other_end >= all);
                if [start, other_start] != [0, 0] || step != 1 || !whole {
                    return None;
                }
            } else if start != other_start || end != other_end {
                return None;
            }
        }
        Some(along)
    }

    pub(super) fn pad(&self) -> Option<Along> {
        let (x, along) = self.x()?;
        let pads = self.list("pads", 1)?;
        let axes = match self.input(3) {
            Some(_) => self.list("", 3)?,
            None => (0..x.rank() as i64).collect(),
        };
        for (at, &axis) in axes.iter().enumerate() {
            let both = [*pads.get(at)?, *pads.get(at + axes.len())?];
            if axis_of(axis, x.rank())? == along.axis && both != [0, 0] {
                return None;
            }
        }
        Some(along)
    }

    pub(super) fn expand(&self) -> Option<Along> {
        let x = self.input(0)?;
        let along = x.along?;
        let own = self.list("shape", 1)?;
        let other = self.other_list(1).unwrap_or_else(|| own.clone());
        let rank = x.rank().max(own.len());
        let axis = along.axis + rank - x.rank();
        let at = axis.checked_sub(rank - own.len());
        let size = *x.shape.get(along.axis)? as i64;
        let mut pairs = own.iter().zip(&other).enumerate();
        let fits = pairs.all(|(place, (&own, &other))| match at == Some(place) {
            true => own == 1 && other == 1 || own == size && other == size * self.batch as i64,
            false => own == other,
        });
        fits.then_some(Along { axis, ..along })
    }

    pub(super) fn resize(&self) -> Option<Along> {
        let x = self.input(0)?;
        let along = x.along?;
        let alone = along.outer == 1 && x.shape.get(along.axis) == Some(&1);
        let axes = self.node.integers("axes").map(<[i64]>::to_vec);
        let axes = axes.unwrap_or_else(|| (0..x.rank() as i64).collect());
        let at = axes.iter().position(|&axis| axis_of(axis, x.rank()) == Some(along.axis));
        for input in self.inputs.iter().skip(1).flatten() {
            let (Some(own), Some(other)) = (&input.own, &input.other) else {
                if input.is_free() {
                    continue;
                }
                return None;
            };
            // Sizes that the batch changes have to be its own.
            let mut pairs = own.entries.iter().zip(&other.entries).enumerate();
            let fits = pairs.all(|(place, (&own, &other))| {
                own == other || (at == Some(place) && own == 1.0 && other == self.batch as f64)
            });
            if own.shape != other.shape || !fits {
                return None;
            }
        }
        let made = self.outputs.first()?;
        (alone && made.get(along.axis) == Some(&1)).then_some(along)
    }
}
