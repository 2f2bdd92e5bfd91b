use std::error::Error;
use std::fmt;

/// Why the cache refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheError {
    /// There is no room, and nothing was taken in.
    Full {
        /// Bytes that were to be taken in.
        requested: usize,
        /// Bytes that there was room for.
        available: usize,
    },
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CacheError::Full { requested, available } => {
                write!(f, "cache full: {requested} bytes asked, {available} left")
            }
        }
    }
}

impl Error for CacheError {}
