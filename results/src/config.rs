use serde::{Deserialize, Serialize};
use squall_checkers::Process;

use crate::Timestamp;

/// Everything needed to repeat a run: `run.toml`. What a newer squall adds and this one does not know is kept in `extra`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunConfig {
    /// Version of squall that ran it.
    pub version: String,
    /// The command line, program first.
    pub argv: Vec<String>,
    /// Decides every random choice. Written in hexadecimal, because TOML integers have 63 bits.
    #[serde(with = "hex")]
    pub seed: u64,
    /// When the run began.
    pub started: Timestamp,
    /// What was tested.
    pub target: String,
    /// What the clients did.
    pub workload: String,
    /// The faults that were asked for, by name.
    pub nemeses: Vec<String>,
    /// The nodes' names, in order.
    pub nodes: Vec<String>,
    /// Number of client threads.
    pub concurrency: u32,
    /// Requested operations a second, over all clients; absent where clients go as fast as they can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_hz: Option<f64>,
    /// How long the clients were to run.
    pub time_limit_s: f64,
    /// Options of the target.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub target_options: toml::Table,
    /// Options of the workload.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub workload_options: toml::Table,
    /// Options of the nemeses.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub nemesis_options: toml::Table,
    /// The text of the file that said when which fault strikes, if there was one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub schedule: String,
    /// What was noticed while it ran, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Whatever else was written: environment, mechanisms in use, fields of other versions.
    #[serde(flatten)]
    pub extra: toml::Table,
}

/// A seed as it is printed and typed.
pub fn seed_hex(seed: u64) -> String {
    format!("{seed:08x}")
}

mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(seed: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::seed_hex(*seed))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16)
            .map_err(|_| de::Error::custom(format!("seed: expected hexadecimal digits, got {text:?}")))
    }
}

impl RunConfig {
    /// The directory's name: `<YYYYMMDD-HHMMSS>-<target>-<workload>-<first 4 digits of the seed>`.
    pub fn run_id(&self) -> String {
        let seed = &seed_hex(self.seed)[..4];
        format!("{}-{}-{}-{seed}", self.started.compact(), slug(&self.target), slug(&self.workload))
    }

    /// The command that repeats the run, quoted for a shell. The seed is added where the command line lacked it.
    pub fn again(&self) -> String {
        let mut words: Vec<String> = match self.argv.as_slice() {
            [] => vec![
                "squall".into(),
                "test".into(),
                "-t".into(),
                self.target.clone(),
                "-w".into(),
                self.workload.clone(),
            ],
            [_, rest @ ..] => std::iter::once("squall".to_owned()).chain(rest.iter().cloned()).collect(),
        };
        if self.argv.is_empty() && !self.nemeses.is_empty() {
            words.extend(["-n".into(), self.nemeses.join(",")]);
        }
        if !words.iter().any(|word| word == "--seed" || word.starts_with("--seed=")) {
            words.extend(["--seed".into(), seed_hex(self.seed)]);
        }
        words.iter().map(|word| shell_quoted(word)).collect::<Vec<_>>().join(" ")
    }

    /// The client thread behind a process: a process that ends in `info` comes back as its id plus the concurrency,
    /// as in Jepsen, so the remainder names the thread.
    pub fn thread_of(&self, process: Process) -> Option<u32> {
        match process {
            Process::Client(id) if self.concurrency > 0 => Some(id % self.concurrency),
            _ => None,
        }
    }

    /// The node that a process talks to: threads are dealt to the nodes in turn.
    pub fn node_of(&self, process: Process) -> Option<&str> {
        let thread = self.thread_of(process)? as usize;
        let index = thread.checked_rem(self.nodes.len())?;
        Some(&self.nodes[index])
    }
}

/// A name that is safe as part of a file name everywhere.
pub(crate) fn slug(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.+".contains(c) { c } else { '_' };
    let slug: String = name.chars().map(safe).take(64).collect();
    let slug = slug.trim_start_matches('.');
    if slug.is_empty() { "none".to_owned() } else { slug.to_owned() }
}

/// A word as it is typed in a shell, in quotes where it needs them.
pub fn shell_quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn config() -> RunConfig {
        RunConfig {
            version: "0.1.0".into(),
            argv: ["squall", "test", "-t", "refkv", "-w", "register"].map(String::from).into(),
            seed: 0x7f3a_91c2,
            started: "2026-11-21T08:30:12.000Z".parse().unwrap(),
            target: "refkv".into(),
            workload: "register".into(),
            nodes: ["n1", "n2", "n3"].map(String::from).into(),
            concurrency: 5,
            ..RunConfig::default()
        }
    }

    #[test]
    fn the_id_sorts_by_time_and_is_a_safe_file_name() {
        assert_eq!(config().run_id(), "20261121-083012-refkv-register-7f3a");
        let odd = RunConfig { target: "../../etc".into(), workload: String::new(), ..config() };
        assert_eq!(odd.run_id(), "20261121-083012-_.._etc-none-7f3a");
    }

    #[test]
    fn toml_keeps_every_field_and_those_it_does_not_know() {
        let mut config = RunConfig { seed: u64::MAX, rate_hz: Some(12.5), ..config() };
        config.extra.insert("environment".into(), "local".into());
        config.target_options.insert("protocol".into(), "raft".into());
        let text = toml::to_string(&config).unwrap();
        assert!(text.contains("seed = \"ffffffffffffffff\""), "{text}");
        assert_eq!(toml::from_str::<RunConfig>(&text).unwrap(), config);
        assert_eq!(toml::from_str::<RunConfig>("").unwrap(), RunConfig::default());
    }

    #[test]
    fn the_command_repeats_with_the_seed_and_quotes_what_a_shell_would_touch() {
        assert_eq!(config().again(), "squall test -t refkv -w register --seed 7f3a91c2");
        let argv = ["/opt/squall", "test", "--opt", "a b", "--note", "it's", "--seed=1"];
        let odd = RunConfig { argv: argv.map(String::from).into(), ..config() };
        assert_eq!(odd.again(), r"squall test --opt 'a b' --note 'it'\''s' --seed=1");
        let bare = RunConfig { argv: vec![], nemeses: vec!["partition".into(), "kill".into()], ..config() };
        assert_eq!(bare.again(), "squall test -t refkv -w register -n partition,kill --seed 7f3a91c2");
    }

    #[test]
    fn processes_keep_the_node_of_their_thread() {
        let config = config();
        assert_eq!(config.node_of(Process::Client(4)), Some("n2"));
        assert_eq!(config.node_of(Process::Client(9)), Some("n2"));
        assert_eq!(config.node_of(Process::Nemesis), None);
        assert_eq!(RunConfig::default().node_of(Process::Client(1)), None);
    }
}
