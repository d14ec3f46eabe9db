//! A product of another Rust library, in the same process.

use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions};
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;

/// rten-gemm's u8×i8 product, with the right operand packed in advance.
pub struct Rten {
    executor: GemmExecutor<u8, i8, i32>,
    a: NdTensor<u8, 2>,
    b: NdTensor<i8, 2>,
    output: Vec<i32>,
}

impl Rten {
    /// Square operands of this size.
    pub fn new(size: usize) -> Rten {
        Rten {
            executor: GemmExecutor::new(),
            a: NdTensor::from_fn([size, size], |[i, j]| (i * 7 + j * 13) as u8),
            b: NdTensor::from_fn([size, size], |[i, j]| (i * 11 + j * 5) as i8),
            output: vec![0; size * size],
        }
    }

    /// The name of the kernel that the library chose.
    pub fn kernel(&self) -> String {
        self.executor.kernel_name().to_owned()
    }

    /// Calls `with` with a function that multiplies once.
    pub fn run<T>(&mut self, with: impl FnOnce(&mut dyn FnMut() -> Result<(), String>) -> T) -> T {
        let packed = self.executor.prepack_b(self.b.view());
        let (executor, a, output) = (&self.executor, &self.a, &mut self.output);
        with(&mut || {
            let inputs = (GemmInputA::Unpacked(a.view()), GemmInputB::Packed(&packed));
            executor
                .gemm(output, inputs.0, inputs.1, GemmOptions::default())
                .map_err(|error| format!("rten-gemm: {error:?}"))
        })
    }
}
