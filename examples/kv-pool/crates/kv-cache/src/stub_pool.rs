use crate::CacheError;

/// Stands in for the memory pool of issue #319: it counts bytes and owns none.
#[derive(Debug)]
pub(crate) struct StubPool {
    capacity: usize,
    used: usize,
}

impl StubPool {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, used: 0 }
    }

    pub(crate) fn used(&self) -> usize {
        self.used
    }

    pub(crate) fn reserve(&mut self, bytes: usize) -> Result<(), CacheError> {
        let available = self.capacity - self.used;
        if bytes > available {
            return Err(CacheError::Full { requested: bytes, available });
        }
        self.used += bytes;
        Ok(())
    }

    pub(crate) fn release(&mut self, bytes: usize) {
        self.used -= bytes;
    }
}
