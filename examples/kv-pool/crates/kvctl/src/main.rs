//! `kvctl [--capacity BYTES] [TRACE]`: replays a trace, standard input by default.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::process::ExitCode;

use kv_block::{DEFAULT_BLOCK_BYTES, DEFAULT_BLOCK_COUNT};
use kv_cache::KVCacheManager;

const USAGE: &str = "usage: kvctl [--capacity BYTES] [TRACE]";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("kvctl: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let mut capacity = DEFAULT_BLOCK_BYTES * DEFAULT_BLOCK_COUNT;
    let mut trace: Box<dyn BufRead> = Box::new(io::stdin().lock());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--capacity" => {
                let value = arguments.next().ok_or(USAGE)?;
                capacity = value.parse().map_err(|_| USAGE)?;
            }
            "--help" => {
                println!("{USAGE}");
                return Ok(());
            }
            path if !path.starts_with('-') => {
                let file = File::open(path).map_err(|error| format!("{path}: {error}"))?;
                trace = Box::new(BufReader::new(file));
            }
            other => return Err(format!("unknown option {other}\n{USAGE}")),
        }
    }
    let mut cache = KVCacheManager::new(capacity);
    kvctl::replay(trace, &mut cache, &mut io::stdout().lock()).map_err(|error| error.to_string())
}
