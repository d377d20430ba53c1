//! How deep a line of JSON is nested, measured before it is parsed: a parser that skips unknown fields would not notice.

/// The deepest nesting that a line may have.
pub(crate) const MAX_NESTING: usize = 128;

/// Whether `line` is nested deeper than [`MAX_NESTING`]. Brackets inside strings don't count.
pub(crate) fn too_deep(line: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for &byte in line {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_NESTING {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> String {
        "[".repeat(depth) + &"]".repeat(depth)
    }

    #[test]
    fn exactly_the_limit_is_allowed() {
        assert!(!too_deep(nested(MAX_NESTING).as_bytes()));
        assert!(too_deep(nested(MAX_NESTING + 1).as_bytes()));
    }

    #[test]
    fn brackets_in_strings_do_not_count() {
        let line = format!("{{\"a\":\"\\\"{}\"}}", "[".repeat(1_000));
        assert!(!too_deep(line.as_bytes()));
    }
}
