//! `stn data`: what there is to train on.

use stn_core::{ParameterDoc, Registry};
use stn_data::{Dataset, DatasetDoc, DatasetSpec};
use toml::Value;

use super::op::keys_to_table;
use super::parameter_table;
use crate::arguments::DataAction;
use crate::terminal::answer;
use crate::{Failure, whole_file};

pub(crate) fn run(action: &DataAction, registry: &Registry) -> Result<(), Failure> {
    match action {
        DataAction::List => list(),
        DataAction::Fetch { name } => {
            let folder = stn_data::fetch(name).map_err(Failure::message)?;
            answer(format_args!("{name} is in {}", folder.display()));
        }
        DataAction::Preview { name, keys, out, columns, rows, seed } => {
            let mut section = keys_to_table(keys)?;
            section.insert("kind".into(), Value::String(name.clone()));
            let spec = DatasetSpec::from_value(&Value::Table(section))
                .map_err(|faults| Failure::Message(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\nerror: ")))?;
            let dataset = Dataset::open(&spec, registry).map_err(Failure::message)?;
            let sheet = stn_data::contact_sheet(&dataset, *columns, *rows, *seed).map_err(Failure::message)?;
            whole_file::write(out, |file| sheet.write_to(&mut std::io::BufWriter::new(file), image::ImageFormat::Png).map_err(std::io::Error::other))?;
            answer(out.display());
        }
    }
    Ok(())
}

fn list() {
    let (kinds, distortions) = (stn_data::catalogue(), stn_data::distortions());
    answer(format_args!("{}\n", parameter_table("kind", kinds.iter().map(line))));
    answer(parameter_table("distortion", distortions.iter().map(line)));
}

fn line(doc: &DatasetDoc) -> (&str, &str, &[ParameterDoc]) {
    (&doc.name, &doc.summary, &doc.parameters)
}
