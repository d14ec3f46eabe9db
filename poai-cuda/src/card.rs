//! An open NVIDIA GPU: memory, copies and launches, in the order in which they
//! are asked for, through its driver.

use crate::device::Device;
use crate::error::{CudaError, failed, refused};
use crate::kernels;
use crate::tensor_map;
use cudarc::driver::sys::{self, CUfunction_attribute_enum as FunctionAttribute};
use cudarc::driver::{CudaContext, CudaStream, result};
use std::collections::BTreeMap;
use std::ffi::{CString, c_void};
use std::sync::{Arc, Mutex, PoisonError};

/// More dynamic shared memory than this has to be asked for.
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
    /// No address: the kernel leaves out what it would have written there.
    Null,
    /// A number.
    U32(u32),
    /// A number.
    U64(u64),
    /// A map of a matrix.
    Map(Rows<'a>),
}

/// Rows of a row-major matrix of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    /// The matrix.
    pub(crate) memory: &'a Memory,
    /// The first of the rows.
    pub(crate) first: u32,
    /// How many they are.
    pub(crate) rows: u32,
    /// Bytes of each.
    pub(crate) columns: u32,
}

/// An argument as the driver copies it: its low half where it is a `u32`, which
/// is what comes first on a little-endian host.
enum Value {
    Word(u64),
    Map(sys::CUtensorMap),
}

impl Argument<'_> {
    /// # Safety
    /// For a map, [`crate::driver::load_for_maps`] has succeeded.
    unsafe fn value(&self) -> Result<Value, CudaError> {
        Ok(Value::Word(match *self {
            Argument::Memory(memory) => memory.address,
            Argument::At(memory, offset) => memory.address + offset,
            Argument::Null => 0,
            Argument::U32(number) => number.into(),
            Argument::U64(number) => number,
            Argument::Map(Rows { memory, first, rows, columns }) => {
                let at = |row: u32| u64::from(row).checked_mul(columns.into());
                let (Some(offset), Some(bytes)) = (at(first), at(rows)) else {
                    return Err(CudaError::Bounds);
                };
                let address = Card::place(memory, offset, bytes)?;
                // SAFETY: the caller vouches for the driver's function.
                return Ok(Value::Map(unsafe { tensor_map::encode(address, rows, columns)? }));
            }
        }))
    }
}

/// One GPU with a queue of its own and the kernels for its compute capability,
/// each compiled by the driver when it is first used.
#[derive(Debug)]
pub struct Card {
    device: Device,
    context: Arc<CudaContext>,
    pub(crate) stream: Arc<CudaStream>,
    modules: Mutex<BTreeMap<&'static str, Module>>,
}

/// A file of kernels, loaded; never unloaded while the card is open.
#[derive(Debug)]
struct Module {
    module: sys::CUmodule,
    functions: BTreeMap<&'static str, sys::CUfunction>,
}

// SAFETY: the driver's handles may be used from any thread that has the
// context, which each call here binds first.
unsafe impl Send for Module {}

/// Memory on the card.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) address: sys::CUdeviceptr,
    bytes: u64,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
}

impl Drop for Memory {
    fn drop(&mut self) {
        // Nothing can be done about a card that is lost by now.
        if self.context.bind_to_thread().is_err() {
            return;
        }
        let _ = match self.context.has_async_alloc() {
            // SAFETY: allocated likewise on this stream, freed once, after
            // everything in the queue that uses it.
            true => unsafe { result::free_async(self.address, self.stream.cu_stream()) },
            // SAFETY: allocated likewise and freed once; the call waits for
            // the device.
            false => unsafe { result::free_sync(self.address) },
        };
    }
}

impl Card {
    /// Opens a device that [`crate::devices`] listed. Takes some hundred MB of
    /// its memory, as every program that uses it does.
    ///
    /// # Errors
    /// [`CudaError::TooOld`] for a card without the instructions needed, or
    /// what the driver reports.
    pub fn open(device: &Device) -> Result<Card, CudaError> {
        device.check_supported()?;
        crate::driver::load_for_cards()?;
        let context =
            CudaContext::new(device.ordinal).map_err(refused("cuDevicePrimaryCtxRetain"))?;
        // SAFETY: every slice's life is kept here, on the one stream that all
        // calls use; cudarc's own tracking of slices is not used at all.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(refused("cuStreamCreate"))?;
        let modules = Mutex::new(BTreeMap::new());
        Ok(Card { device: device.clone(), context, stream, modules })
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    pub(crate) fn bind(&self) -> Result<(), CudaError> {
        self.context.bind_to_thread().map_err(refused("cuCtxSetCurrent"))
    }

    /// A kernel, loaded where it has not been yet.
    fn function(&self, launch: &Launch) -> Result<sys::CUfunction, CudaError> {
        let missing = CudaError::NoKernel { file: launch.file, kernel: launch.kernel };
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if !modules.contains_key(launch.file) {
            let ptx = kernels::find(launch.file, self.device.capability).ok_or(missing.clone())?;
            let text = CString::new(ptx.text).map_err(|_| missing.clone())?;
            // SAFETY: a string that ends in zero, which the call only reads.
            let module = unsafe { result::module::load_data(text.as_ptr().cast()) };
            let module = module.map_err(refused("cuModuleLoadData"))?;
            modules.insert(launch.file, Module { module, functions: BTreeMap::new() });
        }
        let module = modules.get_mut(launch.file).ok_or(missing.clone())?;
        if let Some(function) = module.functions.get(launch.kernel) {
            return Ok(*function);
        }
        let name = CString::new(launch.kernel).map_err(|_| missing)?;
        // SAFETY: the module was loaded above and is never unloaded before.
        let function = unsafe { result::module::get_function(module.module, name) };
        let function = function.map_err(refused("cuModuleGetFunction"))?;
        module.functions.insert(launch.kernel, function);
        Ok(function)
    }

    /// The bytes from an offset on, where there are so many.
    fn place(memory: &Memory, offset: u64, bytes: u64) -> Result<sys::CUdeviceptr, CudaError> {
        let end = offset.checked_add(bytes).filter(|end| *end <= memory.bytes);
        end.map(|_| memory.address + offset).ok_or(CudaError::Bounds)
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        // Memory may outlive the card; kernels in the queue must be done before
        // their code goes.
        if self.bind().is_err() || self.stream.synchronize().is_err() {
            return;
        }
        let modules = self.modules.get_mut().unwrap_or_else(PoisonError::into_inner);
        for module in modules.values() {
            // SAFETY: loaded here, unloaded once, nothing runs any more.
            let _ = unsafe { result::module::unload(module.module) };
        }
    }
}

impl Card {
    /// Memory with any contents, freed when it is dropped and nothing in the
    /// queue uses it any more.
    pub(crate) fn allocate(&self, bytes: u64) -> Result<Memory, CudaError> {
        self.bind()?;
        let len = usize::try_from(bytes.max(1)).map_err(|_| CudaError::Bounds)?;
        let address = match self.context.has_async_alloc() {
            // SAFETY: nothing reads it before it is written, in any way that
            // matters: every byte has some value.
            true => unsafe { result::malloc_async(self.stream.cu_stream(), len) },
            // SAFETY: the same.
            false => unsafe { result::malloc_sync(len) },
        };
        let address = address.map_err(failed("cuMemAlloc", &self.device, Some(bytes)))?;
        let (context, stream) = (self.context.clone(), self.stream.clone());
        Ok(Memory { address, bytes: len as u64, context, stream })
    }

