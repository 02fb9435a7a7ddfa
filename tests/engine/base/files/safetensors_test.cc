#include "engine/base/files/safetensors.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/complex.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "engine/base/files/files.h"
#include "tests/engine/folders.h"
#include "tests/engine/temporary_folder.h"

namespace lanthorn {
namespace {

// A file with this header text, padded to 8 bytes, and data.
std::string FileOf(std::string header, const std::string& data) {
  header.append((8 - header.size() % 8) % 8, ' ');
  const uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

bool SameBytes(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.contiguous(), y = b.contiguous();
  return x.scalar_type() == y.scalar_type() && x.sizes() == y.sizes() &&
         (x.nbytes() == 0 || std::memcmp(x.data_ptr(), y.data_ptr(), x.nbytes()) == 0);
}

class SafetensorsTest : public testing::Test {
 protected:
  absl::StatusOr<SafetensorsFile> Read(const std::string& bytes) {
    EXPECT_TRUE(WriteFileAtomic(path_, bytes, /*sync=*/false).ok());
    return ReadSafetensors(path_);
  }
  void ExpectRejected(const std::string& bytes, const std::string& words) {
    const auto file = Read(bytes);
    ASSERT_FALSE(file.ok()) << "expected: " << words;
    EXPECT_EQ(ExitCodeOf(file.status()), ExitCode::kCheckpoint);
    EXPECT_EQ(MessageOf(file.status()).rfind("'" + path_ + "': ", 0), 0u) << file.status();
    EXPECT_NE(MessageOf(file.status()).find(words), std::string::npos) << file.status() << "\nexpected: " << words;
  }
  // One tensor 'a' with these fields and four bytes of data.
  void ExpectEntryRejected(const std::string& fields, const std::string& words) {
    ExpectRejected(FileOf("{\"a\":{" + fields + "}}", "1234"), words);
  }
  std::string Header() {
    const auto bytes = ReadFile(path_);
    if (!bytes.ok()) return "";
    uint64_t length;
    std::memcpy(&length, bytes->data(), 8);
    return bytes->substr(8, length);
  }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "x.safetensors";
};

TEST_F(SafetensorsTest, EveryDtypeAndShapeTravelsUnchanged) {
  const auto ramp = at::arange(-3, 3, at::kDouble).view({2, 3});
  NamedTensors tensors;
  for (auto type : {at::kLong, at::kDouble, at::kFloat, at::kInt, at::kBFloat16, at::kHalf, at::kShort, at::kChar,
                    at::kByte, at::kBool}) {
    tensors.emplace_back(std::string("t_") + c10::toString(type), ramp.to(type));
  }
  tensors.emplace_back("complex", at::complex(ramp.to(at::kFloat), (ramp * 2).to(at::kFloat)));
  tensors.emplace_back("empty", at::zeros({0}));
  tensors.emplace_back("nan", at::full({2}, std::numeric_limits<double>::quiet_NaN(), at::kFloat));
  tensors.emplace_back("scalar", at::scalar_tensor(1.5, at::kFloat));
  tensors.emplace_back("zero_dim", at::zeros({3, 0, 2}, at::kByte));
  ASSERT_TRUE(WriteSafetensors(path_, tensors, {{"made by", "\"a\\test\"\n\xc3\xa9"}}).ok());
  const auto file = ReadSafetensors(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->tensors.size(), tensors.size());
  EXPECT_EQ(file->metadata, (std::map<std::string, std::string>{{"made by", "\"a\\test\"\n\xc3\xa9"}}));
  const std::map<std::string, at::Tensor> read(file->tensors.begin(), file->tensors.end());
  for (const auto& [name, tensor] : tensors) EXPECT_TRUE(SameBytes(read.at(name), tensor)) << name;
}

TEST_F(SafetensorsTest, TensorsComeBackSortedByNameAndOwnTheirMemory) {
  ASSERT_TRUE(
      WriteSafetensors(path_, {{"c", at::ones({2})}, {"a", at::ones({2})}, {"b", at::ones({2}, at::kLong)}}).ok());
  auto file = ReadSafetensors(path_);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->tensors[0].first + file->tensors[1].first + file->tensors[2].first, "abc");
  file->tensors[0].second.fill_(7);
  EXPECT_EQ(file->tensors[2].second.sum().item<float>(), 2);
  EXPECT_EQ(file->tensors[0].second.storage().nbytes(), 8u);
}

TEST_F(SafetensorsTest, NonContiguousTensorsAreStoredInCOrder) {
  const auto t = at::arange(6, at::kFloat).view({2, 3}).t();
  ASSERT_TRUE(
      WriteSafetensors(path_, {{"t", t}, {"slice", t.slice(0, 1, 3, 2)}, {"spread", at::ones({1}).expand({4})}}).ok());
  const auto file = ReadSafetensors(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(SameBytes(file->tensors[2].second, t));
  EXPECT_TRUE(SameBytes(file->tensors[0].second, t.slice(0, 1, 3, 2)));
  EXPECT_TRUE(SameBytes(file->tensors[1].second, at::ones({4})));
}

TEST_F(SafetensorsTest, ParametersAndConjugatedViewsAreStoredByValue) {
  const auto z = at::complex(at::ones({2}), at::ones({2}));
  ASSERT_TRUE(WriteSafetensors(path_, {{"p", at::ones({2}).requires_grad_()}, {"z", z}, {"zc", z.conj()}}).ok());
  const auto file = ReadSafetensors(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_FALSE(file->tensors[0].second.requires_grad());
  EXPECT_TRUE(SameBytes(file->tensors[2].second, z.conj().resolve_conj()));
}

TEST_F(SafetensorsTest, TiedTensorsAreStoredOnceAndTiedAgain) {
  const auto w = at::randn({4, 4});
  ASSERT_TRUE(
      WriteSafetensors(path_, {{"head", w}, {"embed", w}, {"turned", w.t()}, {"copy", w.clone()}}, {{"k", "v"}}).ok());
  EXPECT_NE(Header().find(R"("alias:head":"embed")"), std::string::npos) << Header();
  EXPECT_EQ(std::filesystem::file_size(path_), 8 + Header().size() + 3 * 64);
  const auto file = ReadSafetensors(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->tensors.size(), 4u);
  EXPECT_EQ(file->metadata, (std::map<std::string, std::string>{{"k", "v"}}));
  EXPECT_EQ(file->tensors[1].first, "embed");
  EXPECT_EQ(file->tensors[2].first, "head");
  EXPECT_TRUE(file->tensors[1].second.is_alias_of(file->tensors[2].second));
  EXPECT_TRUE(SameBytes(file->tensors[2].second, w));
  EXPECT_TRUE(SameBytes(file->tensors[3].second, w.t()));
}

TEST_F(SafetensorsTest, TheLayoutIsByDtypeThenNameWithAPaddedHeader) {
  ASSERT_TRUE(WriteSafetensors(path_, {{"a", at::ones({1}, at::kBool)},
                                       {"z", at::ones({1}, at::kLong)},
                                       {"y", at::ones({1})},
                                       {"b", at::ones({1})}})
                  .ok());
  EXPECT_EQ(
      Header(),
      R"({"a":{"data_offsets":[16,17],"dtype":"BOOL","shape":[1]},"b":{"data_offsets":[8,12],"dtype":"F32","shape":[1]},)"
      R"("y":{"data_offsets":[12,16],"dtype":"F32","shape":[1]},"z":{"data_offsets":[0,8],"dtype":"I64","shape":[1]}})" +
          std::string(5, ' '));
  EXPECT_EQ(Header().size() % 8, 0u);
}

TEST_F(SafetensorsTest, AnEmptyFileOfNoTensorsIsLegal) {
  ASSERT_TRUE(WriteSafetensors(path_, {}).ok());
  EXPECT_TRUE(ReadSafetensors(path_)->tensors.empty());
}

TEST_F(SafetensorsTest, WritingRefusesWhatItCouldNotReadBack) {
  const auto t = at::ones({1});
  const auto message = [&](const NamedTensors& tensors, const std::map<std::string, std::string>& metadata = {}) {
    const absl::Status status = WriteSafetensors(path_, tensors, metadata);
    EXPECT_EQ(ExitCodeOf(status), ExitCode::kCheckpoint);
    EXPECT_FALSE(std::filesystem::exists(path_));
    return MessageOf(status);
  };
  EXPECT_NE(message({{"a", t}, {"a", t}}).find("two tensors have the name 'a'"), std::string::npos);
  EXPECT_NE(message({{"", t}}).find("without a name"), std::string::npos);
  EXPECT_NE(message({{"__metadata__", t}}).find("reserved"), std::string::npos);
  EXPECT_NE(message({{"\xff", t}}).find("UTF-8"), std::string::npos);
  EXPECT_NE(message({{"a", at::Tensor()}}).find("undefined"), std::string::npos);
  EXPECT_NE(message({{"a", t.to_sparse()}}).find("sparse"), std::string::npos);
  EXPECT_NE(message({{"a", t.to(at::kComplexDouble)}}).find("does not know"), std::string::npos);
  EXPECT_NE(message({{"a", t}}, {{"alias:b", "a"}}).find("reserved prefix"), std::string::npos);
  EXPECT_NE(message({{"a", t}}, {{"k", "\xc0\x80"}}).find("UTF-8"), std::string::npos);
}

TEST_F(SafetensorsTest, AnUnwritableFolderIsAMachineError) {
  EXPECT_EQ(ExitCodeOf(WriteSafetensors("/dev/null/x", {})), ExitCode::kMachine);
}

TEST_F(SafetensorsTest, AMissingFileIsAWeightsError) {
  EXPECT_EQ(ExitCodeOf(ReadSafetensors("/nowhere/x").status()), ExitCode::kCheckpoint);
}

TEST_F(SafetensorsTest, R1FewerThanEightBytes) { ExpectRejected("1234567", "fewer than the 8"); }

TEST_F(SafetensorsTest, R2HeaderAboveTheLimit) {
  ExpectRejected(std::string("\x01\xe1\xf5\x05\0\0\0\0", 8) + "{}", "claims 100000001 bytes, the limit is 100000000");
  ExpectRejected(std::string(8, '\xff') + "{}", "the limit is 100000000");
}

TEST_F(SafetensorsTest, R3HeaderBeyondTheFile) {
  ExpectRejected(std::string("PK\3\4\0\0\x08\0 data.pkl", 17),
                 "is a zip archive, as torch.save writes them (PyTorch pickle); save it as safetensors");
  ExpectRejected(std::string("\x80\x02}q\0.xxxxx", 11), "is a Python pickle; save it as safetensors");
  ExpectRejected(std::string("\x03\0\0\0\0\0\0\0{}", 10), "header cut short: it claims 3 bytes, the file holds 2");
  ExpectRejected(std::string("\0\xe1\xf5\x05\0\0\0\0{}", 10), "header cut short: it claims 100000000 bytes");
}

TEST_F(SafetensorsTest, R4FirstByteIsNoBrace) {
  ExpectRejected(FileOf(" {}", ""), "does not begin with '{'");
  ExpectRejected(FileOf("[]", ""), "does not begin with '{'");
  ExpectRejected(std::string(8, '\0'), "does not begin with '{'");
}

TEST_F(SafetensorsTest, R5BadUtf8) {
  for (const char* bad : {"\xff", "\xc0\x80", "\xc3", "\xed\xa0\x80", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf",
                          "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80"}) {
    ExpectRejected(FileOf(std::string("{\"__metadata__\":{\"k\":\"") + bad + "\"}}", ""), "not valid UTF-8");
  }
  EXPECT_TRUE(
      Read(FileOf("{\"__metadata__\":{\"k\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\x99\xf4\x8f\xbf\xbf\"}}", "")).ok());
}

TEST_F(SafetensorsTest, R6BadJsonOrAnythingButSpacesAfterIt) {
  ExpectRejected(FileOf("{\"a\":}", ""), "not valid JSON at byte 6");
  ExpectRejected(FileOf("{} {}", ""), "not valid JSON");
  ExpectRejected(FileOf("{}\n", ""), "followed by spaces only");
  ExpectRejected(FileOf(std::string("{}\0}", 4), ""), "followed by spaces only");
  ExpectRejected(FileOf("{/**/}", ""), "not valid JSON");
  ExpectRejected(FileOf("{\"a\"", ""), "followed by spaces only");
  EXPECT_TRUE(Read(FileOf("{}      ", "")).ok());
}

TEST_F(SafetensorsTest, R7DuplicateKeysAtAnyLevel) {
  const std::string a = R"("a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]})";
  ExpectRejected(FileOf("{" + a + "," + a + "}", "1234"), "duplicate key 'a'");
  ExpectEntryRejected(R"("dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4])", "duplicate key 'dtype'");
  ExpectEntryRejected(R"("dtype":"U8","shape":[4],"data_offsets":[0,4],"x":{"k":1,"k":1})", "duplicate key 'k'");
  ExpectEntryRejected(R"("dtype":"U8","\u0064type":"U8","shape":[4],"data_offsets":[0,4])", "duplicate key 'dtype'");
  ExpectRejected(FileOf(R"({"__metadata__":{"k":"1","k":"1"}})", ""), "duplicate key 'k'");
  ExpectRejected(FileOf(R"({"__metadata__":{},"__metadata__":{}})", ""), "duplicate key '__metadata__'");
}

