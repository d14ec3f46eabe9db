//! `config.json` as transformers writes it, in versions 4 and 5.

use super::{
    Attention, DecoderConfig, DecoderFamily, GatedActivation, RopeScaling, Rotary, unsupported,
};
use crate::DecoderError;
use serde_json::{Map, Value};

/// The largest `config.json` that is read, in bytes.
const BYTES_MAX: usize = 1 << 20;
const FILE: &str = "config.json";
/// The values of `model_type` that are supported.
const TYPES: &str = "llama, mistral, qwen2, qwen3, gemma, gemma2, gemma3_text or phi3";

/// Fields that do not change what the model computes.
const HARMLESS: [&str; 17] = [
    "_name_or_path",
    "architectures",
    "attention_dropout",
    "auto_map",
    "cache_implementation",
    "dtype",
    "embd_pdrop",
    "id2label",
    "initializer_range",
    "label2id",
    "pad_token_id",
    "resid_pdrop",
    "torch_dtype",
    "transformers.js_config",
    "transformers_version",
    "unsloth_version",
    "use_cache",
];

/// Reads the settings. Each field is known and taken, known to change nothing,
/// or refused.
pub(crate) fn read(bytes: &[u8]) -> Result<DecoderConfig, DecoderError> {
    let malformed = |why: String| DecoderError::Layout { file: FILE.into(), why };
    if bytes.len() > BYTES_MAX {
        return Err(malformed(format!("expected at most {BYTES_MAX} bytes, got more")));
    }
    let map: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
    let mut fields = Fields { map, path: "" };
    let config = fields.config()?;
    fields.finish(&HARMLESS)?;
    config.check()
}

/// The fields of an object that are not read yet.
struct Fields {
    map: Map<String, Value>,
    path: &'static str,
}

impl Fields {
    fn config(&mut self) -> Result<DecoderConfig, DecoderError> {
        let family = self.family()?;
        let gemma = family.is_gemma();
        let heads = self.size("num_attention_heads", None)?;
        let hidden = self.size("hidden_size", None)?;
        let head = match family {
            DecoderFamily::Qwen3 => Some(128),
            _ if gemma => Some(256),
            _ => hidden.checked_div(heads),
        };
        let kv = match family {
            DecoderFamily::Mistral => Some(8),
            DecoderFamily::Gemma2 | DecoderFamily::Gemma3 => Some(4),
            _ => Some(heads),
        };
        let head = self.size("head_dim", head)?;
        let places = self.size("max_position_embeddings", None)?;
        let layers = self.size("num_hidden_layers", None)?;
        if layers > super::LAYERS_MAX {
            let supported = format!("at most {}", super::LAYERS_MAX);
            return Err(unsupported("num_hidden_layers", &supported, layers));
        }
        self.only("pretraining_tp", &[1.0])?;
        self.only("use_bidirectional_attention", &[])?;
        let biases = match family {
            DecoderFamily::Qwen2 => (true, false),
            _ => {
                let all = self.flag("attention_bias", false)?;
                (all, all)
            }
        };
        let scalar = match family {
            DecoderFamily::Gemma2 | DecoderFamily::Gemma3 => {
                self.number("query_pre_attn_scalar")?.unwrap_or(256.0)
            }
            _ => head as f64,
        };
        let (score_cap, logit_cap) = match family {
            DecoderFamily::Gemma2 => {
                (self.number("attn_logit_softcapping")?, self.number("final_logit_softcapping")?)
            }
            DecoderFamily::Gemma3 => {
                self.only("attn_logit_softcapping", &[])?;
                (None, self.number("final_logit_softcapping")?)
            }
            _ => (None, None),
        };
        let epsilon = self.number("rms_norm_eps")?;
        Ok(DecoderConfig {
            family,
            vocabulary: self.size("vocab_size", None)?,
            hidden,
            inner: self.size("intermediate_size", None)?,
            heads,
            kv_heads: self.size("num_key_value_heads", kv)?,
            head,
            places,
            attention: self.attention(family, layers, head, places)?,
            epsilon: epsilon.ok_or_else(|| DecoderError::Field { field: "rms_norm_eps".into() })?,
            qk_norms: matches!(family, DecoderFamily::Qwen3 | DecoderFamily::Gemma3),
            norms_after: family.norms_after(),
            qkv_biases: biases.0,
            output_bias: biases.1,
            inner_biases: self.flag("mlp_bias", false)?,
            activation: self.activation(gemma)?,
            tied: self.flag("tie_word_embeddings", gemma)?,
            embedding_scale: if gemma { (hidden as f32).sqrt() } else { 1.0 },
            score_scale: scalar.powf(-0.5) as f32,
            score_cap: score_cap.map(|cap| cap as f32),
            logit_cap: logit_cap.map(|cap| cap as f32),
            first_token: self.ids("bos_token_id")?.first().copied(),
            end_tokens: self.ids("eos_token_id")?,
        })
    }

