//! The order of the output's entries: files have images channels-first, and
//! graphs channels-last.

use super::super::graph::{Graph, ImageExtent, Kind};

/// The image of more than one pixel whose entries the output holds, flattened
/// or not. `None` if the output is a vector of a product or of means, which has
/// one order.
pub(super) fn image(graph: &Graph, shapes: &[ImageExtent]) -> Option<ImageExtent> {
    let mut value = graph.layers.len();
    loop {
        let shape = *shapes.get(value)?;
        if shape.rows() > 1 {
            return Some(shape);
        }
        let layer = graph.layers.get(value.checked_sub(1)?)?;
        match layer.kind {
            // Each entry comes from the same place of the input.
            Kind::Flatten | Kind::Relu | Kind::Add => value = *layer.inputs.first()?,
            _ => return None,
        }
    }
}
