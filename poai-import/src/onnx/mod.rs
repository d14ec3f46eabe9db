//! Reading of ONNX files into the float network [`Graph`].
//!
//! The reader takes a batch of 1, so every shape is a number, and arithmetic on
//! shapes disappears. It writes each operator in the few kinds of layers of
//! [`crate::graph::Kind`], and [`Graph::fused`] makes fewer layers of them.
//! Anything that the reader does not know is an error that names the node, the
//! operator, and the value at which the network may be cut. docs/networks.md
//! lists the operators.
//!
//! - `frame`: bounds the cost of decoding the bytes before they are decoded.
//! - `tensor`, `external`: stored tensors, in the file or beside it.
//! - `ids`: functions of ids as tables; `inputs`: the shapes of inputs, with
//!   symbolic dimensions fixed; `batch`: whether nodes keep the samples of a
//!   batch apart.
//! - `node`: names and attributes; `builder`: operands and layers;
//!   `operators`: one function per operator, one file per family; `cut`: a
//!   network in two parts.

mod batch;
mod builder;
mod cut;
mod error;
mod external;
mod frame;
mod ids;
mod inputs;
mod node;
mod operators;
mod tensor;

pub use cut::CutGraph;
pub use error::{OnnxError, OnnxTensorError};

use super::graph::{Graph, GraphError};
use builder::{Builder, Operand};
use rten_onnx::onnx::{GraphProto, ModelProto, NodeProto};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Limits of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the file.
    pub bytes: usize,
    /// Nodes, including those inside attributes.
    pub nodes: usize,
    /// Entries of all constants, as the file stores them and as nodes compute
    /// them, 8 bytes each. The files beside the model count too.
    pub weights: usize,
    /// Layers, which recurrent networks have many of.
    pub layers: usize,
}

impl Default for Limits {
    /// 1 GiB of file, 2^16 nodes, 2^28 entries, 2^16 layers.
    fn default() -> Limits {
        Limits { bytes: 1 << 30, nodes: 1 << 16, weights: 1 << 28, layers: 1 << 16 }
    }
}

/// How a file is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    limits: Limits,
    folder: Option<PathBuf>,
    dimensions: BTreeMap<String, usize>,
    output: Option<String>,
}

impl ReadOptions {
    /// The default limits; no folder, no fixed dimensions, the only output.
    pub fn new() -> ReadOptions {
        ReadOptions::default()
    }

    /// Limits of the file.
    pub fn limits(mut self, limits: Limits) -> ReadOptions {
        self.limits = limits;
        self
    }

