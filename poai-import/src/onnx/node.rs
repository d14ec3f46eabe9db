//! One node of the file: its names and attributes.

use super::error::OnnxError;
use crate::graph::{ImageExtent, ImageWindow};
use rten_onnx::onnx::{AttributeProto, NodeProto, TensorProto};

/// A node, with the name that errors use.
pub(super) struct Node<'a> {
    proto: &'a NodeProto,
    pub(super) name: String,
}

impl<'a> Node<'a> {
    /// A node, named by its own name, by its first output's name, or by its
    /// index, whichever exists first.
    pub(super) fn new(proto: &'a NodeProto, index: usize) -> Node<'a> {
        let named = proto.name.iter().chain(proto.output.first()).find(|name| !name.is_empty());
        Node { proto, name: named.cloned().unwrap_or_else(|| format!("number {index}")) }
    }

    /// The operator; empty if the file names none, or an operator of another
    /// domain.
    pub(super) fn operator(&self) -> &'a str {
        match self.proto.domain.as_deref() {
            None | Some("" | "ai.onnx") => self.proto.op_type.as_deref().unwrap_or_default(),
            Some(_) => "",
        }
    }

    pub(super) fn unsupported(&self, because: &'static str) -> OnnxError {
        let mut operator = self.proto.op_type.clone().unwrap_or_default();
        if let Some(domain) = self.proto.domain.as_deref().filter(|domain| !domain.is_empty()) {
            operator = format!("{domain}.{operator}");
        }
        OnnxError::Unsupported { node: self.name.clone(), operator, because }
    }

    /// The input's name; `None` if the input is omitted.
    pub(super) fn optional(&self, index: usize) -> Option<&'a str> {
        self.proto.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The input's name.
    pub(super) fn input(&self, index: usize) -> Result<&'a str, OnnxError> {
        self.optional(index).ok_or_else(|| self.unsupported("an input is missing"))
    }

    /// The first output's name. The reader never makes further outputs, so a
    /// node that reads one finds it missing.
    pub(super) fn output(&self) -> Result<&'a str, OnnxError> {
        let first = self.proto.output.first().filter(|name| !name.is_empty());
        first.map(String::as_str).ok_or_else(|| self.unsupported("it has no output"))
    }

    /// Refuses any attribute that is not in `known`.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), OnnxError> {
        let foreign = |attribute: &&AttributeProto| !known.contains(&name(attribute));
        match self.proto.attribute.iter().find(foreign) {
            Some(attribute) => Err(self.attribute(name(attribute))),
            None => Ok(()),
        }
    }

    /// The error for an attribute's value.
    pub(super) fn attribute(&self, attribute: &str) -> OnnxError {
        let operator = self.operator().to_owned();
        OnnxError::Attribute { node: self.name.clone(), operator, attribute: attribute.to_owned() }
    }

    fn get(&self, attribute: &str) -> Option<&'a AttributeProto> {
        self.proto.attribute.iter().find(|candidate| name(candidate) == attribute)
    }

    pub(super) fn integer(&self, attribute: &str, default: i64) -> i64 {
        // Protobuf omits zeros.
        self.get(attribute).map_or(default, |attribute| attribute.i.unwrap_or(0))
    }

    /// Refuses any value of the attribute other than `only`, which is its
    /// default.
    pub(super) fn fixed(&self, attribute: &str, only: i64) -> Result<(), OnnxError> {
        match self.integer(attribute, only) == only {
            true => Ok(()),
            false => Err(self.attribute(attribute)),
        }
    }

    pub(super) fn float(&self, attribute: &str, default: f32) -> Result<f32, OnnxError> {
        let value = self.get(attribute).map_or(default, |attribute| attribute.f.unwrap_or(0.0));
        if value.is_finite() { Ok(value) } else { Err(self.attribute(attribute)) }
    }

    pub(super) fn string(&self, attribute: &str) -> Option<&'a str> {
        self.get(attribute).and_then(|attribute| attribute.s.as_deref())
    }

    pub(super) fn tensor(&self, attribute: &str) -> Option<&'a TensorProto> {
        self.get(attribute).and_then(|attribute| attribute.t.as_ref())
    }

    pub(super) fn integers(&self, attribute: &str) -> Option<&'a [i64]> {
        self.get(attribute).map(|attribute| attribute.ints.as_slice())
    }

    /// A list of `N` sizes; `None` if the attribute does not exist.
    fn sizes<const N: usize>(&self, attribute: &str) -> Result<Option<[usize; N]>, OnnxError> {
        let Some(list) = self.integers(attribute) else { return Ok(None) };
        let sizes: Option<Vec<usize>> = list.iter().map(|&size| size.try_into().ok()).collect();
        let sizes = sizes.and_then(|sizes| sizes.try_into().ok());
        sizes.map(Some).ok_or_else(|| self.attribute(attribute))
    }

    /// The window of a convolution or a pooling. A convolution's weights give
    /// its kernel; a pooling has an attribute for it.
    pub(super) fn window(
        &self,
        input: ImageExtent,
        weights: Option<[usize; 2]>,
    ) -> Result<ImageWindow, OnnxError> {
        let named = self.sizes("kernel_shape")?;
        let kernel = match (weights, named) {
            (Some(kernel), None) | (None, Some(kernel)) => kernel,
            (Some(kernel), Some(named)) if kernel == named => kernel,
            _ => return Err(self.attribute("kernel_shape")),
        };
        if self.sizes("dilations")?.is_some_and(|dilations: [usize; 2]| dilations != [1, 1]) {
            return Err(self.attribute("dilations"));
        }
        let stride = self.sizes("strides")?.unwrap_or([1, 1]);
        if stride.contains(&0) {
            return Err(self.attribute("strides"));
        }
        let given = self.sizes("pads")?;
        let pads = match (self.string("auto_pad"), given) {
            (None | Some("" | "NOTSET"), pads) => pads.unwrap_or([0; 4]),
            (Some("VALID"), None | Some([0, 0, 0, 0])) => [0; 4],
            (Some("SAME_UPPER"), None | Some([0, 0, 0, 0])) => {
                let [top, bottom] = same(input.height, kernel[0], stride[0]);
                let [left, right] = same(input.width, kernel[1], stride[1]);
                [top, left, bottom, right]
            }
            _ => return Err(self.attribute("auto_pad")),
        };
        Ok(ImageWindow { kernel, stride, pads })
    }
}

fn name(attribute: &AttributeProto) -> &str {
    attribute.name.as_deref().unwrap_or_default()
}

/// Pads with which ⌈size / stride⌉ windows fit. An odd pad goes to the end.
fn same(size: usize, kernel: usize, stride: usize) -> [usize; 2] {
    let last = (size.div_ceil(stride).saturating_sub(1)).saturating_mul(stride);
    let total = last.saturating_add(kernel).saturating_sub(size);
    [total / 2, total - total / 2]
}
