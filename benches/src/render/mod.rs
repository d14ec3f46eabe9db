//! The files of a report, made from its lines: nothing is measured here.
//!
//! - [`markdown`]: for people; [`json`]: for programs; [`svg`]: the plots.

pub mod json;
pub mod markdown;
pub mod svg;

use crate::Failure;
use crate::lines::Section;
use serde_json::Value;

/// A whole report.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Facts about the machine and the build, in the order in which they print.
    pub machine: Vec<(String, Value)>,
    /// What was measured.
    pub sections: Vec<Section>,
}

/// Every file of a report, by its name.
///
/// # Errors
/// Where a plot cannot be drawn.
pub fn files(report: &Report) -> Result<Vec<(String, String)>, Failure> {
    let mut files = vec![
        ("report.md".to_owned(), markdown::render(report)),
        ("report.json".to_owned(), json::render(report)?),
    ];
    for plot in report.sections.iter().flat_map(|section| &section.plots) {
        files.push((format!("{}.svg", plot.name), svg::render(plot)?));
    }
    Ok(files)
}