    fn family(&mut self) -> Result<DecoderFamily, DecoderError> {
        let stated = self.text("model_type")?.unwrap_or_default();
        Ok(match stated.as_str() {
            "llama" => DecoderFamily::Llama,
            "mistral" => DecoderFamily::Mistral,
            "qwen2" => DecoderFamily::Qwen2,
            "qwen3" => DecoderFamily::Qwen3,
            "gemma" => DecoderFamily::Gemma,
            "gemma2" => DecoderFamily::Gemma2,
            "gemma3_text" => DecoderFamily::Gemma3,
            "phi3" => DecoderFamily::Phi3,
            other => {
                let got = other.chars().take(64).collect();
                return Err(DecoderError::Family { got, supported: TYPES });
            }
        })
    }

    fn activation(&mut self, gemma: bool) -> Result<GatedActivation, DecoderError> {
        let act = self.text("hidden_act")?;
        let activation = self.text("hidden_activation")?;
        let name = activation.or(act).unwrap_or(if gemma { "gelu" } else { "silu" }.into());
        match name.as_str() {
            "silu" | "swish" => Ok(GatedActivation::Silu),
            // Gemma's first files say "gelu" and mean the one by tanh.
            "gelu_pytorch_tanh" | "gelu_new" => Ok(GatedActivation::GeluTanh),
            "gelu" if gemma => Ok(GatedActivation::GeluTanh),
            "gelu" => Ok(GatedActivation::Gelu),
            _ => Err(unsupported("hidden_act", "silu, gelu or gelu_pytorch_tanh", name)),
        }
    }

    /// The attention of each layer: windows and turns.
    fn attention(
        &mut self,
        family: DecoderFamily,
        layers: usize,
        head: usize,
        places: usize,
    ) -> Result<Vec<Attention>, DecoderError> {
        let uses = match family {
            DecoderFamily::Qwen2 | DecoderFamily::Qwen3 => {
                self.flag("use_sliding_window", false)?
            }
            _ => true,
        };
        // The classes' default, which null replaces.
        let default = match family {
            DecoderFamily::Mistral | DecoderFamily::Gemma2 | DecoderFamily::Gemma3 => Some(4096),
            _ => None,
        };
        let default = default.filter(|_| !self.map.contains_key("sliding_window"));
        let window = self.optional_size("sliding_window")?.or(default).filter(|_| uses);
        let first = self.optional_size("max_window_layers")?.unwrap_or(28);
        let pattern = self.optional_size("_sliding_window_pattern")?;
        let old_pattern = self.optional_size("sliding_window_pattern")?;
        let pattern = old_pattern.or(pattern).unwrap_or(6);
        let windowed = |layer: usize| match family {
            DecoderFamily::Qwen2 | DecoderFamily::Qwen3 => layer >= first,
            DecoderFamily::Gemma2 => layer.is_multiple_of(2),
            DecoderFamily::Gemma3 => !(layer + 1).is_multiple_of(pattern),
            _ => true,
        };
        let windowed: Vec<bool> = match self.types(layers)? {
            Some(types) => types,
            None => (0..layers).map(windowed).collect(),
        };
        let [far, near] = self.rotary(family, head, places)?;
        let layer = |windowed| match window.filter(|_| windowed) {
            Some(window) => Attention { window: Some(window), rotary: near.clone() },
            // Gemma 3 turns by the kind of layer, whether it has a window or not.
            None if windowed => Attention { window: None, rotary: near.clone() },
            None => Attention { window: None, rotary: far.clone() },
        };
        Ok(windowed.into_iter().map(layer).collect())
    }

    /// Whether each layer has a window, if the file lists it.
    fn types(&mut self, layers: usize) -> Result<Option<Vec<bool>>, DecoderError> {
        let Some(value) = self.take("layer_types") else { return Ok(None) };
        let supported = format!("{layers} of sliding_attention or full_attention");
        let wrong = || unsupported("layer_types", &supported, "others");
        let list = value.as_array().filter(|list| list.len() == layers).ok_or_else(wrong)?;
        let kind = |kind: &Value| match kind.as_str() {
            Some("sliding_attention") => Ok(true),
            Some("full_attention") => Ok(false),
            _ => Err(wrong()),
        };
        list.iter().map(kind).collect::<Result<_, _>>().map(Some)
    }

