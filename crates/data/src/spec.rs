//! The `[dataset]` table of an experiment file.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use stn_core::parameters::{self, ParameterDoc};
use stn_core::{Fault, PluginSpec};
use toml::{Table, Value};

use crate::distortion::DistortionSpec;
use crate::kind::cub::CubSpec;
use crate::kind::folder::FolderSpec;
use crate::kind::mnist::MnistSpec;
use crate::kind::mnist_3d::Mnist3dSpec;
use crate::kind::mnist_addition::MnistAdditionSpec;
use crate::kind::mnist_colocalise::MnistColocaliseSpec;
use crate::kind::mnist_pieces::MnistPiecesSpec;
use crate::kind::npz::NpzSpec;
use crate::kind::parquet::ParquetSpec;
use crate::kind::street::{StreetDigitsSpec, StreetNumbersSpec};
use crate::kind::svhn::{SvhnDigitsSpec, SvhnSpec};
use crate::kind::{Opened, Source};
use crate::{DatasetDoc, Result};

/// Declares every kind of data set, a line each; its name in TOML files is the [`Declared::NAME`] of its table.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident($spec:ty),)*) => {
        /// Which data set, and where it is.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        pub enum Kind {
            $($(#[$doc])* $kind($spec),)*
        }

        impl Kind {
            fn source(&self) -> &dyn Source {
                match self {
                    $(Self::$kind(spec) => spec,)*
                }
            }
        }

        /// Reads the table of the kind it names; `None` where there is no such kind.
        fn read_kind(name: &str, table: &Table) -> Option<std::result::Result<DatasetSpec, Vec<Fault>>> {
            match name {
                $(<$spec>::NAME => Some(read(table, Kind::$kind)),)*
                _ => None,
            }
        }

        /// Every kind of data set with its keys.
        pub(crate) fn kinds() -> Vec<DatasetDoc> {
            vec![$(document::<$spec>()),*]
        }
    };
}

kinds! {
    /// Handwritten digits.
    Mnist(MnistSpec),
    /// Two handwritten digits and their sum.
    MnistAddition(MnistAdditionSpec),
    /// Images of one handwritten digit, to be found in each.
    MnistColocalise(MnistColocaliseSpec),
    /// Pieces of such images, named by how well they show the digit.
    MnistPieces(MnistPiecesSpec),
    /// Handwritten digits in volumes.
    #[serde(rename = "mnist_3d")]
    Mnist3d(Mnist3dSpec),
    /// House numbers.
    Svhn(SvhnSpec),
    /// Photographs of birds.
    Cub(CubSpec),
    /// Digits of house numbers.
    SvhnDigits(SvhnDigitsSpec),
    /// House numbers drawn on the fly.
    StreetNumbers(StreetNumbersSpec),
    /// Digits of house numbers drawn on the fly.
    StreetDigits(StreetDigitsSpec),
    /// Arrays of the user's own.
    Npz(NpzSpec),
    /// A table with an image column and a label column.
    Parquet(ParquetSpec),
    /// A folder for each class.
    Folder(FolderSpec),
}

/// A data set, its distortion and its size: the `[dataset]` table.
///
/// ```toml
/// [dataset]
/// kind = "mnist"
/// source = "embedded"
/// distortion = { kind = "R", degrees = 60 }
/// train_limit = 1000
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatasetSpec {
    /// Which data set, and where it is.
    #[serde(flatten)]
    pub kind: Kind,
    /// How every image is distorted.
    pub distortion: DistortionSpec,
    /// At most so many training images, by a fixed draw; all where `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_limit: Option<usize>,
    /// At most so many test images, by a fixed draw; all where `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_limit: Option<usize>,
}

/// The keys that every kind takes.
#[derive(Debug, Clone, Default, Serialize, serde::Deserialize, JsonSchema)]
#[serde(default)]
struct Common {
    /// The data set; the other keys depend on it.
    kind: String,
    /// How every image is distorted: R, RTS, P, E, TC, none, or a table with one of these as kind and its parameters.
    distortion: Option<String>,
    /// At most so many training images, by a fixed draw. All unless given.
    train_limit: Option<usize>,
    /// At most so many test images, by a fixed draw. All unless given.
    test_limit: Option<usize>,
}

impl DatasetSpec {
    /// Reads the `[dataset]` table.
    ///
    /// # Errors
    ///
    /// Every mistake, with its path below the table.
    pub fn from_value(value: &Value) -> std::result::Result<Self, Vec<Fault>> {
        let Value::Table(table) = value else {
            return Err(vec![Fault::at([""; 0], format!("expected a table, found {}", value.type_str()))]);
        };
        match table.get("kind") {
            Some(Value::String(kind)) => read_kind(kind, table).unwrap_or_else(|| {
                let known = kinds();
                let names: Vec<&str> = known.iter().map(|kind| kind.name.as_str()).collect();
                Err(vec![Fault::unknown(["kind"], "data set", kind, &names)])
            }),
            Some(other) => Err(vec![Fault::at(["kind"], format!("expected a string, found {}", other.type_str()))]),
            None => Err(vec![Fault::at([""; 0], "this table needs a `kind`").help("write for example kind = \"mnist\"")]),
        }
    }

