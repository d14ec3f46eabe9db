//! Settings from the metadata of a GGUF file, as llama.cpp's converter writes
//! them.

use super::{
    Attention, DecoderConfig, DecoderFamily, GatedActivation, RopeScaling, Rotary, unsupported,
};
use crate::DecoderError;
use crate::gguf::Gguf;
use gguf_rs_lib::format::metadata::MetadataValue;
use std::collections::BTreeSet;

/// The values of `general.architecture` that are supported.
const TYPES: &str = "llama, qwen2, qwen3, gemma, gemma2, gemma3 or phi3";
/// The tensor with the factors of Llama 3's frequencies.
pub(crate) const FACTORS: &str = "rope_freqs.weight";

/// Reads the settings. Each field of the architecture is known, or refused.
pub(crate) fn read(file: &Gguf) -> Result<DecoderConfig, DecoderError> {
    let stated = file.value("general.architecture").and_then(MetadataValue::as_str);
    let (family, arch) = match stated.unwrap_or_default() {
        "llama" => (DecoderFamily::Llama, "llama"),
        "qwen2" => (DecoderFamily::Qwen2, "qwen2"),
        "qwen3" => (DecoderFamily::Qwen3, "qwen3"),
        "gemma" => (DecoderFamily::Gemma, "gemma"),
        "gemma2" => (DecoderFamily::Gemma2, "gemma2"),
        "gemma3" => (DecoderFamily::Gemma3, "gemma3"),
        "phi3" => (DecoderFamily::Phi3, "phi3"),
        other => {
            let got = other.chars().take(64).collect();
            return Err(DecoderError::Family { got, supported: TYPES });
        }
    };
    let mut fields = Fields { file, arch, read: BTreeSet::new() };
    let config = fields.config(family)?;
    fields.finish()?;
    config.check()
}

struct Fields<'a> {
    file: &'a Gguf,
    arch: &'static str,
    /// The fields of the architecture that were read.
    read: BTreeSet<String>,
}

