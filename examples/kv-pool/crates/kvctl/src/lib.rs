//! Replays a trace of cache operations, one a line.

mod trace;

use std::io::{self, BufRead, Write};

use kv_cache::KVCacheManager;

pub use trace::{Operation, TraceError};

/// Replays a trace and writes what it did.
///
/// # Errors
///
/// A line that cannot be understood, or an error of the reader or the writer.
pub fn replay(
    trace: impl BufRead,
    cache: &mut KVCacheManager,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut refused = 0_u64;
    for (index, line) in trace.lines().enumerate() {
        let line = line?;
        let Some(operation) = Operation::parse(&line)
            .map_err(|error| io::Error::other(format!("line {}: {error}", index + 1)))?
        else {
            continue;
        };
        match operation {
            Operation::Append(sequence, count) => {
                refused += u64::from(cache.append(sequence, &vec![0; count]).is_err());
            }
            Operation::Read(sequence) => drop(cache.read(sequence)),
            Operation::Remove(sequence) => drop(cache.remove_cache_entry(sequence)),
        }
    }
    let counters = cache.counters();
    writeln!(out, "sequences {}", cache.len())?;
    writeln!(out, "used      {} bytes", cache.used_bytes())?;
    writeln!(out, "appended  {} bytes", counters.appended_bytes)?;
    writeln!(out, "hits      {}", counters.hits)?;
    writeln!(out, "misses    {}", counters.misses)?;
    writeln!(out, "refused   {refused}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_summed_up() {
        let mut out = Vec::new();
        let trace = "# two sequences\nappend 7 512\nappend 9 128\nread 7\nread 8\nremove 7\n";
        replay(trace.as_bytes(), &mut KVCacheManager::new(1 << 20), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("sequences 1\n"), "{text}");
        assert!(text.contains("appended  640 bytes\n"), "{text}");
        assert!(text.contains("misses    1\n"), "{text}");
    }

    #[test]
    fn a_bad_line_is_named() {
        let error =
            replay("read x".as_bytes(), &mut KVCacheManager::new(1), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().starts_with("line 1: "), "{error}");
    }
}
