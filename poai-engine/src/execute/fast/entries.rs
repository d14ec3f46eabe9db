//! Entries as a tensor stores them: little-endian, of one, two or four bytes.

/// A type of entries.
pub(super) trait Entry: Copy + Send + Sync + 'static {
    /// An entry's bytes.
    type Bytes: Copy + Send + Sync;

    /// Whole entries of bytes.
    fn of(bytes: &[u8]) -> &[Self::Bytes];

    /// Whole entries of bytes, to write.
    fn of_mut(bytes: &mut [u8]) -> &mut [Self::Bytes];

    /// An entry's value.
    fn read(bytes: Self::Bytes) -> i32;

    /// The bytes of a value in the type's range.
    fn write(value: i32) -> Self::Bytes;
}

macro_rules! entry {
    ($type:ty, $size:literal) => {
        impl Entry for $type {
            type Bytes = [u8; $size];

            #[inline(always)]
            fn of(bytes: &[u8]) -> &[[u8; $size]] {
                bytes.as_chunks().0
            }

            #[inline(always)]
            fn of_mut(bytes: &mut [u8]) -> &mut [[u8; $size]] {
                bytes.as_chunks_mut().0
            }

            #[inline(always)]
            fn read(bytes: [u8; $size]) -> i32 {
                <$type>::from_le_bytes(bytes) as i32
            }

            #[inline(always)]
            fn write(value: i32) -> [u8; $size] {
                (value as $type).to_le_bytes()
            }
        }
    };
}

entry!(i8, 1);
entry!(i16, 2);
entry!(i32, 4);
