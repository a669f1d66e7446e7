//! The few of TensorBoard's and TensorFlow's protocol buffers that an event file needs, with the numbers of their fields.

use std::collections::BTreeMap;

use prost::Message;

/// `tensorflow.Event`: one record of the file.
#[derive(Clone, PartialEq, Message)]
pub struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    /// Training steps done.
    #[prost(int64, tag = "2")]
    pub step: i64,
    /// Of the first event alone.
    #[prost(string, optional, tag = "3")]
    pub file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    pub summary: Option<Summary>,
}

/// `tensorflow.Summary`.
#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub value: Vec<Value>,
}

/// `tensorflow.Summary.Value`: one of a number, an image and a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct Value {
    #[prost(string, tag = "1")]
    pub tag: String,
    #[prost(float, optional, tag = "2")]
    pub simple_value: Option<f32>,
    #[prost(message, optional, tag = "4")]
    pub image: Option<Image>,
    #[prost(message, optional, tag = "8")]
    pub tensor: Option<Tensor>,
    #[prost(message, optional, tag = "9")]
    pub metadata: Option<Metadata>,
}

/// `tensorflow.Summary.Image`.
#[derive(Clone, PartialEq, Message)]
pub struct Image {
    #[prost(int32, tag = "1")]
    pub height: i32,
    #[prost(int32, tag = "2")]
    pub width: i32,
    /// 3: red, green, blue.
    #[prost(int32, tag = "3")]
    pub colorspace: i32,
    /// A PNG.
    #[prost(bytes = "vec", tag = "4")]
    pub encoded_image_string: Vec<u8>,
}

/// `tensorflow.TensorProto` of texts.
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    /// 7: text.
    #[prost(int32, tag = "1")]
    pub dtype: i32,
    /// None given: of no axes.
    #[prost(message, optional, tag = "2")]
    pub tensor_shape: Option<Empty>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub string_val: Vec<Vec<u8>>,
}

/// A message without fields.
#[derive(Clone, PartialEq, Message)]
pub struct Empty {}

/// `tensorflow.SummaryMetadata`.
#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    #[prost(message, optional, tag = "1")]
    pub plugin_data: Option<PluginData>,
}

/// `tensorflow.SummaryMetadata.PluginData`: which of TensorBoard's plugins shows the value.
#[derive(Clone, PartialEq, Message)]
pub struct PluginData {
    #[prost(string, tag = "1")]
    pub plugin_name: String,
    #[prost(bytes = "vec", tag = "2")]
    pub content: Vec<u8>,
}

/// `tensorboard.hparams.HParamsPluginData`: one of the start and the end of a session.
#[derive(Clone, PartialEq, Message)]
pub struct HParams {
    #[prost(message, optional, tag = "3")]
    pub session_start_info: Option<SessionStart>,
    #[prost(message, optional, tag = "4")]
    pub session_end_info: Option<SessionEnd>,
}

/// `tensorboard.hparams.SessionStartInfo`.
#[derive(Clone, PartialEq, Message)]
pub struct SessionStart {
    #[prost(btree_map = "string, message", tag = "1")]
    pub hparams: BTreeMap<String, Hyperparameter>,
    /// Sessions of one group differ in nothing but the seed.
    #[prost(string, tag = "4")]
    pub group_name: String,
    #[prost(double, tag = "5")]
    pub start_time_secs: f64,
}

/// `tensorboard.hparams.SessionEndInfo`.
#[derive(Clone, PartialEq, Message)]
pub struct SessionEnd {
    /// 1: well; 2: failed.
    #[prost(int32, tag = "1")]
    pub status: i32,
    #[prost(double, tag = "2")]
    pub end_time_secs: f64,
}

/// `google.protobuf.Value`: one of a number and a text.
#[derive(Clone, PartialEq, Message)]
pub struct Hyperparameter {
    #[prost(double, optional, tag = "2")]
    pub number_value: Option<f64>,
    #[prost(string, optional, tag = "3")]
    pub string_value: Option<String>,
}

impl Hyperparameter {
    /// What a key of the sweep is set to: a number where it reads as one.
    pub fn new(text: &str) -> Self {
        match text.parse().ok().filter(|number: &f64| number.is_finite()) {
            Some(number) => Self { number_value: Some(number), string_value: None },
            None => Self { number_value: None, string_value: Some(text.into()) },
        }
    }
}

impl Value {
    /// A number.
    pub fn number(tag: impl Into<String>, number: f64) -> Self {
        Self { tag: tag.into(), simple_value: Some(number as f32), ..Self::default() }
    }

    /// Markdown.
    pub fn text(tag: impl Into<String>, markdown: &str) -> Self {
        let tensor = Tensor { dtype: 7, tensor_shape: Some(Empty {}), string_val: vec![markdown.into()] };
        Self { tag: tag.into(), tensor: Some(tensor), metadata: plugin("text", Vec::new()), ..Self::default() }
    }

    /// The start or end of a session.
    pub fn session(tag: &str, session: &HParams) -> Self {
        Self { tag: tag.into(), metadata: plugin("hparams", session.encode_to_vec()), ..Self::default() }
    }
}

fn plugin(name: &str, content: Vec<u8>) -> Option<Metadata> {
    Some(Metadata { plugin_data: Some(PluginData { plugin_name: name.into(), content }) })
}
