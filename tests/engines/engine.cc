// A small chain on LevelDB or (with -DROCKSDB) RocksDB, so that tests have a real engine that writes and a real one
// that reads everything back.
//
//   engine fill DIR COUNT [option…]   append COUNT blocks and close in order
//   engine run DIR [option…]          append blocks until SIGTERM, then close in order; prints `ready` when open
//   engine verify DIR [option…]       read everything with checksums; prints `ok HEAD`
//   engine compact DIR [option…]      compact everything and close in order
//
// Block i writes, as one batch: block:i, head=i, a total over all blocks, a key that earlier blocks wrote too, and a
// deletion. So a copy that lost records in the middle has a hole below its head, or a total that is not that of its head.

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

#ifdef ROCKSDB
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
namespace engine = rocksdb;
#else
#include <leveldb/db.h>
#include <leveldb/write_batch.h>
namespace engine = leveldb;
#endif

static std::atomic<bool> stop{false};

static void check(const engine::Status& status, const char* what) {
  if (status.ok()) return;
  fprintf(stderr, "%s: %s\n", what, status.ToString().c_str());
  exit(1);
}

static std::string name(const char* kind, long number) {
  char text[64];
  snprintf(text, sizeof text, "%s:%08ld", kind, number);
  return text;
}

// Half compressible, and different for each block.
static std::string content(long number) {
  unsigned long state = number * 2654435761ul + 1;
  std::string text = name("content", number);
  for (int i = 0; i < 300; i++) {
    state = state * 6364136223846793005ul + 1442695040888963407ul;
    text.push_back(i % 2 ? char(state >> 56) : 'x');
  }
  return text;
}

// What a block adds to the total.
static long worth(long number) { return (number * 7919) % 1009; }

struct Chain {
  std::unique_ptr<engine::DB> db;
  bool sync = false;
#ifdef ROCKSDB
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  rocksdb::ColumnFamilyHandle* family(long number) { return families[number % families.size()]; }
  ~Chain() {
    for (auto* family : families) db->DestroyColumnFamilyHandle(family);
    if (db) check(db->Close(), "close");
  }
#endif

  bool get(const std::string& key, long number, std::string* value) {
    engine::ReadOptions options;
    options.verify_checksums = true;
#ifdef ROCKSDB
    auto status = db->Get(options, family(number), key, value);
#else
    auto status = db->Get(options, key, value);
#endif
    if (status.IsNotFound()) return false;
    check(status, "get");
    return true;
  }

  long head() {
    std::string value;
    return get("head", 0, &value) ? atol(value.c_str()) : -1;
  }

  long total() {
    std::string value;
    return get("total", 0, &value) ? atol(value.c_str()) : 0;
  }

  void append(long number) {
    engine::WriteBatch batch;
    std::string sum = std::to_string(total() + worth(number));
#ifdef ROCKSDB
    batch.Put(family(number), name("block", number), content(number));
    batch.Put(families[0], "head", std::to_string(number));
    batch.Put(families[0], "total", sum);
    batch.Put(family(number), name("state", number % 97), content(number));
    batch.Delete(family(number), name("state", (number * 31) % 97));
#else
    batch.Put(name("block", number), content(number));
    batch.Put("head", std::to_string(number));
    batch.Put("total", sum);
    batch.Put(name("state", number % 97), content(number));
    batch.Delete(name("state", (number * 31) % 97));
#endif
    engine::WriteOptions options;
    options.sync = sync;
    check(db->Write(options, &batch), "write");
  }
};

static bool has(int argc, char** argv, const char* option) {
  for (int i = 3; i < argc; i++)
    if (!strcmp(argv[i], option)) return true;
  return false;
}

