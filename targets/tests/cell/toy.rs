//! Toy processes and a toy fault.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use squall_targets::Receipt;
use squall_targets::agent::NodeFault;

/// Serves this host's name to all who connect, after writing a file into the data directory.
pub(crate) fn listen(port: &str) -> Result<()> {
    fs::write(format!("{}/listening", env::var("SQUALL_DATA")?), port)?;
    fs::write("/tmp/mine", port)?;
    let everywhere = if fs::exists("/proc/net/if_inet6")? { "[::]" } else { "0.0.0.0" };
    let listener = TcpListener::bind(format!("{everywhere}:{port}"))?;
    println!("listening on {port}");
    for stream in listener.incoming() {
        stream?.write_all(fs::read_to_string("/proc/sys/kernel/hostname")?.trim().as_bytes())?;
    }
    Ok(())
}

/// Connects to each `name:port` and prints who answered.
pub(crate) fn visit(names: &[&str]) -> Result<()> {
    for name in names {
        let mut answer = String::new();
        connect(name)?.read_to_string(&mut answer)?;
        println!("{name} is {answer}");
    }
    Ok(())
}

fn connect(name: &str) -> Result<TcpStream> {
    for _ in 0..500 {
        if let Ok(stream) = TcpStream::connect(name) {
            return Ok(stream);
        }
        sleep(Duration::from_millis(10));
    }
    bail!("nobody listens at {name}")
}

/// A process with a child, a grandchild whose parent is gone, and a zombie-to-be: all in different sessions.
pub(crate) fn breed() -> Result<()> {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "setsid sleep 1000 & setsid sh -c 'sleep 1000 & sleep 1000 &' & exec true"])
        .spawn()?
        .wait()?;
    println!("bred");
    Command::new("sleep").arg("1000").spawn()?.wait()?;
    Ok(())
}

/// Holds a helper process while injected, and counts.
#[derive(Default)]
pub(crate) struct Fault {
    helper: Option<Child>,
}

impl NodeFault for Fault {
    fn kind(&self) -> &'static str {
        "toy"
    }

    fn inject(&mut self, args: &Value, pids: &[i32]) -> Result<Receipt> {
        let seconds = args["seconds"].as_str().context("seconds?")?;
        self.helper = Some(Command::new("sleep").arg(seconds).spawn()?);
        Ok(Receipt::confirmed("helper sleeps").with("target", pids.len()))
    }

    fn heal(&mut self, _: &[i32]) -> Result<Receipt> {
        let Some(mut helper) = self.helper.take() else { return Ok(Receipt::unconfirmed("nothing to heal")) };
        let alive = helper.try_wait()?.is_none();
        helper.kill()?;
        let status = helper.wait()?;
        Ok(Receipt::confirmed(format!("helper alive: {alive}, ended by {status}")))
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        let _ = self.heal(&[]);
    }
}
