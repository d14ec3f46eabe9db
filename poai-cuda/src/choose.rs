//! GPUs by name.

use crate::backend::Cuda;
use crate::backend::variant::Variant;
use crate::detection::{Gpu, gpus};
use crate::error::CudaError;
use crate::multi::{MultiGpu, MultiGpuError, check_once};
use poai_engine::execute::Device;
use std::sync::Arc;

/// The name of the GPU backend with the fastest kernels.
pub const FASTEST: &str = "cuda";

/// The word after the colon that selects every GPU.
pub const ALL: &str = "all";

/// The GPUs that a name asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Which {
    These(Vec<usize>),
    /// Every GPU that runs the kernels.
    All,
}

/// Opens the GPUs of a name.
///
/// The part before the colon is `cuda`, for each GPU's fastest kernels, or a
/// [`Variant::name`], for that variant and no other. The part after it is an
/// ordinal (0 if there is no colon), several ordinals with commas between, or
/// `all` for every GPU that runs the kernels. Several GPUs make a [`MultiGpu`],
/// one GPU a [`Cuda`]. Returns `None` if the name belongs to no GPU.
pub fn by_name(name: &str) -> Option<Result<Arc<dyn Device>, MultiGpuError>> {
    let (variant, which) = read(name)?;
    Some(open(variant, which))
}

/// Opens the GPU of a name that selects one GPU, to measure it. Returns `None`
/// if the name belongs to no GPU or selects several.
pub fn one_by_name(name: &str) -> Option<Result<Cuda, CudaError>> {
    let (variant, which) = read(name)?;
    if !matches!(&which, Which::These(ordinals) if ordinals.len() == 1) {
        return None;
    }
    let chosen = gpus().and_then(|gpus| choose(gpus, variant, &which));
    let first = |chosen: Vec<Gpu>| chosen.into_iter().next().ok_or(CudaError::NoGpu);
    Some(chosen.and_then(first).and_then(|gpu| open_one(variant, &gpu)))
}

/// The first GPU that can be opened, with its fastest kernels. Returns `None` if
/// this machine has none that works.
pub fn fastest() -> Option<Arc<dyn Device>> {
    let gpus = gpus().ok()?;
    gpus.iter().find_map(|gpu| Some(Arc::new(Cuda::open(gpu).ok()?) as Arc<dyn Device>))
}

fn read(name: &str) -> Option<(Option<Variant>, Which)> {
    let (kernels, which) = match name.split_once(':') {
        Some((kernels, ALL)) => (kernels, Which::All),
        Some((kernels, list)) => {
            let ordinals: Result<_, _> = list.split(',').map(str::parse).collect();
            (kernels, Which::These(ordinals.ok()?))
        }
        None => (name, Which::These(vec![0])),
    };
    let variant = Variant::ALL.into_iter().find(|variant| variant.name() == kernels);
    (variant.is_some() || kernels == FASTEST).then_some((variant, which))
}

fn open(variant: Option<Variant>, which: Which) -> Result<Arc<dyn Device>, MultiGpuError> {
    // Checked before the driver is loaded: this is wrong on every machine.
    if let Which::These(ordinals) = &which {
        check_once(ordinals)?;
    }
    let chosen = choose(gpus()?, variant, &which)?;
    if let [gpu] = chosen.as_slice() {
        return Ok(Arc::new(open_one(variant, gpu)?));
    }
    let open = |gpu: &Gpu| {
        open_one(variant, gpu).map_err(|source| MultiGpuError::Gpu { ordinal: gpu.ordinal, source })
    };
    let opened: Result<_, _> = chosen.iter().map(open).collect();
    Ok(Arc::new(MultiGpu::new(opened?)?))
}

fn open_one(variant: Option<Variant>, gpu: &Gpu) -> Result<Cuda, CudaError> {
    match variant {
        Some(variant) => Cuda::forced(gpu, variant),
        None => Cuda::open(gpu),
    }
}

