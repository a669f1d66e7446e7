//! `stn bench`: how long training steps and samplers take on this machine.

use std::process::{Command, Stdio};

use stn_bench::{Measurement, Settings, Work};
use stn_core::Registry;

use crate::Failure;
use crate::arguments::Bench;
use crate::terminal::{answer, tell};

pub(crate) fn run(arguments: &Bench, registry: &Registry) -> Result<(), Failure> {
    if arguments.list {
        stn_bench::works().iter().for_each(|work| answer(work.name()));
        return Ok(());
    }
    let works = selected(&arguments.names)?;
    let mut rounds = vec![Vec::new(); works.len()];
    for round in 0..usize::from(arguments.rounds) {
        // Each round begins with another work: whatever slows the machine for a while does not always hit the same.
        for place in (0..works.len()).map(|place| (place + round) % works.len()) {
            let measured = one(&works[place], works.len() > 1 || arguments.rounds > 1, arguments, registry)?;
            if arguments.json {
                answer(serde_json::to_string(&measured).map_err(Failure::message)?);
            }
            rounds[place].push(measured);
        }
    }
    if !arguments.json {
        answer(table(&works, &rounds, registry));
    }
    Ok(())
}

/// Every work that a name means, once.
fn selected(names: &[String]) -> Result<Vec<Work>, Failure> {
    if names.is_empty() {
        return Err(Failure::Message(
            "say what to time, for example `stn bench step.tutorial` or `stn bench sample.bilinear`; `stn bench --list` lists it all".into(),
        ));
    }
    let mut works: Vec<Work> = Vec::new();
    for name in names {
        let found = stn_bench::select(name).map_err(Failure::message)?;
        works.extend(found.into_iter().filter(|work| !works.contains(work)).collect::<Vec<_>>());
    }
    Ok(works)
}

/// Times one work; where there are others, in a process of its own, so that it does not find memory that another has left.
fn one(work: &Work, among_others: bool, arguments: &Bench, registry: &Registry) -> Result<Measurement, Failure> {
    if !arguments.json {
        tell(work.name());
    }
    let settings = Settings {
        reps: arguments.reps.map(|reps| reps as usize),
        threads: arguments.threads.map_or(0, usize::from),
        device: arguments.device,
        tensor_float: arguments.tf32,
    };
    if !among_others {
        return stn_bench::measure(work, settings, registry).map_err(Failure::message);
    }
    let mut command = Command::new(std::env::current_exe().map_err(Failure::message)?);
    command.args(["bench", work.name(), "--json", "--device", &arguments.device.to_string()]).stderr(Stdio::inherit());
    if arguments.tf32 {
        command.arg("--tf32");
    }
    if let Some(reps) = arguments.reps {
        command.args(["--reps", &reps.to_string()]);
    }
    if let Some(threads) = arguments.threads {
        command.args(["--threads", &threads.to_string()]);
    }
    let output = command.output().map_err(Failure::message)?;
    if !output.status.success() {
        return Err(Failure::Message(format!("{} could not be timed", work.name())));
    }
    serde_json::from_slice(&output.stdout).map_err(Failure::message)
}

/// Times and memory, and the rate of arithmetic or of memory traffic that the times come to; after several rounds, the time in proportion to the first work's.
fn table(works: &[Work], rounds: &[Vec<Measurement>], registry: &Registry) -> comfy_table::Table {
    let several = rounds.iter().any(|rounds| rounds.len() > 1);
    let mut table = super::table(["work", "median ms", "p10 ms", "peak MB", if several { "of the first" } else { "rate" }]);
    let first = rounds.first().map_or(&[][..], Vec::as_slice);
    for (work, rounds) in works.iter().zip(rounds) {
        let Some(Measurement { work: name, median_ms, p10_ms, peak_bytes }) = Measurement::of_rounds(rounds) else { continue };
        let rate = work.amount(registry).map(|amount| amount.rate(median_ms)).unwrap_or_default();
        let last = if several { format!("{:.2}", Measurement::ratio(rounds, first)) } else { rate };
        table.add_row([name, format!("{median_ms:.3}"), format!("{p10_ms:.3}"), format!("{:.1}", peak_bytes as f64 / 1e6), last]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(comfy_table::CellAlignment::Right);
    }
    table
}