    /// The shape of the images after the distortion, C H W or C D H W, and the numbers that a network gives for one (see
    /// [`Dataset::outputs`](crate::Dataset::outputs)), where both are known without reading data.
    pub fn shape_hint(&self) -> Option<(Vec<usize>, usize)> {
        let (shape, outputs) = self.kind.source().hint()?;
        Some((self.distortion.shape(&shape), outputs))
    }

    /// Whether the images may be others the next time: those in files of the user's own, and not those that are always the same, or refused.
    pub fn changes(&self) -> bool {
        self.kind.source().changes()
    }

    pub(crate) fn open(&self) -> Result<Opened> {
        self.kind.source().open()
    }
}

/// What a kind of data set declares: its name and, by its fields, its keys.
pub(crate) trait Declared: Source + DeserializeOwned + Serialize + JsonSchema + Default + 'static {
    /// The `kind` in TOML files.
    const NAME: &'static str;
    /// What it is, in a line.
    const SUMMARY: &'static str;
}

fn document<K: Declared>() -> DatasetDoc {
    DatasetDoc { name: K::NAME.into(), summary: K::SUMMARY.into(), parameters: keys::<K>() }
}

fn keys<K: Declared>() -> Vec<ParameterDoc> {
    let mut keys = parameters::describe::<K>();
    keys.extend(parameters::describe::<Common>().into_iter().filter(|key| key.name != "kind").map(|mut key| {
        if key.name == "distortion" {
            key.kind = "string or table".into();
            key.default = "\"none\"".into();
        }
        key
    }));
    keys
}

fn read<K: Declared>(table: &Table, kind: fn(K) -> Kind) -> std::result::Result<DatasetSpec, Vec<Fault>> {
    let known = keys::<K>();
    let mut names: Vec<&str> = known.iter().map(|key| key.name.as_str()).collect();
    names.push("kind");
    let (mut common, mut own, mut faults) = (Table::new(), Table::new(), Vec::new());
    for (key, value) in table {
        match key.as_str() {
            "kind" | "distortion" => {}
            "train_limit" | "test_limit" => drop(common.insert(key.clone(), value.clone())),
            name if names.contains(&name) => drop(own.insert(key.clone(), value.clone())),
            name => faults.push(Fault::unknown([name], "key", name, &names)),
        }
    }
    let source = keep(parameters::decode::<K>(&own), &mut faults);
    let common = keep(parameters::decode::<Common>(&common), &mut faults).unwrap_or_default();
    faults.extend(source.iter().flat_map(Source::faults));
    for key in ["train_limit", "test_limit"] {
        if table.get(key) == Some(&Value::Integer(0)) {
            faults.push(Fault::at([key], "must be at least 1").help("leave the key out to use every image"));
        }
    }
    let distortion = keep(distortion(table.get("distortion")), &mut faults).unwrap_or_default();
    if distortion != DistortionSpec::None && source.as_ref().and_then(Source::hint).is_some_and(|(shape, _)| shape.len() > 3) {
        faults.push(Fault::at(["distortion"], "volumes cannot be distorted; distortions are for images").help("leave the key out"));
    }
    faults.sort_by(|a, b| a.path.cmp(&b.path));
    match source {
        Some(source) if faults.is_empty() => Ok(DatasetSpec { kind: kind(source), distortion, train_limit: common.train_limit, test_limit: common.test_limit }),
        _ => Err(faults),
    }
}

fn distortion(value: Option<&Value>) -> std::result::Result<DistortionSpec, Vec<Fault>> {
    let Some(value) = value else {
        return Ok(DistortionSpec::None);
    };
    let below = |faults: Vec<Fault>| faults.into_iter().map(|fault| fault.below(["distortion"])).collect::<Vec<_>>();
    let spec = PluginSpec::from_value(value).map_err(|fault| below(vec![fault]))?;
    DistortionSpec::from_plugin_spec(&spec).map_err(below)
}

