//! Plain loops, compiled once for every instruction set that makes them faster.
//!
//! The processor's instruction set is chosen at run time. Integer arithmetic
//! has the same result however a compiler translates a loop, so these loops
//! need no kernel of their own. Only provers pay for the copies. Verifiers
//! compute single tiles with the portable code.

/// Marks functions over slices whose loops the compiler should vectorise.
macro_rules! vectorise {
    ($($(#[$attribute:meta])* $visibility:vis fn $name:ident($($arguments:tt)*) $(-> $output:ty)?
        $body:block)*) =>
    {$(
        $(#[$attribute])*
        #[cfg_attr(
            feature = "parallel",
            multiversion::multiversion(targets(
                "x86_64+avx512f+avx512bw+avx512dq+avx512vl",
                "x86_64+avx2",
            ))
        )]
        $visibility fn $name($($arguments)*) $(-> $output)? $body
    )*};
}

pub(crate) use vectorise;
