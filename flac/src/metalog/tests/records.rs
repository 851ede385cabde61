//! Records say what was put in, and damage shows.

use crate::media::layout::{Position, RECORD_HEADER, RecordHeader};
use crate::metalog::record::{Builder, Part, advance, follows, parts};
use crate::units::{PoolFrame, Seq};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Own {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    Guard(u32, u32),
    Epoch(u64),
    Data(u32, Vec<u8>),
}

impl Own {
    fn part(&self) -> Part<'_> {
        match self {
            Own::Put(k, v) => Part::Put(k, v),
            Own::Delete(k) => Part::Delete(k),
            Own::Guard(f, c) => Part::Guard(PoolFrame::new(*f), *c),
            Own::Epoch(s) => Part::Epoch(*s),
            Own::Data(f, b) => Part::Data(PoolFrame::new(*f), b),
        }
    }
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..max)
}

fn own() -> impl Strategy<Value = Own> {
    prop_oneof![
        (bytes(40), bytes(300)).prop_map(|(k, v)| Own::Put(k, v)),
        bytes(40).prop_map(Own::Delete),
        any::<(u32, u32)>().prop_map(|(f, c)| Own::Guard(f, c)),
        any::<u64>().prop_map(Own::Epoch),
        (any::<u32>(), bytes(4097)).prop_map(|(f, b)| Own::Data(f, b)),
    ]
}

fn position() -> Position {
    Position { generation: 3, tail: 4096, seq: Seq::new(41), salt: 7, known: Seq::new(2) }
}

fn sealed(list: &[Own]) -> (RecordHeader, Vec<u8>) {
    let mut builder = Builder::new();
    list.iter().for_each(|own| builder.add(own.part()));
    let header = builder.header(&position(), Seq::new(40));
    (header, builder.seal(&header).to_vec())
}

proptest! {
    #[test]
    fn proptest_a_record_gives_back_its_parts(list in prop::collection::vec(own(), 0..20)) {
        let (header, bytes) = sealed(&list);
        let (decoded, payload) = RecordHeader::decode(&bytes).expect("sound");
        prop_assert_eq!(decoded, header);
        prop_assert!(follows(&position(), &decoded));
        let back: Vec<_> = parts(payload).map(|p| p.expect("sound")).collect();
        prop_assert_eq!(back, list.iter().map(Own::part).collect::<Vec<_>>());
        let next = advance(&position(), &header, payload);
        prop_assert_eq!(next.tail % 8, 0);
        prop_assert!(next.tail >= 4096 + bytes.len() as u64 && next.tail < 4096 + bytes.len() as u64 + 8);
    }

    #[test]
    fn proptest_a_flipped_bit_or_a_cut_shows(list in prop::collection::vec(own(), 0..8), at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let (header, bytes) = sealed(&list);
        let at = at.index(bytes.len());
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << bit;
        prop_assert_eq!(RecordHeader::decode(&flipped), None);
        prop_assert_eq!(RecordHeader::decode(&bytes[..at]), None);
        prop_assert_eq!(RecordHeader::decode(&bytes).expect("sound").0, header);
    }

    #[test]
    fn proptest_any_payload_is_read_without_panic(payload in bytes(200)) {
        let _ = parts(&payload).count();
        let _ = RecordHeader::decode(&payload);
    }
}

#[test]
fn only_the_next_record_of_the_same_history_follows() {
    let (header, bytes) = sealed(&[]);
    assert_eq!(bytes.len(), RECORD_HEADER);
    assert!(follows(&position(), &header));
    assert!(!follows(&Position { generation: 4, ..position() }, &header));
    assert!(!follows(&Position { seq: Seq::new(40), ..position() }, &header));
    assert!(!follows(&Position { salt: 8, ..position() }, &header));
}
