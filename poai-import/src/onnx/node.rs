//! One node of the file: its names and attributes.

use super::error::OnnxError;
use rten_onnx::onnx::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// A node, with the name that errors use.
pub(super) struct Node<'a> {
    proto: &'a NodeProto,
    pub(super) name: String,
    /// The version of the operator set of the node's domain.
    pub(super) version: i64,
}

impl<'a> Node<'a> {
    /// A node, named by its own name, by its first output's name, or by its
    /// index, whichever exists first.
    pub(super) fn new(proto: &'a NodeProto, index: usize, version: i64) -> Node<'a> {
        let named = proto.name.iter().chain(proto.output.first()).find(|name| !name.is_empty());
        let name = named.cloned().unwrap_or_else(|| format!("number {index}"));
        Node { proto, name, version }
    }

    /// The operator, with its domain unless that is ONNX's own.
    pub(super) fn operator(&self) -> String {
        let operator = self.proto.op_type.clone().unwrap_or_default();
        match self.proto.domain.as_deref() {
            None | Some("" | "ai.onnx") => operator,
            Some(domain) => format!("{domain}.{operator}"),
        }
    }

    pub(super) fn unsupported(&self, because: impl Into<String>) -> OnnxError {
        OnnxError::Unsupported {
            node: self.name.clone(),
            operator: self.operator(),
            because: because.into(),
            before: None,
        }
    }

    /// The number of inputs that the node names, omitted ones included.
    pub(super) fn inputs(&self) -> usize {
        self.proto.input.len()
    }

    /// The input's name; `None` if the input is omitted.
    pub(super) fn optional(&self, index: usize) -> Option<&'a str> {
        self.proto.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The input's name.
    pub(super) fn input(&self, index: usize) -> Result<&'a str, OnnxError> {
        self.optional(index).ok_or_else(|| self.unsupported(format!("input {index} is missing")))
    }

    /// The names of all outputs; an omitted one is empty.
    pub(super) fn outputs(&self) -> &'a [String] {
        &self.proto.output
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
        let operator = self.operator();
        OnnxError::Attribute { node: self.name.clone(), operator, attribute: attribute.to_owned() }
    }

    /// Whether the attribute exists.
    pub(super) fn has(&self, attribute: &str) -> bool {
        self.get(attribute).is_some()
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

    /// A number that may be none, as NaN is.
    pub(super) fn number(&self, attribute: &str, default: f32) -> f32 {
        self.get(attribute).map_or(default, |attribute| attribute.f.unwrap_or(0.0))
    }

    pub(super) fn string(&self, attribute: &str) -> Option<&'a str> {
        self.get(attribute).and_then(|attribute| attribute.s.as_deref())
    }

    pub(super) fn strings(&self, attribute: &str) -> &'a [String] {
        self.get(attribute).map_or(&[], |attribute| attribute.strings.as_slice())
    }

    /// A graph inside the node.
    pub(super) fn graph(&self, attribute: &str) -> Result<&'a GraphProto, OnnxError> {
        let graph = self.get(attribute).and_then(|attribute| attribute.g.as_ref());
        graph.ok_or_else(|| self.attribute(attribute))
    }

    pub(super) fn tensor(&self, attribute: &str) -> Option<&'a TensorProto> {
        self.get(attribute).and_then(|attribute| attribute.t.as_ref())
    }

    pub(super) fn integers(&self, attribute: &str) -> Option<&'a [i64]> {
        self.get(attribute).map(|attribute| attribute.ints.as_slice())
    }

    pub(super) fn floats(&self, attribute: &str) -> Option<&'a [f32]> {
        self.get(attribute).map(|attribute| attribute.floats.as_slice())
    }

    /// A list of sizes; `None` if the attribute does not exist.
    pub(super) fn sizes(&self, attribute: &str) -> Result<Option<Vec<usize>>, OnnxError> {
        let Some(list) = self.integers(attribute) else { return Ok(None) };
        let sizes: Option<Vec<usize>> = list.iter().map(|&size| size.try_into().ok()).collect();
        sizes.map(Some).ok_or_else(|| self.attribute(attribute))
    }
}

fn name(attribute: &AttributeProto) -> &str {
    attribute.name.as_deref().unwrap_or_default()
}
