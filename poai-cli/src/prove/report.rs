//! The report of a proof: what is printed and written.

use super::key::Origin;
use super::visible;
use crate::failure::Failure;
use crate::fidelity;
use crate::files::NewFolder;
use crate::memory;
use crate::network::Subject;
use poai::execute::Tensor;
use poai::inference::{Binding, TensorVisibility, VerifyingKey, Visibility};
use poai::prover::snarkjs::{proof_json, signals_json, verifying_key_json};
use poai::prover::{Circuit, Estimate, Proven, Salt};
use poai::verify::inference::Deployment;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The costs of a proof.
pub struct Costs {
    /// Seconds to make the key, if it was made.
    pub setup_seconds: Option<f64>,
    /// Seconds to read the key, if it was read.
    pub load_seconds: Option<f64>,
    /// Seconds of the proof, including the execution.
    pub prove_seconds: f64,
    /// Seconds of a verification.
    pub verify_seconds: f64,
    /// Peak memory until the proof existed, in bytes.
    pub peak_memory: Option<u64>,
}

/// A verified proof with everything that is reported about it.
pub struct Report<'a> {
    /// The network and the input that were run.
    pub subject: &'a Subject,
    /// What every verifier sees.
    pub visibility: Visibility,
    /// The estimate.
    pub estimate: Estimate,
    /// The values that the proof is bound to.
    pub binding: Binding,
    /// The key's origin.
    pub origin: Origin,
    /// The verifying key.
    pub verifying_key: VerifyingKey,
    /// The proof and what it hides.
    pub proven: Proven,
    /// The proof's canonical bytes.
    pub bytes: Vec<u8>,
    /// The deployment for scripts.
    pub deployment: Deployment,
    /// Whether to print what the proof hides.
    pub reveal: bool,
    /// The costs.
    pub costs: Costs,
}

impl Report<'_> {
    /// The output, if it is public or everything is revealed.
    fn output(&self) -> Option<Vec<i32>> {
        let shown = self.visibility.output == TensorVisibility::Public || self.reveal;
        shown.then(|| self.proven.output.entries())
    }

    /// Such an output as floats.
    fn floats(&self) -> Option<Vec<f32>> {
        let scaled = self.subject.quantised.as_ref();
        self.output().and(scaled).map(|scaled| scaled.fidelity.floats(&self.proven.output))
    }

    /// The class of each row of such an output.
    fn classes(&self) -> Option<Vec<usize>> {
        // The largest of one number is no choice.
        let columns = self.subject.quantised.as_ref()?.fidelity.classes()?;
        let entries = self.output()?;
        Some(entries.chunks(columns).map(fidelity::largest).collect())
    }

    /// The bytes of the proof alone, without signals and the key's digest.
    fn proof_bytes(&self) -> usize {
        self.proven.proof.proof.to_bytes().len()
    }

    /// Everything that the proof hides.
    fn revealed(&self) -> Value {
        let hex = |salt: Salt| hex::encode(salt.0);
        let salts = self.proven.salts;
        json!({
            "input": self.subject.inputs.iter().flat_map(Tensor::entries).collect::<Vec<i32>>(),
            "output": self.proven.output.entries(),
            "salts": {
                "input": hex(salts.input),
                "weights": hex(salts.weights),
                "output": hex(salts.output),
            },
        })
    }

    /// Everything as one JSON object.
    pub fn json(&self) -> Result<String, Failure> {
        let Report { subject, estimate, binding, costs, .. } = self;
        let mut object = statement(subject, self.visibility, estimate);
        let more = json!({
            "job": binding.job,
            "prover": binding.prover.to_string(),
            "key": self.origin.word(),
            "verifying_key": self.proven.proof.key,
            "setup_seconds": costs.setup_seconds,
            "load_seconds": costs.load_seconds,
            "prove_seconds": costs.prove_seconds,
            "verify_seconds": costs.verify_seconds,
            "peak_memory_bytes": costs.peak_memory,
            "peak_memory_source": memory::SOURCE,
            "peak_memory_has_setup": costs.setup_seconds.is_some(),
            "proof_bytes": self.proof_bytes(),
            "object_bytes": self.bytes.len(),
            "calldata_bytes": self.deployment.calldata.as_bytes().len(),
            "gas": estimate.gas,
            "proof": hex::encode(&self.bytes),
            "estimate": serde_json::to_value(estimate)?,
        });
        object.extend(more.as_object().cloned().unwrap_or_default());
        if let Some(output) = self.output() {
            object.insert("output".to_owned(), output.into());
        }
        if let Some(floats) = self.floats() {
            object.insert("output_floats".to_owned(), floats.into());
        }
        if let Some(classes) = self.classes() {
            object.insert("classes".to_owned(), classes.into());
        }
        if self.reveal {
            object.insert("revealed".to_owned(), self.revealed());
        }
        line(object)
    }

    /// The same as text.
    pub fn text(&self) -> Result<String, Failure> {
        let Report { subject, estimate, binding, costs, .. } = self;
        let mut text = head(subject, self.visibility, estimate);
        text += &format!("key         {}\n", self.origin.warning());
        if let Some(seconds) = costs.setup_seconds {
            text += &format!("            made in {seconds:.2} s\n");
        }
        if let Some(seconds) = costs.load_seconds {
            text += &format!("            read in {seconds:.2} s\n");
        }
        text += &format!(
            "            verifying key {}\n\
             proof       {} bytes, {} with signals and the key's digest, made in {:.3} s\n\
             bound to    prover {}, job {}\n\
             verified    in {:.2} ms\n\
             calldata    {} bytes; the verifier's call takes about {} gas\n",
            self.proven.proof.key,
            self.proof_bytes(),
            self.bytes.len(),
            costs.prove_seconds,
            binding.prover,
            binding.job,
            costs.verify_seconds * 1e3,
            self.deployment.calldata.as_bytes().len(),
            estimate.gas,
        );
        if let Some(peak) = costs.peak_memory {
            let what = if costs.setup_seconds.is_some() { "setup and proof" } else { "proof" };
            let (mebibytes, source) = (peak >> 20, memory::SOURCE);
            text += &format!("memory      {mebibytes} MiB at the peak of {what} ({source})\n");
        }
        if let Some(output) = self.output() {
            text += &format!("output      {output:?}\n");
        }
        if let Some(floats) = self.floats() {
            text += &format!("as floats   [{}]\n", fidelity::row(&floats));
        }
        if let Some(classes) = self.classes() {
            text += &format!("class       {classes:?}\n");
        }
        if self.reveal {
            text += &format!("revealed    {}\n", self.revealed());
        }
        Ok(text)
    }

    /// The files that `snarkjs groth16 verify` takes.
    fn snarkjs(&self) -> [(&'static str, String); 3] {
        let proof = &self.proven.proof;
        [
            ("snarkjs-proof.json", proof_json(&proof.proof)),
            ("snarkjs-public.json", signals_json(&proof.signals)),
            ("snarkjs-verification-key.json", verifying_key_json(&self.verifying_key)),
        ]
    }

    /// Writes the files of `--out`.
    pub fn write(&self, out: NewFolder) -> Result<(), Failure> {
        let out = out.start()?;
        out.write("proof.bin", &self.bytes)?;
        out.write("verifying-key.bin", &self.verifying_key.to_bytes())?;
        let calldata = format!("{}\n", self.deployment.calldata);
        out.write("calldata.hex", calldata.as_bytes())?;
        let deployment = serde_json::to_string_pretty(&self.deployment)? + "\n";
        out.write("deployment.json", deployment.as_bytes())?;
        for (name, text) in self.snarkjs() {
            out.write(name, (text + "\n").as_bytes())?;
        }
        // What is hidden is written last.
        if self.reveal {
            out.write_secret("private.json", format!("{}\n", self.revealed()).as_bytes())?;
        }
        out.finish()
    }
}

