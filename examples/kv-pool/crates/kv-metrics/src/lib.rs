//! Counters of the KV cache, readable while the server runs.

mod counter;

pub use counter::Counter;

/// What a cache counts.
#[derive(Debug, Default)]
pub struct CacheCounters {
    /// Reads that found their sequence.
    pub hits: Counter,
    /// Reads that did not.
    pub misses: Counter,
    /// Bytes taken in.
    pub appended_bytes: Counter,
    /// Sequences removed.
    pub removed: Counter,
}

impl CacheCounters {
    /// The share of reads that found their sequence; `None` before the first read.
    pub fn hit_rate(&self) -> Option<f64> {
        let (hits, misses) = (self.hits.get(), self.misses.get());
        let reads = hits.saturating_add(misses);
        (reads > 0).then(|| hits as f64 / reads as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_hit_rate_before_the_first_read() {
        assert_eq!(None, CacheCounters::default().hit_rate());
    }

    #[test]
    fn the_hit_rate_is_a_share_of_reads() {
        let counters = CacheCounters::default();
        counters.hits.add(3);
        counters.misses.add(1);
        assert_eq!(Some(0.75), counters.hit_rate());
    }
}
