#include "engine/data/domains.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "tests/engine/temporary_folder.h"

namespace lanthorn::data {
namespace {

TokenIds Counting(int64_t length) { return TokenIds::FromTensor(at::arange(length, c10::kLong)); }

WindowOptions Options(WindowOrder order, int64_t batches = 0) {
  WindowOptions options;
  options.batch = 4;
  options.seq = 6;
  options.stride = 3;
  options.order = order;
  options.batches = batches;
  options.seed = 7;
  return options;
}

// The first token of each window; checks that targets are one token later.
std::vector<int64_t> Starts(const Batch& batch) {
  EXPECT_TRUE(at::equal(batch.x + 1, batch.y));
  std::vector<int64_t> starts;
  for (int64_t row = 0; row < batch.x.size(0); ++row) starts.push_back(batch.x[row][0].item<int64_t>());
  return starts;
}

TEST(Windows, CountEveryStartThatLeavesRoomForATarget) {
  EXPECT_EQ(CountWindows(6, Options(WindowOrder::kFixed)), 0);
  EXPECT_EQ(CountWindows(7, Options(WindowOrder::kFixed)), 1);
  EXPECT_EQ(CountWindows(9, Options(WindowOrder::kFixed)), 1);
  EXPECT_EQ(CountWindows(10, Options(WindowOrder::kFixed)), 2);
}

TEST(Windows, InOrderTheyComeOnceEachAndTheLastBatchMayBeSmaller) {
  const WindowBatches batches(Counting(37), Options(WindowOrder::kFixed));
  EXPECT_EQ(batches.windows(), 11);
  ASSERT_EQ(batches.count(), 3);
  std::vector<int64_t> all;
  for (int64_t i = 0; i < 3; ++i) {
    for (int64_t start : Starts(batches.Get(i))) all.push_back(start);
  }
  EXPECT_EQ(all, (std::vector<int64_t>{0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30}));
  EXPECT_EQ(batches.Get(2).x.size(0), 3);
}

TEST(Windows, AnEpochHasEachOnceInAnOrderOfItsOwn) {
  WindowBatches batches(Counting(37), Options(WindowOrder::kEpoch));
  ASSERT_EQ(batches.count(), 3);  // the last one is smaller
  std::set<int64_t> seen;
  for (int64_t i = 0; i < batches.count(); ++i) {
    for (int64_t start : Starts(batches.Get(i))) EXPECT_TRUE(seen.insert(start).second);
  }
  const std::vector<int64_t> first = Starts(batches.Get(0));
  batches.SetEpoch(1);
  EXPECT_NE(Starts(batches.Get(0)), first);
  batches.SetEpoch(0);
  EXPECT_EQ(Starts(batches.Get(0)), first);
}

TEST(Windows, DrawnAtRandomTheyDependOnSeedEpochAndIndexAlone) {
  WindowBatches a(Counting(1000), Options(WindowOrder::kRandom, 50)),
      b(Counting(1000), Options(WindowOrder::kRandom, 50));
  EXPECT_EQ(a.count(), 50);
  const std::vector<int64_t> later = Starts(a.Get(49));
  EXPECT_EQ(Starts(b.Get(49)), later);
  EXPECT_NE(Starts(a.Get(48)), later);
  b.SetEpoch(1);
  EXPECT_NE(Starts(b.Get(49)), later);
  std::set<int64_t> starts;
  for (int64_t i = 0; i < 50; ++i) {
    for (int64_t start : Starts(a.Get(i))) starts.insert(start);
  }
  EXPECT_GT(starts.size(), 100u);  // 200 draws of 332 windows
}

TEST(Windows, AnEpochMayHaveFewerBatches) {
  const WindowBatches batches(Counting(67), Options(WindowOrder::kEpoch, 3));
  EXPECT_EQ(batches.count(), 3);
}

class DomainsTest : public testing::Test {
 protected:
  DomainSource Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return {name, folder_ / name, ""};
  }
  static std::string Repeat(const std::string& text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += text;
    return all;
  }
  DomainOptions Small() {
    DomainOptions options;
    options.batch = 2;
    options.seq = 5;
    options.stride = 2;
    options.batches = 3;
    return options;
  }
  const TemporaryFolder folder_;
};

TEST_F(DomainsTest, PhasesFollowOneAnotherAndKnowTheirDomain) {
  DomainOptions options = Small();
  options.phases = {0, 1, 0};
  const auto made = Domains::Open({Write("a", Repeat("abcd ", 100)), Write("b", Repeat("wxyz ", 100))}, options);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ((*made)->tokenizer->vocab_size(), 9);
  EXPECT_EQ((*made)->train->count(), 9);
  EXPECT_EQ((*made)->train->Ends(), (std::vector<int64_t>{3, 6, 9}));
  std::vector<int64_t> domains;
  for (int64_t i = 0; i < 9; ++i) domains.push_back((*made)->train->Get(i).domain);
  EXPECT_EQ(domains, (std::vector<int64_t>{0, 0, 0, 1, 1, 1, 0, 0, 0}));
  // A domain that comes again is drawn anew.
  bool differs = false;
  for (int64_t i = 0; i < 3; ++i)
    differs = differs || !at::equal((*made)->train->Get(i).x, (*made)->train->Get(6 + i).x);
  EXPECT_TRUE(differs);
  EXPECT_EQ((*made)->val->count(), (*made)->domains[0].val->count() + (*made)->domains[1].val->count());
}

TEST_F(DomainsTest, InterleavedDomainsTakeTurns) {
  DomainOptions options = Small();
  options.interleaved = true;
  const auto made = Domains::Open({Write("a", Repeat("abcd ", 100)), Write("b", Repeat("wxyz ", 100))}, options);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ((*made)->train->count(), 6);
  for (int64_t i = 0; i < 6; ++i) EXPECT_EQ((*made)->train->Get(i).domain, i % 2);
  EXPECT_EQ((*made)->train->Ends(), (std::vector<int64_t>{6}));
}

TEST_F(DomainsTest, TheFirstValBatchesAreOfAllDomains) {
  const auto made = Domains::Open({Write("a", Repeat("abcd ", 200)), Write("b", Repeat("wxyz ", 100))}, Small());
  ASSERT_TRUE(made.ok()) << made.status();
  const JoinedBatches& val = *(*made)->val;
  const int64_t a = (*made)->domains[0].val->count(), b = (*made)->domains[1].val->count();
  ASSERT_GT(a, b);
  ASSERT_EQ(val.count(), a + b);
  int64_t of_b = 0;
  for (int64_t i = 0; i < val.count(); ++i) {
    of_b += val.Get(i).domain;
    if (i < 2 * b) {
      EXPECT_EQ(val.Get(i).domain, i % 2) << i;
    }
  }
  EXPECT_EQ(of_b, b);
  EXPECT_TRUE(at::equal(val.Get(2).x, (*made)->domains[0].val->Get(1).x));
}

TEST_F(DomainsTest, AnEpochOfEachWindowOnceHasNoMoreBatchesThanWindowsMake) {
  DomainOptions options = Small();
  options.order = WindowOrder::kEpoch;
  auto made = Domains::Open({Write("a", Repeat("abcd ", 100))}, options);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ((*made)->train->count(), 3);
  options.batches = 1000;
  EXPECT_EQ(std::string(Domains::Open({Write("a", Repeat("abcd ", 100))}, options).status().message()),
            "domain 'a': train: domains.batches is 1000, but its windows make 112 batches and domains.order=epoch "
            "takes each once; use at most 112, or domains.order=random");
}

TEST_F(DomainsTest, WordsComeFromTheTrainSplitsAlone) {
  DomainOptions options = Small();
  options.words = 100;
  options.train = 0.63;
  options.val = 0.1;
  const std::string text = Repeat("red green blue ", 80) + Repeat("never seen words ", 40);
  const auto made = Domains::Open({Write("a", text)}, options);
  ASSERT_TRUE(made.ok()) << made.status();
  const Domain& domain = (*made)->domains[0];
  EXPECT_EQ((*made)->tokenizer->vocab_size(), 4 + 3);
  EXPECT_DOUBLE_EQ(domain.train_unknown, 0);
  EXPECT_GT(domain.val_unknown, 0.5);
  EXPECT_EQ(domain.train_tokens + domain.val_tokens + domain.test_tokens, 360);
}

TEST_F(DomainsTest, ADomainMayBeTheBeginningOfAFile) {
  DomainSource source = Write("a", Repeat("abcd ", 200));
  source.bytes = 500;
  const auto made = Domains::Open({source}, Small());
  ASSERT_TRUE(made.ok()) << made.status();
  const Domain& domain = (*made)->domains[0];
  EXPECT_EQ(domain.train_tokens + domain.val_tokens + domain.test_tokens, 500);
  source.bytes = 5000;
  EXPECT_NE(std::string(Domains::Open({source}, Small()).status().message()).find("bytes=5000, but"),
            std::string::npos);
}

TEST_F(DomainsTest, FilesThatAreMissingOrTooShortAreNamedWithTheirNumbers) {
  const auto message = [&](const std::vector<DomainSource>& sources, const DomainOptions& options) {
    return std::string(Domains::Open(sources, options).status().message());
  };
  EXPECT_NE(message({{"a", folder_ / "none", ""}}, Small()).find(folder_ / "none"), std::string::npos);
  EXPECT_EQ(message({Write("tiny", "abcdefgh")}, Small()),
            "domain 'tiny': '" + folder_.path() +
                "/tiny': val: 0 characters are too few for a window of 5 and its target; use "
                "a smaller domains.seq, or more text");
  EXPECT_NE(message({Write("e", "")}, Small()).find("train: 0 characters"), std::string::npos);
  DomainSource pinned = Write("p", "text");
  pinned.sha256 = "00";
  EXPECT_NE(message({pinned}, Small()).find("is not the file that was pinned"), std::string::npos);
  DomainOptions options = Small();
  options.phases = {0, 2};
  EXPECT_EQ(message({Write("a", Repeat("abcd ", 100))}, options),
            "data.domains: phases names domain 3, expected 1 to 1, the number of texts; set domains.phases to match");
  options = Small();
  options.train = 0.99;
  EXPECT_NE(message({Write("a", "x")}, options).find("at most 1 together"), std::string::npos);
  EXPECT_NE(message({}, Small()).find("no domain is given"), std::string::npos);
  options = Small();
  options.seq = 0;
  EXPECT_NE(message({Write("a", "x")}, options).find("must be at least 1"), std::string::npos);
}

}  // namespace
}  // namespace lanthorn::data
