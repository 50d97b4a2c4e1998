//! Short stable names: a hash that stays the same over restarts and versions, in letters that make no words.

/// The letters of generated names, as Kubernetes has them: without vowels and what looks alike.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// FNV-1a of 32 bits (Fowler, Noll, Vo).
pub(crate) fn fnv32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

fn fnv64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A hash as text of up to 10 letters, each standing for one decimal digit as Kubernetes writes them: `4` for 0, `5` for 1, …, `f` for 9.
pub(crate) fn encode(hash: u32) -> String {
    hash.to_string().bytes().map(|digit| letter(u64::from(digit))).collect()
}

/// Five letters that follow from a seed: the end of a generated name.
pub(crate) fn suffix(seed: &str) -> String {
    // The low bits of FNV know little of the first bytes; a finalizer spreads them.
    let mut bits = fnv64(seed.as_bytes());
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits ^= bits >> 33;
    let mut name = String::with_capacity(5);
    for _ in 0..5 {
        name.push(letter(bits));
        bits /= LETTERS.len() as u64;
    }
    name
}

fn letter(of: u64) -> char {
    let index = usize::try_from(of % LETTERS.len() as u64).unwrap_or_default();
    LETTERS.get(index).copied().map_or('b', char::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_published_test_vectors() {
        assert_eq!(fnv32(b""), 0x811c_9dc5);
        assert_eq!(fnv32(b"foobar"), 0xbf9c_f968);
        assert_eq!(fnv64(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn names_are_short_and_differ() {
        let names: std::collections::BTreeSet<String> = (0..2000).map(|n| suffix(&format!("uid/7/{n}"))).collect();
        assert!(names.len() > 1990, "{}", names.len());
        assert!(names.iter().all(|name| name.len() == 5 && name.bytes().all(|b| LETTERS.contains(&b))));
        assert_eq!(encode(1_234_567_890), "56789bcdf4");
    }
}