TEST_F(SafetensorsTest, R8MetadataThatIsNotStrings) {
  for (const char* value : {"1", "null", "true", "1.5", "-1", "[]", "{}", "[\"x\"]", "{\"x\":\"y\"}"}) {
    ExpectRejected(FileOf(std::string("{\"__metadata__\":{\"k\":") + value + "}}", ""),
                   "metadata must map strings to strings: 'k' is");
  }
  for (const char* value : {"1", "\"text\"", "[]", "null"}) {
    ExpectRejected(FileOf(std::string("{\"__metadata__\":") + value + "}", ""),
                   "metadata must map strings to strings: is");
  }
}

TEST_F(SafetensorsTest, R9EntriesWithMissingExtraOrMistypedFields) {
  ExpectEntryRejected(R"("shape":[4],"data_offsets":[0,4])", "lacks the field 'dtype'");
  ExpectEntryRejected(R"("dtype":"U8","data_offsets":[0,4])", "lacks the field 'shape'");
  ExpectEntryRejected(R"("dtype":"U8","shape":[4])", "lacks the field 'data_offsets'");
  ExpectEntryRejected(R"("dtype":"U8","shape":[4],"data_offsets":[0,4],"strides":[1])", "extra field 'strides'");
  ExpectEntryRejected(R"("dtype":8,"shape":[4],"data_offsets":[0,4])", "a number in field 'dtype'");
  ExpectEntryRejected(R"("dtype":["U8"],"shape":[4],"data_offsets":[0,4])", "a list in field 'dtype'");
  ExpectEntryRejected(R"("dtype":"U8","shape":4,"data_offsets":[0,4])", "a number in field 'shape'");
  ExpectEntryRejected(R"("dtype":"U8","shape":"4","data_offsets":[0,4])", "a string in field 'shape'");
  ExpectEntryRejected(R"("dtype":"U8","shape":["4"],"data_offsets":[0,4])", "a string in field 'shape'");
  ExpectEntryRejected(R"("dtype":"U8","shape":[[4]],"data_offsets":[0,4])", "a list in field 'shape'");
  ExpectEntryRejected(R"("dtype":"U8","shape":[4],"data_offsets":{"b":0,"e":4})", "an object in field 'data_offsets'");
  ExpectEntryRejected(R"("dtype":"U8","shape":[4],"data_offsets":[4])", "needs two numbers in 'data_offsets'");
  ExpectEntryRejected(R"("dtype":"U8","shape":[4],"data_offsets":[0,2,4])", "needs two numbers in 'data_offsets'");
  ExpectEntryRejected(R"("dtype":"U8","shape":[null],"data_offsets":[0,4])", "null in field 'shape'");
  ExpectRejected(FileOf(R"({"a":[0,4]})", "1234"), "tensor 'a' must be an object, is a list");
  ExpectRejected(FileOf(R"({"__metadata__":{},"a":["x"]})", "1234"), "tensor 'a' must be an object, is a list");
}

