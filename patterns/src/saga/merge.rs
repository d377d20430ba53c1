//! What steps that run at once made of the same data.

use serde_json::Value;

/// The data with what a step changed since it began, `theirs` being what others have made of it meanwhile.
pub(crate) fn merge(base: &str, mine: &str, theirs: &str) -> Result<String, String> {
    if base == theirs || mine == theirs {
        return Ok(mine.to_owned());
    }
    let parse = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| error.to_string());
    let (base, mine, mut merged) = (parse(base)?, parse(mine)?, parse(theirs)?);
    if mine == base {
        return Ok(merged.to_string());
    }
    let (Some(base), Some(mine), Some(fields)) = (base.as_object(), mine.as_object(), merged.as_object_mut())
    else {
        return Err("two steps that ran at once changed the data, which has no fields".into());
    };
    let names: std::collections::BTreeSet<_> = base.keys().chain(mine.keys()).collect();
    for name in names {
        let (before, after) = (base.get(name), mine.get(name));
        if before == after {
            continue;
        }
        let other = fields.get(name);
        if other != before && other != after {
            return Err(format!("two steps that ran at once changed the field `{name}`"));
        }
        match after {
            Some(value) => drop(fields.insert(name.clone(), value.clone())),
            None => drop(fields.remove(name)),
        }
    }
    Ok(merged.to_string())
}

#[cfg(test)]
mod tests {
    use super::merge;

    #[test]
    fn each_keeps_what_it_changed() {
        let base = r#"{"a":1,"b":1,"c":1}"#;
        let merged = merge(base, r#"{"a":2,"b":1,"c":1}"#, r#"{"a":1,"b":3,"c":1}"#).unwrap();
        assert_eq!(merged, r#"{"a":2,"b":3,"c":1}"#);
        assert_eq!(merge(base, base, r#"{"a":2}"#).unwrap(), r#"{"a":2}"#);
        assert_eq!(merge(base, r#"{"a":1,"b":1}"#, r#"{"a":2,"b":1,"c":1}"#).unwrap(), r#"{"a":2,"b":1}"#);
    }

    #[test]
    fn the_same_field_is_a_conflict() {
        let error = merge(r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#).unwrap_err();
        assert!(error.contains("field `a`"), "{error}");
        assert!(merge("1", "2", "3").is_err());
        assert_eq!(merge("1", "2", "2").unwrap(), "2");
    }
}
