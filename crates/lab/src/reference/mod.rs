//! The manual's pages that are made from the code.

mod keys;
mod markdown;
mod schema;
mod weights;

use stn_core::{PluginDoc, Registry, parameters};
use stn_data::DatasetDoc;
use stn_nn::optimizer::{Adam, AdamW, Sgd};

use crate::EarlyStop;
use crate::spec::objective::ColocaliseSection;
use crate::spec::sections::{ModelSection, PruneSection, RandomSection, RunSection, SlurmSection, SweepSection, TopLevel};
use crate::spec::train::TrainSection;
use crate::store::schema::schema as tables;
use markdown::{key_table, rows};
pub use schema::json_schema;

/// Every key of an experiment file, as Markdown.
pub fn reference(registry: &Registry) -> String {
    let mut page = String::from(keys::OPENING);
    section(&mut page, "Top level", "", &key_table(&parameters::describe::<TopLevel>()));
    section(&mut page, "`[dataset]`", "The keys depend on `kind`.", "");
    stn_data::catalogue().iter().for_each(|doc| kind(&mut page, "kind", doc));
    page.push_str("\n### Distortions\n\nA name, or a table with a `kind` and parameters: `distortion = { kind = \"R\", degrees = 60 }`. Each image is distorted anew in every epoch; test images always in the same way.\n");
    stn_data::distortions().iter().for_each(|doc| kind(&mut page, "distortion", doc));
    section(&mut page, "`[train]`", "", &key_table(&parameters::describe::<TrainSection>()));
    page.push_str(&format!("\n### `early_stop`\n\n{}", key_table(&parameters::describe::<EarlyStop>())));
    page.push_str(&format!("\n### Objectives\n\n{}\n\n`colocalise`\n\n{}", keys::OBJECTIVES, key_table(&parameters::describe::<ColocaliseSection>())));
    page.push_str("\n### Optimizers\n\nThe updates are those of `torch.optim`. Weight decay touches weights, not biases.\n");
    for (name, keys) in [("sgd", parameters::describe::<Sgd>()), ("adam", parameters::describe::<Adam>()), ("adamw", parameters::describe::<AdamW>())] {
        page.push_str(&format!("\n`{name}`\n\n{}", key_table(&keys)));
    }
    page.push_str(&format!("\n### Schedules\n\n{}", keys::schedules()));
    section(&mut page, "`[models.NAME]`", keys::MODELS, &key_table(&parameters::describe::<ModelSection>()));
    page.push_str(&format!("\n{}\n### Layers\n\n{}", rows(&["key", "type", "default", "meaning"], keys::NETWORK), rows(&["layer", "meaning"], keys::LAYERS)));
    page.push_str(&format!("\n### Spatial transformers\n\n{}", rows(&["key", "default", "meaning"], keys::TRANSFORMER)));
    plugins(&mut page, "Transformations", registry.transformations());
    plugins(&mut page, "Sampling kernels", registry.kernels());
    section(&mut page, "`[sweep]`", keys::SWEEP, &key_table(&parameters::describe::<SweepSection>()));
    page.push_str(keys::AXES);
    page.push_str(&format!("\n### `[sweep.random]`\n\n{}\n\n{}", keys::RANDOM, key_table(&parameters::describe::<RandomSection>())));
    page.push_str(&format!("\n{}", rows(&["distribution", "values"], keys::DISTRIBUTIONS)));
    section(&mut page, "`[run]`", keys::RUN, &key_table(&parameters::describe::<RunSection>()));
    section(&mut page, "`[prune]`", keys::PRUNE, &key_table(&parameters::describe::<PruneSection>()));
    section(&mut page, "`[slurm]`", keys::SLURM, &key_table(&parameters::describe::<SlurmSection>()));
    section(&mut page, "`[report]`", keys::REPORT, &rows(&["key", "type", "default", "meaning"], keys::STYLE));
    page.push_str(&format!("\n{}\n", keys::STYLE_FILE));
    section(&mut page, "Arguments", keys::ARGUMENTS, "");
    page
}

/// Every file and column of the results, as Markdown.
pub fn results_reference(registry: &Registry) -> String {
    let mut page = String::from(keys::RESULTS);
    for table in tables() {
        let columns: Vec<[&str; 3]> = table.columns.iter().map(|column| [column.name, column.kind, column.description]).collect();
        section(&mut page, &format!("`{}`", table.file), table.description, &rows(&["column", "type", "meaning"], &columns));
    }
    section(&mut page, "`trials/ID/weights.safetensors`", &weights::section(registry), "");
    page
}

fn section(page: &mut String, title: &str, text: &str, table: &str) {
    page.push_str(&format!("\n## {title}\n"));
    for part in [text, table].into_iter().filter(|part| !part.is_empty()) {
        page.push_str(&format!("\n{}\n", part.trim_end()));
    }
}

fn kind(page: &mut String, key: &str, doc: &DatasetDoc) {
    page.push_str(&format!("\n`{key} = \"{}\"`: {}\n", doc.name, doc.summary));
    if !doc.parameters.is_empty() {
        page.push_str(&format!("\n{}", key_table(&doc.parameters)));
    }
}

fn plugins<'a>(page: &mut String, title: &str, docs: impl Iterator<Item = &'a PluginDoc>) {
    page.push_str(&format!("\n### {title}\n"));
    for doc in docs {
        page.push_str(&format!("\n`{}`: {}\n", doc.name, doc.summary));
        if !doc.parameters.is_empty() {
            page.push_str(&format!("\n{}", key_table(&doc.parameters)));
        }
    }
}
