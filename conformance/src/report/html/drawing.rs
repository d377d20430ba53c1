//! A counterexample as a drawing: a lane for each publisher, the broker and each consumer; time goes down, one step a line,
//! not to scale. Messages have a letter and a colour.

use std::fmt::Write as _;

use super::super::escape::Text;
use crate::properties::{Actor, Way};
use crate::run::StepReport;

/// Where everything is, in units of the drawing, which are pixels at its natural size.
const LEFT: usize = 46;
const LANE: usize = 84;
const HEAD: usize = 34;
const ROW: usize = 34;

/// Colours of messages; further ones begin again.
const COLOURS: usize = 6;

/// Lanes and messages of a counterexample.
pub(super) struct Drawing<'a> {
    steps: &'a [StepReport],
    lanes: Vec<&'a Actor>,
    messages: Vec<&'a str>,
}

impl<'a> Drawing<'a> {
    pub(super) fn of(steps: &'a [StepReport]) -> Self {
        let mut lanes: Vec<_> = steps.iter().map(|step| &step.actor).chain([&Actor::Broker]).collect();
        // Publishers, the broker, consumers.
        lanes.sort();
        lanes.dedup();
        let mut messages = Vec::new();
        for message in steps.iter().filter_map(|step| step.message.as_deref()) {
            if !messages.contains(&message) {
                messages.push(message);
            }
        }
        Drawing { steps, lanes, messages }
    }

    /// The colour and the letter of a step's message.
    pub(super) fn letter(&self, step: &StepReport) -> Option<(String, String)> {
        let message = step.message.as_deref()?;
        let at = self.messages.iter().position(|other| *other == message)?;
        let letter = char::from(b'A' + (at % 26) as u8);
        let round = at / 26;
        let letter = if round == 0 { letter.to_string() } else { format!("{letter}{round}") };
        Some((format!("m{}", at % COLOURS), letter))
    }

    pub(super) fn svg(&self, page: &mut String, sentence: &str) {
        let width = LEFT + self.lanes.len() * LANE;
        let height = HEAD + self.steps.len() * ROW + ROW / 2;
        let _ = writeln!(
            page,
            "<div class=\"scroll drawing\" role=\"region\" aria-label=\"Drawing\" tabindex=\"0\">\
             <svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
             aria-label=\"Timeline: {}\">",
            Text(sentence)
        );
        self.lanes.iter().enumerate().for_each(|(at, lane)| head(page, x(at), lane, height));
        self.steps.iter().enumerate().for_each(|(at, step)| self.step(page, at, step));
        page.push_str("</svg></div>\n");
    }

    fn lane(&self, actor: &Actor) -> usize {
        x(self.lanes.iter().position(|lane| *lane == actor).unwrap_or(0))
    }

    fn step(&self, page: &mut String, at: usize, step: &StepReport) {
        let y = HEAD + at * ROW + ROW / 2;
        let (actor, broker) = (self.lane(&step.actor), self.lane(&Actor::Broker));
        let _ = write!(
            page,
            "<g><title>{}</title><text class=\"number\" x=\"20\" y=\"{}\">{}</text>",
            Text(&step.text),
            y + 4,
            at + 1
        );
        match (step.way, &step.actor) {
            (Way::At, Actor::Broker) => self.across(page, y, &step.text),
            (Way::At, _) => {
                let _ = write!(
                    page,
                    "<rect class=\"event\" x=\"{}\" y=\"{}\" width=\"12\" height=\"12\"/>",
                    actor - 6,
                    y - 6
                );
            }
            (Way::ToBroker, _) => self.arrow(page, step, y, actor, broker),
            (Way::FromBroker, _) => self.arrow(page, step, y, broker, actor),
        }
        page.push_str("</g>\n");
    }

    /// Something that happens to everybody: a fault, a drain.
    fn across(&self, page: &mut String, y: usize, text: &str) {
        let class = if text.starts_with("fault") { "fault" } else { "quiet" };
        let width = self.lanes.len() * LANE - 8;
        let _ = write!(
            page,
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{width}\" height=\"20\" rx=\"4\"/>\
             <text class=\"note\" x=\"{}\" y=\"{}\">{}</text>",
            LEFT + 4,
            y - 10,
            LEFT + 4 + width / 2,
            y + 4,
            Text(&cut(text, width / 7))
        );
    }

    fn arrow(&self, page: &mut String, step: &StepReport, y: usize, from: usize, to: usize) {
        let (class, letter) = self.letter(step).unwrap_or_default();
        // The point stands a little before the lane.
        let (tip, back) = if to > from { (to - 3, to - 11) } else { (to + 3, to + 11) };
        let answer =
            if step.way == Way::FromBroker && matches!(step.actor, Actor::Publisher(_)) || settled(step) {
                " answer"
            } else {
                ""
            };
        let middle = from.midpoint(to);
        let _ = write!(
            page,
            "<line class=\"arrow {class}{answer}\" x1=\"{from}\" y1=\"{y}\" x2=\"{back}\" y2=\"{y}\"/>\
             <path class=\"tip {class}\" d=\"M{tip} {y} L{back} {} L{back} {} Z\"/>\
             <circle class=\"ball {class}\" cx=\"{middle}\" cy=\"{y}\" r=\"10\"/>\
             <text class=\"letter\" x=\"{middle}\" y=\"{}\">{letter}</text>",
            y - 5,
            y + 5,
            y + 4
        );
    }
}

/// Whether the broker answers a settlement.
fn settled(step: &StepReport) -> bool {
    step.way == Way::FromBroker && step.text.contains(" settled")
}

/// The middle of a lane.
fn x(lane: usize) -> usize {
    LEFT + lane * LANE + LANE / 2
}

fn head(page: &mut String, x: usize, lane: &Actor, height: usize) {
    let (name, class) = match lane {
        Actor::Publisher(name) => (name.as_str(), "publisher"),
        Actor::Broker => ("broker", "broker"),
        Actor::Consumer(name) => (name.as_str(), "consumer"),
    };
    let kind = if class == "broker" { String::new() } else { format!("{class} ") };
    let _ = writeln!(
        page,
        "<g class=\"lane {class}\"><title>{kind}{}</title><text x=\"{x}\" y=\"18\">{}</text>\
         <line x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{height}\"/></g>",
        Text(name),
        Text(&cut(name, 12)),
        HEAD - 8
    );
}

/// A text that is no longer than it has room for, cut in the middle: names differ at their ends.
fn cut(text: &str, room: usize) -> String {
    let all: Vec<_> = text.chars().collect();
    if all.len() <= room {
        return text.to_owned();
    }
    let half = room.saturating_sub(1) / 2;
    let (begin, end) = (&all[..room.saturating_sub(1) - half], &all[all.len() - half..]);
    begin.iter().chain(&['…']).chain(end).collect()
}
