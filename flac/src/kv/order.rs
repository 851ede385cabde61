//! The order of keys: that of their bytes, compared eight at a time. LMDB's own calls `memcmp` for each look at a key, and a fold looks at nine keys for each that it changes.

use std::cmp::Ordering;

/// As the slices' own order.
#[inline]
pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let both = a.len().min(b.len());
    let (start_a, start_b) = (&a[..both], &b[..both]);
    let (words_a, words_b) = (start_a.as_chunks::<8>().0, start_b.as_chunks::<8>().0);
    for (x, y) in words_a.iter().zip(words_b) {
        if x != y {
            return u64::from_be_bytes(*x).cmp(&u64::from_be_bytes(*y));
        }
    }
    // What is left over lies in the last eight; those of them that were compared already are the same.
    let rest = match (start_a.last_chunk::<8>(), start_b.last_chunk::<8>()) {
        (Some(x), Some(y)) => u64::from_be_bytes(*x).cmp(&u64::from_be_bytes(*y)),
        _ => compare_short(start_a, start_b),
    };
    rest.then(a.len().cmp(&b.len()))
}

#[cold]
fn compare_short(a: &[u8], b: &[u8]) -> Ordering {
    a.cmp(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(vec![0u8, 1, 0x7f, 0x80, 0xff]), 0..40)
    }

    proptest! {
        #[test]
        fn proptest_it_is_the_order_of_the_bytes(start in key(), a in key(), b in key()) {
            let (a, b) = ([&start[..], &a].concat(), [&start[..], &b].concat());
            prop_assert_eq!(compare(&a, &b), a.cmp(&b));
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            prop_assert_eq!(compare(&start, &a), start.cmp(&a));
        }
    }
}
