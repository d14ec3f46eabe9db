use std::fmt;

/// A version of the driver interface or a compute capability, like `12.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Version {
    // `major` comes before `minor`, so that the derived order compares it
    // first.
    /// The part before the point.
    pub major: u32,
    /// The part after the point.
    pub minor: u32,
}

impl Version {
    /// Converts the driver's number, 1000·major + 10·minor.
    pub(crate) fn from_driver(code: i32) -> Version {
        let code = u32::try_from(code).unwrap_or(0);
        Version { major: code / 1000, minor: code % 1000 / 10 }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    fn version(major: u32, minor: u32) -> Version {
        Version { major, minor }
    }

    #[test]
    fn the_driver_writes_thousands_and_tens() {
        assert_eq!(Version::from_driver(11040), version(11, 4));
        assert_eq!(Version::from_driver(12000), version(12, 0));
        assert_eq!(Version::from_driver(13020), version(13, 2));
        assert_eq!(Version::from_driver(-1), version(0, 0));
    }

    #[test]
    fn the_major_part_decides_first() {
        assert!(version(5, 2) < version(6, 1));
        assert!(version(6, 0) < version(6, 1));
        assert!(version(7, 0) > version(6, 1));
        assert!(version(12, 0) > version(9, 9));
    }

    #[test]
    fn it_reads_with_a_point() {
        assert_eq!(version(6, 1).to_string(), "6.1");
    }
}
