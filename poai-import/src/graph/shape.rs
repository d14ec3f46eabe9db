//! The shape of a layer's output.

use super::kind::{ImageWindow, Kind};
use super::{GraphError, MAX_ENTRIES, ValueShape, moves};

/// A layer with the shapes of the values that it reads.
struct Check<'a> {
    layer: &'a str,
    inputs: &'a [&'a ValueShape],
}

impl Kind {
    /// The shape of the layer's output for inputs of the given shapes. Errors
    /// name the layer `layer`.
    ///
    /// # Errors
    /// [`GraphError`] names the mismatch.
    pub fn output(&self, layer: &str, inputs: &[&ValueShape]) -> Result<ValueShape, GraphError> {
        let check = Check { layer, inputs };
        let first = check.first(self.arity())?;
        let output = match self {
            Kind::Linear { weights, bias } => {
                check.size("weight columns", first.last(), weights.ncols())?;
                check.size("bias", weights.nrows(), bias.len())?;
                check.form(first.rank() > 0, "a value with a last axis")?;
                let mut shape = first.clone();
                if let Some(last) = shape.0.last_mut() {
                    *last = weights.nrows();
                }
                shape
            }
            Kind::Conv { weights, bias, window, groups } => {
                let [channels, height, width] = check.image()?;
                let outputs = weights.nrows();
                let divides = *groups > 0
                    && channels.is_multiple_of(*groups)
                    && outputs.is_multiple_of(*groups);
                check.form(divides, "channels and outputs that the groups divide")?;
                let columns = window.area().saturating_mul(channels / groups);
                check.size("weight columns", columns, weights.ncols())?;
                check.size("bias", outputs, bias.len())?;
                let [height, width] = check.slid(window, height, width)?;
                let unfolded = columns.saturating_mul(*groups).saturating_mul(height);
                if unfolded.saturating_mul(width) > MAX_ENTRIES {
                    return Err(GraphError::TooLarge { layer: layer.to_owned() });
                }
                ValueShape::from([1, outputs, height, width])
            }
            Kind::Scale { by } | Kind::Offset { by } => {
                let count = by.shape.iter().try_fold(1usize, |all, &dim| all.checked_mul(dim));
                check.size("constant", count.unwrap_or(usize::MAX), by.entries.len())?;
                let fits = by.shape.len() == first.rank()
                    && by.shape.iter().zip(&first.0).all(|(&own, &dim)| own == 1 || own == dim);
                check.form(fits, "a value over which the constant broadcasts")?;
                first.clone()
            }
            Kind::Pointwise(_) => first.clone(),
            Kind::Add { .. } | Kind::Mul => match inputs {
                [a, b] if a == b => first.clone(),
                [a, b] => {
                    let (expected, got) = ((*a).clone(), (*b).clone());
                    return Err(GraphError::Shape { layer: layer.to_owned(), expected, got });
                }
                _ => first.clone(),
            },
            Kind::MatMul => check.product()?,
            Kind::MaxPool { window } | Kind::AveragePool { window } => {
                let [channels, height, width] = check.image()?;
                let [top, left, bottom, right] = window.pads;
                let [down, across] = window.covered();
                // Otherwise a window could lie wholly outside the image and
                // would have no mean.
                if top.max(bottom) >= down || left.max(right) >= across {
                    return Err(check.window(window));
                }
                let [height, width] = check.slid(window, height, width)?;
                // A kernel may be far larger than the image that its pads fill.
                let seen = window.area().saturating_mul(height).saturating_mul(width);
                if seen > MAX_ENTRIES {
                    return Err(GraphError::TooLarge { layer: layer.to_owned() });
                }
                ValueShape::from([1, channels, height, width])
            }
            Kind::Reduce { axes, .. } => {
                let mut shape = first.clone();
                for &axis in axes {
                    let size = shape.0.get_mut(axis).ok_or_else(|| check.wrong(AXIS))?;
                    *size = 1;
                }
                shape
            }
            Kind::Softmax => {
                check.form(first.rank() > 0, "a value with a last axis")?;
                first.clone()
            }
            Kind::Normalise { gamma, beta, .. } => {
                check.form(first.rank() > 0, "a value with a last axis")?;
                check.size("γ", first.last(), gamma.len())?;
                check.size("β", first.last(), beta.len())?;
                first.clone()
            }
            Kind::Lookup { table } => {
                let mut shape = first.clone();
                shape.0.push(table.ncols());
                shape
            }
            Kind::Reshape { shape } => {
                let shape = ValueShape(shape.clone());
                if shape.entries() != first.entries() {
                    let (expected, got) = (shape, first.clone());
                    return Err(GraphError::Shape { layer: layer.to_owned(), expected, got });
                }
                shape
            }
            Kind::Transpose { permutation } => {
                let mut seen = vec![false; first.rank()];
                for &axis in permutation {
                    let seen = seen.get_mut(axis).ok_or_else(|| check.wrong(PERMUTATION))?;
                    check.form(!std::mem::replace(seen, true), PERMUTATION)?;
                }
                check.form(seen.into_iter().all(|seen| seen), PERMUTATION)?;
                moves::transposed(first, permutation)
            }
            Kind::Take { axis, indices } => {
                let mut shape = first.clone();
                let size = shape.0.get_mut(*axis).ok_or_else(|| check.wrong(AXIS))?;
                let inside = indices.iter().flatten().all(|&index| index < *size);
                *size = indices.len();
                check.form(inside, "indices below the axis' size")?;
                shape
            }
            Kind::Concat { axis } => {
                let mut shape = first.clone();
                let mut sum = 0usize;
                for input in inputs {
                    let same = input.rank() == first.rank()
                        && *axis < first.rank()
                        && input
                            .0
                            .iter()
                            .zip(&first.0)
                            .enumerate()
                            .all(|(at, (a, b))| at == *axis || a == b);
                    check.form(same, "values that differ along the axis alone")?;
                    sum = sum.saturating_add(input.0[*axis]);
                }
                shape.0[*axis] = sum;
                shape
            }
        };
        bounded(layer, output)
    }
}