fn keep<T>(read: std::result::Result<T, Vec<Fault>>, faults: &mut Vec<Fault>) -> Option<T> {
    read.map_err(|found| faults.extend(found)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> std::result::Result<DatasetSpec, Vec<Fault>> {
        DatasetSpec::from_value(&Value::Table(text.parse().unwrap()))
    }

    fn faults(text: &str) -> Vec<String> {
        spec(text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_distorted_mnist_knows_its_shape() {
        let hint = |text: &str| spec(text).unwrap().shape_hint();
        assert_eq!(hint("kind = \"mnist\""), Some((vec![1, 28, 28], 10)));
        assert_eq!(hint("kind = \"mnist\"\ndistortion = \"RTS\""), Some((vec![1, 42, 42], 10)));
        assert_eq!(hint("kind = \"mnist\"\ndistortion = { kind = \"TC\", canvas = [80, 64] }"), Some((vec![1, 80, 64], 10)));
        assert_eq!(hint("kind = \"svhn_digits\""), Some((vec![3, 32, 32], 10)));
        assert_eq!(hint("kind = \"svhn\""), Some((vec![3, 64, 64], 55)));
        assert_eq!(hint("kind = \"svhn\"\nsize = 128"), Some((vec![3, 128, 128], 55)));
        assert_eq!(hint("kind = \"street_numbers\"\nsize = 128"), Some((vec![3, 128, 128], 55)));
        assert_eq!(hint("kind = \"npz\"\npath = \"x.npz\""), None);
    }

    #[test]
    fn every_mistake_is_found_at_once() {
        let found = faults("kind = \"mnist\"\nsuorce = \"auto\"\ntrain_limit = 0\ntest_limit = \"all\"\ndistortion = { kind = \"R\", degres = 4 }");
        assert_eq!(
            found,
            [
                "`distortion.degres`: unknown key `degres`; did you mean `degrees`? (known: canvas, degrees)",
                "`suorce`: unknown key `suorce`; did you mean `source`? (known: dir, source, distortion, test_limit, train_limit, kind)",
                "`test_limit`: invalid type: string \"all\", expected usize",
                "`train_limit`: must be at least 1; leave the key out to use every image",
            ]
        );
    }

    #[test]
    fn only_the_user_s_own_files_change() {
        let changes = |text: &str| spec(text).unwrap().changes();
        assert!(["mnist", "mnist_addition", "mnist_3d", "street_numbers", "street_digits"].iter().all(|kind| !changes(&format!("kind = \"{kind}\""))));
        assert!(changes("kind = \"npz\"\npath = \"x.npz\"") && changes("kind = \"street_digits\"\ntest_path = \"x.npz\""));
    }

    #[test]
    fn a_volume_with_a_distortion_is_a_mistake() {
        assert_eq!(
            faults("kind = \"mnist_3d\"\ndistortion = \"R\""),
            ["`distortion`: volumes cannot be distorted; distortions are for images; leave the key out"]
        );
    }

    #[test]
    fn a_limit_of_nothing_is_a_mistake() {
        assert_eq!(faults("kind = \"mnist\"\ntrain_limit = 0"), ["`train_limit`: must be at least 1; leave the key out to use every image"]);
    }

    #[test]
    fn unknown_names_are_answered_with_the_nearest() {
        assert!(
            faults("kind = \"minst\"")[0].starts_with("`kind`: unknown data set `minst`; did you mean `mnist`? (known: mnist, "),
            "{:?}",
            faults("kind = \"minst\"")
        );
        assert_eq!(
            faults("kind = \"mnist\"\ndistortion = \"rts\""),
            ["`distortion`: unknown distortion `rts`; did you mean `RTS`? (known: none, R, RTS, P, E, TC)"]
        );
        assert!(faults("train_limit = 3")[0].contains("needs a `kind`"));
    }

    #[test]
    fn house_numbers_have_two_sizes() {
        let found = faults("kind = \"svhn\"\nsize = 96");
        assert_eq!(found, ["`size`: house numbers are cut at 64 or 128 pixels, not 96; write size = 64 for tight crops, or size = 128 for looser ones"]);
    }

    #[test]
    fn a_path_must_be_given() {
        assert!(faults("kind = \"npz\"")[0].contains("`path`"), "{:?}", faults("kind = \"npz\""));
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in [
            "kind = \"mnist\"\nsource = \"embedded\"\ndistortion = { kind = \"R\", degrees = 60 }\ntrain_limit = 100",
            "kind = \"mnist\"\ndir = \"digits\"",
            "kind = \"mnist_3d\"\nsize = 20\nsource = \"embedded\"",
            "kind = \"svhn_digits\"\ndir = \"svhn\"\nextra = true",
            "kind = \"svhn\"\ndir = \"svhn\"\nextra = true\nsize = 128",
            "kind = \"street_numbers\"\nsize = 128",
            "kind = \"street_digits\"\ntest_path = \"crops.npz\"",
            "kind = \"folder\"\npath = \"birds\"\ntest = 0.5\ndistortion = \"TC\"",
        ] {
            let first = spec(text).unwrap();
            let again = DatasetSpec::from_value(&Value::try_from(&first).unwrap()).unwrap();
            assert_eq!(first, again);
        }
    }
}
