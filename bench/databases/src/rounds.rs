//! Figures of rounds, as medians and as ratios to the first contender.

/// What each contender came to, a figure a round.
pub(crate) struct Rounds {
    title: &'static str,
    unit: &'static str,
    figures: Vec<(String, Vec<f64>)>,
}

impl Rounds {
    /// The first of these is what the others are compared with.
    pub(crate) fn new(title: &'static str, unit: &'static str, names: impl Iterator<Item = String>) -> Self {
        Rounds { title, unit, figures: names.map(|name| (name, Vec::new())).collect() }
    }

    /// Notes a figure of the contender at this place.
    pub(crate) fn add(&mut self, place: usize, figure: f64) {
        if let Some((name, figures)) = self.figures.get_mut(place) {
            eprintln!("{}: {name}: {figure:.0} {}", self.title, self.unit);
            figures.push(figure);
        }
    }

    pub(crate) fn print(&self) {
        println!("\n{}, {}: median (lowest to highest), times the first", self.title, self.unit);
        let first = self.figures.first().map_or(f64::NAN, |(_, figures)| median(figures));
        for (name, figures) in &self.figures {
            let low = figures.iter().copied().fold(f64::INFINITY, f64::min);
            let high = figures.iter().copied().fold(0.0, f64::max);
            let middle = median(figures);
            println!("  {name:<44}{middle:>9.0} ({low:.0} to {high:.0})  {:.1}", middle / first);
        }
    }
}

fn median(of: &[f64]) -> f64 {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
