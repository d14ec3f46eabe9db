//! An open NVIDIA GPU: memory, copies and launches through its driver. Results
//! are as if every request ran in the order of the calls. Copies run beside
//! launches that do not use the same memory.
//!
//! - `stream`: the queues and the order among them.
//! - `memory`: memory on the GPU.
//! - `staging`: memory of the host that copies go through.
//! - `copy`: copies.

mod copy;
mod memory;
mod staging;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use copy::Fetch;
pub(crate) use memory::Memory;

use crate::detection::Gpu;
use crate::error::{CudaError, failed, refused, refused_on};
use crate::kernels;
use crate::tensor_map;
use cudarc::driver::result;
use cudarc::driver::sys::{self, CUfunction_attribute_enum as FunctionAttribute};
use memory::{Block, keep_freed};
use staging::Staging;
use std::collections::BTreeMap;
use std::ffi::{CString, c_void};
use std::sync::{Arc, Mutex, PoisonError};
use stream::{Queue, Streams};

/// Bytes of a large copy that are staged at once. At 25 GB/s a piece takes a
/// sixth of a millisecond, so the cost of an event is negligible.
const STAGE_BYTES: usize = 4 << 20;
/// The number of such pieces in each direction. A core copies about 10 GB/s, so
/// fewer than eight pieces would slow down a fast bus.
const STAGES: usize = 8;
/// Copies from the GPU that may be in progress before they are finished.
/// Further ones are copied when they are finished. A product has two.
const FETCHED: usize = 4;
/// Copies to the GPU up to this size have many slots of their own, because one
/// may have to wait for its turn among launches.
const SMALL_BYTES: usize = 4 << 10;
const SMALL_STAGES: usize = 64;
/// The most bytes of the host's memory that the copies of one GPU pin.
pub(crate) const PINNED_BYTES: u64 =
    ((2 * STAGES + FETCHED) * STAGE_BYTES + SMALL_STAGES * SMALL_BYTES) as u64;

/// Bytes of dynamic shared memory above which a launch must request permission.
const SHARED_UNASKED: u32 = 48 << 10;

/// One launch of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Launch {
    /// The file of kernels.
    pub(crate) file: &'static str,
    /// The kernel in it.
    pub(crate) kernel: &'static str,
    /// Blocks: across, down, deep.
    pub(crate) grid: [u32; 3],
    /// Threads of a block, in one dimension.
    pub(crate) block: u32,
    /// Bytes of shared memory of a block, beside what the kernel declares.
    pub(crate) shared: u32,
}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Argument<'a> {
    /// The address of memory.
    Memory(&'a Memory),
    /// The address of a byte of it.
    At(&'a Memory, u64),
    /// No address: the kernel does not write this output.
    Null,
    /// A number.
    U32(u32),
    /// A number.
    U64(u64),
    /// A tensor map of a matrix.
    Map(Rows<'a>),
}

/// Rows of a row-major matrix of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    /// The matrix.
    pub(crate) memory: &'a Memory,
    /// The first of the rows.
    pub(crate) first: u32,
    /// The number of rows.
    pub(crate) rows: u32,
    /// Bytes of each.
    pub(crate) columns: u32,
}

/// An argument as the driver copies it. For a `u32` the driver copies the low
/// half, which comes first on a little-endian host.
enum Value {
    Word(u64),
    Map(sys::CUtensorMap),
}

impl Argument<'_> {
    /// # Safety
    /// For a map, [`crate::driver::load_for_maps`] has succeeded.
    unsafe fn value(&self) -> Result<Value, CudaError> {
        Ok(Value::Word(match *self {
            Argument::Memory(memory) => memory.block.address(),
            Argument::At(memory, offset) => memory.block.place(offset, 0)?,
            Argument::Null => 0,
            Argument::U32(number) => number.into(),
            Argument::U64(number) => number,
            Argument::Map(Rows { memory, first, rows, columns }) => {
                let at = |row: u32| u64::from(row).checked_mul(columns.into());
                let (Some(offset), Some(bytes)) = (at(first), at(rows)) else {
                    return Err(CudaError::Bounds);
                };
                let address = memory.block.place(offset, bytes)?;
                // SAFETY: the caller guarantees that the driver has the
                // function.
                return Ok(Value::Map(unsafe { tensor_map::encode(address, rows, columns)? }));
            }
        }))
    }

    /// The memory that the kernel may use through this argument.
    fn block(&self) -> Option<&Block> {
        match *self {
            Argument::Memory(memory) | Argument::At(memory, _) => Some(&memory.block),
            Argument::Map(Rows { memory, .. }) => Some(&memory.block),
            Argument::Null | Argument::U32(_) | Argument::U64(_) => None,
        }
    }
}

