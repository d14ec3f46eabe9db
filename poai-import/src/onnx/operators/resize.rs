//! Images of other sizes.

use super::{Read, one};
use crate::graph::moves::Index;
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use ndarray::Array2;

/// How one axis is resized.
struct Axis<'a> {
    from: usize,
    to: usize,
    scale: f64,
    mode: &'a str,
    places: &'a str,
    rounding: &'a str,
    cubic: f64,
}

impl Axis<'_> {
    /// The place in the input of place `to` of the output.
    fn place(&self, to: usize) -> f64 {
        let (to, from, size) = (to as f64, self.from as f64, self.to as f64);
        match self.places {
            "half_pixel" => (to + 0.5) / self.scale - 0.5,
            "pytorch_half_pixel" if self.to > 1 => (to + 0.5) / self.scale - 0.5,
            "pytorch_half_pixel" => 0.0,
            "half_pixel_symmetric" => {
                let adjusted = size / (self.scale * from);
                let offset = from / 2.0 * (1.0 - adjusted);
                offset + (to + 0.5) / self.scale - 0.5
            }
            "align_corners" if self.to > 1 => to * (from - 1.0) / (size - 1.0),
            "align_corners" => 0.0,
            "tf_half_pixel_for_nn" => (to + 0.5) / self.scale,
            _ => to / self.scale,
        }
    }

    /// As [`Axis::place`], in f32: ONNX Runtime computes so, and a place between
    /// two pixels falls to the one or the other by its rounding.
    fn rounded_place(&self, to: usize) -> f32 {
        let scale = self.scale as f32;
        let (to, from, size) = (to as f32, self.from as f32, self.to as f32);
        match self.places {
            "half_pixel" => (to + 0.5) / scale - 0.5,
            "pytorch_half_pixel" if self.to > 1 => (to + 0.5) / scale - 0.5,
            "pytorch_half_pixel" => 0.0,
            "half_pixel_symmetric" => {
                let adjusted = size / (scale * from);
                let offset = from / 2.0 * (1.0 - adjusted);
                offset + (to + 0.5) / scale - 0.5
            }
            "align_corners" if self.to > 1 => to * (from - 1.0) / (size - 1.0),
            "align_corners" => 0.0,
            "tf_half_pixel_for_nn" => (to + 0.5) / scale,
            _ => to / scale,
        }
    }

    /// The nearest place of the input for every place of the output.
    fn nearest(&self) -> Vec<Index> {
        let last = self.from as f32 - 1.0;
        let of = |to| {
            let place: f32 = self.rounded_place(to);
            let rounded = match self.rounding {
                "floor" => place.floor(),
                "ceil" => place.ceil(),
                "round_prefer_ceil" => place.round(),
                // Halves go down.
                _ if place == place.trunc() + 0.5 => place.floor(),
                _ => place.round(),
            };
            Some(rounded.clamp(0.0, last) as usize)
        };
        (0..self.to).map(of).collect()
    }

    /// The weights of the input's places for every place of the output.
    fn weights(&self) -> Array2<f32> {
        let mut weights = Array2::zeros((self.to, self.from));
        let last = self.from as i64 - 1;
        for to in 0..self.to {
            let place = self.place(to);
            let first = place.floor();
            let part = place - first;
            let around: Vec<(i64, f64)> = match self.mode {
                "cubic" => (-1..=2).map(|step| (step, cubic(self.cubic, part, step))).collect(),
                _ => vec![(0, 1.0 - part), (1, part)],
            };
            for (step, weight) in around {
                let from = (first as i64 + step).clamp(0, last) as usize;
                weights[[to, from]] += weight as f32;
            }
        }
        weights
    }
}

/// The weight of the place `step` from the one below, by Keys' kernel.
fn cubic(a: f64, part: f64, step: i64) -> f64 {
    let x = (part - step as f64).abs();
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    }
}

