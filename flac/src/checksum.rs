#![expect(unsafe_code, reason = "an instruction that not every processor has")]
//! CRC32C, the checksum of everything in a pool. Of whole pages the crate `crc32c` makes it, several times as fast as a simple loop. But the crate asks the processor what it has, which costs every
//! process of a virtual machine some 100 us; most programs write a few records and never need it. So what is short is done here, with what the [processor](crate::cpu) is known to have.

use crate::cpu;

/// Up to this many bytes a simple loop is as good as the crate's three interleaved ones (or nearly: 60 against 40 ns for 512 bytes).
const SHORT: usize = 512;
/// Up to this many bytes bit after bit will do where nothing is known of the processor (0.9 us).
const HEADER: usize = 64;

/// The checksum of `bytes`.
pub(crate) fn of(bytes: &[u8]) -> u32 {
    append(0, bytes)
}

/// The checksum of what `crc` is the checksum of, and of `bytes` behind it.
pub(crate) fn append(crc: u32, bytes: &[u8]) -> u32 {
    match bytes.len() {
        #[cfg(target_arch = "x86_64")]
        ..=SHORT if cpu::features() & cpu::CRC32C != 0 => {
            // SAFETY: the processor has the instruction.
            unsafe { by_instruction(crc, bytes) }
        }
        ..=HEADER if cpu::features() == 0 => bit_by_bit(crc, bytes),
        _ => crc32c::crc32c_append(crc, bytes),
    }
}

/// Needs SSE 4.2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
fn by_instruction(crc: u32, bytes: &[u8]) -> u32 {
    use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u64};
    let (words, rest) = bytes.as_chunks::<8>();
    let wide = words.iter().fold(u64::from(!crc), |crc, word| _mm_crc32_u64(crc, u64::from_le_bytes(*word)));
    !rest.iter().fold(wide as u32, |crc, byte| _mm_crc32_u8(crc, *byte))
}

fn bit_by_bit(crc: u32, bytes: &[u8]) -> u32 {
    /// Castagnoli's polynomial, its bits reversed.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    !bytes.iter().fold(!crc, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ POLYNOMIAL & (crc & 1).wrapping_neg()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_agree() {
        let bytes: Vec<u8> = (0..2_000u32).map(|i| (i * 31 + i / 7) as u8).collect();
        for len in (0..70).chain([511, 512, 513, 1_999]) {
            for start in [0, 1] {
                for crc in [0, 0xdead_beef] {
                    let bytes = &bytes[start..start + len];
                    let expected = crc32c::crc32c_append(crc, bytes);
                    assert_eq!(append(crc, bytes), expected, "{len} bytes");
                    assert_eq!(bit_by_bit(crc, bytes), expected, "{len} bytes");
                    #[cfg(target_arch = "x86_64")]
                    if cpu::ask() & cpu::CRC32C != 0 {
                        // SAFETY: asked just now.
                        assert_eq!(unsafe { by_instruction(crc, bytes) }, expected, "{len} bytes");
                    }
                }
            }
        }
    }
}
