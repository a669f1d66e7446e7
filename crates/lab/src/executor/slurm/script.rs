//! The script that every task of an array runs, and the options that it is submitted with.

use std::fmt::Write;
use std::path::Path;

use super::queue::job_name;
use crate::spec::sections::SlurmSection;
use crate::{Error, Result};

/// What a task runs: the program, and what it is told beside the experiment and the trial.
#[derive(Debug, Clone)]
pub struct TaskCommand {
    /// The program, which has to be the same on every node.
    pub program: std::path::PathBuf,
    /// Further arguments.
    pub arguments: Vec<String>,
}

/// What one array is about. Every path is absolute.
pub(crate) struct Array<'a> {
    pub experiment: &'a str,
    /// The submission's own folder.
    pub folder: &'a Path,
    /// The folder of all results.
    pub out: &'a Path,
    /// Where the program was started; paths of data sets are relative to it.
    pub from: &'a Path,
    pub task: &'a TaskCommand,
    pub setup: &'a str,
}

/// The copy of the experiment in the submission's folder.
pub(crate) const EXPERIMENT: &str = "experiment.toml";
/// The trials of the array, an id a line.
pub(crate) const TRIALS: &str = "trials.txt";
/// The script.
pub(crate) const SCRIPT: &str = "task.sh";

/// The batch script. It becomes the program by `exec`, so that signals to the script reach it.
pub(crate) fn script(array: &Array<'_>) -> Result<String> {
    let (trials, experiment) = (array.folder.join(TRIALS), array.folder.join(EXPERIMENT));
    let mut text = String::from("#!/bin/bash\n# One task of an array: it trains the trial on line SLURM_ARRAY_TASK_ID + 1 of the list.\n");
    let mut line = |words: std::fmt::Arguments<'_>| writeln!(text, "{words}").map_err(|error| Error::Other(error.to_string()));
    line(format_args!("cd -- {} || exit 1", quoted(array.from)?))?;
    if !array.setup.is_empty() {
        line(format_args!("{}", array.setup.trim_end()))?;
    }
    line(format_args!("trial=$(sed -n \"$((SLURM_ARRAY_TASK_ID + 1))p\" -- {}) && [ -n \"$trial\" ] || exit 1", quoted(&trials)?))?;
    let mut command = format!("exec {} run {}", quoted(&array.task.program)?, quoted(&experiment)?);
    // The copy goes by another name than the file; quotes, as a name may be all digits.
    for argument in [format!("name=\"{}\"", array.experiment), "--executor".into(), "slurm-task".into(), "--out".into()] {
        write!(command, " {}", quote(&argument)).map_err(|error| Error::Other(error.to_string()))?;
    }
    write!(command, " {} --trial \"$trial\"", quoted(array.out)?).map_err(|error| Error::Other(error.to_string()))?;
    array.task.arguments.iter().for_each(|argument| command.push_str(&format!(" {}", quote(argument))));
    line(format_args!("{command}"))?;
    Ok(text)
}

/// The arguments of sbatch for an array of so many tasks. On the command line they go before what the environment says, and need no quotes.
pub(crate) fn options(array: &Array<'_>, section: &SlurmSection, tasks: usize) -> Result<Vec<String>> {
    let throttle = section.throttle.map_or(String::new(), |most| format!("%{most}"));
    let log = printable(array.folder)?;
    if log.contains('\\') {
        return Err(Error::Other(format!("Slurm cannot write to {log}, for the \\ in it: choose another folder of results with --out")));
    }
    let mut options = vec![
        "--parsable".to_owned(),
        format!("--job-name={}", job_name(array.experiment)),
        format!("--array=0-{}{throttle}", tasks.saturating_sub(1)),
        format!("--chdir={}", printable(array.from)?),
        format!("--output={}/task-%a.log", log.replace('%', "%%")),
        "--open-mode=append".to_owned(),
        // Whatever the cluster's own default: a task whose node died goes on elsewhere.
        "--requeue".to_owned(),
        format!("--signal=B:TERM@{}", section.lead_seconds.min(65_535)),
    ];
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let asked = [
        ("partition", section.partition.clone()),
        ("account", section.account.clone()),
        ("qos", section.qos.clone()),
        ("time", section.time.clone()),
        ("gres", section.gres.clone()),
        ("cpus-per-task", number(section.cpus_per_task)),
        ("mem", section.mem.clone()),
    ];
    options.extend(asked.into_iter().filter_map(|(name, value)| Some(format!("--{name}={}", value?))));
    options.extend(section.extra.iter().cloned());
    options.push(printable(&array.folder.join(SCRIPT))?);
    Ok(options)
}

/// A path as a word of a shell script.
fn quoted(path: &Path) -> Result<String> {
    printable(path).map(|path| quote(&path))
}

fn printable(path: &Path) -> Result<String> {
    let text = path.to_str().filter(|text| !text.contains(['\n', '\r']));
    text.map(str::to_owned).ok_or_else(|| Error::Other(format!("Slurm cannot be told of {}: its name is no plain text", path.display())))
}

/// A word of a shell script: within single quotes nothing means anything but a quote.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn array<'a>(folder: &'a Path, task: &'a TaskCommand) -> Array<'a> {
        Array { experiment: "tiny", folder, out: folder, from: folder, task, setup: "" }
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        let folder = tempfile::Builder::new().prefix("it's \"a\" $HOME `x` %a ").tempdir().unwrap();
        let task = TaskCommand { program: "/bin/echo".into(), arguments: vec!["a  b".into()] };
        std::fs::write(folder.path().join(TRIALS), "abc\ndef\n").unwrap();
        let path = folder.path().join(SCRIPT);
        std::fs::write(&path, script(&array(folder.path(), &task)).unwrap()).unwrap();
        let output = std::process::Command::new("bash").arg(&path).env("SLURM_ARRAY_TASK_ID", "1").output().unwrap();
        let name = folder.path().display();
        let expected = format!("run {name}/experiment.toml name=\"tiny\" --executor slurm-task --out {name} --trial def a  b\n");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }

    #[test]
    fn a_task_without_a_trial_fails() {
        let folder = tempfile::tempdir().unwrap();
        let task = TaskCommand { program: "/bin/echo".into(), arguments: Vec::new() };
        std::fs::write(folder.path().join(TRIALS), "abc\n").unwrap();
        let path = folder.path().join(SCRIPT);
        std::fs::write(&path, script(&array(folder.path(), &task)).unwrap()).unwrap();
        assert!(!std::process::Command::new("bash").arg(&path).env("SLURM_ARRAY_TASK_ID", "1").status().unwrap().success());
    }

    #[test]
    fn options_are_those_of_the_table() {
        let folder = PathBuf::from("/a/50% b");
        let task = TaskCommand { program: "/bin/stn".into(), arguments: Vec::new() };
        let section = SlurmSection { time: Some("1-0".into()), throttle: Some(3), extra: vec!["--exclusive".into()], ..SlurmSection::default() };
        let options = options(&array(&folder, &task), &section, 16).unwrap();
        for expected in
            ["--array=0-15%3", "--output=/a/50%% b/task-%a.log", "--time=1-0", "--signal=B:TERM@120", "--requeue", "--exclusive", "--job-name=stn-tiny"]
        {
            assert!(options.iter().any(|option| option == expected), "{expected} in {options:?}");
        }
        assert_eq!(options.last().unwrap(), "/a/50% b/task.sh");
        assert!(!options.iter().any(|option| option.starts_with("--partition")));
    }
}
