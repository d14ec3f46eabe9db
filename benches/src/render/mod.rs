//! The files of a report, made from its lines without measuring anything.
//!
//! - [`markdown`]: for readers; [`json`]: for programs; [`svg`]: the plots.

pub mod json;
pub mod markdown;
pub mod svg;

use crate::Failure;
use crate::lines::{Line, Section};
use serde_json::Value;

/// A whole report.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Facts about the machine and the build, in the order of printing.
    pub machine: Vec<(String, Value)>,
    /// The sections that were measured.
    pub sections: Vec<Section>,
    /// The lines of the summary: pairs of a section's id and the start of line
    /// ids.
    pub summary: Vec<(&'static str, &'static str)>,
}

impl Report {
    /// The lines of the summary that were measured or skipped.
    pub fn summary(&self) -> Vec<&Line> {
        let lines = self.summary.iter().flat_map(|(id, start)| {
            let sections = self.sections.iter().filter(move |section| section.id == *id);
            sections
                .flat_map(|section| &section.lines)
                .filter(move |line| line.id.starts_with(start))
        });
        lines.collect()
    }
}

/// Every file of a report, by its name.
///
/// # Errors
/// An error if a plot cannot be drawn.
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
