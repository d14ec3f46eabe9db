//! The registry of all backends: those of the processor, and GPUs.
//!
//! [`crate::backend()`] opens one by its name. The names are those of [`list`]:
//!
//! - `auto` is the fastest that this machine has;
//! - `cpu-avx2` and similar names, and `reference`, are backends of the
//!   processor;
//! - `cuda` is the first GPU with its fastest kernels (feature `cuda`);
//! - `cuda-dp4a` and similar names select these kernels and no others;
//! - a suffix `:1` selects another GPU, `:0,2` several at once, and `:all`
//!   every GPU that has the kernels.

use crate::execute::Device;
use crate::{ChooseError, Cpu};
use std::fmt;
use std::sync::Arc;

/// The name of the fastest backend that this machine has.
pub const AUTO: &str = "auto";

/// Opens the backend of a name.
pub(crate) fn by_name(name: &str) -> Result<Arc<dyn Device>, ChooseError> {
    if name == AUTO {
        return Ok(fastest());
    }
    #[cfg(feature = "cuda")]
    if let Some(cuda) = poai_cuda::choose::by_name(name) {
        return Ok(cuda?);
    }
    if name.split(['-', ':']).next() == Some("cuda") {
        let name = name.to_owned();
        #[cfg(feature = "cuda")]
        return Err(ChooseError::Unknown { name, names: cuda_forms() });
        #[cfg(not(feature = "cuda"))]
        return Err(ChooseError::NotBuilt { name, feature: "cuda" });
    }
    poai_engine::choose::by_name(name).map_err(|error| match error {
        ChooseError::Unknown { name, names } => {
            ChooseError::Unknown { name, names: format!("{AUTO}, {names}") }
        }
        other => other,
    })
}

/// A GPU if the build has feature `cuda` and one works, or else the fastest
/// backend of the processor.
fn fastest() -> Arc<dyn Device> {
    #[cfg(feature = "cuda")]
    if let Some(gpu) = poai_cuda::choose::fastest() {
        return gpu;
    }
    Arc::new(Cpu::new())
}

/// A text that lists the names of GPU backends.
#[cfg(feature = "cuda")]
fn cuda_forms() -> String {
    use poai_cuda::choose::{ALL, FASTEST};
    let variants = poai_cuda::Variant::ALL.map(|variant| variant.name());
    format!(
        "{FASTEST} (the fastest kernels), {}; append :1 for another GPU than the first, :0,2 for \
         several GPUs, or :{ALL} for all",
        variants.join(", ")
    )
}

/// A backend that this build knows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// The name that selects the backend.
    pub name: String,
    /// What the backend needs from the machine.
    pub needs: String,
    /// Whether the machine has the backend.
    pub present: bool,
}

/// Writes one line: the name, whether the machine has the backend, and what it
/// needs.
impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.present { "present" } else { "missing" };
        write!(f, "{:<16} {state}  needs {}", self.name, self.needs)
    }
}

/// Every backend that this build knows, CPU backends first.
pub fn list() -> Vec<Listed> {
    let listed = poai_engine::choose::list().into_iter();
    #[allow(unused_mut, reason = "GPUs are added with feature cuda")]
    let mut list: Vec<Listed> = listed
        .map(|listed| Listed {
            name: listed.name.to_owned(),
            needs: listed.needs.to_owned(),
            present: listed.present,
        })
        .collect();
    #[cfg(feature = "cuda")]
    match poai_cuda::gpus() {
        Ok(gpus) => list.extend(each_gpu(gpus)),
        Err(error) => list.push(no_gpu(&error)),
    }
    list
}

/// The entry that is listed if no GPU can be used.
///
/// It distinguishes a driver that does not work from a missing driver.
#[cfg(feature = "cuda")]
fn no_gpu(error: &poai_cuda::CudaError) -> Listed {
    let mut needs = "an NVIDIA GPU and its driver".to_owned();
    if *error != poai_cuda::CudaError::NoDriver {
        needs = format!("{needs}: {error}");
    }
    Listed { name: poai_cuda::choose::FASTEST.to_owned(), needs, present: false }
}

/// Lists each GPU, and all of them together if several can be used.
#[cfg(feature = "cuda")]
fn each_gpu(gpus: Vec<poai_cuda::Gpu>) -> Vec<Listed> {
    use poai_cuda::choose::{ALL, FASTEST};
    let single = |gpu: poai_cuda::Gpu| {
        let supported = gpu.check_supported();
        let present = supported.is_ok();
        let needs = match supported {
            Ok(()) => format!("this GPU, {}", gpu.name),
            Err(error) => error.to_string(),
        };
        Listed { name: format!("{FASTEST}:{}", gpu.ordinal), needs, present }
    };
    let mut list: Vec<Listed> = gpus.into_iter().map(single).collect();
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
    use poai_cuda::{CudaError, Gpu, Variant, Version};

    #[test]
    fn several_gpus_are_listed_together_where_they_can_be_used() {
        let names = |majors: &[u32]| {
            let gpu = |(ordinal, &major)| Gpu {
                ordinal,
                name: "a GPU".into(),
                capability: Version { major, minor: 2 },
                memory: 1 << 33,
                multiprocessors: 20,
            };
            let list = each_gpu(majors.iter().enumerate().map(gpu).collect());
            list.into_iter().map(|listed| (listed.name, listed.present)).collect::<Vec<_>>()
        };
        let gpu = |name: &str, present| (name.to_owned(), present);
        assert_eq!(names(&[8]), [gpu("cuda:0", true)]);
        assert_eq!(names(&[8, 5]), [gpu("cuda:0", true), gpu("cuda:1", false)]);
        let two = [gpu("cuda:0", true), gpu("cuda:1", true), gpu("cuda:all", true)];
        assert_eq!(names(&[8, 7]), two);
    }

    #[test]
    fn a_gpus_name_that_is_none_is_answered_with_theirs() {
        for name in ["cuda-foo", "cuda:x", "cuda-foo:all", "cuda:", "cuda-"] {
            let error = by_name(name).unwrap_err();
            assert!(
                matches!(&error, ChooseError::Unknown { name: asked, .. } if asked == name),
                "{error}"
            );
            let message = error.to_string();
            let variants = Variant::ALL.map(|variant| variant.name());
            for word in [name, "cuda (", ":1", ":0,2", ":all"].into_iter().chain(variants) {
                assert!(message.contains(word), "{word} in {message}");
            }
        }
        let cudas = by_name("cudas").unwrap_err().to_string();
        assert!(cudas.contains("cpu-scalar"), "no GPU's name: {cudas}");
    }

    #[test]
    fn a_driver_that_does_not_work_is_told_from_none() {
        let line = |error: CudaError| no_gpu(&error).to_string();
        let none = line(CudaError::NoDriver);
        assert_eq!(none, "cuda             missing  needs an NVIDIA GPU and its driver");
        for error in [CudaError::NoGpu, CudaError::Stub] {
            let words = error.to_string();
            assert_eq!(line(error), format!("{none}: {words}"));
        }
    }
}
