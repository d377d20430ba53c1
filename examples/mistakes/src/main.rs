//! The gallery: `cargo run --release -p mistakes [NAME]`.

use std::process::ExitCode;

use mistakes::Mistake;
use mistakes::gallery::GALLERY;

/// How many seeds a mended form survives.
const SEEDS: u64 = if cfg!(debug_assertions) { 1_000 } else { 10_000 };

fn main() -> ExitCode {
    let name = std::env::args().nth(1);
    let wanted: Vec<_> =
        GALLERY.iter().filter(|it| name.as_ref().is_none_or(|name| name == it.name)).collect();
    if wanted.is_empty() {
        let names: Vec<_> = GALLERY.iter().map(|mistake| mistake.name).collect();
        eprintln!("there is no such mistake; there are: {}", names.join(", "));
        return ExitCode::from(2);
    }
    if std::env::var_os("ANYBROKER_SEED").is_some() {
        return replay(wanted[0]);
    }
    let rows: Vec<_> = wanted.into_iter().map(show).collect();
    println!("{:<52} {:<10} {:>12}  mended form", "mistake", "like", "seeds needed");
    rows.iter().for_each(|row| println!("{}", row.text));
    if rows.iter().all(|row| row.well) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A line of the table.
struct Row {
    text: String,
    /// It was found, and its mended form survives.
    well: bool,
}

fn replay(mistake: &Mistake) -> ExitCode {
    match mistake.find() {
        Some(failure) => println!("{failure}"),
        None => println!("it survives this schedule"),
    }
    ExitCode::SUCCESS
}

fn show(mistake: &Mistake) -> Row {
    println!("## {}\n\n{}\n", mistake.title, mistake.lesson);
    let found = mistake.find();
    let needed = match &found {
        Some(failure) => {
            println!("{failure}\n");
            failure.seeds.to_string()
        }
        None => "not found".into(),
    };
    let broken = mistake.mended(SEEDS);
    let survivors = match &broken {
        Some(failure) => {
            println!("The mended form fails too:\n{failure}\n");
            format!("fails with seed {}", failure.schedule.seed)
        }
        None => format!("survives {SEEDS}"),
    };
    let like = mistake.like.as_str();
    let text = format!("{:<52} {like:<10} {needed:>12}  {survivors}", mistake.title);
    Row { text, well: found.is_some() && broken.is_none() }
}
