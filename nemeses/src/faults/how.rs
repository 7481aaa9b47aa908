use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::settings;
use crate::registry::Named;

/// How links are cut. As text: `port=2380+reset+flap=500ms/2s`, or nothing for all packets, silently, all the time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct How {
    /// Only TCP and UDP from or to these ports; all packets if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u16>,
    /// TCP is answered with a reset, and connections that there are get one, instead of silence.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    /// Cut and whole in turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flap: Option<Flap>,
}

/// How long links are cut and then whole again, in turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flap {
    /// Milliseconds for which they are cut, first of all.
    pub cut_ms: u32,
    /// Milliseconds for which they are whole then.
    pub whole_ms: u32,
}

const SETTINGS: [Named; 2] =
    [("port", "a port, such as 2380"), ("flap", "a time, such as 500ms, or two: 500ms/2s")];

impl How {
    /// All packets, silently, all the time.
    pub fn is_plain(&self) -> bool {
        *self == How::default()
    }

    /// Splits `halves+port=2380+reset` into what else is there, `halves`, and how to cut it.
    pub(crate) fn split(text: &str) -> Result<(String, How)> {
        let is_how = |item: &&str| *item == "reset" || item.contains('=');
        let (how, rest): (Vec<&str>, Vec<&str>) = text.split('+').partition(is_how);
        Ok((rest.join("+"), how.join("+").parse()?))
    }
}

impl FromStr for How {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<How> {
        let mut how = How::default();
        for item in text.split('+').filter(|item| !item.is_empty()) {
            if item == "reset" {
                how.reset = true;
                continue;
            }
            settings::each(item, &SETTINGS, |name, value| {
                match name {
                    "port" => how.ports.push(value.parse().with_context(|| format!("{value} is no port"))?),
                    _ => how.flap = Some(flap(value)?),
                }
                Ok(())
            })?;
        }
        // Netfilter matches no more in one rule.
        ensure!(how.ports.len() <= 15, "at most 15 ports");
        Ok(how)
    }
}

fn flap(text: &str) -> Result<Flap> {
    let (cut, whole) = text.split_once('/').unwrap_or((text, text));
    let ms = |text: &str| -> Result<u32> {
        let ms = settings::millis(text)?.round();
        ensure!(ms >= 10.0, "{text} is shorter than 10 ms");
        Ok(ms as u32)
    };
    Ok(Flap { cut_ms: ms(cut)?, whole_ms: ms(whole)? })
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut items: Vec<String> = self.ports.iter().map(|port| format!("port={port}")).collect();
        items.extend(self.reset.then(|| "reset".to_owned()));
        items.extend(self.flap.map(|Flap { cut_ms, whole_ms }| match cut_ms == whole_ms {
            true => format!("flap={cut_ms}ms"),
            false => format!("flap={cut_ms}ms/{whole_ms}ms"),
        }));
        f.write_str(&items.join("+"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back_and_mistakes_are_explained() {
        for text in ["", "reset", "port=2379+port=2380+reset+flap=500ms", "flap=500ms/2000ms"] {
            assert_eq!(text.parse::<How>().unwrap().to_string(), text);
        }
        let (rest, how) = How::split("n1+n3+port=2380+reset").unwrap();
        assert_eq!((rest.as_str(), how.to_string().as_str()), ("n1+n3", "port=2380+reset"));
        for (text, part) in [
            ("prot=5", "did you mean `port`?"),
            ("port=70000", "70000 is no port"),
            ("flap=5", "no unit"),
            ("flap=1ms", "shorter than 10 ms"),
        ] {
            let error = format!("{:#}", text.parse::<How>().unwrap_err());
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