TEST_F(SafetensorsTest, R9HeadersThatNestWithoutEnd) {
  ExpectRejected(FileOf("{\"a\":" + std::string(1000000, '[') + "}", ""), "nests too deeply");
}

TEST_F(SafetensorsTest, R10UnknownAndUnsupportedDtypesDiffer) {
  ExpectEntryRejected(R"("dtype":"F33","shape":[1],"data_offsets":[0,4])", "has dtype 'F33', which is unknown");
  ExpectEntryRejected(R"("dtype":"f32","shape":[1],"data_offsets":[0,4])", "unknown");
  for (const char* dtype : {"U16", "U32", "U64", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F6_E2M3", "F6_E3M2", "F4"}) {
    ExpectEntryRejected(std::string("\"dtype\":\"") + dtype + R"(","shape":[1],"data_offsets":[0,4])", "unsupported");
  }
}

TEST_F(SafetensorsTest, R11NegativeFractionalOrHugeNumbers) {
  ExpectEntryRejected(R"("dtype":"U8","shape":[-4],"data_offsets":[0,4])", "a negative number in 'shape'");
  ExpectEntryRejected(R"("dtype":"U8","shape":[4.5],"data_offsets":[0,4])",
                      "a number that is not a whole number below 2^63 in 'shape'");
  ExpectEntryRejected(R"("dtype":"U8","shape":[4],"data_offsets":[-1,4])", "a negative number in 'data_offsets'");
  ExpectEntryRejected(R"("dtype":"U8","shape":[4],"data_offsets":[0,4.0])",
                      "a number that is not a whole number below 2^63 in 'data_offsets'");
  ExpectEntryRejected(R"("dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,4])", "above 2^63-1 in 'shape'");
  ExpectEntryRejected(R"("dtype":"U8","shape":[4],"data_offsets":[0,18446744073709551616])",
                      "a number that is not a whole number below 2^63");
  ExpectEntryRejected(R"("dtype":"U8","shape":[1e999],"data_offsets":[0,4])", "number out of range");
}

