//! The output of `poai run`: what is printed and written.

use super::traced::Traced;
use super::work::csv;
use crate::failure::Failure;
use crate::fidelity;
use crate::files::NewFolder;
use crate::network::Scaled;
use crate::terminal;
use poai::execute::{Network, Tensor};
use poai::import::store;
use poai::program::RunShape;
use serde_json::{Value, json};

/// The number of the output's rows that are printed as text.
const ROWS: usize = 4;

/// All results of a run.
pub struct Report<'a> {
    /// The network's name.
    pub name: String,
    /// The network.
    pub network: &'a Network,
    /// The run.
    pub shape: RunShape,
    /// The scales of a quantised network.
    pub quantised: Option<&'a Scaled>,
    /// The backend's name.
    pub backend: &'a str,
    /// The output.
    pub output: &'a Tensor,
    /// The messages of a traced run.
    pub traced: Option<Traced>,
    /// How long the run took, including commitments.
    pub seconds: f64,
}

impl Report<'_> {
    /// One JSON object; values that need a trace are null without one.
    pub fn json(&self) -> Value {
        let program = self.network.program();
        let traced = self.traced.as_ref();
        let extent = self.output.extent();
        let mut object = json!({
            "model": self.name,
            "program_id": program.program_id(),
            "backend": self.backend,
            "batch": self.shape.batch,
            "sequence": self.shape.sequence,
            "macs": program.total_macs(&self.shape),
            "seconds": self.seconds,
            "output_rows": extent.rows,
            "output_columns": extent.columns,
            "output": self.output.entries(),
            "output_root": self.output.root(),
            "trace_root": traced.map(|traced| traced.trace.root()),
            "beacon": traced.map(|traced| traced.beacon.to_string()),
            "tiles": traced.map(|traced| traced.tiles),
            "audit_bytes": traced.map(|traced| traced.audit.as_bytes().len()),
            "audit_holds": traced.map(|traced| traced.audit_holds),
            "receipt": traced.map(|traced| traced.receipt),
            "fault": traced.and_then(|traced| traced.fault.as_ref()).map(|(text, _)| text),
        });
        if let (Some(scaled), Some(fields)) = (self.quantised, object.as_object_mut()) {
            fields.insert("output_floats".to_owned(), scaled.fidelity.floats(self.output).into());
            fields.insert("classes".to_owned(), self.classes(scaled).into());
            fields.extend(scaled.fidelity.json());
        }
        object
    }

    /// The class of each sample, if the output is one row of several numbers.
    fn classes(&self, scaled: &Scaled) -> Option<Vec<usize>> {
        let columns = scaled.fidelity.classes()?;
        Some(self.output.entries().chunks(columns).map(fidelity::largest).collect())
    }

    /// The same as text.
    pub fn text(&self) -> String {
        let program = self.network.program();
        let RunShape { batch, sequence, .. } = self.shape;
        let extent = self.output.extent();
        let mut text = format!(
            "{}: {} steps on {}\n\
             program id  {}\n\
             run         batch {batch}, sequence {sequence}: {} MACs in {:.1} ms\n\
             output      {extent}, root {}\n",
            self.name,
            program.steps().len(),
            self.backend,
            program.program_id(),
            program.total_macs(&self.shape),
            self.seconds * 1e3,
            self.output.root(),
        );
        for row in csv(self.output).lines().take(ROWS) {
            text += &format!("            {row}\n");
        }
        if extent.rows as usize > ROWS {
            text += &format!("            and {} rows more\n", extent.rows as usize - ROWS);
        }
        if let Some(scaled) = self.quantised {
            let floats = scaled.fidelity.floats(self.output);
            text += "as floats\n";
            for row in floats.chunks(extent.columns.max(1) as usize).take(ROWS) {
                text += &format!("            {}\n", fidelity::row(row));
            }
            text += &scaled.fidelity.text();
        }
        let Some(traced) = &self.traced else { return text };
        text += &format!(
            "trace root  {}\n\
             audit       {} tiles, {} bytes, beacon {}\n",
            traced.trace.root(),
            traced.tiles,
            traced.audit.as_bytes().len(),
            traced.beacon,
        );
        text += &format!("receipt     to sign {}\n", hex::encode(traced.receipt.digest()));
        if let Some((_, answer)) = &traced.demand {
            text +=
                &format!("answer      {} bytes open the demanded tile\n", answer.as_bytes().len());
        }
        if let Some((fault, proof)) = &traced.fault {
            let caught = if traced.audit_holds { "does not find" } else { "finds" };
            text += &format!(
                "fault       {}; the audit {caught} it\n\
                 fraud proof {} bytes\n",
                terminal::name(fault),
                proof.as_bytes().len()
            );
        }
        text
    }

    /// Writes the files of `--out`.
    pub fn write(&self, inputs: &[Tensor], out: NewFolder) -> Result<(), Failure> {
        let out = out.start()?;
        match self.quantised {
            Some(scaled) => store::save_quantised(&scaled.quantised, out.beside())?,
            None => store::save(self.network, out.beside())?,
        }
        for (index, input) in inputs.iter().enumerate() {
            out.write(&format!("input-{index}.csv"), csv(input).as_bytes())?;
        }
        out.write("output.csv", csv(self.output).as_bytes())?;
        if let Some(traced) = &self.traced {
            out.write("header.bin", &traced.trace.header().to_bytes())?;
            out.write("audit.bin", traced.audit.as_bytes())?;
            out.write("receipt.bin", &traced.receipt.to_bytes())?;
            if let Some((_, proof)) = &traced.fault {
                out.write("fraud.bin", proof.as_bytes())?;
            }
            if let Some((demand, answer)) = &traced.demand {
                out.write("demand.bin", &demand.to_bytes())?;
                out.write("answer.bin", answer.as_bytes())?;
            }
        }
        out.finish()
    }
}
