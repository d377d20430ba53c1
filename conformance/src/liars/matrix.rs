//! The kill matrix: which liars were caught, and by what.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which liars were caught.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillMatrix {
    /// How many there are.
    pub liars: usize,
    /// Of how many the root was reported, and nothing but it and its consequences.
    pub named: usize,
    /// Those of which nothing was reported.
    pub missed: Vec<String>,
    /// Those of which something else was reported.
    pub misnamed: Vec<String>,
    /// Honest brokers that were accused all the same.
    pub falsely_accused: Vec<String>,
    /// The honest brokers that were run as the liars were.
    #[serde(default)]
    pub controls: Vec<String>,
    /// Each liar.
    pub matrix: Vec<Row>,
}

/// A liar, and what was reported of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// The lie in a sentence.
    pub about: String,
    /// The property that it breaks, or the case that shows it where no property covers it.
    pub root: String,
    /// The properties that cannot but be broken besides.
    pub consequences: Vec<String>,
    /// Why, in the same order.
    pub because: Vec<String>,
    /// The properties that were reported as violated; where there are none, the cases that failed.
    pub reported: Vec<String>,
    /// What shows each of them, in a sentence.
    pub shown: Vec<String>,
    /// The cases that saw it.
    pub cases: Vec<String>,
    /// How it ended.
    pub verdict: Verdict,
}

/// How it ended for a liar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The root was reported, and nothing but it and its consequences.
    Named,
    /// Something else was reported.
    Misnamed,
    /// Nothing was reported.
    Missed,
}

impl Verdict {
    /// The verdict in one word.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Named => "named",
            Verdict::Misnamed => "misnamed",
            Verdict::Missed => "missed",
        }
    }
}

/// Judges what was reported of a liar.
pub(super) fn judge(root: &str, consequences: &[String], reported: &[String]) -> Verdict {
    let foreseen = |name: &String| name == root || consequences.contains(name);
    match reported {
        [] => Verdict::Missed,
        all if all.iter().any(|name| name == root) && all.iter().all(foreseen) => Verdict::Named,
        _ => Verdict::Misnamed,
    }
}

impl KillMatrix {
    /// Adds the rows of liars, and what was reported of honest brokers.
    pub(super) fn of(matrix: Vec<Row>, controls: Vec<(String, bool)>) -> Self {
        let with = |verdict| {
            let rows = matrix.iter().filter(move |row| row.verdict == verdict);
            rows.map(|row| row.name.clone()).collect::<Vec<_>>()
        };
        KillMatrix {
            liars: matrix.len(),
            named: with(Verdict::Named).len(),
            missed: with(Verdict::Missed),
            misnamed: with(Verdict::Misnamed),
            falsely_accused: controls.iter().filter(|(_, accused)| *accused).map(|it| it.0.clone()).collect(),
            controls: controls.into_iter().map(|(name, _)| name).collect(),
            matrix,
        }
    }

    /// Whether every liar was named, and nobody else accused.
    pub fn holds(&self) -> bool {
        self.liars > 0 && self.named == self.liars && self.falsely_accused.is_empty()
    }
}

/// The matrix as a table.
impl fmt::Display for KillMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = |column: fn(&Row) -> usize| self.matrix.iter().map(column).max().unwrap_or(0);
        let (name, root) = (widest(|row| row.name.len()), widest(|row| row.root.len()));
        for row in &self.matrix {
            let (verdict, reported) = (row.verdict.name(), row.reported.join(" "));
            let cases = row.cases.len();
            writeln!(
                f,
                "{verdict:<8}  {:<name$}  {:<root$}  reported {reported} in {cases} cases",
                row.name, row.root
            )?;
        }
        let (liars, named, controls) = (self.liars, self.named, self.controls.len());
        writeln!(f, "{named} of {liars} liars named; {controls} honest brokers beside them")?;
        for (what, names) in [
            ("missed", &self.missed),
            ("misnamed", &self.misnamed),
            ("falsely accused", &self.falsely_accused),
        ] {
            if !names.is_empty() {
                writeln!(f, "{what}: {}", names.join(", "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(reported: &[&str]) -> Verdict {
        let reported: Vec<_> = reported.iter().map(|name| (*name).to_owned()).collect();
        judge("P14", &["P3".to_owned()], &reported)
    }

    #[test]
    fn only_the_root_with_what_was_foreseen_names_a_liar() {
        assert_eq!(judged(&["P14"]), Verdict::Named);
        assert_eq!(judged(&["P3", "P14"]), Verdict::Named);
        assert_eq!(judged(&[]), Verdict::Missed);
        assert_eq!(judged(&["P3"]), Verdict::Misnamed);
        assert_eq!(judged(&["P14", "P7"]), Verdict::Misnamed);
    }

    #[test]
    fn a_matrix_without_liars_or_with_a_false_accusation_does_not_hold() {
        assert!(!KillMatrix::default().holds());
        let accused = KillMatrix {
            liars: 1,
            named: 1,
            falsely_accused: vec!["honest".into()],
            ..KillMatrix::default()
        };
        assert!(!accused.holds());
        assert!(KillMatrix { falsely_accused: Vec::new(), ..accused }.holds());
    }
}