/// One open GPU with its own queues and the kernels for its compute capability.
/// The driver compiles each file of kernels when it is first used.
#[derive(Debug)]
pub struct OpenGpu {
    streams: Arc<Streams>,
    small: Staging,
    large_up: Staging,
    large_down: Staging,
    /// For copies from the GPU that are in progress until the caller finishes
    /// them. That thread may itself wait for one of the pieces above.
    fetched: Staging,
    modules: Mutex<BTreeMap<&'static str, Module>>,
}

/// A loaded file of kernels, which stays loaded while the GPU is open.
#[derive(Debug)]
struct Module {
    module: sys::CUmodule,
    functions: BTreeMap<&'static str, sys::CUfunction>,
}

// SAFETY: the driver's handles may be used from any thread that has the
// context, and each call here binds the context first.
unsafe impl Send for Module {}

impl OpenGpu {
    /// Opens a GPU that [`crate::gpus`] listed. This takes some hundred MB of
    /// its memory, as in every program that uses it. Copies pin up to 80 MiB of
    /// host memory. Up to a quarter of the GPU's memory may stay with this
    /// process when it is freed, until the process ends.
    ///
    /// # Errors
    /// [`CudaError::TooOld`] if the GPU lacks the needed instructions, or an
    /// error of the driver.
    pub fn open(gpu: &Gpu) -> Result<OpenGpu, CudaError> {
        gpu.check_supported()?;
        crate::driver::load_for_gpus()?;
        let streams = Streams::open(gpu)?;
        keep_freed(&streams)?;
        Ok(OpenGpu {
            streams,
            small: Staging::new(SMALL_BYTES, SMALL_STAGES),
            large_up: Staging::new(STAGE_BYTES, STAGES),
            large_down: Staging::new(STAGE_BYTES, STAGES),
            fetched: Staging::new(STAGE_BYTES, FETCHED),
            modules: Mutex::default(),
        })
    }

    /// The GPU.
    pub fn info(&self) -> &Gpu {
        self.streams.info()
    }

    /// Makes the calling thread's calls go to this GPU.
    pub(crate) fn bind(&self) -> Result<(), CudaError> {
        self.streams.bind()
    }

    /// Returns a kernel, and loads it if it is not loaded yet.
    fn function(&self, launch: &Launch) -> Result<sys::CUfunction, CudaError> {
        let missing = CudaError::NoKernel { file: launch.file, kernel: launch.kernel };
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if !modules.contains_key(launch.file) {
            let ptx = kernels::find(launch.file, self.info().capability).ok_or(missing.clone())?;
            let text = CString::new(ptx.text).map_err(|_| missing.clone())?;
            // SAFETY: the string ends in zero, and the call only reads it.
            let module = unsafe { result::module::load_data(text.as_ptr().cast()) };
            let module = module.map_err(refused_on("cuModuleLoadData", &self.info().name))?;
            modules.insert(launch.file, Module { module, functions: BTreeMap::new() });
        }
        let module = modules.get_mut(launch.file).ok_or(missing.clone())?;
        if let Some(function) = module.functions.get(launch.kernel) {
            return Ok(*function);
        }
        let name = CString::new(launch.kernel).map_err(|_| missing)?;
        // SAFETY: the module was loaded above and stays loaded while the GPU is
        // open.
        let function = unsafe { result::module::get_function(module.module, name) };
        let function = function.map_err(refused_on("cuModuleGetFunction", &self.info().name))?;
        module.functions.insert(launch.kernel, function);
        Ok(function)
    }
}

impl Drop for OpenGpu {
    fn drop(&mut self) {
        // Memory may outlive the GPU. Kernels in the queues must end before
        // their code is unloaded.
        if self.wait().is_err() {
            return;
        }
        let modules = self.modules.get_mut().unwrap_or_else(PoisonError::into_inner);
        for module in modules.values() {
            // SAFETY: loaded here, unloaded once, and nothing runs any more.
            let _ = unsafe { result::module::unload(module.module) };
        }
    }
}

impl OpenGpu {
    /// Allocates memory with any contents. It is freed after it is dropped and
    /// no request uses it any more. The allocation takes its turn among the
    /// launches; for an operand [`OpenGpu::load`] need not wait for that.
    pub(crate) fn allocate(&self, bytes: u64) -> Result<Memory, CudaError> {
        self.bind()?;
        self.allocate_in(Queue::Compute, bytes)
    }