TEST_F(SafetensorsTest, R12EndBeforeBegin) {
  ExpectEntryRejected(R"("dtype":"U8","shape":[4],"data_offsets":[4,0])", "ends at 0, before its begin 4");
}

TEST_F(SafetensorsTest, R13SizeThatIsNotShapeTimesElement) {
  ExpectEntryRejected(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])", "needs 8 bytes, its data_offsets hold 4");
  ExpectEntryRejected(R"("dtype":"F32","shape":[0],"data_offsets":[0,4])", "needs 0 bytes, its data_offsets hold 4");
  ExpectEntryRejected(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0])",
                      "too large for any memory");
  ExpectEntryRejected(R"("dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4])",
                      "too large for any memory");
  ExpectEntryRejected(R"("dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0])",
                      "too large for any memory");
}

TEST_F(SafetensorsTest, R14HolesAndOverlaps) {
  const auto two = [](const char* a, const char* b) {
    return FileOf(std::string(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)") + a +
                      R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)" + b + "}}",
                  "1234");
  };
  EXPECT_TRUE(Read(two("[0,2]", "[2,4]")).ok());
  EXPECT_TRUE(Read(two("[2,4]", "[0,2]")).ok());
  ExpectRejected(two("[0,2]", "[1,3]"),
                 "tensor 'b' begins at byte 1 of the data, expected 2: the tensors leave a hole or overlap");
  ExpectRejected(two("[0,2]", "[0,2]"), "leave a hole or overlap");
  ExpectRejected(two("[0,2]", "[3,5]"), "leave a hole or overlap");
  ExpectRejected(two("[1,3]", "[3,5]"), "tensor 'a' begins at byte 1 of the data, expected 0");
}