/// The requested GPUs, of all GPUs that exist.
fn choose(
    mut gpus: Vec<Gpu>,
    variant: Option<Variant>,
    which: &Which,
) -> Result<Vec<Gpu>, CudaError> {
    let count = gpus.len();
    match which {
        Which::These(ordinals) => {
            let find = |&ordinal| {
                let gpu = gpus.iter().find(|gpu| gpu.ordinal == ordinal);
                gpu.cloned().ok_or(CudaError::NoOrdinal { ordinal, count })
            };
            ordinals.iter().map(find).collect()
        }
        Which::All => {
            let has = |gpu: &Gpu| {
                let runs = |variant: Variant| variant.needs().runs_on(gpu.capability);
                gpu.check_supported().is_ok() && variant.is_none_or(runs)
            };
            if gpus.iter().any(has) {
                gpus.retain(has);
            } else {
                // Opening one reports what the GPUs lack.
                gpus.truncate(1);
            }
            Ok(gpus)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Version;

    #[test]
    fn names_are_read_whole() {
        for name in [
            "",
            "cud",
            "cuda-",
            "cuda:",
            "cuda:x",
            "cuda:-1",
            "cuda-mma:0x1",
            "cpu-avx2",
            "cuda:0,",
            "cuda:,1",
            "cuda:0;1",
            "cuda:0, 1",
            "cuda:all,1",
            "cuda:ALL",
            "cuda-x:all",
            "cuda:0:1",
        ] {
            assert_eq!(read(name), None, "{name}");
            assert!(by_name(name).is_none(), "{name}");
            assert!(one_by_name(name).is_none(), "{name}");
        }
        // Names of several GPUs, of which one may exist, or none.
        for name in ["cuda:0,1", "cuda:all", "cuda-mma:all"] {
            assert!(one_by_name(name).is_none(), "{name}");
        }
        assert!(one_by_name("cuda:4000000").is_some_and(|opened| opened.is_err()));
        let these = |ordinals: &[usize]| Which::These(ordinals.to_vec());
        for (name, variant, which) in [
            ("cuda", None, these(&[0])),
            ("cuda:0", None, these(&[0])),
            ("cuda-mma", Some(Variant::Mma), these(&[0])),
            ("cuda-dp4a:3", Some(Variant::Dp4a), these(&[3])),
            ("cuda:2,0", None, these(&[2, 0])),
            ("cuda-wgmma:0,1,3", Some(Variant::Wgmma), these(&[0, 1, 3])),
            ("cuda:all", None, Which::All),
            ("cuda-dp4a:all", Some(Variant::Dp4a), Which::All),
        ] {
            assert_eq!(read(name), Some((variant, which)), "{name}");
            assert!(by_name(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_device_named_twice_is_told_without_a_driver() {
        let error = by_name("cuda:1,0,1").unwrap().unwrap_err();
        assert_eq!(error, MultiGpuError::Twice { ordinal: 1 });
        assert_eq!(error.to_string(), "expected each GPU once, got GPU 1 twice; name each once");
    }

    #[test]
    fn devices_are_chosen_in_the_order_named() {
        let gpu = |ordinal, (major, minor)| Gpu {
            ordinal,
            name: "a GPU".into(),
            capability: Version { major, minor },
            memory: 1 << 33,
            multiprocessors: 20,
        };
        let chosen = |capabilities: &[(u32, u32)], variant, which| {
            let gpus = (0..).zip(capabilities).map(|(i, c)| gpu(i, *c)).collect();
            let chosen = choose(gpus, variant, &which)?;
            Ok(chosen.into_iter().map(|gpu| gpu.ordinal).collect::<Vec<_>>())
        };
        let mixed = [(5, 2), (9, 0), (6, 1), (8, 6)];
        let these = |ordinals: &[usize]| Which::These(ordinals.to_vec());
        assert_eq!(chosen(&mixed, None, these(&[3, 1])), Ok(vec![3, 1]));
        let error = CudaError::NoOrdinal { ordinal: 4, count: 4 };
        assert_eq!(chosen(&mixed, None, these(&[0, 4])), Err(error));
        assert_eq!(chosen(&mixed, None, Which::All), Ok(vec![1, 2, 3]));
        assert_eq!(chosen(&mixed, Some(Variant::Mma), Which::All), Ok(vec![1, 3]));
        assert_eq!(chosen(&mixed, Some(Variant::Wgmma), Which::All), Ok(vec![1]));
        // Opening this GPU returns the error.
        assert_eq!(chosen(&[(5, 2), (6, 0)], None, Which::All), Ok(vec![0]));
    }
}
