use std::error::Error;
use std::fmt;

use kv_block::SequenceId;

/// One line of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `append SEQUENCE BYTES`
    Append(SequenceId, usize),
    /// `read SEQUENCE`
    Read(SequenceId),
    /// `remove SEQUENCE`
    Remove(SequenceId),
}

/// A line that is no operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceError(String);

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected append, read or remove, found {:?}", self.0)
    }
}

impl Error for TraceError {}

impl Operation {
    /// Reads a line; an empty line or a comment is `None`.
    ///
    /// # Errors
    ///
    /// [`TraceError`] for anything else that is no operation.
    pub fn parse(line: &str) -> Result<Option<Self>, TraceError> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let parsed = match words[..] {
            ["append", sequence, count] => sequence_id(sequence)
                .zip(count.parse().ok())
                .map(|(sequence, count)| Operation::Append(sequence, count)),
            ["read", sequence] => sequence_id(sequence).map(Operation::Read),
            ["remove", sequence] => sequence_id(sequence).map(Operation::Remove),
            _ => None,
        };
        parsed.map(Some).ok_or_else(|| TraceError(line.to_owned()))
    }
}

fn sequence_id(word: &str) -> Option<SequenceId> {
    word.parse().ok().map(SequenceId::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_read() {
        let seven = SequenceId::new(7);
        assert_eq!(Ok(Some(Operation::Append(seven, 512))), Operation::parse("append 7 512"));
        assert_eq!(Ok(Some(Operation::Remove(seven))), Operation::parse(" remove 7 "));
        assert_eq!(Ok(None), Operation::parse("# a comment"));
    }

    #[test]
    fn anything_else_is_an_error() {
        for line in ["append 7", "read -1", "grow 7 1"] {
            assert!(Operation::parse(line).is_err(), "{line}");
        }
    }
}