TEST_F(SafetensorsTest, R15LastEndThatIsNotTheFileEnd) {
  const std::string header = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})";
  ExpectRejected(FileOf(header, "12345"), "the tensors end at byte 4 of the data, the file holds 5");
  ExpectRejected(FileOf(header, "123"), "the tensors end at byte 4 of the data, the file holds 3");
  ExpectRejected(FileOf("{}", "1"), "the tensors end at byte 0");
}

TEST_F(SafetensorsTest, EmptyTensorsMayLieAnywhereBetweenOthers) {
  const std::string header =
      R"({"m":{"dtype":"F32","shape":[0,5],"data_offsets":[4,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
      R"("z":{"dtype":"U8","shape":[2],"data_offsets":[4,6]},"s":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})";
  const auto file = Read(FileOf(header, "123456"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->tensors[1].second.sizes(), (std::vector<int64_t>{0, 5}));
}

TEST_F(SafetensorsTest, BrokenAliasesAreRejected) {
  const std::string a = R"("a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]})";
  ExpectRejected(FileOf(R"({"__metadata__":{"alias:b":"c"},)" + a + "}", "1234"),
                 "'b' is tied to 'c', which is not in the file");
  ExpectRejected(FileOf(R"({"__metadata__":{"alias:a":"a"},)" + a + "}", "1234"), "'a' is both stored and tied to 'a'");
}

