//! Choosing a backend by name, the GPUs' among them.
//!
//! Names are those of [`crate::choose::list`], and with feature `cuda` also
//! `cuda` (the first GPU with its fastest kernels), `cuda-dp4a` and the like
//! (these kernels and no others), each with `:1` and so on for further GPUs,
//! `:0,2` for several at once and `:all` for every one that has the kernels.

use crate::execute::Device;
use std::fmt;
use std::sync::Arc;

/// Why no backend was chosen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChooseError {
    /// No backend of the CPU has the name, or not on this machine.
    #[error(transparent)]
    Cpu(#[from] crate::backend::CpuChooseError),
    /// The GPUs cannot be used.
    #[cfg(feature = "cuda")]
    #[error(transparent)]
    Cuda(#[from] poai_cuda::CardsError),
    /// A GPU was asked for, and not by one of their names.
    #[cfg(feature = "cuda")]
    #[error("no backend is called {0:?}; GPUs are: {forms}", forms = cuda_forms())]
    UnknownCuda(String),
    /// A GPU was asked for, which this build has no code for.
    #[cfg(not(feature = "cuda"))]
    #[error("backend {0} is not built in: build with `--features cuda`")]
    NoCuda(String),
}

/// The backend of a name; never another one in its stead.
///
/// # Errors
/// [`ChooseError`] where there is none of this name, or not on this machine.
pub fn by_name(name: &str) -> Result<Arc<dyn Device>, ChooseError> {
    #[cfg(feature = "cuda")]
    if let Some(cuda) = poai_cuda::choose::by_name(name) {
        return Ok(cuda?);
    }
    if name.split(['-', ':']).next() == Some("cuda") {
        #[cfg(feature = "cuda")]
        return Err(ChooseError::UnknownCuda(name.to_owned()));
        #[cfg(not(feature = "cuda"))]
        return Err(ChooseError::NoCuda(name.to_owned()));
    }
    Ok(crate::choose::by_name(name)?)
}

/// How GPUs are named.
#[cfg(feature = "cuda")]
fn cuda_forms() -> String {
    use poai_cuda::choose::{ALL, FASTEST};
    let variants = poai_cuda::Variant::ALL.map(|variant| variant.name());
    format!(
        "{FASTEST} (the fastest kernels), {}; each also with :1 behind it for another GPU than \
         the first, :0,2 for several or :{ALL} for every one",
        variants.join(", ")
    )
}

/// A backend that this build knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name by which it is chosen.
    pub name: String,
    /// What it asks of the machine.
    pub needs: String,
    /// Whether the machine has it.
    pub present: bool,
}

/// One line: the name, whether the machine has it, and what it needs.
impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.present { "present" } else { "missing" };
        write!(f, "{:<16} {state}  needs {}", self.name, self.needs)
    }
}

/// Every backend that this build knows, the CPU's first.
pub fn list() -> Vec<Listed> {
    let listed = crate::choose::list().into_iter();
    #[allow(unused_mut, reason = "GPUs are added with feature cuda")]
    let mut list: Vec<Listed> = listed
        .map(|listed| Listed {
            name: listed.name.to_owned(),
            needs: listed.needs.to_owned(),
            present: listed.present,
        })
        .collect();
    #[cfg(feature = "cuda")]
    match poai_cuda::devices() {
        Ok(devices) => list.extend(gpus(devices)),
        Err(error) => list.push(no_gpu(&error)),
    }
    list
}

/// What is listed where no GPU can be. A driver that is there and does not work
/// is told from none.
#[cfg(feature = "cuda")]
fn no_gpu(error: &poai_cuda::CudaError) -> Listed {
    let mut needs = "an NVIDIA GPU and its driver".to_owned();
    if *error != poai_cuda::CudaError::NoDriver {
        needs = format!("{needs}: {error}");
    }
    Listed { name: poai_cuda::choose::FASTEST.to_owned(), needs, present: false }
}

/// Each GPU, and all of them together where there are several to be used.
#[cfg(feature = "cuda")]
fn gpus(devices: Vec<poai_cuda::Device>) -> Vec<Listed> {
    use poai_cuda::choose::{ALL, FASTEST};
    let single = |device: poai_cuda::Device| {
        let supported = device.check_supported();
        let present = supported.is_ok();
        let needs = match supported {
            Ok(()) => format!("this GPU, {}", device.name),
            Err(error) => error.to_string(),
        };
        Listed { name: format!("{FASTEST}:{}", device.ordinal), needs, present }
    };
    let mut list: Vec<Listed> = devices.into_iter().map(single).collect();
    let count = list.iter().filter(|listed| listed.present).count();
    if count > 1 {
        let needs = format!("the {count} GPUs above that are present, to multiply together");
        list.push(Listed { name: format!("{FASTEST}:{ALL}"), needs, present: true });
    }
    list
}

#[cfg(all(test, feature = "cuda"))]
mod tests {
    use super::*;
    use poai_cuda::{CudaError, Device, Variant, Version};

    #[test]
    fn several_gpus_are_listed_together_where_they_can_be_used() {
        let listed = |majors: &[u32]| {
            let device = |(ordinal, &major)| Device {
                ordinal,
                name: "a card".into(),
                capability: Version { major, minor: 2 },
                memory: 1 << 33,
                multiprocessors: 20,
            };
            let list = gpus(majors.iter().enumerate().map(device).collect());
            list.into_iter().map(|listed| (listed.name, listed.present)).collect::<Vec<_>>()
        };
        let gpu = |name: &str, present| (name.to_owned(), present);
        assert_eq!(listed(&[8]), [gpu("cuda:0", true)]);
        assert_eq!(listed(&[8, 5]), [gpu("cuda:0", true), gpu("cuda:1", false)]);
        let two = [gpu("cuda:0", true), gpu("cuda:1", true), gpu("cuda:all", true)];
        assert_eq!(listed(&[8, 7]), two);
    }

    #[test]
    fn a_gpus_name_that_is_none_is_answered_with_theirs() {
        for name in ["cuda-foo", "cuda:x", "cuda-foo:all", "cuda:", "cuda-"] {
            let error = by_name(name).unwrap_err();
            assert!(matches!(&error, ChooseError::UnknownCuda(asked) if asked == name), "{error}");
            let message = error.to_string();
            let variants = Variant::ALL.map(|variant| variant.name());
            for word in [name, "cuda (", ":1", ":0,2", ":all"].into_iter().chain(variants) {
                assert!(message.contains(word), "{word} in {message}");
            }
        }
        assert!(matches!(by_name("cudas"), Err(ChooseError::Cpu(_))));
    }

    #[test]
    fn a_driver_that_does_not_work_is_told_from_none() {
        let line = |error: CudaError| no_gpu(&error).to_string();
        let none = line(CudaError::NoDriver);
        assert_eq!(none, "cuda             missing  needs an NVIDIA GPU and its driver");
        for error in [CudaError::NoDevice, CudaError::Stub] {
            let words = error.to_string();
            assert_eq!(line(error), format!("{none}: {words}"));
        }
    }
}
