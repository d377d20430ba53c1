//! The page.

use std::fmt::Write as _;

use super::{Scaling, Step, judgement};
use crate::harness::{Figures, Spread};
use crate::report::html::{Bar, OURS, cell, escape, head, plot};
use crate::report::text::thousands;

impl Scaling {
    /// One page that needs nothing else: plots as inline SVG, and the figures.
    pub fn html(&self) -> String {
        let mut page = head(&format!("{}: scaling", self.broker), &self.date, &self.machine);
        let (way, settings) = (escape(&self.way), escape(&self.settings));
        let _ = write!(
            page,
            "<p>{way}. The usual: {settings}.</p><p>Bars are medians of interleaved rounds, dots are the rounds. Ratios are to the first step of the same rounds.</p>"
        );
        for steps in self.groups() {
            let Step { dimension, row, .. } = &steps[0];
            let (what, how, size) = (dimension.as_str(), row.operation.as_str(), row.size);
            let _ = write!(page, "<h2>{what}, {how}, {size} B</h2>");
            for line in judgement(steps) {
                let class = if line.starts_with("flat") { "" } else { " class=\"failed\"" };
                let _ = write!(page, "<p{class}>{}</p>", escape(&line));
            }
            let bars = |value: fn(&Step) -> Option<Spread>, round: fn(&Figures) -> f64| {
                steps.iter().map(|step| bar(step, value, round)).collect::<Vec<_>>()
            };
            plot(
                &mut page,
                "client CPU, µs a message",
                &bars(|it| it.row.cpu, Figures::cpu_per_message),
                1.0,
            );
            let speed = bars(|it| it.row.per_second, Figures::per_second);
            plot(&mut page, "thousand messages a second", &speed, 1e3);
            let memory = bars(|it| it.row.peak_bytes, |round| round.peak_bytes as f64);
            plot(&mut page, "MiB at most", &memory, 1048576.0);
            table(&mut page, steps);
        }
        self.left_out().for_each(|line| _ = write!(page, "<p>{line}</p>"));
        page + "</html>\n"
    }
}

fn bar(step: &Step, value: fn(&Step) -> Option<Spread>, round: fn(&Figures) -> f64) -> Bar {
    Bar {
        name: step.dimension.step(step.step),
        color: OURS,
        spread: value(step),
        rounds: step.row.rounds.iter().map(round).collect(),
    }
}

fn table(page: &mut String, steps: &[Step]) {
    page.push_str("<table><tr><th>step<th>messages<th>client CPU, to the first<th>time<th>memory</tr>");
    for step in steps {
        let growth = step.against_first.as_ref();
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            step.dimension.step(step.step),
            thousands(step.row.messages),
            cell(growth.map(|it| it.cpu), 1.0),
            cell(growth.map(|it| it.time), 1.0),
            cell(growth.map(|it| it.memory), 1.0),
        );
    }
    page.push_str("</table>");
}
