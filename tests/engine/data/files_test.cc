// Tables, arrays and pictures of files.
#include <ATen/Functions.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <fstream>

#include "engine/data/formats/csv.h"
#include "engine/data/formats/idx.h"
#include "engine/data/formats/image.h"
#include "engine/data/formats/npy.h"
#include "tests/engine/temporary_folder.h"

namespace lanthorn::data {
namespace {

class DataFilesTest : public testing::Test {
 protected:
  std::string Write(const std::string& text, const std::string& name = "file") {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }
  std::string CsvError(const std::string& text, const CsvOptions& options = {}) {
    return std::string(ReadCsv(Write(text), options).status().message());
  }
  const TemporaryFolder folder_;
};

std::string Npy(const std::string& header, const std::string& data) {
  std::string text = "\x93NUMPY";
  text += std::string("\x01\x00", 2);
  text += static_cast<char>(header.size());
  text += '\0';
  return text + header + data;
}

TEST_F(DataFilesTest, ATableIsReadByColumns) {
  const auto csv = ReadCsv(Write("\xEF\xBB\xBF"
                                 "a,b,\"c \"\"d\"\"\"\r\n1,x,2.5\r\n-3e2,\"y,\nz\",\r\n\r\n4,x, 7 \r\n"),
                           {});
  ASSERT_TRUE(csv.ok()) << csv.status();
  EXPECT_EQ(csv->rows, 3);
  ASSERT_EQ(csv->columns.size(), 3u);
  EXPECT_EQ(csv->columns[2].name, "c \"d\"");
  EXPECT_TRUE(at::equal(csv->columns[0].values, at::tensor({1.0, -300.0, 4.0}, at::kDouble)));
  EXPECT_TRUE(csv->columns[1].is_text);
  EXPECT_EQ(csv->columns[1].classes, (std::vector<std::string>{"x", "y,\nz"}));
  EXPECT_TRUE(at::equal(csv->columns[1].values, at::tensor({0, 1, 0}, at::kLong)));
  EXPECT_EQ(csv->columns[2].missing, 1);
  EXPECT_EQ(csv->columns[2].first_missing, 3);
  EXPECT_TRUE(std::isnan(csv->columns[2].values[1].item<double>()));
  EXPECT_EQ(csv->columns[2].values[2].item<double>(), 7);
}

TEST_F(DataFilesTest, WhatIsWrongWithATableIsToldWithItsLine) {
  const std::string path = "'" + folder_ / "file" + "'";
  EXPECT_EQ(CsvError("a,b\n1,2\n3\n"), path + ", line 3: 1 fields, line 1 has 2");
  EXPECT_EQ(CsvError("a,b\n1,\"2\n3,4\n"),
            path + ", line 2: a quote in the middle of a field, or one that is never closed");
  EXPECT_EQ(CsvError("a,a\n1,2\n"), path + ", line 1: two columns are called 'a'");
  EXPECT_EQ(CsvError(""), path + " has no rows");
  EXPECT_EQ(CsvError("a,b\n"), path + " has no rows below its header");
  EXPECT_EQ(
      CsvError("a\n1\n2\n?\n"),
      path +
          ", line 4: column 'a' has '?', which is not a number, as 2 of its 3 values are; if it marks a missing value, "
          "add missing_values={'?'}; if the column is text, text={'a'}");
  EXPECT_EQ(CsvError("a\n1\n", {.text = {"b"}}).find(path + " has no column 'b'"), 0u);
  EXPECT_FALSE(ReadCsv(folder_ / "none", {}).ok());
}

TEST_F(DataFilesTest, InfinityAndNanAreWordsUnlessTheyStandForNothing) {
  const auto csv = ReadCsv(Write("a\ninf\nnan\n"), {});
  ASSERT_TRUE(csv.ok());
  EXPECT_TRUE(csv->columns[0].is_text);
  const auto missing = ReadCsv(Write("a\n1\nnan\n"), {.missing_values = {"nan"}});
  ASSERT_TRUE(missing.ok());
  EXPECT_EQ(missing->columns[0].missing, 1);
  const auto text = ReadCsv(Write("1;2\n3;4\n"), {.delimiter = ';', .header = false, .text = {"c2"}});
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text->columns[1].classes, (std::vector<std::string>{"2", "4"}));
}

TEST_F(DataFilesTest, ArraysOfNumPyKeepTypeShapeAndOrder) {
  const auto array = ReadNpy(Write(Npy("{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }\n",
                                       std::string("\1\0\2\0\3\0\4\0\5\0\xff\xff", 12))));
  ASSERT_TRUE(array.ok()) << array.status();
  EXPECT_TRUE(at::equal(*array, at::tensor({1, 2, 3, 4, 5, -1}, at::kShort).view({2, 3})));
  const auto by_column = ReadNpy(Write(Npy("{'descr': '>u2', 'fortran_order': True, 'shape': (2, 3), }\n",
                                           std::string("\0\1\0\2\0\3\0\4\0\5\xff\xff", 12))));
  ASSERT_TRUE(by_column.ok()) << by_column.status();
  EXPECT_TRUE(at::equal(*by_column, at::tensor({1, 3, 5, 2, 4, 65535}, at::kLong).view({2, 3})));
  const auto scalar =
      ReadNpy(Write(Npy("{'descr': '<f8', 'fortran_order': False, 'shape': (), }\n", std::string(8, '\0'))));
  ASSERT_TRUE(scalar.ok());
  EXPECT_EQ(scalar->dim(), 0);
}

TEST_F(DataFilesTest, WhatIsNoArrayOfNumbersIsRefused) {
  const auto message = [&](const std::string& bytes) { return std::string(ReadNpy(Write(bytes)).status().message()); };
  EXPECT_NE(message("hello, this is text").find("not a NumPy array"), std::string::npos);
  EXPECT_NE(
      message(Npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", "x")).find("Python objects (a pickle)"),
      std::string::npos);
  EXPECT_NE(message(Npy("{'descr': '<U3', 'fortran_order': False, 'shape': (1,), }\n", "x"))
                .find("type '<U3' is not supported"),
            std::string::npos);
  EXPECT_NE(message(Npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }\n", "1234"))
                .find("cut short: 4 of 12 bytes"),
            std::string::npos);
  EXPECT_NE(message(Npy("{'descr': '<u8', 'fortran_order': False, 'shape': (1,), }\n", std::string(8, '\xff')))
                .find("above 2^63"),
            std::string::npos);
  EXPECT_NE(message("PK\3\4 and the rest of it").find("data.read_npz"), std::string::npos);
  EXPECT_FALSE(ReadNpz(Write("no archive")).ok());
}

TEST_F(DataFilesTest, IdxFilesAreReadPlainAndCompressed) {
  const std::string bytes("\0\0\x0B\2\0\0\0\2\0\0\0\2\0\1\0\2\xff\xff\1\0", 20);
  const at::Tensor wanted = at::tensor({1, 2, -1, 256}, at::kShort).view({2, 2});
  const auto plain = ReadIdx(Write(bytes));
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_TRUE(at::equal(*plain, wanted));
  const std::string path = folder_ / "file.gz";
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
  EXPECT_TRUE(at::equal(*ReadIdx(path), wanted));
  EXPECT_NE(ReadIdx(Write(bytes.substr(0, 17))).status().message().find("cut short"), absl::string_view::npos);
  EXPECT_NE(ReadIdx(Write(bytes + "x")).status().message().find("more than the 4 numbers"), absl::string_view::npos);
  EXPECT_NE(ReadIdx(Write("text")).status().message().find("not an IDX file"), absl::string_view::npos);
}

TEST_F(DataFilesTest, PicturesAreChannelsHeightWidth) {
  const std::string path = Write(std::string("P6\n2 1\n255\n\1\2\3\4\5\6", 17));
  const auto colour = ReadImage(path, 0);
  ASSERT_TRUE(colour.ok()) << colour.status();
  EXPECT_TRUE(at::equal(*colour, at::tensor({1, 4, 2, 5, 3, 6}, at::kByte).view({3, 1, 2})));
  EXPECT_EQ(ReadImage(path, 1)->sizes(), at::IntArrayRef({1, 1, 2}));
  EXPECT_FALSE(ReadImage(path, 2).ok());
  EXPECT_NE(ReadImage(Write("no picture"), 3).status().message().find("not a readable picture"),
            absl::string_view::npos);
}

}  // namespace
}  // namespace lanthorn::data
