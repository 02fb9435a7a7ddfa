// SQLite through the common interface; PostgreSQL is tested with a server, in tests/scripts/sweep/study_test.lua.
#include "engine/study/database.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

#include "engine/study/repeated_statement.h"
#include "tests/engine/temporary_folder.h"

namespace lanthorn {
namespace {

std::unique_ptr<Database> Open(const std::string& path) {
  auto database = OpenDatabase("sqlite:" + path);
  EXPECT_TRUE(database.ok()) << database.status();
  return database.ok() ? *std::move(database) : nullptr;
}

TEST(Database, GivesBackWhatItWasGiven) {
  const TemporaryFolder folder;
  const auto database = Open(folder / "x");
  ASSERT_TRUE(database->Execute("CREATE TABLE a (i bigint, x double precision, t text)", {}).ok());
  const DatabaseRow row = {int64_t{1} << 52, 0.1, std::string("it's \0 :p1 ü", 13)};
  ASSERT_TRUE(database->Execute("INSERT INTO a VALUES (:p1, :p2, :p3)", row).ok());
  const DatabaseRow nulls(3);
  ASSERT_TRUE(database->Execute("INSERT INTO a VALUES (:p1, :p2, :p3)", nulls).ok());
  const auto rows = database->Execute("SELECT i, x, t FROM a ORDER BY i DESC", {});
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(*rows, (std::vector<DatabaseRow>{row, nulls}));
}

TEST(Database, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  const auto database = Open(folder / "x");
  const absl::Status syntax = database->Execute("SELEC 1", {}).status();
  EXPECT_EQ(ExitCodeOf(syntax), ExitCode::kMachine);
  EXPECT_EQ(MessageOf(syntax), "database '" + folder / "x" + "': near \"SELEC\": syntax error");
  EXPECT_EQ(MessageOf(OpenDatabase("sqlite:" + folder / "no/x").status()),
            "database '" + folder / "no/x" + "': unable to open database file");
  std::ofstream(folder / "y") << std::string(5000, 'y');
  EXPECT_EQ(MessageOf(OpenDatabase("sqlite:" + folder / "y").status()),
            "database '" + folder / "y" + "': file is not a database");
  for (const char* url : {"odbc://u:secret@h/x", "host=h user=u password=secret", "postgresql://u:se%cret@h/x"}) {
    const absl::Status unknown = OpenDatabase(url).status();
    EXPECT_EQ(ExitCodeOf(unknown), ExitCode::kConfig);
    EXPECT_EQ(MessageOf(unknown).find("cret"), std::string::npos) << unknown;
  }
}

TEST(Database, OneThatIsLockedIsUnavailable) {
  const TemporaryFolder folder;
  const auto one = Open(folder / "x"), other = Open(folder / "x");
  ASSERT_TRUE(one->Execute("CREATE TABLE a (i bigint)", {}).ok());
  ASSERT_TRUE(one->Execute("BEGIN IMMEDIATE", {}).ok());
  EXPECT_TRUE(other->Execute("SELECT i FROM a", {}).ok());  // readers do not wait
  EXPECT_TRUE(absl::IsUnavailable(other->Execute("BEGIN IMMEDIATE", {}).status()));
  ASSERT_TRUE(one->Execute("COMMIT", {}).ok());
  EXPECT_TRUE(other->Execute("BEGIN IMMEDIATE", {}).ok());
}

TEST(Database, PasswordsAreNotShown) {
  EXPECT_EQ(WithoutPassword("postgresql://u:p%40ss:w@h:5/x?options=b:c@d"), "postgresql://u@h:5/x");
  EXPECT_EQ(WithoutPassword("postgres://u:se?cret@h:5/x"), "postgresql://u@h:5/x");
  EXPECT_EQ(WithoutPassword("postgresql://h/x?sslpassword=a&password=secret"), "postgresql://h/x");
  EXPECT_EQ(WithoutPassword("postgresql:///x?host=/tmp"), "postgresql:///tmp/x");
  EXPECT_EQ(WithoutPassword("sqlite:/a:b@c"), "sqlite:/a:b@c");
  EXPECT_EQ(WithoutPassword("host=h password=secret"), "a database that is not known");
}

TEST(RepeatedStatement, RunsUntilItIsDestroyed) {
  const TemporaryFolder folder;
  const auto database = Open(folder / "x");
  ASSERT_TRUE(database->Execute("CREATE TABLE a (i bigint)", {}).ok());
  const auto count = [&] {
    return std::get<int64_t>(database->Execute("SELECT count(*) FROM a WHERE i = 7", {}).value()[0][0]);
  };
  auto repeated =
      std::make_unique<RepeatedStatement>(Open(folder / "x"), "INSERT INTO a VALUES (:p1)",
                                          std::vector<DatabaseValue>{int64_t{7}}, std::chrono::milliseconds(5));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (count() < 3 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_GE(count(), 3);
  repeated = nullptr;
  const int64_t after = count();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(count(), after);
}

}  // namespace
}  // namespace lanthorn
