use std::collections::HashMap;

use kv_block::SequenceId;
use kv_metrics::CacheCounters;

use crate::stub_pool::StubPool;
use crate::CacheError;

/// Keeps the cached bytes of each sequence.
#[derive(Debug)]
pub struct KVCacheManager {
    pool: StubPool,
    sequences: HashMap<SequenceId, Vec<u8>>,
    counters: CacheCounters,
}

impl KVCacheManager {
    /// Makes an empty cache that takes in `capacity` bytes at most.
    pub fn new(capacity: usize) -> Self {
        Self {
            pool: StubPool::new(capacity),
            sequences: HashMap::new(),
            counters: CacheCounters::default(),
        }
    }

    /// Appends what attention computed for a sequence.
    ///
    /// # Errors
    ///
    /// [`CacheError::Full`] when there is no room; nothing is taken in then.
    pub fn append(&mut self, sequence: SequenceId, bytes: &[u8]) -> Result<(), CacheError> {
        self.pool.reserve(bytes.len())?;
        self.sequences.entry(sequence).or_default().extend(bytes);
        self.counters.appended_bytes.add(bytes.len() as u64);
        Ok(())
    }

    /// Reads everything cached for a sequence.
    pub fn read(&mut self, sequence: SequenceId) -> Option<Vec<u8>> {
        let found = self.sequences.get(&sequence).cloned();
        match found {
            Some(_) => self.counters.hits.add(1),
            None => self.counters.misses.add(1),
        }
        found
    }

    /// Forgets a sequence; says whether it was there.
    pub fn remove_cache_entry(&mut self, sequence: SequenceId) -> bool {
        let Some(bytes) = self.sequences.remove(&sequence) else {
            return false;
        };
        self.pool.release(bytes.len());
        self.counters.removed.add(1);
        true
    }

    /// The number of sequences that are cached.
    pub fn len(&self) -> usize {
        self.sequences.len()
    }

    /// Says whether nothing is cached.
    pub fn is_empty(&self) -> bool {
        self.sequences.is_empty()
    }

    /// Bytes that the cached sequences take.
    pub fn used_bytes(&self) -> usize {
        self.pool.used()
    }

    /// What happened so far.
    pub fn counters(&self) -> &CacheCounters {
        &self.counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEVEN: SequenceId = SequenceId::new(7);

    #[test]
    fn appended_bytes_are_read_back_in_order() {
        let mut cache = KVCacheManager::new(64);
        cache.append(SEVEN, b"key").unwrap();
        cache.append(SEVEN, b"value").unwrap();
        assert_eq!(Some(b"keyvalue".to_vec()), cache.read(SEVEN));
        assert_eq!(8, cache.used_bytes());
    }

    #[test]
    fn removing_gives_the_room_back() {
        let mut cache = KVCacheManager::new(8);
        cache.append(SEVEN, &[1; 8]).unwrap();
        assert!(cache.remove_cache_entry(SEVEN));
        assert!(!cache.remove_cache_entry(SEVEN));
        assert!(cache.is_empty());
        cache.append(SEVEN, &[2; 8]).unwrap();
    }

    #[test]
    fn reads_are_counted() {
        let mut cache = KVCacheManager::new(8);
        cache.append(SEVEN, &[1]).unwrap();
        cache.read(SEVEN);
        cache.read(SequenceId::new(8));
        assert_eq!(Some(0.5), cache.counters().hit_rate());
    }
}