static void open(Chain* chain, const char* directory, int argc, char** argv, bool create) {
  engine::Options options;
  options.create_if_missing = create;
  options.paranoid_checks = true;
  options.write_buffer_size = has(argc, argv, "wide") ? 4 << 20 : 64 << 10;
  chain->sync = has(argc, argv, "sync");
#ifdef ROCKSDB
  rocksdb::BlockBasedTableOptions table;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.checksum = has(argc, argv, "crc32c") ? rocksdb::kCRC32c
                   : has(argc, argv, "xxhash") ? rocksdb::kxxHash
                   : has(argc, argv, "xxhash64") ? rocksdb::kxxHash64
                   : has(argc, argv, "xxh3") ? rocksdb::kXXH3
                                             : table.checksum;
  if (has(argc, argv, "format0")) table.format_version = 0, table.checksum = rocksdb::kCRC32c;
  if (has(argc, argv, "format2")) table.format_version = 2;
  if (has(argc, argv, "format3")) table.format_version = 3;
  if (has(argc, argv, "partitioned")) {
    table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
    table.partition_filters = true;
    table.metadata_block_size = 512;
  }
  if (has(argc, argv, "first-keys"))
    table.index_type = rocksdb::BlockBasedTableOptions::kBinarySearchWithFirstKey;
  if (has(argc, argv, "lz4")) options.compression = rocksdb::kLZ4Compression;
  if (has(argc, argv, "zlib")) options.compression = rocksdb::kZlibCompression;
  if (has(argc, argv, "zstd")) options.compression = rocksdb::kZSTD;
  if (has(argc, argv, "plain")) options.compression = rocksdb::kNoCompression;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.target_file_size_base = 64 << 10;
  options.max_bytes_for_level_base = 256 << 10;
  options.create_missing_column_families = true;
  options.recycle_log_file_num = has(argc, argv, "recycle") ? 4 : 0;
  options.track_and_verify_wals_in_manifest = has(argc, argv, "track");
  options.atomic_flush = has(argc, argv, "atomic");
  if (has(argc, argv, "small-manifest")) options.max_manifest_file_size = 4096;
  if (has(argc, argv, "blobs")) {
    options.enable_blob_files = true;
    options.min_blob_size = 100;
    options.blob_file_size = 64 << 10;
    options.enable_blob_garbage_collection = true;
    options.blob_garbage_collection_age_cutoff = 0.5;
    options.blob_garbage_collection_force_threshold = 0.3;
  }
  std::vector<rocksdb::ColumnFamilyDescriptor> wanted;
  std::vector<std::string> existing;
  if (!rocksdb::DB::ListColumnFamilies(options, directory, &existing).ok()) {
    existing = {"default"};
    if (has(argc, argv, "families")) existing.insert(existing.end(), {"one", "two"});
  }
  for (auto& family : existing) wanted.emplace_back(family, options);
  rocksdb::DB* db;
  check(rocksdb::DB::Open(options, directory, wanted, &chain->families, &db), "open");
  chain->db.reset(db);
  if (has(argc, argv, "drop-family")) {
    rocksdb::ColumnFamilyHandle* family;
    check(db->CreateColumnFamily(options, "short-lived", &family), "create family");
    for (long i = 0; i < 500; i++) check(db->Put({}, family, name("x", i), content(i)), "put");
    check(db->Flush({}, family), "flush family");
    check(db->DropColumnFamily(family), "drop family");
    check(db->DestroyColumnFamilyHandle(family), "destroy family");
  }
#else
  options.reuse_logs = has(argc, argv, "reuse-logs");
  options.max_file_size = 1 << 20;
  engine::DB* db;
  check(engine::DB::Open(options, directory, &db), "open");
  chain->db.reset(db);
#endif
}

static int verify(Chain* chain) {
  long head = chain->head(), sum = 0;
  std::string value;
  for (long i = 0; i <= head; i++) {
    sum += worth(i);
    if (!chain->get(name("block", i), i, &value) || value != content(i)) {
      printf("hole at %ld below head %ld\n", i, head);
      return 1;
    }
  }
  if (chain->get(name("block", head + 1), head + 1, &value)) {
    printf("a block above head %ld\n", head);
    return 1;
  }
  if (chain->total() != sum) {
    printf("a total of %ld, not %ld, at head %ld\n", chain->total(), sum, head);
    return 1;
  }
  engine::ReadOptions options;
  options.verify_checksums = true;
#ifdef ROCKSDB
  for (auto* family : chain->families) {
    std::unique_ptr<engine::Iterator> rows(chain->db->NewIterator(options, family));
    for (rows->SeekToFirst(); rows->Valid(); rows->Next()) {}
    check(rows->status(), "scan");
  }
  check(chain->db->VerifyChecksum(), "verify checksums");
#else
  std::unique_ptr<engine::Iterator> rows(chain->db->NewIterator(options));
  for (rows->SeekToFirst(); rows->Valid(); rows->Next()) {}
  check(rows->status(), "scan");
#endif
  printf("ok %ld\n", head);
  return 0;
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  std::string what = argv[1];
  signal(SIGTERM, [](int) { stop = true; });
  Chain chain;
  open(&chain, argv[2], argc, argv, what == "fill" || what == "run");
  if (what == "verify") return verify(&chain);
  if (what == "compact") {
#ifdef ROCKSDB
    for (auto* family : chain.families) check(chain.db->CompactRange({}, family, nullptr, nullptr), "compact");
#else
    chain.db->CompactRange(nullptr, nullptr);
#endif
    return 0;
  }
  long next = chain.head() + 1;
  if (what == "fill") {
    long end = next + atol(argv[3]);
    for (; next < end; next++) chain.append(next);
    return 0;
  }
  if (what == "run") {
    printf("ready\n");
    fflush(stdout);
    for (; !stop; next++) {
      chain.append(next);
      if (has(argc, argv, "calm")) usleep(500);
    }
    return 0;
  }
  return 2;
}
