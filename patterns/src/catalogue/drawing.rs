//! The catalogue as a graph.

use std::collections::BTreeMap;

use super::Catalogue;
use super::graph::Edge;

impl Catalogue {
    /// For a terminal: each service with what it publishes to whom.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.title);
        let edges = self.drawn();
        for name in self.services.keys() {
            text += &format!("\n{name}\n");
            for (edge, labels) in edges.iter().filter(|(edge, _)| edge.from == *name) {
                let arrow = if edge.synchronous {
                    "══ asks ══>"
                } else {
                    "───────────>"
                };
                text += &format!("  {arrow} {}: {}\n", edge.to, labels.join(", "));
            }
            for (edge, labels) in edges.iter().filter(|(edge, _)| edge.to == *name && edge.from == "?") {
                let arrow = if edge.synchronous {
                    "<══ asks ══"
                } else {
                    "<───────────"
                };
                text += &format!("  {arrow} ?: {}\n", labels.join(", "));
            }
        }
        text
    }

    /// For Graphviz. What is dashed red is what nobody declares the other end of.
    pub fn dot(&self) -> String {
        let mut text = format!("digraph {} {{\n  rankdir=LR;\n  node [shape=box];\n", quoted(&self.title));
        for name in self.services.keys() {
            text += &format!("  {};\n", quoted(name));
        }
        for (edge, labels) in self.drawn() {
            let open = edge.from == "?" || edge.to == "?";
            let style = match (open, edge.synchronous) {
                (true, _) => ", style=dashed, color=red",
                (false, true) => ", style=bold, arrowhead=vee, dir=both",
                (false, false) => "",
            };
            // A line break, as Graphviz writes it.
            let labels = labels.iter().map(|label| escaped(label)).collect::<Vec<_>>().join("\\n");
            text +=
                &format!("  {} -> {} [label=\"{labels}\"{style}];\n", quoted(&edge.from), quoted(&edge.to));
        }
        text + "}\n"
    }

    /// For Mermaid. What is dotted is what nobody declares the other end of; what is thick is a request.
    pub fn mermaid(&self) -> String {
        let names: Vec<_> = self.services.keys().map(String::as_str).chain(["?"]).collect();
        let id = |name: &str| format!("s{}", names.iter().position(|other| *other == name).unwrap_or(0));
        let edges = self.drawn();
        let mut text = "flowchart LR\n".to_owned();
        for name in
            names.iter().filter(|name| **name != "?" || edges.keys().any(|it| it.from == "?" || it.to == "?"))
        {
            text += &format!("  {}[\"{}\"]\n", id(name), entities(name));
        }
        for (edge, labels) in &edges {
            let arrow = match (edge.from == "?" || edge.to == "?", edge.synchronous) {
                (true, _) => "-.->",
                (false, true) => "==>",
                (false, false) => "-->",
            };
            let labels = labels.iter().map(|label| entities(label)).collect::<Vec<_>>().join("<br>");
            text += &format!("  {} {arrow}|\"{labels}\"| {}\n", id(&edge.from), id(&edge.to));
        }
        text
    }

    /// One arrow for all that goes from one service to another; `?` is whom nobody has declared.
    fn drawn(&self) -> BTreeMap<Edge, Vec<String>> {
        let known = self.edges();
        let mut all: Vec<Edge> = known.iter().cloned().collect();
        let edge = |from: &str, to: &str, label: &str, synchronous| Edge {
            from: from.to_owned(),
            to: to.to_owned(),
            label: label.to_owned(),
            synchronous,
        };
        for (name, service) in &self.services {
            let sends = |label: &str, sync| {
                known.iter().any(|it| it.from == *name && it.label == label && it.synchronous == sync)
            };
            let gets = |label: &str, sync| {
                known.iter().any(|it| it.to == *name && it.label == label && it.synchronous == sync)
            };
            all.extend(
                service
                    .publishes
                    .iter()
                    .filter(|it| !sends(&it.event_type, false))
                    .map(|it| edge(name, "?", &it.event_type, false)),
            );
            all.extend(
                service
                    .consumes
                    .iter()
                    .filter(|it| !gets(&it.event_type, false))
                    .map(|it| edge("?", name, &it.event_type, false)),
            );
            all.extend(
                service
                    .asks
                    .iter()
                    .filter(|it| !sends(&it.request, true))
                    .map(|it| edge(name, "?", &it.request, true)),
            );
            all.extend(
                service
                    .answers
                    .iter()
                    .filter(|it| !gets(&it.request, true))
                    .map(|it| edge("?", name, &it.request, true)),
            );
        }
        let mut drawn: BTreeMap<Edge, Vec<String>> = BTreeMap::new();
        for edge in all {
            let labels = drawn.entry(Edge { label: String::new(), ..edge.clone() }).or_default();
            if !labels.contains(&edge.label) {
                labels.push(edge.label);
            }
        }
        drawn
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// As Mermaid takes what would end a text.
fn entities(text: &str) -> String {
    text.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;")
}
