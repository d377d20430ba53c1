//! The tables on a terminal.

use std::fmt::Write as _;

use comfy_table::Table;

use super::{Scaling, Step, judgement};
use crate::report::text::{number, right, styled, thousands};

impl Scaling {
    /// Tables for people: one for each dimension, operation and size.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for steps in self.groups() {
            let Step { dimension, row, .. } = &steps[0];
            let (what, how, size) = (dimension.as_str(), row.operation.as_str(), row.size);
            let _ = writeln!(text, "{}: {what}, {how}, {size} B\n{}", self.broker, table(steps));
            judgement(steps).iter().for_each(|line| _ = writeln!(text, "{line}"));
            text.push('\n');
        }
        for line in self.left_out() {
            let _ = writeln!(text, "{line}");
        }
        let _ = writeln!(text, "{}\nthe usual: {}", self.way, self.settings);
        let _ = writeln!(text, "{}: {}", self.date, self.machine.in_words());
        let _ = writeln!(
            text,
            "Medians, with the least and the most; ratios are to the first step of the same rounds."
        );
        text
    }

    pub(super) fn left_out(&self) -> impl Iterator<Item = String> {
        self.left_out.iter().map(|it| format!("left out by --most: {}", it.dimension.step(it.step)))
    }
}

fn table(steps: &[Step]) -> Table {
    let mut table = styled();
    let ratio = "to the first";
    let name = steps[0].dimension.as_str();
    table.set_header([name, "messages", "client µs", ratio, "1000/s", ratio, "MiB at most", ratio]);
    for Step { step, row, against_first, .. } in steps {
        let growth = against_first.as_ref();
        let slower = growth.map(|it| it.time.inverse());
        table.add_row([
            thousands(*step),
            thousands(row.messages),
            number(row.cpu, 1.0, 2),
            number(growth.map(|it| it.cpu), 1.0, 2),
            number(row.per_second, 1e3, 1),
            number(slower, 1.0, 2),
            number(row.peak_bytes, 1048576.0, 0),
            number(growth.map(|it| it.memory), 1.0, 2),
        ]);
    }
    right(&mut table, 0);
    table
}