const AXIS: &str = "a value with the axis";
const PERMUTATION: &str = "a value with the axes of the permutation, each once";

impl Check<'_> {
    fn first(&self, arity: Option<usize>) -> Result<&ValueShape, GraphError> {
        let got = self.inputs.len();
        match self.inputs.first() {
            Some(first) if arity.is_none_or(|arity| arity == got) => Ok(first),
            _ => {
                let expected = arity.unwrap_or(1);
                Err(GraphError::Arity { layer: self.layer.to_owned(), expected, got })
            }
        }
    }

    fn wrong(&self, expected: &'static str) -> GraphError {
        let got = self.inputs.first().map_or_else(ValueShape::default, |&first| first.clone());
        GraphError::Form { layer: self.layer.to_owned(), expected, got }
    }

    fn form(&self, holds: bool, expected: &'static str) -> Result<(), GraphError> {
        if holds { Ok(()) } else { Err(self.wrong(expected)) }
    }

    fn size(&self, what: &'static str, expected: usize, got: usize) -> Result<(), GraphError> {
        match expected == got {
            true => Ok(()),
            false => Err(GraphError::Size { layer: self.layer.to_owned(), what, expected, got }),
        }
    }

    fn image(&self) -> Result<[usize; 3], GraphError> {
        let image = self.inputs.first().and_then(|first| first.image());
        image.ok_or_else(|| self.wrong("an image 1×channels×height×width"))
    }

    fn window(&self, window: &ImageWindow) -> GraphError {
        let input = self.inputs.first().map_or_else(ValueShape::default, |&first| first.clone());
        GraphError::Window { layer: self.layer.to_owned(), window: Box::new(*window), input }
    }

    fn slid(
        &self,
        window: &ImageWindow,
        height: usize,
        width: usize,
    ) -> Result<[usize; 2], GraphError> {
        window.output(height, width).ok_or_else(|| self.window(window))
    }

    fn product(&self) -> Result<ValueShape, GraphError> {
        let [a, b] = self.inputs else { return Err(self.wrong("two values")) };
        let fits = a.rank() >= 2
            && a.rank() == b.rank()
            && a.0[..a.rank() - 2] == b.0[..b.rank() - 2]
            && a.last() == b.0[b.rank() - 2];
        if !fits {
            let mut expected = (*a).clone();
            expected.0.truncate(a.rank().saturating_sub(2));
            expected.0.extend([a.last(), b.last()]);
            let got = (*b).clone();
            return Err(GraphError::Shape { layer: self.layer.to_owned(), expected, got });
        }
        let mut shape = (*a).clone();
        if let Some(last) = shape.0.last_mut() {
            *last = b.last();
        }
        Ok(shape)
    }
}

/// Refuses a value without entries, or with too many.
pub(super) fn bounded(layer: &str, shape: ValueShape) -> Result<ValueShape, GraphError> {
    match shape.entries() {
        0 => Err(GraphError::Empty { layer: layer.to_owned(), shape }),
        entries if entries > MAX_ENTRIES => Err(GraphError::TooLarge { layer: layer.to_owned() }),
        _ => Ok(shape),
    }
}
