//! What is told of several histories.

use anyhow::Error;
use squall_checkers::{Type, Valid, Verdict};

use super::Judged;
use crate::cli::exit_of;
use crate::exit::Exit;
use crate::say::word;

/// Characters in a line, where the terminal does not say.
const WIDTH: usize = 160;

/// A line for each history, the verdict first, and one that counts them.
pub(super) fn table(names: &[String], judged: &[Result<Judged, Error>]) -> String {
    let mut rows = vec![["VERDICT", "HISTORY", "FORMAT", "OPS", "CHECKER", ""].map(str::to_owned)];
    rows.extend(names.iter().zip(judged).map(|(name, judged)| row(name, judged)));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(WIDTH);
    let room = columns.saturating_sub(widths.iter().sum::<usize>() + 2 * widths.len()).max(40);
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            line += &if column == 3 { format!("{pad}{cell}  ") } else { format!("{cell}{pad}  ") };
        }
        line += &shortened(&row[5], room);
        text += line.trim_end();
        text.push('\n');
    }
    text + &counts(judged) + "\n"
}

fn row(name: &str, judged: &Result<Judged, Error>) -> [String; 6] {
    let judged = match judged {
        Ok(judged) => judged,
        Err(error) => {
            let none = String::new;
            return ["ERROR".into(), name.to_owned(), none(), none(), none(), format!("{error:#}")];
        }
    };
    let ops = judged.data.history.iter().filter(|op| op.is_client() && op.kind() == Type::Invoke).count();
    let verdict = judged.verdict();
    [
        word(verdict.valid).to_owned(),
        name.to_owned(),
        judged.format.map_or_else(|| "run".to_owned(), |format| format.to_string()),
        ops.to_string(),
        judged.checkers().join(","),
        sentence(verdict),
    ]
}

/// What there is to say in one line.
fn sentence(verdict: &Verdict) -> String {
    let anomaly = verdict.all_anomalies().first().map(|anomaly| anomaly.sentence.clone());
    anomaly.or_else(|| verdict.reason.clone()).unwrap_or_else(|| verdict.summary.clone())
}

fn shortened(text: &str, room: usize) -> String {
    match text.char_indices().nth(room) {
        None => text.to_owned(),
        Some(_) => text.chars().take(room - 1).chain(['…']).collect(),
    }
}

fn counts(judged: &[Result<Judged, Error>]) -> String {
    let of = |valid| judged.iter().flatten().filter(|judged| judged.verdict().valid == valid).count();
    let mut text = format!(
        "{} histories: {} valid, {} unknown, {} invalid",
        judged.len(),
        of(Valid::True),
        of(Valid::Unknown),
        of(Valid::False)
    );
    let errors = judged.iter().filter(|judged| judged.is_err()).count();
    if errors > 0 {
        text += &format!(", {errors} with errors");
    }
    text
}

/// The worst way in which one of them ended.
pub(super) fn worst(judged: &[Result<Judged, Error>]) -> Exit {
    let severity = |exit: &Exit| match exit {
        Exit::Valid => 0,
        Exit::Unknown => 1,
        Exit::NothingRan => 2,
        Exit::Invalid => 3,
        _ => 4,
    };
    let exit = |judged: &Result<Judged, Error>| match judged {
        Ok(judged) => judged.verdict().valid.into(),
        Err(error) => exit_of(error),
    };
    judged.iter().map(exit).max_by_key(severity).unwrap_or(Exit::Valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut() {
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!(shortened("abcd", 3), "ab…");
    }
}
