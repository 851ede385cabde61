//! Bytes that say where they belong.

/// Fills `bytes` with what a file of kind `salt` has at `offset`.
pub fn fill(bytes: &mut [u8], offset: u64, salt: u64) {
    for (place, byte) in (offset..).zip(bytes.iter_mut()) {
        *byte = byte_at(place, salt);
    }
}

/// Compares with what `fill` writes.
///
/// # Errors
/// The first place that differs.
pub fn check(bytes: &[u8], offset: u64, salt: u64) -> Result<(), String> {
    match (offset..).zip(bytes).find(|(place, byte)| **byte != byte_at(*place, salt)) {
        None => Ok(()),
        Some((place, byte)) => Err(format!("wrong byte {byte} at offset {place}")),
    }
}

fn byte_at(place: u64, salt: u64) -> u8 {
    let mixed = ((place / 8) ^ (salt << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed.to_be_bytes()[usize::try_from(place % 8).expect("below 8")]
}