    /// Copies to the card; `from` may be changed when it returns.
    pub(crate) fn upload(&self, from: &[u8], to: &Memory, offset: u64) -> Result<(), CudaError> {
        self.bind()?;
        let place = Card::place(to, offset, from.len() as u64)?;
        // SAFETY: both ends lie inside their memory, and the wait below keeps
        // the borrow until the copy is done: from memory that somebody locked
        // it would go on after the call.
        let copied = unsafe { result::memcpy_htod_async(place, from, self.stream.cu_stream()) };
        let done = self.wait();
        copied.map_err(failed("cuMemcpyHtoDAsync", &self.device, None))?;
        done
    }

    /// Copies from the card, after everything that was asked for before.
    pub(crate) fn download(
        &self,
        from: &Memory,
        offset: u64,
        to: &mut [u8],
    ) -> Result<(), CudaError> {
        self.bind()?;
        let place = Card::place(from, offset, to.len() as u64)?;
        // SAFETY: both ends lie inside their memory, and the wait below keeps
        // the borrow until the copy is done.
        let copied = unsafe { result::memcpy_dtoh_async(to, place, self.stream.cu_stream()) };
        // Waited for in any case: the copy may be under way.
        let done = self.wait();
        copied.map_err(failed("cuMemcpyDtoHAsync", &self.device, None))?;
        done
    }

    /// Sets memory to zero.
    pub(crate) fn clear(&self, memory: &Memory) -> Result<(), CudaError> {
        self.bind()?;
        let len = memory.bytes as usize;
        // SAFETY: the whole of the memory.
        let set =
            unsafe { result::memset_d8_async(memory.address, 0, len, self.stream.cu_stream()) };
        set.map_err(failed("cuMemsetD8Async", &self.device, None))
    }

    /// Queues a launch.
    ///
    /// # Safety
    /// The arguments must be the kernel's, in number, order and type, and the
    /// memory large enough for what it does with the numbers. Where there are
    /// maps, [`crate::driver::load_for_maps`] has succeeded.
    pub(crate) unsafe fn launch(
        &self,
        launch: &Launch,
        arguments: &[Argument<'_>],
    ) -> Result<(), CudaError> {
        self.bind()?;
        let function = self.function(launch)?;
        if launch.shared > SHARED_UNASKED {
            let attribute = FunctionAttribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // Exact: no card has 2 GiB of it.
            let bytes = launch.shared as i32;
            // SAFETY: the function belongs to a module that is loaded.
            let set =
                unsafe { result::function::set_function_attribute(function, attribute, bytes) };
            set.map_err(refused("cuFuncSetAttribute"))?;
        }
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            // SAFETY: the caller vouches for the function that makes maps.
            values.push(unsafe { argument.value()? });
        }
        let mut places: Vec<*mut c_void> = values
            .iter_mut()
            .map(|value| match value {
                Value::Word(word) => std::ptr::from_mut(word).cast(),
                Value::Map(map) => std::ptr::from_mut(map).cast(),
            })
            .collect();
        let [x, y, z] = launch.grid;
        // SAFETY: the caller vouches for the arguments; the places live until
        // the call returns, which has copied them by then.
        let launched = unsafe {
            result::launch_kernel(
                function,
                (x, y, z),
                (launch.block, 1, 1),
                launch.shared,
                self.stream.cu_stream(),
                &mut places,
            )
        };
        launched.map_err(failed(launch.kernel, &self.device, None))
    }

    /// Waits for everything that was asked for.
    pub(crate) fn wait(&self) -> Result<(), CudaError> {
        self.bind()?;
        self.stream.synchronize().map_err(failed("cuStreamSynchronize", &self.device, None))
    }
}

#[cfg(target_endian = "big")]
compile_error!("arguments are laid out for little-endian hosts, as all that have NVIDIA GPUs are");