    /// The turns of layers that see all places, and of those with a window.
    fn rotary(
        &mut self,
        family: DecoderFamily,
        head: usize,
        places: usize,
    ) -> Result<[Rotary; 2], DecoderError> {
        let local = self.number("rope_local_base_freq")?;
        let old_theta = self.number("rope_theta")?;
        let old_share = self.number("partial_rotary_factor")?;
        let old = self.object("rope_scaling")?;
        let original = self.number("original_max_position_embeddings")?.unwrap_or(places as f64);
        let mut new = self.object("rope_parameters")?;
        let gemma3 = family == DecoderFamily::Gemma3;
        let default = if gemma3 { 1_000_000.0 } else { 10_000.0 };
        if let Some(new) = &mut new
            && (new.map.contains_key("full_attention") || new.map.contains_key("sliding_attention"))
        {
            let mut parts = vec![];
            for (name, theta) in [("full_attention", default), ("sliding_attention", 10_000.0)] {
                let part = new.object(name)?;
                parts.push(rotary_of(part, old_theta.unwrap_or(theta), head, old_share, original)?);
            }
            std::mem::take(&mut new.map).keys().try_for_each(|name| unknown(new.path, name))?;
            if let [far, near] = parts.as_slice() {
                return Ok([far.clone(), near.clone()]);
            }
        }
        let theta = old_theta.unwrap_or(default);
        let far = rotary_of(new.or(old), theta, head, old_share, original)?;
        let near = if gemma3 {
            let theta = local.unwrap_or(10_000.0);
            Rotary { theta, columns: head, scaling: RopeScaling::None }
        } else {
            if local.is_some() {
                return unknown("", "rope_local_base_freq").map(|()| [far.clone(), far]);
            }
            far.clone()
        };
        Ok([far, near])
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    fn number(&mut self, name: &str) -> Result<Option<f64>, DecoderError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| unsupported(name, "a number", value))
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, DecoderError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        value
            .as_str()
            .map(|text| Some(text.into()))
            .ok_or_else(|| unsupported(name, "text", &value))
    }

    fn flag(&mut self, name: &str, default: bool) -> Result<bool, DecoderError> {
        let Some(value) = self.take(name) else { return Ok(default) };
        value.as_bool().ok_or_else(|| unsupported(name, "true or false", value))
    }

    fn optional_size(&mut self, name: &str) -> Result<Option<usize>, DecoderError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
        size.map(Some).ok_or_else(|| unsupported(name, "a whole number", value))
    }

    fn size(&mut self, name: &str, default: Option<usize>) -> Result<usize, DecoderError> {
        let size = self.optional_size(name)?.or(default);
        size.ok_or_else(|| DecoderError::Field { field: name.into() })
    }

    /// One token or several.
    fn ids(&mut self, name: &str) -> Result<Vec<u32>, DecoderError> {
        let Some(value) = self.take(name) else { return Ok(vec![]) };
        let list = match &value {
            Value::Array(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        let id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
        let ids: Option<Vec<u32>> = list.iter().map(id).collect();
        ids.ok_or_else(|| unsupported(name, "tokens", &value))
    }

    /// Refuses a field unless it is absent, false, or one of some numbers.
    fn only(&mut self, name: &str, numbers: &[f64]) -> Result<(), DecoderError> {
        match self.take(name) {
            None | Some(Value::Bool(false)) => Ok(()),
            Some(value) if value.as_f64().is_some_and(|x| numbers.contains(&x)) => Ok(()),
            Some(value) => Err(unsupported(name, "absent or its default", value)),
        }
    }

    fn object(&mut self, name: &'static str) -> Result<Option<Fields>, DecoderError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Fields { map, path: name })),
            Some(value) => Err(unsupported(name, "an object", value)),
        }
    }

    /// Refuses what is left, unless it changes nothing.
    fn finish(&self, harmless: &[&str]) -> Result<(), DecoderError> {
        let left = |name: &&String| !harmless.contains(&name.as_str());
        self.map.keys().find(left).map_or(Ok(()), |name| unknown(self.path, name))
    }
}

fn unknown(path: &str, name: &str) -> Result<(), DecoderError> {
    let name: String = name.chars().take(64).collect();
    let field = if path.is_empty() { name } else { format!("{path}.{name}") };
    Err(DecoderError::Unknown { field })
}

/// The turns that one object states.
fn rotary_of(
    fields: Option<Fields>,
    theta: f64,
    head: usize,
    share: Option<f64>,
    original: f64,
) -> Result<Rotary, DecoderError> {
    let mut fields = fields.unwrap_or(Fields { map: Map::new(), path: "rope_parameters" });
    let theta = fields.number("rope_theta")?.unwrap_or(theta);
    let share = fields.number("partial_rotary_factor")?.or(share).unwrap_or(1.0);
    let old = fields.text("type")?;
    let kind = fields.text("rope_type")?.or(old).unwrap_or("default".into());
    let scaling = match kind.as_str() {
        "default" => RopeScaling::None,
        "linear" => RopeScaling::Linear { factor: fields.needed("factor")? },
        "llama3" => RopeScaling::Llama3 {
            factor: fields.needed("factor")?,
            low: fields.needed("low_freq_factor")?,
            high: fields.needed("high_freq_factor")?,
            original: fields.number("original_max_position_embeddings")?.unwrap_or(original),
        },
        _ => return Err(unsupported("rope_type", "default, linear or llama3", kind)),
    };
    if !(0.0..=1.0).contains(&share) {
        return Err(unsupported("partial_rotary_factor", "0 to 1", share));
    }
    fields.finish(&[])?;
    // As transformers rounds it.
    Ok(Rotary { theta, columns: (head as f64 * share) as usize, scaling })
}

impl Fields {
    fn needed(&mut self, name: &str) -> Result<f64, DecoderError> {
        let field = format!("{}.{name}", self.path);
        self.number(name)?.ok_or(DecoderError::Field { field })
    }
}
