//! Which partition a stream is in.

/// The partition of a stream, of so many. Stored checkpoints depend on it: it never changes.
pub(super) fn of(stream: &str, partitions: u32) -> u32 {
    // FNV-1a, and then mixed: its last bytes do not reach all bits.
    let hash = stream.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    ((hash ^ (hash >> 33)) % u64::from(partitions.max(1))) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_it_was_and_even() {
        assert_eq!([of("order-7", 4), of("order-8", 4), of("", 4), of("order-7", 1)], [3, 1, 2, 0]);
        let mut counts = [0; 4];
        (0..4_000).for_each(|at| counts[of(&format!("order-{at}"), 4) as usize] += 1);
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }
}