    fn allocate_in(&self, queue: Queue, bytes: u64) -> Result<Memory, CudaError> {
        Ok(Memory { block: Arc::new(Block::new(&self.streams, queue, bytes)?) })
    }

    /// Whether this opening of the GPU allocated the memory. Another GPU, or
    /// another opening of the same GPU, has separate queues.
    pub(crate) fn owns(&self, memory: &Memory) -> bool {
        memory.block.is_of(&self.streams)
    }

    /// Queues a launch.
    ///
    /// # Safety
    /// The arguments must be the kernel's, in number, order and type. The
    /// memory must be large enough for what the kernel does with the numbers.
    /// If there are maps, [`crate::driver::load_for_maps`] has succeeded.
    pub(crate) unsafe fn launch(
        &self,
        launch: &Launch,
        arguments: &[Argument<'_>],
    ) -> Result<(), CudaError> {
        // SAFETY: the caller guarantees the arguments.
        unsafe { self.launch_in(Queue::Compute, launch, arguments) }
    }

    /// Queues a launch that may run beside later launches of
    /// [`OpenGpu::launch`], until one of those uses some of the same memory.
    ///
    /// # Safety
    /// As [`OpenGpu::launch`].
    pub(crate) unsafe fn launch_beside(
        &self,
        launch: &Launch,
        arguments: &[Argument<'_>],
    ) -> Result<(), CudaError> {
        // SAFETY: the caller guarantees the arguments.
        unsafe { self.launch_in(Queue::Side, launch, arguments)? };
        let mut blocks = arguments.iter().filter_map(Argument::block);
        // If this fails for one block, the launch is complete, so it holds for
        // all.
        blocks.try_for_each(|block| block.used(Queue::Side))
    }

    /// # Safety
    /// As [`OpenGpu::launch`].
    unsafe fn launch_in(
        &self,
        queue: Queue,
        launch: &Launch,
        arguments: &[Argument<'_>],
    ) -> Result<(), CudaError> {
        self.bind()?;
        let function = self.function(launch)?;
        if launch.shared > SHARED_UNASKED {
            let attribute = FunctionAttribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // Exact: no GPU has 2 GiB of it.
            let bytes = launch.shared as i32;
            // SAFETY: the function belongs to a module that is loaded.
            let set =
                unsafe { result::function::set_function_attribute(function, attribute, bytes) };
            set.map_err(refused("cuFuncSetAttribute"))?;
        }
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            // SAFETY: the caller guarantees that the driver can make maps.
            values.push(unsafe { argument.value()? });
        }
        let mut places: Vec<*mut c_void> = values
            .iter_mut()
            .map(|value| match value {
                Value::Word(word) => std::ptr::from_mut(word).cast(),
                Value::Map(map) => std::ptr::from_mut(map).cast(),
            })
            .collect();
        self.streams.order(queue, arguments.iter().filter_map(Argument::block).map(Block::uses))?;
        let [x, y, z] = launch.grid;
        // SAFETY: the caller guarantees the arguments; the places live until
        // the call returns, and the driver has copied them by then.
        let launched = unsafe {
            result::launch_kernel(
                function,
                (x, y, z),
                (launch.block, 1, 1),
                launch.shared,
                self.streams.of(queue).cu_stream(),
                &mut places,
            )
        };
        launched.map_err(failed(launch.kernel, &self.info().name, None))
    }

    /// Waits for every request.
    pub(crate) fn wait(&self) -> Result<(), CudaError> {
        self.bind()?;
        self.streams.drain_all()
    }
}

/// Timing of the queues.
#[cfg(feature = "measure")]
impl OpenGpu {
    /// The stream of [`OpenGpu::launch`].
    pub(crate) fn stream(&self) -> sys::CUstream {
        self.streams.of(Queue::Compute).cu_stream()
    }

    /// Makes later requests in every queue start after the earlier requests of
    /// [`OpenGpu::stream`].
    pub(crate) fn fork(&self) -> Result<(), CudaError> {
        self.bind()?;
        self.streams.fork()
    }

    /// Makes later requests of [`OpenGpu::stream`] start after every earlier
    /// request.
    pub(crate) fn join(&self) -> Result<(), CudaError> {
        self.bind()?;
        self.streams.join()
    }
}

#[cfg(target_endian = "big")]
compile_error!("expected a little-endian host, as every host with an NVIDIA GPU is; build for one");
