//! Keys and ids in the alphabet that SQS allows for a message group and a deduplication id: 1 to 128 printable ASCII
//! characters without the space.
//!
//! What fits goes as it is, so that other programs use the same groups. What does not begins with `~`:
//! `~-<id>` is the group of a message without a key, `~b<base64url>` holds a key's bytes, and `~h<SHA-256>` stands for
//! what is too long even so.

use std::borrow::Cow;

use anybroker_core::{Key, Message};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

const MARK: char = '~';
const NO_KEY: &str = "~-";
const ENCODED: &str = "~b";
const HASHED: &str = "~h";
const MOST: usize = 128;

fn is_plain(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) && !text.starts_with(MARK)
}

fn hashed(bytes: &[u8]) -> String {
    format!("{HASHED}{}", URL_SAFE_NO_PAD.encode(Sha256::digest(bytes)))
}

/// The deduplication id of a message: its id, or what stands for it.
pub(crate) fn deduplication(message: &Message) -> String {
    deduplication_within(message, MOST)
}

fn deduplication_within(message: &Message, most: usize) -> String {
    let id = message.id.to_string();
    if is_plain(&id, most) { id } else { hashed(id.as_bytes()) }
}

/// The group of a message: its key, or one of its own, so that messages without a key wait for nobody.
pub(crate) fn group(message: &Message) -> String {
    let Some(key) = &message.key else {
        return format!("{NO_KEY}{}", deduplication_within(message, MOST - NO_KEY.len()));
    };
    if let Some(text) = std::str::from_utf8(key.as_bytes()).ok().filter(|text| is_plain(text, MOST)) {
        return text.to_owned();
    }
    let encoded = format!("{ENCODED}{}", URL_SAFE_NO_PAD.encode(key.as_bytes()));
    if encoded.len() <= MOST { encoded } else { hashed(key.as_bytes()) }
}

/// Whether the key must travel beside its group, which does not say it.
pub(crate) fn hides(key: &Key, group: &str) -> bool {
    key_of(group).as_deref() != Some(key.as_bytes())
}

/// The key that a group says.
pub(crate) fn key_of(group: &str) -> Option<Cow<'_, [u8]>> {
    if let Some(encoded) = group.strip_prefix(ENCODED) {
        return URL_SAFE_NO_PAD.decode(encoded).ok().map(Cow::Owned);
    }
    (!group.starts_with(MARK)).then_some(Cow::Borrowed(group.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(key: &[u8]) -> Message {
        Message::new("").with_key(key)
    }

    #[test]
    fn plain_keys_go_as_they_are_and_all_short_ones_read_back() {
        assert_eq!(group(&keyed(b"order-7/!\"#")), "order-7/!\"#");
        for key in [&b"order-7"[..], b"", b"\xff\x00", b"two words", b"~-x", "grüße".as_bytes(), &[7; 94]] {
            let group = group(&keyed(key));
            assert!(is_plain(group.trim_start_matches(MARK), MOST) && group.len() <= MOST, "{group}");
            assert_eq!(key_of(&group).as_deref(), Some(key));
            assert!(!hides(&key.into(), &group));
        }
        let long: Key = (&[b'x'; 200][..]).into();
        let group = group(&keyed(long.as_bytes()));
        assert!(group.starts_with(HASHED) && hides(&long, &group));
    }

    #[test]
    fn messages_without_a_key_have_groups_of_their_own() {
        let (a, b) = (Message::new("").with_id("a"), Message::new("").with_id("x".repeat(127)));
        assert_eq!(group(&a), "~-a");
        assert_eq!(key_of(&group(&a)), None);
        assert!(group(&b).len() <= MOST && group(&b) != group(&a));
    }

    #[test]
    fn ids_outside_the_alphabet_are_hashed_and_stay_distinct() {
        let id = |text: &str| deduplication(&Message::new("").with_id(text));
        assert_eq!(id("m-1"), "m-1");
        for pair in [["two words", "two  words"], ["~h", "~i"], [&"x".repeat(129), &"x".repeat(130)]] {
            assert!(id(pair[0]).starts_with(HASHED) && id(pair[0]) != id(pair[1]));
        }
    }
}
