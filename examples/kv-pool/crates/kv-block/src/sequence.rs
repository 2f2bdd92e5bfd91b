use std::fmt;

/// One conversation, one request: whatever the scheduler numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId(u64);

impl SequenceId {
    /// Wraps the scheduler's number.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The scheduler's number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SequenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seq{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_its_number() {
        assert_eq!("seq7", SequenceId::new(7).to_string());
    }
}