/// The part of the report that is known before the key.
fn statement(subject: &Subject, visibility: Visibility, estimate: &Estimate) -> Map<String, Value> {
    let program = subject.network.program();
    let [input, output, weights] = visible::names(visibility);
    let object = json!({
        "model": subject.name,
        "program_id": program.program_id().to_string(),
        "architecture_id": program.architecture_id().to_string(),
        "batch": subject.run.batch,
        "macs": program.total_macs(&subject.run),
        "visibility": { "input": input, "output": output, "weights": weights },
        "constraints": estimate.constraints,
        "signals": estimate.signals,
    });
    let mut object = object.as_object().cloned().unwrap_or_default();
    if let Some(scaled) = &subject.quantised {
        object.extend(scaled.fidelity.json());
    }
    object
}

fn head(subject: &Subject, visibility: Visibility, estimate: &Estimate) -> String {
    let program = subject.network.program();
    let [input, output, weights] = visible::names(visibility);
    let seconds = |seconds: Option<f64>| match seconds {
        Some(seconds) => format!("{seconds:.2} s"),
        None => "an unknown time".to_owned(),
    };
    let figures = subject.quantised.as_ref().map(|scaled| scaled.fidelity.text());
    format!(
        "{}: {} steps, {} multiply-accumulates\n\
         program id  {}\n\
         statement   input {input}, output {output}, weights {weights}: {} public inputs\n\
         estimate    {} constraints, {} variables, {} terms\n\
         \x20           setup {} and {} MiB, proof {} and {} MiB, a key of {:.1} MiB\n",
        subject.name,
        program.steps().len(),
        program.total_macs(&subject.run),
        program.program_id(),
        estimate.signals,
        estimate.constraints,
        estimate.variables,
        estimate.terms,
        seconds(estimate.setup_seconds),
        estimate.setup_memory_bytes.div_ceil(1 << 20),
        seconds(estimate.prove_seconds),
        estimate.peak_memory_bytes.div_ceil(1 << 20),
        estimate.proving_key_bytes as f64 / f64::from(1 << 20),
    ) + &figures.unwrap_or_default()
}

/// The output of `--estimate-only`.
pub fn estimated(
    as_json: bool,
    subject: &Subject,
    visibility: Visibility,
    estimate: &Estimate,
) -> Result<String, Failure> {
    if !as_json {
        let gas = format!("gas         about {} for the verifier's call\n", estimate.gas);
        return Ok(head(subject, visibility, estimate) + &gas);
    }
    let mut object = statement(subject, visibility, estimate);
    object.insert("gas".to_owned(), estimate.gas.into());
    object.insert("estimate".to_owned(), serde_json::to_value(estimate)?);
    line(object)
}

/// The output of `--export-r1cs`.
pub fn exported(as_json: bool, path: &Path, circuit: &Circuit) -> Result<String, Failure> {
    let (constraints, digest) = (circuit.estimate().constraints, circuit.digest().to_string());
    let (path, identity) = (path.display().to_string(), circuit.key_identity()?);
    let power = identity.domain.trailing_zeros();
    if as_json {
        let object = json!({
            "r1cs": path, "constraints": constraints, "constraint_digest": digest, "power": power,
        });
        return line(object.as_object().cloned().unwrap_or_default());
    }
    Ok(format!(
        "{path}: {constraints} constraints, digest {digest}; a ceremony needs powers of tau up to \
         2^{power}\n"
    ))
}

fn line(object: Map<String, Value>) -> Result<String, Failure> {
    Ok(serde_json::to_string(&Value::Object(object))? + "\n")
}
