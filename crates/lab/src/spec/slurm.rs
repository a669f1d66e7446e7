//! The `[slurm]` table, read and checked, so that a mistake is shown with its line before anything is submitted.

use stn_core::{Fault, parameters};
use toml::Table;

use super::sections::SlurmSection;

/// Options of sbatch that a submission sets itself.
const OURS: &[&str] = &[
    "--array",
    "-a",
    "--output",
    "-o",
    "--error",
    "-e",
    "--open-mode",
    "--requeue",
    "--no-requeue",
    "--signal",
    "--chdir",
    "-D",
    "--parsable",
    "--job-name",
    "-J",
    "--wrap",
    "--wait",
    "-W",
];

/// Reads the table.
pub(crate) fn read(table: &Table) -> Result<SlurmSection, Vec<Fault>> {
    let section: SlurmSection = parameters::decode(table)?;
    let mut faults = Vec::new();
    let names = [("partition", &section.partition), ("account", &section.account), ("qos", &section.qos), ("gres", &section.gres)];
    for (key, value) in names {
        if value.as_ref().is_some_and(|value| value.is_empty() || value.contains(char::is_whitespace)) {
            faults.push(Fault::at([key], "empty, or with a space in it, which Slurm does not take"));
        }
    }
    for (key, number) in [("cpus_per_task", section.cpus_per_task), ("throttle", section.throttle)] {
        if number == Some(0) {
            faults.push(Fault::at([key], "0 would never run anything").help("leave it out for what the cluster gives by default"));
        }
    }
    if let Some(time) = &section.time {
        match seconds(time) {
            None => faults.push(
                Fault::at(["time"], format!("`{time}` is no time that Slurm takes"))
                    .help("write minutes (\"90\"), minutes:seconds, hours:minutes:seconds, days-hours, or days-hours:minutes:seconds (\"1-12:00:00\")"),
            ),
            Some(limit) if limit <= section.lead_seconds => faults.push(
                Fault::at(["time"], format!("{limit} s are over before a task would do anything: it stops lead_seconds = {} before", section.lead_seconds))
                    .help("give more time, or a smaller lead_seconds"),
            ),
            Some(_) => {}
        }
    }
    if let Some(mem) = section.mem.as_ref().filter(|mem| !is_size(mem)) {
        faults.push(Fault::at(["mem"], format!("`{mem}` is no size that Slurm takes")).help("write a whole number and K, M, G or T, such as 4G"));
    }
    for (i, option) in section.extra.iter().enumerate() {
        let name = option.split('=').next().unwrap_or_default();
        if !option.starts_with('-') || option.len() < 2 {
            faults.push(
                Fault::at(["extra".to_owned(), i.to_string()], format!("`{option}` is no option of sbatch")).help("write it whole: \"--constraint=avx512\""),
            );
        } else if OURS.contains(&name) {
            faults.push(Fault::at(["extra".to_owned(), i.to_string()], format!("`{name}` is set by the submission itself")));
        }
    }
    if faults.is_empty() { Ok(section) } else { Err(faults) }
}

/// A time limit in Slurm's notation, in seconds; without a limit, the most there is.
fn seconds(text: &str) -> Option<u64> {
    if ["unlimited", "infinite"].contains(&text.to_lowercase().as_str()) {
        return Some(u64::MAX);
    }
    let number =
        |text: &str| (!text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse::<u64>().ok()).flatten();
    let numbers = |text: &str| text.split(':').map(number).collect::<Option<Vec<u64>>>();
    let total = match text.split_once('-') {
        Some((days, rest)) => {
            let rest = numbers(rest).filter(|rest| rest.len() <= 3)?;
            number(days)? * 86_400 + rest.iter().zip([3600, 60, 1]).map(|(count, unit)| count * unit).sum::<u64>()
        }
        None => match *numbers(text)?.as_slice() {
            [minutes] => minutes * 60,
            [minutes, seconds] => minutes * 60 + seconds,
            [hours, minutes, seconds] => hours * 3600 + minutes * 60 + seconds,
            _ => return None,
        },
    };
    // Slurm reads 0 as no limit; nobody who writes it means that.
    (total > 0).then_some(total)
}

fn is_size(text: &str) -> bool {
    let digits = text.trim_end_matches(|unit: char| "KMGTkmgt".contains(unit));
    text.len() - digits.len() <= 1 && !digits.is_empty() && digits.len() <= 12 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        read(&text.parse().unwrap()).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn times_are_those_of_slurm() {
        let good = [("90", 5400), ("1:30", 90), ("2:00:00", 7200), ("1-12", 129_600), ("1-0:30", 88_200), ("2-01:00:05", 176_405)];
        good.iter().for_each(|(text, expected)| assert_eq!(seconds(text), Some(*expected), "{text}"));
        for bad in ["", "1h", "1:2:3:4", "-5", "1-", "1-1:1:1:1", "0", "1.5", "1 day"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
        assert_eq!(seconds("UNLIMITED"), Some(u64::MAX));
    }

    #[test]
    fn what_slurm_would_not_take_is_told_by_key() {
        assert!(faults("time = \"2h\"")[0].contains("`time`: `2h` is no time"));
        assert!(faults("time = \"1\"")[0].contains("lead_seconds = 120"));
        assert!(faults("mem = \"4 GB\"")[0].contains("`mem`"));
        assert!(faults("throttle = 0")[0].contains("`throttle`"));
        assert!(faults("partition = \"a b\"")[0].contains("`partition`"));
        assert!(faults("extra = [\"--exclusive\", \"constraint=x\", \"--array=1-3\"]").len() == 2);
        assert!(faults("partiton = \"gpu\"")[0].contains("partition"));
    }

    #[test]
    fn what_it_takes_is_no_fault() {
        assert!(faults("time = \"1-00:00:00\"\nmem = \"4000\"\ngres = \"gpu:1\"\nextra = [\"--exclusive\"]\nsetup = \"module load x\"").is_empty());
    }
}
