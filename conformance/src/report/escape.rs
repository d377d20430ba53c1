//! Text of others inside XML, HTML and Markdown.

use std::fmt::{self, Write as _};

/// Text as XML and HTML take it, in an element or in a quoted attribute. What XML 1.0 cannot hold is replaced.
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // A line's end in an attribute would be read as a space.
                '\n' => f.write_str("&#10;")?,
                '\t' => f.write_char(c)?,
                c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Text in a cell of a Markdown table.
pub(super) struct Cell<'a>(pub(super) &'a str);

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' | '|' | '*' | '_' | '`' | '[' | ']' | '~' | '#' => write!(f, "\\{c}")?,
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                c if c.is_control() => f.write_char(' ')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out() {
        assert_eq!(
            Text("<b a='1'>&\"\u{0}\n").to_string(),
            "&lt;b a=&#39;1&#39;&gt;&amp;&quot;\u{fffd}&#10;"
        );
        assert_eq!(Cell("a|b\n<i>`c`").to_string(), "a\\|b &lt;i&gt;\\`c\\`");
    }
}
