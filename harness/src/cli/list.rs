//! `squall list` and `squall explain`: everything that has a name.

use anyhow::Result;
use squall_checkers::registry::{MODELS, ModelEntry, find_model};
use squall_refkv::{BUGS, Bug};

use super::BadArgument;
use super::args::Listed;
use crate::exit::Exit;
use crate::explain::{TOPICS, Topic, topic};
use crate::{NemesisEntry, Squall};

/// Prints names of one kind, each with a line about it.
pub(super) fn list(squall: &Squall, what: Listed, json: bool) -> Result<Exit> {
    let rows: Vec<(String, String)> = match what {
        Listed::Targets => squall.targets.iter().map(|t| (t.name.to_owned(), t.about.to_owned())).collect(),
        Listed::Workloads => {
            squall.workloads.iter().map(|w| (w.name.to_owned(), w.about.to_owned())).collect()
        }
        Listed::Nemeses => squall.nemeses.iter().map(|n| (n.name.to_owned(), n.about.to_owned())).collect(),
        Listed::Checkers => squall.checkers.iter().map(|c| (c.name.to_owned(), c.about.to_owned())).collect(),
        Listed::Models => MODELS.iter().map(|m| (m.name.to_owned(), about(m))).collect(),
        Listed::Bugs => BUGS.iter().map(|bug| (bug.name.to_owned(), bug.breaks.to_owned())).collect(),
    };
    if json {
        let rows: Vec<_> =
            rows.iter().map(|(name, about)| serde_json::json!({ "name": name, "about": about })).collect();
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        rows.iter().for_each(|(name, about)| println!("{name:<width$}  {about}"));
    }
    Ok(Exit::Valid)
}

fn about(model: &ModelEntry) -> String {
    match model.aliases {
        [] => model.about.to_owned(),
        aliases => format!("{} (also {})", model.about, aliases.join(", ")),
    }
}

/// Prints all that is known under a name. One name may be several things: a bug and the anomaly that it causes.
pub(super) fn explain(squall: &Squall, name: &str) -> Result<Exit> {
    let mut found = Vec::new();
    found.extend(topic(name).map(topic_text));
    found.extend(BUGS.iter().filter(|bug| bug.name == name).map(bug_text));
    found.extend(squall.nemeses.iter().filter(|nemesis| nemesis.name == name).map(nemesis_text));
    let mut named = |kind: &str, entry: &str, about: &str| {
        if entry == name {
            found.push(format!("{name} ({kind})\n  {about}\n"));
        }
    };
    squall.workloads.iter().for_each(|w| named("workload", w.name, w.about));
    squall.checkers.iter().for_each(|c| named("checker", c.name, c.about));
    squall.targets.iter().for_each(|t| named("target", t.name, t.about));
    if let Ok(model) = find_model(name).as_ref()
        && topic(name).is_none()
    {
        let checkers = model.checkers.join(" or ");
        found.push(format!("{name} (model)\n  {}\n\n  decided by {checkers}\n", model.about));
    }
    if found.is_empty() {
        return Err(
            BadArgument(squall_checkers::Unknown::new("topic", name, names(squall)).to_string()).into()
        );
    }
    print!("{}", found.join("\n"));
    Ok(Exit::Valid)
}

fn names(squall: &Squall) -> Vec<&str> {
    let mut names: Vec<&str> = TOPICS.iter().map(|topic| topic.name).collect();
    names.extend(BUGS.iter().map(|bug| bug.name));
    names.extend(squall.workloads.iter().map(|entry| entry.name));
    names.extend(squall.nemeses.iter().map(|entry| entry.name));
    names.extend(squall.checkers.iter().map(|entry| entry.name));
    names.extend(squall.targets.iter().map(|entry| entry.name));
    names.extend(MODELS.iter().map(|model| model.name));
    names.sort_unstable();
    names.dedup();
    names
}

fn topic_text(topic: &Topic) -> String {
    format!(
        "{} ({})\n  {}\n\n  {}\n\n  source: {}\n",
        topic.name,
        topic.kind,
        topic.about,
        wrap(topic.text),
        topic.source
    )
}

fn bug_text(bug: &Bug) -> String {
    let Bug { name, design, breaks, anomalies, recipe, section, .. } = bug;
    let anomalies = anomalies.join(" or ");
    format!(
        "{name} (bug of refkv {design})\n  {}\n\n  shows as   {anomalies}\n  how        {recipe}\n  violates   {section}\n  \
         see it     squall demo --bug {name}\n",
        wrap(breaks)
    )
}

fn nemesis_text(nemesis: &NemesisEntry) -> String {
    let NemesisEntry { name, about, parameters, receipt, mechanism, heals, .. } = nemesis;
    let parameters: String = match parameters.iter().map(|(name, _)| name.len()).max() {
        None => String::new(),
        Some(width) => parameters
            .iter()
            .map(|(name, about)| format!("    {name:<width$}  {about}\n"))
            .chain(["\n".into()])
            .collect(),
    };
    let line = |label: &str, text: &str| format!("  {label}\n    {}\n", wrap(text).replace('\n', "\n  "));
    format!(
        "{name} (nemesis)\n  {}\n\n{parameters}{}{}{}",
        wrap(about),
        line("done by", mechanism),
        line("proven by", receipt),
        line("ended by", heals)
    )
}

/// Breaks a text into indented lines of at most 100 characters.
fn wrap(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("never empty");
        if !line.is_empty() && line.len() + 1 + word.len() > 100 {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n  ")
}