impl Fields<'_> {
    fn config(&mut self, family: DecoderFamily) -> Result<DecoderConfig, DecoderError> {
        let gemma = family.is_gemma();
        let heads = self.size("attention.head_count")?;
        let hidden = self.size("embedding_length")?;
        let layers = self.size("block_count")?;
        if layers > super::LAYERS_MAX {
            let supported = format!("at most {}", super::LAYERS_MAX);
            return Err(unsupported("block_count", &supported, layers));
        }
        let head = self.optional_size("attention.key_length")?;
        let head = head.unwrap_or(hidden.checked_div(heads).unwrap_or(0));
        if let Some(values) = self.optional_size("attention.value_length")?.filter(|n| *n != head) {
            let supported = format!("{head}, as attention.key_length");
            return Err(unsupported("attention.value_length", &supported, values));
        }
        let words = self.file.shape("token_embd.weight").and_then(|shape| shape.first().copied());
        let words = words.ok_or(DecoderError::Field { field: "token_embd.weight".into() })?;
        if let Some(stated) = self.optional_size("vocab_size")?.filter(|n| *n != words) {
            return Err(unsupported("vocab_size", &format!("{words}, as the words"), stated));
        }
        // The largest models scale scores by the hidden columns of a head.
        let by_hidden = match family {
            DecoderFamily::Gemma2 => layers == 46,
            DecoderFamily::Gemma3 => layers == 62,
            _ => false,
        };
        let scalar = if by_hidden { hidden as f64 / heads as f64 } else { head as f64 };
        let caps = family == DecoderFamily::Gemma2;
        let score_cap = self.number("attn_logit_softcapping")?.or(caps.then_some(50.0));
        let logit_cap = self.number("final_logit_softcapping")?.or(caps.then_some(30.0));
        let has = |name: &str| self.file.shape(name).is_some();
        let [qkv_biases, output_bias] = match family {
            DecoderFamily::Phi3 => [has("blk.0.attn_qkv.bias"), has("blk.0.attn_output.bias")],
            _ => [has("blk.0.attn_q.bias"), has("blk.0.attn_output.bias")],
        };
        let tied = !has("output.weight");
        let places = self.size("context_length")?;
        let epsilon = self.number("attention.layer_norm_rms_epsilon")?;
        let field = "attention.layer_norm_rms_epsilon";
        let id = |name: &str| {
            let value = self.file.value(name).and_then(MetadataValue::as_u64);
            value.and_then(|id| u32::try_from(id).ok())
        };
        let mut end_tokens: Vec<u32> = vec![];
        for name in ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"] {
            end_tokens.extend(id(name).filter(|id| !end_tokens.contains(id)));
        }
        let first_token = id("tokenizer.ggml.bos_token_id");
        Ok(DecoderConfig {
            family,
            vocabulary: words,
            hidden,
            inner: self.size("feed_forward_length")?,
            heads,
            kv_heads: self.optional_size("attention.head_count_kv")?.unwrap_or(heads),
            head,
            places,
            attention: self.attention(family, layers, head)?,
            epsilon: epsilon.ok_or(DecoderError::Field { field: field.into() })?,
            qk_norms: matches!(family, DecoderFamily::Qwen3 | DecoderFamily::Gemma3),
            norms_after: family.norms_after(),
            qkv_biases,
            output_bias,
            inner_biases: false,
            activation: if gemma { GatedActivation::GeluTanh } else { GatedActivation::Silu },
            tied,
            embedding_scale: if gemma { (hidden as f32).sqrt() } else { 1.0 },
            score_scale: scalar.powf(-0.5) as f32,
            score_cap: score_cap.map(|cap| cap as f32),
            logit_cap: logit_cap.map(|cap| cap as f32),
            first_token,
            end_tokens,
        })
    }

    fn attention(
        &mut self,
        family: DecoderFamily,
        layers: usize,
        head: usize,
    ) -> Result<Vec<Attention>, DecoderError> {
        let gemma3 = family == DecoderFamily::Gemma3;
        let columns = self.optional_size("rope.dimension_count")?.unwrap_or(head);
        let theta = self.number("rope.freq_base")?;
        let theta = theta.unwrap_or(if gemma3 { 1_000_000.0 } else { 10_000.0 });
        let near = self.number("rope.freq_base_swa")?.unwrap_or(10_000.0);
        let kind = self.text("rope.scaling.type")?;
        let factor = self.number("rope.scaling.factor")?.or(self.number("rope.scale_linear")?);
        let scaling = match (kind.as_deref(), factor) {
            (None | Some("linear"), Some(factor)) => RopeScaling::Linear { factor },
            (None | Some("none"), _) => RopeScaling::None,
            (Some("linear"), None) => {
                return Err(DecoderError::Field { field: "rope.scaling.factor".into() });
            }
            (Some(other), _) => {
                return Err(unsupported("rope.scaling.type", "none or linear", other));
            }
        };
        let scaling = match self.file.shape(FACTORS) {
            None => scaling,
            Some(_) if scaling != RopeScaling::None => {
                return Err(unsupported(FACTORS, "absent beside a factor", "present"));
            }
            Some(_) => RopeScaling::Factors(self.file.read(FACTORS, &[columns / 2])?),
        };
        let far = Rotary { theta, columns, scaling };
        let near = match gemma3 {
            true => Rotary { theta: near, columns, scaling: RopeScaling::None },
            false => far.clone(),
        };
        let window = self.optional_size("attention.sliding_window")?.filter(|window| *window > 0);
        // The patterns of llama.cpp.
        let windowed = |layer: usize| match family {
            DecoderFamily::Gemma2 => layer.is_multiple_of(2),
            DecoderFamily::Gemma3 => layer % 6 < 5,
            _ => window.is_some(),
        };
        let layer = |layer| match windowed(layer) {
            true => Attention { window, rotary: near.clone() },
            false => Attention { window: None, rotary: far.clone() },
        };
        Ok((0..layers).map(layer).collect())
    }

    fn take(&mut self, name: &str) -> Option<&MetadataValue> {
        let name = format!("{}.{name}", self.arch);
        let value = self.file.value(&name);
        self.read.insert(name);
        value
    }

    fn optional_size(&mut self, name: &str) -> Result<Option<usize>, DecoderError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let size = value.as_u64().or(value.as_i64().and_then(|size| u64::try_from(size).ok()));
        let size = size.and_then(|size| usize::try_from(size).ok());
        let got = value.to_string_representation();
        size.map(Some).ok_or_else(|| unsupported(name, "one whole number", got))
    }

    fn size(&mut self, name: &str) -> Result<usize, DecoderError> {
        let field = format!("{}.{name}", self.arch);
        self.optional_size(name)?.ok_or(DecoderError::Field { field })
    }

    fn number(&mut self, name: &str) -> Result<Option<f64>, DecoderError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        // As the shortest decimal fraction: 1e-5 and not its neighbour in f32.
        let number = match value {
            MetadataValue::F32(number) => number.to_string().parse().ok(),
            other => other.as_f64(),
        };
        let got = value.to_string_representation();
        number.map(Some).ok_or_else(|| unsupported(name, "a number", got))
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, DecoderError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let got = value.to_string_representation();
        value.as_str().map(|text| Some(text.into())).ok_or_else(|| unsupported(name, "text", got))
    }

    /// Refuses fields of the architecture that were not read, and files that are
    /// a part of a model.
    fn finish(&self) -> Result<(), DecoderError> {
        let own = format!("{}.", self.arch);
        for name in self.file.fields() {
            let left = name.starts_with(&own) && !self.read.contains(name);
            // Sizes of the first training change nothing without their scaling.
            let harmless = name == format!("{own}rope.scaling.original_context_length");
            if (left && !harmless) || name.starts_with("split.") || name.starts_with("adapter.") {
                let field = name.chars().take(64).collect();
                return Err(DecoderError::Unknown { field });
            }
        }
        Ok(())
    }
}