    /// The folder of files that hold the model's data. No data outside it is
    /// read.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> ReadOptions {
        self.folder = Some(folder.into());
        self
    }

    /// Fixes a symbolic dimension of an input. A dimension without a name is
    /// called `INPUT.AXIS`.
    pub fn dimension(mut self, name: &str, size: usize) -> ReadOptions {
        self.dimensions.insert(name.to_owned(), size);
        self
    }

    /// The output, by its name. Any value of the file may be the output, so
    /// that a network can be cut before an operator.
    pub fn output(mut self, name: &str) -> ReadOptions {
        self.output = Some(name.to_owned());
        self
    }

    /// Reads a file by its path, with the data beside it.
    ///
    /// # Errors
    /// As [`ReadOptions::read`], or [`OnnxError::File`].
    pub fn read_file(&self, path: &Path) -> Result<Graph, OnnxError> {
        let (options, bytes) = self.opened(path)?;
        options.read(&bytes)
    }

    /// The bytes of a file, at most one more than the limit, and the options with its
    /// folder.
    fn opened(&self, path: &Path) -> Result<(ReadOptions, Vec<u8>), OnnxError> {
        use std::io::Read;
        let mut bytes = vec![];
        // One byte more of a longer file, which `read` then refuses.
        let most = (self.limits.bytes as u64).saturating_add(1);
        std::fs::File::open(path)?.take(most).read_to_end(&mut bytes)?;
        let mut options = self.clone();
        options.folder.get_or_insert_with(|| path.parent().unwrap_or(Path::new(".")).to_owned());
        Ok((options, bytes))
    }

    /// Reads the bytes of a file. It never panics, whatever the bytes are, and
    /// needs memory for about six times the weights.
    ///
    /// # Errors
    /// [`OnnxError`] names the node, tensor or attribute that is broken or not
    /// supported, or the limit that was exceeded.
    pub fn read(&self, bytes: &[u8]) -> Result<Graph, OnnxError> {
        Ok(self.whole(bytes, None)?.graph)
    }

    /// The network, and both parts of it if a value cuts it.
    fn whole(&self, bytes: &[u8], cut: Option<&str>) -> Result<Whole, OnnxError> {
        let limits = &self.limits;
        if bytes.len() > limits.bytes {
            return Err(OnnxError::FileSize { bytes: bytes.len(), limit: limits.bytes });
        }
        frame::check(bytes, limits.nodes)?;
        let model =
            ModelProto::parse_buf(bytes).map_err(|error| OnnxError::Message(error.to_string()))?;
        let graph = model.graph.as_ref().ok_or(OnnxError::NoGraph)?;
        let versions = Versions::of(&model);
        if versions.own().is_none_or(|version| version < 7) {
            return Err(OnnxError::OperatorSet(versions.own()));
        }
        let inputs = inputs::inputs(graph, &self.dimensions)?;
        // A file that fixes a batch may still hold a network of single samples.
        // If it does not, all of the batch is one sample.
        if let Some(single) = inputs::single(&inputs)
            && let batch = inputs.first().and_then(|input| input.shape.0.first().copied())
            && let Ok(read) = self.network(graph, &versions, single, batch, cut)
        {
            return Ok(read.named(graph, &versions));
        }
        let symbols: BTreeSet<String> =
            inputs.iter().filter_map(|input| input.batch.clone().map(|batch| batch.1)).collect();
        let read = match self.network(graph, &versions, inputs, None, cut) {
            Err(OnnxError::Batch { operator, .. })
                if batch::trial::is_unknown(&operator)
                    && let Some(read) = self.tried(graph, &versions, &symbols, cut) =>
            {
                read
            }
            read => read?,
        };
        Ok(read.named(graph, &versions))
    }

    /// The network with a batch of 1, if a trial shows that it keeps samples
    /// apart.
    fn tried(
        &self,
        graph: &GraphProto,
        versions: &Versions<'_>,
        symbols: &BTreeSet<String>,
        cut: Option<&str>,
    ) -> Option<Whole> {
        let of = |batch: usize| {
            let mut fixed = self.dimensions.clone();
            fixed.extend(symbols.iter().map(|symbol| (symbol.clone(), batch)));
            let inputs = inputs::inputs(graph, &fixed).ok()?;
            self.network(graph, versions, inputs, None, cut).ok()
        };
        let (one, two) = (of(1)?, of(2)?);
        batch::trial::keeps_samples(&one.graph, &two.graph).then_some(one)
    }

    /// Reads the nodes. `fixed` is the batch that the file fixes, if the inputs
    /// have a batch of 1 in its place, and `cut` the value that cuts the network.
    fn network<'a>(
        &'a self,
        graph: &'a GraphProto,
        versions: &'a Versions<'a>,
        inputs: Vec<inputs::Declared<'a>>,
        fixed: Option<usize>,
        cut: Option<&str>,
    ) -> Result<Whole, OnnxError> {
        let folder = self.folder.as_deref();
        let mut builder = Builder::new(&self.limits, folder, versions);
        let mut samples = batch::Samples::new(&inputs, fixed, &self.limits, folder, versions);
        let symbols: BTreeSet<String> = inputs
            .iter()
            .filter_map(|input| input.batch.as_ref().map(|(_, symbol)| symbol.clone()))
            .collect();
        for input in inputs {
            builder.add_input(input.name, input.shape, input.number);
        }
        for stored in &graph.initializer {
            builder.add_stored(stored.name.as_deref().unwrap_or_default(), stored)?;
        }
        // The nodes that the output needs: others may be of any kind.
        let output = self.output.as_deref();
        let needed = output.map(|name| needed(graph, name));
        for (index, proto) in graph.node.iter().enumerate() {
            if needed.as_ref().is_some_and(|needed| !needed[index]) {
                continue;
            }
            let version = builder.version(proto.domain.as_deref());
            let node = node::Node::new(proto, index, version);
            let read = operators::read(&mut builder, &node);
            // Of one row, a deviation is no number. The cause is the batch.
            if let Err(OnnxError::Tensor { source: OnnxTensorError::NotFinite { .. }, .. }) = read
                && let Some(batch::Mixing { node, operator }) =
                    samples.as_ref().and_then(batch::Samples::mixing)
            {
                let (node, operator) = (node.clone(), operator.clone());
                let symbols = symbols.into_iter().collect();
                return Err(OnnxError::Batch { node, operator, symbols });
            }
            read?;
            if let Some(samples) = &mut samples {
                samples.follow(&mut builder, &node)?;
            }
        }
        let (name, operand) = chosen(&mut builder, graph, output)?;
        if let Some(samples) = &samples
            && let Err(mixing) = samples.kept(graph, name, &builder.shape(&operand))
        {
            let batch::Mixing { node, operator } = mixing;
            let symbols = symbols.into_iter().collect();
            return Err(OnnxError::Batch { node, operator, symbols });
        }
        finish(builder, name, &operand, self.limits.weights, cut)
    }
}

/// A network that was read.
struct Whole {
    graph: Graph,
    /// Its parts, if a value cuts it.
    cut: Option<CutGraph>,
}

/// Reads an ONNX file's bytes with default options.
///
/// # Errors
/// As [`ReadOptions::read`].
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Graph, OnnxError> {
    ReadOptions::new().limits(*limits).read(bytes)
}

/// The versions of the operator sets.
struct Versions<'a>(Vec<(&'a str, i64)>);

