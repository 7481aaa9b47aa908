//! Which checkers judge a history.

use squall_checkers::Checker;
use squall_checkers::registry::{self, CheckerEntry, Facts, ModelEntry};
use squall_workloads::workload::Options;

use crate::Squall;
use crate::cli::BadArgument;
use crate::cli::args::CheckArgs;

/// What the command line asks for.
pub(super) struct Choice<'a> {
    squall: &'a Squall,
    checkers: Vec<&'a CheckerEntry>,
    models: Vec<&'static ModelEntry>,
    workload: Option<&'a str>,
}

/// The checkers of one history, and how they came to be chosen where nobody named them.
pub(super) struct Chosen {
    pub(super) checkers: Vec<Box<dyn Checker>>,
    pub(super) why: Option<String>,
}

impl<'a> Choice<'a> {
    /// Of these arguments; names that there are not are refused.
    pub(super) fn new(squall: &'a Squall, args: &'a CheckArgs) -> Result<Choice<'a>, BadArgument> {
        let bad = |error: squall_checkers::Unknown| BadArgument(error.to_string());
        let checkers = args.checker.iter().map(|name| squall.find_checker(name).map_err(bad));
        let checkers = checkers.collect::<Result<_, _>>()?;
        let models = args.model.iter().map(|name| registry::find_model(name).map_err(bad));
        let models = models.collect::<Result<_, _>>()?;
        if let Some(name) = &args.workload {
            squall.find_workload(name).map_err(bad)?;
        }
        Ok(Choice { squall, checkers, models, workload: args.workload.as_deref() })
    }

    /// Whether nothing was asked for.
    pub(super) fn is_open(&self) -> bool {
        self.checkers.is_empty() && self.models.is_empty() && self.workload.is_none()
    }

    /// The checkers for a history of these operations.
    pub(super) fn checkers(&self, facts: &Facts) -> Result<Chosen, BadArgument> {
        if self.is_open() {
            let entry = registry::fitting(facts).map_err(BadArgument)?;
            let why = "chosen by the operations; -c CHECKER or --model MODEL asks for another".to_owned();
            return Ok(Chosen { checkers: vec![(entry.build)(facts)], why: Some(why) });
        }
        let mut chosen = Chosen { checkers: Vec::new(), why: None };
        for entry in &self.checkers {
            let checker = (entry.build)(facts);
            if facts.keyed && checker.name() != entry.name {
                chosen.why = Some(format!("in place of {}, since every value is [key, value]", entry.name));
            }
            chosen.checkers.push(checker);
        }
        for model in &self.models {
            chosen.checkers.push((model.checker(facts).map_err(BadArgument)?.build)(facts));
        }
        if let Some(name) = self.workload {
            let options = Options { concurrency: 1, nodes: vec!["n1".to_owned()], ops_per_key: 1 };
            let entry = self.squall.find_workload(name).map_err(|error| BadArgument(error.to_string()))?;
            chosen.checkers.extend((entry.build)(&options).checkers);
        }
        Ok(chosen)
    }
}
