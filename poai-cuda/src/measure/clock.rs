//! Time by the GPU's own events, and the GPU's clocks.

use super::Measure;
use crate::error::{CudaError, failed, refused};
use cudarc::driver::result::{device, event};
use cudarc::driver::sys::{self, CUdevice_attribute as Attribute};
use std::ffi::c_void;

/// The driver functions that timing needs beyond those of an open GPU.
pub(super) const FUNCTIONS: [&str; 1] = ["cuEventElapsedTime"];

/// A GPU's speed, as the driver reports it. `None` if the driver does not
/// report it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// The highest clock of the multiprocessors, in kHz.
    pub clock: Option<u32>,
    /// The highest clock of the memory, in kHz; each wire carries two bits a
    /// cycle.
    pub memory_clock: Option<u32>,
    /// The number of wires of the memory bus.
    pub memory_width: Option<u32>,
}

/// An event of the driver, destroyed when it is dropped.
struct Event(sys::CUevent);

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: created here and destroyed once. If the GPU is lost, nothing
        // can be done.
        let _ = unsafe { event::destroy(self.0) };
    }
}

impl Measure {
    /// The stream of the GPU's launches: a `CUstream`, valid as long as `self`.
    /// Work that another library queues there comes after every earlier
    /// request, except copies and launches beside the others; [`Measure::wait`]
    /// waits for those. It comes before every later request that uses the same
    /// memory.
    pub fn stream(&self) -> *mut c_void {
        self.cuda.gpu.stream().cast()
    }

    /// How long the GPU takes for the requests of `work`, in milliseconds by
    /// its own clock, from their start to their end. Waits for every earlier
    /// request and for the work. If the work itself waits for the host, the
    /// time includes that.
    ///
    /// # Errors
    /// The work's own error, or an error of the driver.
    pub fn milliseconds<E: From<CudaError>>(
        &self,
        work: impl FnOnce() -> Result<(), E>,
    ) -> Result<f64, E> {
        self.wait()?;
        let (start, end) = (self.event()?, self.event()?);
        self.record(&start)?;
        // The time includes the GPU's other queues.
        self.cuda.gpu.fork()?;
        work()?;
        self.cuda.gpu.join()?;
        self.record(&end)?;
        self.wait()?;
        // SAFETY: both were created with timing, recorded in one stream and are
        // alive.
        let elapsed = unsafe { event::elapsed(start.0, end.0) };
        let gpu = self.cuda.gpu.info();
        let elapsed = elapsed.map_err(failed("cuEventElapsedTime", &gpu.name, None))?;
        Ok(elapsed.into())
    }

    fn event(&self) -> Result<Event, CudaError> {
        self.cuda.gpu.bind()?;
        let created = event::create(sys::CUevent_flags::CU_EVENT_DEFAULT);
        created.map(Event).map_err(refused("cuEventCreate"))
    }

    fn record(&self, at: &Event) -> Result<(), CudaError> {
        self.cuda.gpu.bind()?;
        let gpu = self.cuda.gpu.info();
        // SAFETY: both are alive and of one context.
        let recorded = unsafe { event::record(at.0, self.stream().cast()) };
        recorded.map_err(failed("cuEventRecord", &gpu.name, None))
    }

    /// The GPU's highest clocks, as the driver reports them. A GPU under load
    /// may run slower.
    pub fn rates(&self) -> Rates {
        let gpu = i32::try_from(self.cuda.gpu.info().ordinal).ok();
        let gpu = gpu.and_then(|ordinal| device::get(ordinal).ok());
        let read = |which| {
            // SAFETY: the handle comes from `device::get`.
            let value = unsafe { device::get_attribute(gpu?, which) };
            value.ok().and_then(|value| u32::try_from(value).ok()).filter(|value| *value > 0)
        };
        Rates {
            clock: read(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE),
            memory_clock: read(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE),
            memory_width: read(Attribute::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH),
        }
    }
}
