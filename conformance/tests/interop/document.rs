//! `docs/interoperability.md` shows what the tested programs do, and nothing else.

use std::fs;
use std::path::Path;

use crate::python;

/// Every block of Python in the document stands in one of the programs, line for line.
pub(crate) fn quotes_the_programs() -> Result<(), String> {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/interoperability.md");
    let text = fs::read_to_string(&document).map_err(|e| format!("{}: {e}", document.display()))?;
    let programs = fs::read_dir(python::folder()).map_err(|e| e.to_string())?;
    let programs: Vec<String> =
        programs.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok()).collect();
    let blocks: Vec<&str> = text
        .split("```python\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```"))
        .map(|(block, _)| block)
        .collect();
    if blocks.is_empty() {
        return Err("the document quotes no program".to_owned());
    }
    let unknown = blocks.iter().find(|block| !programs.iter().any(|program| program.contains(**block)));
    unknown.map_or(Ok(()), |block| Err(format!("no program in tests/interop/python has\n{block}")))
}
