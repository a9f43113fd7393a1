use proptest::prelude::*;

use super::*;

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn fields(values: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    for value in values {
        varint(&mut out, *value);
    }
    out
}

#[test]
fn the_four_forms_of_a_new_table() {
    for (tag, before_size, sequences) in [
        (7, None, false),
        (100, None, true),
        (102, Some(3u64), true),
        (103, None, true),
    ] {
        let mut record = fields(&[tag, 2, 77]);
        if let Some(path_id) = before_size {
            varint(&mut record, path_id);
        }
        varint(&mut record, 4096);
        prefixed(&mut record, b"first");
        prefixed(&mut record, b"last");
        if sequences {
            record.extend(fields(&[5, 9]));
        }
        if tag == 103 {
            // A field that may be skipped, the oldest blob file, another path, the end.
            varint(&mut record, 12);
            prefixed(&mut record, b"unique id");
            varint(&mut record, 4);
            prefixed(&mut record, &fields(&[70]));
            varint(&mut record, 65);
            prefixed(&mut record, &[3]);
            varint(&mut record, 1);
        }
        let edit = Edit::decode(&record).unwrap();
        let expected = NewTable {
            level: 2,
            number: 77,
            size: 4096,
            path_id: if tag == 102 || tag == 103 { 3 } else { 0 },
            oldest_blob: (tag == 103).then_some(70),
        };
        let mut tables = NewTables::default();
        tables.push(&expected).unwrap();
        assert_eq!(edit.new_tables, tables, "tag {tag}");
        // In whatever pieces it comes.
        for size in 1..record.len() {
            let mut reader = EditReader::default();
            record.chunks(size).for_each(|part| reader.feed(part));
            assert_eq!(reader.finish().unwrap(), edit, "tag {tag} by {size}");
        }
        assert_eq!(edit.rocksdb, tag != 7);
        for length in 1..record.len() {
            assert!(
                Edit::decode(&record[..length]).is_err(),
                "tag {tag} cut to {length}"
            );
        }
    }
}

#[test]
fn unknown_tags_are_skipped_only_where_the_format_promises_it() {
    let mut record = fields(&[(1 << 13) + 999]);
    prefixed(&mut record, b"from the future");
    record.extend(fields(&[3, 17]));
    assert_eq!(Edit::decode(&record).unwrap().next_file, Some(17));
    assert_eq!(
        Edit::decode(&fields(&[999, 1])),
        Err(BadEdit::UnknownTag { tag: 999 })
    );
    assert_eq!(
        Edit::decode(&fields(&[8, 1])),
        Err(BadEdit::UnknownTag { tag: 8 })
    );
}

#[test]
fn tracked_logs_are_read_in_both_forms() {
    let old = fields(&[8196, 12, 2, 4096, 1, 8197, 9]);
    let mut new = fields(&[8199]);
    prefixed(&mut new, &fields(&[12, 2, 4096, 1]));
    varint(&mut new, 8200);
    prefixed(&mut new, &fields(&[9]));
    for record in [old, new] {
        let expected = [
            Wal::Added {
                number: 12,
                synced: Some(4096),
            },
            Wal::DeletedBelow(9),
        ];
        assert_eq!(Edit::decode(&record).unwrap().wals, expected);
    }
}

proptest! {
    #[test]
    fn garbage_never_panics(garbage: Vec<u8>) {
        let _ = Edit::decode(&garbage);
    }

    #[test]
    fn garbage_is_the_same_in_pieces(garbage: Vec<u8>, size in 1usize..9) {
        let mut reader = EditReader::default();
        garbage.chunks(size).for_each(|part| reader.feed(part));
        prop_assert_eq!(reader.finish(), Edit::decode(&garbage));
    }
}