impl<'a> Versions<'a> {
    fn of(model: &'a ModelProto) -> Versions<'a> {
        let domain = |domain: &'a Option<String>| match domain.as_deref() {
            None | Some("ai.onnx") => "",
            Some(domain) => domain,
        };
        let sets = model.opset_import.iter();
        Versions(sets.map(|set| (domain(&set.domain), set.version.unwrap_or(0))).collect())
    }

    fn of_domain(&self, domain: Option<&str>) -> i64 {
        let domain = domain.filter(|&domain| domain != "ai.onnx").unwrap_or("");
        self.0.iter().find(|(own, _)| *own == domain).map_or(1, |&(_, version)| version)
    }

    fn own(&self) -> Option<i64> {
        self.0.iter().find(|(domain, _)| domain.is_empty()).map(|&(_, version)| version)
    }
}

/// Which nodes a value needs.
fn needed(graph: &GraphProto, name: &str) -> Vec<bool> {
    let mut names = std::collections::HashSet::from([name]);
    let mut needed = vec![false; graph.node.len()];
    // Nodes come after those that make their inputs.
    for (index, node) in graph.node.iter().enumerate().rev() {
        if node.output.iter().any(|output| names.contains(output.as_str())) {
            needed[index] = true;
            read_names(node, &mut names);
        }
    }
    needed
}

/// The names that a node reads, and the graphs inside it.
fn read_names<'a>(node: &'a NodeProto, names: &mut std::collections::HashSet<&'a str>) {
    names.extend(node.input.iter().map(String::as_str));
    let inner = node.attribute.iter().filter_map(|attribute| attribute.g.as_ref());
    for graph in inner {
        graph.node.iter().for_each(|node| read_names(node, names));
        names.extend(graph.output.iter().filter_map(|info| info.name.as_deref()));
    }
}

/// The output: its name, and what makes it.
fn chosen<'n>(
    builder: &mut Builder<'_>,
    graph: &'n GraphProto,
    output: Option<&'n str>,
) -> Result<(&'n str, Operand), OnnxError> {
    let names: Vec<&str> = match output {
        Some(name) => vec![name],
        None => graph.output.iter().filter_map(|info| info.name.as_deref()).collect(),
    };
    if let Some(name) = output
        && !builder.has(name)
    {
        let of_nodes = graph.node.iter().flat_map(|node| &node.output);
        let mut all: Vec<String> =
            graph.output.iter().filter_map(|info| info.name.clone()).collect();
        for own in of_nodes.filter(|own| !own.is_empty()) {
            if !graph.output.iter().any(|info| info.name.as_ref() == Some(own)) {
                all.push(own.clone());
            }
        }
        return Err(OnnxError::UnknownOutput { name: name.to_owned(), names: all });
    }
    let mut made = vec![];
    for &name in &names {
        match builder.named("output", name)? {
            Operand::Known(_) => {}
            operand => made.push((name, operand)),
        }
    }
    // A classifier's label is decided by the other output.
    let values = made.iter().filter(|(_, operand)| matches!(operand, Operand::Value(_)));
    let chosen = match (values.clone().count(), made.as_slice()) {
        (1, _) => values.clone().next(),
        (0, [only]) => Some(only),
        _ => None,
    };
    match chosen {
        Some((name, operand)) => Ok((name, operand.clone())),
        None if made.is_empty() => {
            let got = if names.is_empty() { "none" } else { "a constant" };
            let name = names.first().copied().unwrap_or("list").to_owned();
            Err(OnnxError::Output { name, got })
        }
        None => Err(OnnxError::Outputs {
            names: made.iter().map(|(name, _)| (*name).to_owned()).collect(),
        }),
    }
}

/// The graph that makes the output.
fn finish(
    mut builder: Builder<'_>,
    name: &str,
    operand: &Operand,
    limit: usize,
    cut: Option<&str>,
) -> Result<Whole, OnnxError> {
    let (value, tail) = match operand {
        Operand::Class { value, by } => (*value, Some(by.to_string())),
        Operand::Value(value) => (*value, None),
        Operand::Known(_) => (0, None),
    };
    let inputs = builder.graph.inputs.len();
    if value < inputs {
        let got = "an input of the network";
        return Err(OnnxError::Output { name: name.to_owned(), got });
    }
    operators::defined(&builder, value)?;
    builder.without_infinities();
    let at = cut.map(|at| cut::place(&mut builder, at)).transpose()?;
    let Builder { mut graph, shapes, .. } = builder;
    graph.layers.truncate(value + 1 - inputs);
    graph.tail = tail;
    let cut = cut.zip(at).map(|(name, at)| cut::cut(&graph, &shapes, name, at, limit));
    let cut = cut.transpose()?;
    let graph = ids::tabulate(graph, limit)?.fused()?;
    if graph.layers.is_empty() {
        return Err(GraphError::NoLayers.into());
    }
    operators::check(&graph)?;
    Ok(Whole { graph: inputs::order(inputs::read_ones(graph)), cut })
}
