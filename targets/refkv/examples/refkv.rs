//! One node of the reference key-value store, on its own.

use clap::Parser;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: squall_refkv::Args,
}

fn main() -> anyhow::Result<()> {
    squall_refkv::run(Cli::parse().args)
}
