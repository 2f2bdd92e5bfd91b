//! The KV cache: what attention computed for each sequence, within a capacity.

mod error;
mod manager;
mod stub_pool;

pub use error::CacheError;
pub use manager::KVCacheManager;