TEST_F(SafetensorsTest, TruncationAtEveryByteIsRejected) {
  const auto w = at::ones({3});
  ASSERT_TRUE(WriteSafetensors(path_, {{"w", w}, {"v", w}, {"i", at::ones({2}, at::kLong)}}, {{"k", "v"}}).ok());
  const std::string bytes = *ReadFile(path_);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(ExitCodeOf(Read(bytes.substr(0, size)).status()), ExitCode::kCheckpoint) << "cut at " << size;
  }
}

TEST_F(SafetensorsTest, FlippedBitsInTheHeaderAreRejectedOrHarmless) {
  const auto w = at::ones({3});
  ASSERT_TRUE(WriteSafetensors(path_, {{"w", w}, {"v", w}, {"i", at::ones({2}, at::kLong)}}, {{"k", "v"}}).ok());
  const std::string bytes = *ReadFile(path_);
  const size_t header_end = 8 + Header().size();
  int rejected = 0, accepted = 0;
  for (size_t at = 0; at < header_end; ++at) {
    for (int flip : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      const auto file = Read(damaged);
      if (!file.ok()) {
        EXPECT_EQ(ExitCodeOf(file.status()), ExitCode::kCheckpoint);
        ++rejected;
        continue;
      }
      ++accepted;  // a changed name, metadata text or an equally large type: every tensor still has its own bytes
      for (const auto& [name, tensor] : file->tensors) EXPECT_LE(tensor.nbytes(), 16u);
    }
  }
  EXPECT_GT(rejected, accepted);
}

TEST_F(SafetensorsTest, FilesWrittenByPythonAreRead) {
  const auto file = ReadSafetensors(GoldenPath("oracles/gru_one_step.safetensors"));
  ASSERT_TRUE(file.ok()) << file.status();
  const std::map<std::string, at::Tensor> tensors(file->tensors.begin(), file->tensors.end());
  EXPECT_EQ(tensors.at("param.embed.weight").sizes(), (std::vector<int64_t>{13, 6}));
  EXPECT_EQ(tensors.at("param.embed.weight").scalar_type(), at::kFloat);
  EXPECT_EQ(tensors.at("x").scalar_type(), at::kLong);
  EXPECT_EQ(tensors.at("sample_sq").scalar_type(), at::kDouble);
  EXPECT_LT(tensors.at("x").max().item<int64_t>(), 13);
  EXPECT_GT(tensors.at("sample_sq").min().item<double>(), 0);

  ASSERT_TRUE(WriteSafetensors(path_, file->tensors).ok());
  const auto again = ReadSafetensors(path_);
  ASSERT_TRUE(again.ok());
  for (size_t i = 0; i < file->tensors.size(); ++i) {
    EXPECT_EQ(again->tensors[i].first, file->tensors[i].first);
    EXPECT_TRUE(SameBytes(again->tensors[i].second, file->tensors[i].second));
  }
}

}  // namespace
}  // namespace lanthorn
