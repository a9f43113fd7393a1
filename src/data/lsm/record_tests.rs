use proptest::prelude::*;

use super::*;

/// Writes records as LevelDB does (`log_writer.cc`), or in RocksDB's recyclable form with a log number.
fn write(records: &[Vec<u8>], number: Option<u32>) -> Vec<u8> {
    let header = if number.is_some() {
        RECYCLABLE_HEADER
    } else {
        HEADER
    };
    let mut log = Vec::new();
    for record in records {
        let mut rest = &record[..];
        let mut first = true;
        loop {
            let left = BLOCK - log.len() % BLOCK;
            if left < header {
                log.resize(log.len() + left, 0);
                continue;
            }
            let (piece, after) = rest.split_at(rest.len().min(left - header));
            let last = after.is_empty();
            let part = match (first, last) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            let mut covered = vec![if number.is_some() { part + 4 } else { part }];
            covered.extend(number.iter().flat_map(|number| number.to_le_bytes()));
            covered.extend_from_slice(piece);
            log.extend(checksum::masked_crc(&covered).to_le_bytes());
            log.extend((piece.len() as u16).to_le_bytes());
            log.extend(covered);
            rest = after;
            first = false;
            if last {
                break;
            }
        }
    }
    log
}

fn read(log: &[u8], number: u64) -> (Vec<Vec<u8>>, Scan) {
    let mut records = Vec::new();
    let mut record = Vec::new();
    let scan = scan(&mut &log[..], number, &mut |piece| match piece {
        Piece::Payload(part) => record.extend_from_slice(part),
        Piece::End(_) => records.push(std::mem::take(&mut record)),
    })
    .unwrap();
    (records, scan)
}

#[test]
fn a_block_may_end_with_room_that_is_too_short_for_the_longer_header_alone() {
    for left in 1..RECYCLABLE_HEADER {
        let first = BLOCK - RECYCLABLE_HEADER - left;
        let records = [vec![7; first], vec![8; 100], Vec::new()];
        let log = write(&records, Some(9));
        let (read, scan) = read(&log, 9);
        assert_eq!(read, records, "{left}");
        assert_eq!((scan.end, scan.whole), (End::Exact, log.len() as u64));
    }
}

fn records() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let sizes = prop_oneof![
        0usize..200,
        30_000usize..100_000,
        Just(BLOCK - HEADER),
        Just(BLOCK - 2 * HEADER - 3)
    ];
    prop::collection::vec(
        (sizes, any::<u8>()).prop_map(|(size, byte)| vec![byte; size]),
        1..8,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(records in records(), number in prop::option::of(any::<u32>())) {
        let log = write(&records, number);
        let (read, scan) = read(&log, u64::from(number.unwrap_or(0)));
        prop_assert_eq!(read, records);
        prop_assert_eq!((scan.end, scan.whole, scan.length), (End::Exact, log.len() as u64, log.len() as u64));
    }

    #[test]
    fn a_log_cut_anywhere_gives_whole_records_and_says_where_they_end(records in records(), at in any::<prop::sample::Index>()) {
        let log = write(&records, None);
        let cut = &log[..at.index(log.len())];
        let (read, scan) = read(cut, 0);
        prop_assert_eq!(&records[..read.len()], &read[..]);
        // Cut at a record's end, or right before one in the padding of a block, nothing is torn.
        prop_assert!(scan.end == End::Torn || cut[scan.whole as usize..].iter().all(|byte| *byte == 0));
        prop_assert_eq!(write(&read, None).len() as u64, scan.whole);
    }

    #[test]
    fn a_changed_byte_is_never_taken_for_a_record(records in records(), at in any::<prop::sample::Index>(), change in 1u8..) {
        let mut log = write(&records, None);
        let at = at.index(log.len());
        log[at] ^= change;
        let (read, scan) = read(&log, 0);
        prop_assert!(read.iter().all(|record| records.contains(record)));
        prop_assert!(read.len() < records.len() || scan.end == End::Exact);
        // Padding may change unnoticed by the records; then all of them are there.
        prop_assert!(scan.end != End::Exact || read == records);
    }

    #[test]
    fn garbage_never_panics(garbage in prop::collection::vec(any::<u8>(), 0..70_000), number: u64) {
        let (_, scan) = read(&garbage, number);
        prop_assert!(scan.whole <= scan.length);
    }
}

#[test]
fn records_after_damage_make_it_damage_and_not_a_torn_end() {
    let records = vec![vec![1; 20_000], vec![2; 20_000], vec![3; 60_000]];
    let mut log = write(&records, None);
    log[100] ^= 1;
    assert_eq!(read(&log, 0).1.end, End::Damaged { offset: 0 });
    let mut log = write(&records[..1], None);
    log[100] ^= 1;
    assert_eq!(read(&log, 0).1.end, End::Torn);
}

#[test]
fn a_recycled_log_ends_where_the_older_one_shows_through() {
    let older = write(&vec![vec![9; 10_000]; 20], Some(7));
    let newer = write(&vec![vec![1; 9_000]; 5], Some(12));
    let mut log = newer.clone();
    log.extend_from_slice(&older[newer.len()..]);
    let (records, scan) = read(&log, 12);
    assert_eq!(
        (records.len(), scan.end, scan.whole),
        (5, End::Stale, newer.len() as u64)
    );
    // Damage below the end is told from the end itself.
    log[100] ^= 1;
    assert_eq!(read(&log, 12).1.end, End::Damaged { offset: 0 });
}

#[test]
fn zeros_that_a_crash_left_are_a_torn_end() {
    let mut log = write(&[vec![1; 100]], None);
    let whole = log.len() as u64;
    log.resize(100_000, 0);
    let (records, scan) = read(&log, 0);
    assert_eq!((records.len(), scan.end, scan.whole), (1, End::Torn, whole));
}
