//! The options that set the rules of audits of traces.

use crate::failure::Failure;
use poai::trace::TraceRules;

/// The limits on runs, and the number of tiles that an audit opens. The prover
/// and the verifier of an audit must use the same ones.
#[derive(clap::Args, Clone, Copy)]
#[command(next_help_heading = "Rules of traces")]
pub struct RulesArgs {
    /// The most items of a run.
    #[arg(long, value_name = "N", default_value_t = TraceRules::DEFAULT.batch_max)]
    batch_max: u32,
    /// The most tokens of an item.
    #[arg(long, value_name = "N", default_value_t = TraceRules::DEFAULT.sequence_max)]
    sequence_max: u32,
    /// The most bytes of memory that checking a tile may take.
    #[arg(long, value_name = "BYTES", default_value_t = TraceRules::DEFAULT.tile_memory_max)]
    tile_memory_max: u64,
    /// How many tiles an audit draws by the work of products, 0 to 65536.
    #[arg(long, value_name = "N", default_value_t = TraceRules::DEFAULT.product_samples, value_parser = samples())]
    product_samples: u32,
    /// How many tiles an audit draws from the steps before the last, 0 to 65536.
    #[arg(long, value_name = "N", default_value_t = TraceRules::DEFAULT.step_samples, value_parser = samples())]
    step_samples: u32,
    /// How many tiles of the output an audit opens at most, 0 to 65536.
    #[arg(long, value_name = "N", default_value_t = TraceRules::DEFAULT.output_tiles, value_parser = samples())]
    output_tiles: u32,
}

/// More samples would be a full check, and would exhaust memory before time.
fn samples() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(0..=1 << 16)
}

impl RulesArgs {
    /// The rules.
    ///
    /// # Errors
    /// [`Failure`] if an audit would open no tile.
    pub fn rules(&self) -> Result<TraceRules, Failure> {
        let RulesArgs { batch_max, sequence_max, tile_memory_max, .. } = *self;
        let RulesArgs { product_samples, step_samples, output_tiles, .. } = *self;
        let rules = TraceRules {
            batch_max,
            sequence_max,
            tile_memory_max,
            product_samples,
            step_samples,
            output_tiles,
        };
        match rules.tiles_max(1) {
            0 => Err(Failure::usage(
                "expected an audit of one tile at least, got 0 samples of all kinds; \
                 raise --product-samples, --step-samples or --output-tiles",
            )),
            _ => Ok(rules),
        }
    }
}
