//! Records of an event file: TFRecord framing.

use crc::{CRC_32_ISCSI, Crc};
use prost::Message;

use super::event::Event;

/// CRC-32C.
const CASTAGNOLI: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// Appends an event: its length in 8 bytes, little end first, the masked checksum of those, the message, and its masked checksum.
pub fn append(file: &mut Vec<u8>, event: &Event) {
    let message = event.encode_to_vec();
    let length = (message.len() as u64).to_le_bytes();
    file.extend(length);
    file.extend(masked(&length).to_le_bytes());
    file.extend(&message);
    file.extend(masked(&message).to_le_bytes());
}

/// CRC-32C, turned and moved as TFRecord has it, so that checksums of data that holds checksums stay good ones.
fn masked(bytes: &[u8]) -> u32 {
    CASTAGNOLI.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensorboard::event::{Summary, Value};

    /// Written by the record writer of TensorBoard 2.
    const FIRST: [u8; 40] = *b"\x18\x00\x00\x00\x00\x00\x00\x00\xa3\x7fK\x22\x09\x00\x00\x00@\xfcT\xd9A\x1a\x0dbrain.Event:2\xec\xed\x8f\x9d";
    const NUMBER: [u8; 48] = *b" \x00\x00\x00\x00\x00\x00\x00)\xed\xa9P\x09\x00\x00`@\xfcT\xd9A\x10d*\x13\x0a\x11\x0a\x0aloss/train\x15\x00\x00\x00?\xaeJ6\xc8";

    #[test]
    fn the_checksum_is_crc_32c() {
        // RFC 3720, B.4: 32 bytes of zeros, and of ones.
        assert_eq!([CASTAGNOLI.checksum(&[0; 32]), CASTAGNOLI.checksum(&[0xff; 32])], [0x8a91_36aa, 0x62a8_ab43]);
    }

    #[test]
    fn the_first_record_is_the_one_that_tensorboard_writes() {
        let mut file = Vec::new();
        append(&mut file, &Event { wall_time: 1_700_000_000.0, file_version: Some("brain.Event:2".into()), ..Event::default() });
        assert_eq!(file, FIRST);
    }

    #[test]
    fn a_number_is_recorded_as_tensorboard_records_it() {
        let mut file = Vec::new();
        let summary = Some(Summary { value: vec![Value::number("loss/train", 0.5)] });
        append(&mut file, &Event { wall_time: 1_700_000_001.5, step: 100, summary, ..Event::default() });
        assert_eq!(file, NUMBER);
    }
}
