//! The limits of a GPU, computed from its driver's data.

use poai_cuda::Version;
use poai_cuda::measure::Rates;

/// Dense int8 multiply-accumulates of one multiprocessor's tensor cores per
/// cycle. The numbers are NVIDIA's peak figures of each generation's GPUs,
/// divided by multiprocessors and boost clock. `None` for generations without
/// such tensor cores, and for those whose figure was not looked up.
pub fn macs_a_cycle(capability: Version) -> Option<u32> {
    match (capability.major, capability.minor) {
        (8, 0) => Some(2048),     // A100: 624 TOPS, 108 at 1.41 GHz
        (8, 6 | 9) => Some(1024), // RTX 3090: 284 TOPS, 82 at 1.70; RTX 4090: 661, 128 at 2.52
        (9, 0) => Some(4096),     // H100: 1979 TOPS, 132 at 1.83
        _ => None,
    }
}

/// Peak tera-MACs a second of a GPU at the highest clock that its driver
/// reports.
pub fn peak(capability: Version, multiprocessors: u32, rates: &Rates) -> Option<f64> {
    let a_cycle = f64::from(macs_a_cycle(capability)?) * f64::from(multiprocessors);
    Some(a_cycle * f64::from(rates.clock?) * 1e3 / 1e12)
}

/// The memory's GB/s, at two bits per cycle and wire.
pub fn memory(rates: &Rates) -> Option<f64> {
    let bits = 2.0 * f64::from(rates.memory_width?);
    Some(bits / 8.0 * f64::from(rates.memory_clock?) * 1e3 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_peaks_come_out() {
        let near = |value: Option<f64>, expected: f64| {
            assert!((value.unwrap() / expected - 1.0).abs() < 0.01, "{value:?}, not {expected}");
        };
        let rates = |clock, memory_clock, memory_width| Rates {
            clock: Some(clock),
            memory_clock: Some(memory_clock),
            memory_width: Some(memory_width),
        };
        let version = |major, minor| Version { major, minor };
        // H100 SXM: 1979 TOPS, two operations a MAC; 3.35 TB/s.
        let h100 = rates(1_830_000, 2_619_000, 5120);
        near(peak(version(9, 0), 132, &h100), 1979.0 / 2.0);
        near(memory(&h100), 3352.0);
        let a100 = rates(1_410_000, 1_215_000, 5120);
        near(peak(version(8, 0), 108, &a100), 624.0 / 2.0);
        near(memory(&a100), 1555.0);
        assert_eq!(peak(version(7, 5), 40, &a100), None);
        assert_eq!(peak(version(9, 0), 132, &Rates::default()), None);
    }
}
