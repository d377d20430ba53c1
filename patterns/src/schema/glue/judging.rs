//! Compatibility levels: what Glue calls them, and what `Check` says by them.

use aws_sdk_glue::types::Compatibility;

use crate::schema::{Check, Judged, Level, Schema, Verdict};

/// What Glue calls a level.
pub(super) fn named(level: Level) -> Compatibility {
    match level {
        Level::None => Compatibility::None,
        Level::Disabled => Compatibility::Disabled,
        Level::Backward => Compatibility::Backward,
        Level::BackwardTransitive => Compatibility::BackwardAll,
        Level::Forward => Compatibility::Forward,
        Level::ForwardTransitive => Compatibility::ForwardAll,
        Level::Full => Compatibility::Full,
        Level::FullTransitive => Compatibility::FullAll,
    }
}

/// The level that Glue calls so; none for one that is newer than this library.
pub(super) fn level(compatibility: &Compatibility) -> Option<Level> {
    Some(match compatibility {
        Compatibility::None => Level::None,
        Compatibility::Disabled => Level::Disabled,
        Compatibility::Backward => Level::Backward,
        Compatibility::BackwardAll => Level::BackwardTransitive,
        Compatibility::Forward => Level::Forward,
        Compatibility::ForwardAll => Level::ForwardTransitive,
        Compatibility::Full => Level::Full,
        Compatibility::FullAll => Level::FullTransitive,
        _ => return None,
    })
}

/// Whether a schema may follow those of earlier versions. What `Check` cannot judge is left to Glue.
pub(super) fn judge(level: Option<Level>, registered: Vec<Schema>, schema: &Schema) -> Judged {
    let (check, last) = match level {
        None | Some(Level::None) => return Judged { compatible: true, reasons: Vec::new() },
        Some(Level::Disabled) => {
            let reason = "its level is DISABLED: it takes no version after the first".to_owned();
            return Judged { compatible: false, reasons: vec![reason] };
        }
        Some(Level::Backward) => (Check::backward(), 1),
        Some(Level::BackwardTransitive) => (Check::backward(), usize::MAX),
        Some(Level::Forward) => (Check::forward(), 1),
        Some(Level::ForwardTransitive) => (Check::forward(), usize::MAX),
        Some(Level::Full) => (Check::full(), 1),
        Some(Level::FullTransitive) => (Check::full(), usize::MAX),
    };
    // One that fills a gap is not read for the sake of those that came before it.
    let mut schemas: Vec<_> = registered.into_iter().filter(|it| it.version < schema.version).collect();
    schemas.push(schema.clone());
    let report = check.last(last).run(&schemas);
    let violated = report.compared.iter().filter(|it| it.verdict == Verdict::Incompatible);
    let reasons: Vec<_> = violated.flat_map(|it| it.findings.iter().map(ToString::to_string)).collect();
    Judged { compatible: reasons.is_empty(), reasons }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn needs(version: u32, members: &[&str]) -> Schema {
        let properties: serde_json::Map<_, _> =
            members.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
        Schema::new("t", version, json!({ "type": "object", "properties": properties, "required": members }))
    }

    #[test]
    fn every_level_looks_where_it_says() {
        let levels = [
            (Level::None, true),
            (Level::Disabled, false),
            (Level::Backward, true),
            (Level::BackwardTransitive, false),
            (Level::Forward, false),
            (Level::ForwardTransitive, false),
            (Level::Full, false),
            (Level::FullTransitive, false),
        ];
        // The new one needs less than the last, and more than the first.
        let registered = vec![needs(1, &["a"]), needs(2, &["a", "b", "c"])];
        for (given, compatible) in levels {
            assert_eq!(level(&named(given)), Some(given));
            let judged = judge(Some(given), registered.clone(), &needs(3, &["a", "b"]));
            assert_eq!((judged.compatible, judged.reasons.is_empty()), (compatible, compatible), "{given}");
        }
        assert!(judge(Some(Level::Full), registered, &needs(1, &["z"])).compatible);
    }
}
