//! Plain loops, compiled once for every instruction set that makes them
//! quicker; the processor's is taken at run time.
//!
//! Integer arithmetic has one result whatever a compiler makes of a loop, so
//! these need no kernel of their own. Provers alone pay for the copies:
//! verifiers compute single tiles, by the portable code.

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
