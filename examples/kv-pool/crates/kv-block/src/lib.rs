//! Words of the KV cache: devices, sequence ids, block sizes.

mod device;
mod sequence;

pub use device::Device;
pub use sequence::SequenceId;

/// Bytes of a block when nobody says otherwise.
///
/// Big enough for the keys and values of 16 tokens of a small model's layer.
pub const DEFAULT_BLOCK_BYTES: usize = 4096;

/// Blocks of a cache when nobody says otherwise.
pub const DEFAULT_BLOCK_COUNT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_block_is_a_power_of_two() {
        assert!(DEFAULT_BLOCK_BYTES.is_power_of_two());
    }

    #[test]
    fn the_default_cache_fits_in_a_small_machine() {
        let bytes = DEFAULT_BLOCK_BYTES * DEFAULT_BLOCK_COUNT;
        assert!(bytes <= 16 << 20, "{bytes} bytes by default");
    }
}
