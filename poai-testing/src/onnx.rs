//! Small ONNX models, written with the messages that the importer reads.

use rten_onnx::onnx::*;
use std::cell::RefCell;

/// A model under construction; its input is `x`, its output the last node's.
pub struct Model {
    graph: GraphProto,
    /// The operator set.
    pub version: Option<i64>,
}

impl Model {
    /// A model of one float input; a negative size is left symbolic.
    pub fn new(dims: &[i64]) -> Model {
        Model::of(dims, DataType::FLOAT)
    }

    /// A model of one input of the type.
    pub fn of(dims: &[i64], kind: DataType) -> Model {
        let dim = |&dim: &i64| Dimension {
            dim_value: (dim >= 0).then_some(dim),
            dim_param: (dim < 0).then(|| "N".to_owned()),
        };
        let shape = Some(TensorShapeProto { dim: dims.iter().map(dim).collect() });
        let tensor_type = Some(TypeProtoTensor { elem_type: Some(kind), shape });
        let kind = TypeProto { tensor_type, ..Default::default() };
        let input = vec![ValueInfoProto { name: Some("x".to_owned()), r#type: Some(kind) }];
        Model { graph: GraphProto { input, ..Default::default() }, version: Some(13) }
    }

    pub fn tensor(mut self, tensor: TensorProto) -> Model {
        self.graph.initializer.push(tensor);
        self
    }

    pub fn floats(self, name: &str, dims: &[i64], entries: &[f32]) -> Model {
        self.tensor(floats(name, dims, entries))
    }

    pub fn integers(self, name: &str, entries: &[i64]) -> Model {
        self.tensor(integers(name, entries))
    }

    pub fn node(
        mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[AttributeProto],
    ) -> Model {
        self.graph.node.push(NodeProto {
            op_type: Some(operator.to_owned()),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute: attributes.to_vec(),
            ..Default::default()
        });
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut graph = self.graph.clone();
        let name = graph.node.last().map(|node| node.output[0].clone());
        graph.output.push(ValueInfoProto { name, r#type: None });
        let set = |version| OperatorSetIdProto { domain: None, version: Some(version) };
        let model = ModelProto {
            ir_version: Some(8),
            graph: Some(graph),
            opset_import: self.version.map(set).into_iter().collect(),
            ..Default::default()
        };
        model.write_buf().unwrap()
    }
}

/// A tensor of raw bytes.
pub fn floats(name: &str, dims: &[i64], entries: &[f32]) -> TensorProto {
    let raw = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    TensorProto {
        dims: dims.to_vec(),
        data_type: Some(DataType::FLOAT),
        raw_data: Some(RefCell::new(raw)),
        name: Some(name.to_owned()),
        ..Default::default()
    }
}

/// A tensor whose entries are in the list of floats.
pub fn float_data(name: &str, dims: &[i64], entries: &[f32]) -> TensorProto {
    TensorProto { float_data: entries.to_vec(), raw_data: None, ..floats(name, dims, &[]) }
}

pub fn integers(name: &str, entries: &[i64]) -> TensorProto {
    TensorProto {
        dims: vec![entries.len() as i64],
        data_type: Some(DataType::INT64),
        int64_data: entries.to_vec(),
        name: Some(name.to_owned()),
        ..Default::default()
    }
}

fn attribute(name: &str) -> AttributeProto {
    AttributeProto { name: Some(name.to_owned()), ..Default::default() }
}

pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), ..attribute(name) }
}

pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { ints: values.to_vec(), ..attribute(name) }
}

pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { f: Some(value), ..attribute(name) }
}

pub fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { s: Some(value.to_owned()), ..attribute(name) }
}

pub fn tensor(name: &str, value: TensorProto) -> AttributeProto {
    AttributeProto { t: Some(value), ..attribute(name) }
}

/// Pseudo-random numbers in -1..1.
pub fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// A protobuf varint.
pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A model of most operators, for tests that change it byte by byte.
pub fn small() -> Vec<u8> {
    Model::new(&[-1, 2, 4, 4])
        .floats("w", &[2, 2, 3, 3], &[0.5; 36])
        .tensor(float_data("b", &[2], &[0.5; 2]))
        .floats("d", &[2, 8], &[0.5; 16])
        .integers("to", &[0, -1])
        .node("Conv", &["x", "w", "b"], "c", &[ints("pads", &[1, 1, 1, 1])])
        .node("BatchNormalization", &["c", "b", "b", "b", "b"], "n", &[])
        .node("Add", &["n", "x"], "a", &[])
        .node("MaxPool", &["a"], "p", &[ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])])
        .node("Reshape", &["p", "to"], "f", &[])
        .node("Gemm", &["f", "d"], "y", &[int("transB", 1)])
        .bytes()
}
