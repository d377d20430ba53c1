//! Event types as names of schemas: Glue allows letters, digits and `-_$#.`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What stands in a name as it is; of all else each byte is `#` and two hexadecimal digits.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'$').remove(b'.');

/// The name of a type's schema, without the prefix.
pub(super) fn name(event_type: &str) -> String {
    utf8_percent_encode(event_type, PLAIN).to_string().replace('%', "#")
}

/// The type that has this name; if no type has, the name.
pub(super) fn event_type(found: &str) -> String {
    let decoded = found.replace('#', "%");
    let decoded = percent_decode_str(&decoded).decode_utf8_lossy();
    if name(&decoded) == found { decoded.into_owned() } else { found.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_name_of_its_own() {
        for (given, named) in [
            ("order.placed", "order.placed"),
            ("com.shop:Order Placed/ä", "com.shop#3AOrder#20Placed#2F#C3#A4"),
            ("a#3A", "a#233A"),
            ("a%", "a#25"),
        ] {
            assert_eq!(name(given), named);
            assert_eq!(event_type(named), given);
        }
        assert_eq!(event_type("theirs#1"), "theirs#1");
    }
}
