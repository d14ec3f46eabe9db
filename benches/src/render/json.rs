//! The report for programs, which compare runs by section and id.

use super::Report;
use crate::Failure;
use crate::lines::{Line, Outcome};
use serde_json::{Map, Value, json};

/// The version of the format. It increases when programs that read reports must
/// change.
const VERSION: u32 = 1;

/// The report as JSON: `machine`, and `lines` with `section` and `id`.
///
/// # Errors
/// An error if a figure is not finite, which JSON cannot hold.
pub fn render(report: &Report) -> Result<String, Failure> {
    let mut lines = Vec::new();
    for section in &report.sections {
        for line in &section.lines {
            lines.push(render_line(section.id, line)?);
        }
    }
    let machine: Map<_, _> = report.machine.iter().cloned().collect();
    let report = json!({ "version": VERSION, "machine": machine, "lines": lines });
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

fn render_line(section: &str, line: &Line) -> Result<Value, Failure> {
    let mut value = json!({ "section": section, "id": line.id, "what": line.what });
    let own = match &line.outcome {
        Outcome::Figure { value, .. } if !value.is_finite() => {
            return Err(
                format!("{section}/{}: expected a finite figure, got {value}", line.id).into()
            );
        }
        Outcome::Figure { value, unit, share } => {
            json!({ "value": value, "unit": unit, "kept": share.kept, "taken": share.taken })
        }
        Outcome::Digest(digest) => json!({ "digest": digest }),
        Outcome::Skipped(why) => json!({ "skipped": why }),
    };
    if let (Value::Object(all), Value::Object(own)) = (&mut value, own) {
        all.extend(own);
    }
    Ok(value)
}