impl Read<'_, '_> {
    pub(super) fn resize(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        if !matches!(operator, "Resize" | "Upsample") {
            return Ok(None);
        }
        node.only(&[
            "antialias",
            "axes",
            "coordinate_transformation_mode",
            "cubic_coeff_a",
            "exclude_outside",
            "extrapolation_value",
            "keep_aspect_ratio_policy",
            "mode",
            "nearest_mode",
            "scales",
            "height_scale",
            "width_scale",
        ])?;
        node.fixed("antialias", 0)?;
        node.fixed("exclude_outside", 0)?;
        if !matches!(node.string("keep_aspect_ratio_policy"), None | Some("stretch")) {
            return Err(node.attribute("keep_aspect_ratio_policy"));
        }
        // Upsample, and Resize of version 10, know neither places nor rounding.
        let old = operator == "Upsample" || node.version < 11;
        let mode = node.string("mode").unwrap_or("nearest");
        let places = node.string("coordinate_transformation_mode");
        let places = if old { "asymmetric" } else { places.unwrap_or("half_pixel") };
        let rounding = node.string("nearest_mode");
        let rounding = if old { "floor" } else { rounding.unwrap_or("round_prefer_floor") };
        if places == "tf_crop_and_resize" || !["nearest", "linear", "cubic"].contains(&mode) {
            return Err(node.attribute(if places == "tf_crop_and_resize" {
                "coordinate_transformation_mode"
            } else {
                "mode"
            }));
        }
        let cubic = node.float("cubic_coeff_a", -0.75)?.into();
        let mut x = self.first()?;
        let shape = self.builder.shape(&x);
        let axes = match node.integers("axes") {
            Some(axes) => axes.to_vec(),
            None => (0..shape.rank() as i64).collect(),
        };
        let (scales, sizes) = self.scales(old)?;
        let given = scales.len().max(sizes.len());
        if given != axes.len() {
            return Err(node.unsupported("expected a scale or a size for each axis"));
        }
        for (at, &axis) in axes.iter().enumerate() {
            let axis = self.axis(axis, shape.rank())?;
            let from = shape.0[axis];
            let (to, scale) = match sizes.get(at) {
                Some(&size) => (size, size as f64 / from as f64),
                None => {
                    // In f32, as ONNX Runtime computes it.
                    let size = (from as f32 * scales[at] as f32).floor().clamp(0.0, 1e9);
                    (size as usize, scales[at])
                }
            };
            if to == 0 || !(scale.is_finite() && scale > 0.0) {
                return Err(node.unsupported("a scale is not above 0"));
            }
            // Runtimes disagree on which length the corners then have.
            if places == "align_corners" && (from as f64 * scale - to as f64).abs() > 1e-3 {
                return Err(node.unsupported("corners of a length that is no whole number"));
            }
            self.builder.bounded(node, to)?;
            // A scale between two sizes moves places even if the size stays.
            if to == from && scale == 1.0 {
                continue;
            }
            // Before version 11, ONNX Runtime rounds up where it makes smaller.
            let rounding = if old && scale < 1.0 { "ceil" } else { rounding };
            let how = Axis { from, to, scale, mode, places, rounding, cubic };
            if mode == "nearest" {
                x = self.builder.take(node, &x, axis, how.nearest())?;
                continue;
            }
            // Checked before the weights are made, which the layer counts again.
            self.builder.spend(to.saturating_mul(from))?;
            let mut permutation: Vec<usize> = (0..shape.rank()).collect();
            permutation.swap(axis, shape.rank() - 1);
            x = self.builder.transpose(node, &x, permutation.clone())?;
            x = self.builder.linear(node, &x, how.weights(), vec![0.0; to])?;
            x = self.builder.transpose(node, &x, permutation)?;
        }
        one(x)
    }

    /// The scales, or the sizes.
    fn scales(&mut self, old: bool) -> Result<(Vec<f64>, Vec<usize>), OnnxError> {
        let node = self.node;
        if let Some(scales) = node.floats("scales").filter(|scales| !scales.is_empty()) {
            return Ok((scales.iter().map(|&scale| scale.into()).collect(), vec![]));
        }
        let at = if old { 1 } else { 2 };
        if let Some(scales) = self.builder.optional_host(node, at)?
            && !scales.entries.is_empty()
        {
            return Ok((scales.entries.clone(), vec![]));
        }
        Ok((vec![], self.sizes(3)?))
    }
}
