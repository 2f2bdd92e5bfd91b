//! A full cache refuses, and stays as it was.

use kv_block::SequenceId;
use kv_cache::{CacheError, KVCacheManager};

#[test]
fn a_full_cache_refuses_and_keeps_what_it_has() {
    let capacity = 4096;
    let mut cache = KVCacheManager::new(capacity);
    let first = SequenceId::new(1);
    cache.append(first, &vec![1; capacity]).unwrap();

    let refused = cache.append(first, &[2]);

    assert!(matches!(refused, Err(CacheError::Full { .. })));
    assert_eq!(Some(vec![1; capacity]), cache.read(first));
}
