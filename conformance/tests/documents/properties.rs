//! `docs/properties.md` is what stands at the heads of the checkers.

use std::path::Path;

use anybroker_conformance::properties::Property;
use anybroker_conformance::run::minimum;

const HEAD: &str = "# The properties

Generated from the heads of `conformance/src/properties/p*.rs` by `cargo xtask docs`. Each is a pure function over a
[history](conformance.md#histories): it is judged by `anybroker check`, and by every case of the conformance suite.

- An *opportunity* is an instance in which the property could have failed. A full run needs at least as many of each promised
  property as stands with it; fewer prove nothing, and are reported as *not exercised*.
- A *violation* comes with the few messages and lines that show it. *Inconclusive* means that the history does not say, *stalled*
  (P17 only) that messages did not move again in time. A publish whose outcome is unknown never proves a loss.
- The source names the entry of the project's catalogue of properties that a definition was made from.
";

/// The document.
fn document(root: &Path) -> String {
    let mut text = HEAD.to_owned();
    for property in Property::ALL {
        let head = head(root, *property);
        let (title, definition) = head.split_once("\n\n").unwrap();
        let (words, least) = (property.words(), minimum(*property));
        text.push_str(&format!(
            "\n## {property}: {words}\n\n**{}**\n\n{definition}\nAt least {least} opportunities in a full run.\n",
            title.replace('\n', " ")
        ));
    }
    text
}

/// The comment at the head of a property's file.
fn head(root: &Path, property: Property) -> String {
    let prefix = format!("{}_", property.name().to_lowercase());
    let folder = root.join("conformance/src/properties");
    let mut files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let file = files.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&prefix)).unwrap();
    let code = std::fs::read_to_string(file).unwrap();
    let lines = code.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect()
}

#[test]
fn the_properties_are_up_to_date() {
    let root = super::root();
    super::up_to_date(&root.join("docs/properties.md"), &document(&root));
}
